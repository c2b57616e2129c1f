"""The folder of everything that one running page keeps for its visitors, and the sweeping of it."""

import contextlib
import os
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gradio.mcp
import gradio.routes
from filelock import FileLock, Timeout
from gradio import processing_utils

PREFIX = "xray-page-"
LOCK_FILE = "in-use.lock"
KEEP_SECONDS = 3600
"""How long anything of a visitor stays at most: pictures, outlines, tables, archives, what is remembered of them."""
SWEEP_SECONDS = 60
"""How often the folder is swept; files go so much before `KEEP_SECONDS` are over."""
YOUNG_SECONDS = 60  # another page that starts has made its folder, and not yet its lock


class PageFolder:
    """Where a page keeps files: `uploads`, which it serves to those who know a name, and `work` for its own.

    Only its owner can read it, and no name in it can be guessed: gradio names files after a hash of their content,
    which is seeded with a secret of this process. The folder is removed when the page ends; after a kill, by the next.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.uploads, self.work = root / "uploads", root / "work"
        self.permanent: frozenset[Path] = frozenset()

    def keep_what_is_there(self) -> None:
        """Spare the files that are there now from sweeping: the examples, which came from no visitor."""
        self.permanent = frozenset(_files(self.uploads))

    def sweep(self, age_seconds: float) -> None:
        """Delete files that were written longer ago than `age_seconds`, and the folders that this leaves empty."""
        oldest = time.time() - age_seconds
        for base in (self.uploads, self.work):
            for file in _files(base):
                with contextlib.suppress(OSError):  # gone meanwhile
                    about = file.lstat()
                    if max(about.st_mtime, about.st_ctime) < oldest and file not in self.permanent:
                        file.unlink()
            for folder, _, _ in os.walk(base, topdown=False):
                with contextlib.suppress(OSError):  # in use, that is not empty
                    if Path(folder) != base and Path(folder).stat().st_mtime < oldest:
                        os.rmdir(folder)


@contextmanager
def open_folder() -> Iterator[PageFolder]:
    """Make the folder of this process, under `GRADIO_TEMP_DIR` or the system's folder for temporary files.

    Everything that gradio and this process write goes there until the end. Folders of pages that were killed are
    removed first.
    """
    outer = {"GRADIO_TEMP_DIR": os.environ.get("GRADIO_TEMP_DIR")}
    before = tempfile.tempdir, gradio.mcp.DEFAULT_TEMP_DIR, gradio.routes.DEFAULT_TEMP_DIR, processing_utils.hash_seed
    base = Path(outer["GRADIO_TEMP_DIR"] or tempfile.gettempdir())
    base.mkdir(parents=True, exist_ok=True)
    remove_abandoned(base)
    folder = PageFolder(Path(tempfile.mkdtemp(prefix=PREFIX, dir=base)).resolve())
    lock = FileLock(folder.root / LOCK_FILE)
    lock.acquire(timeout=1)
    for part in (folder.uploads, folder.work):
        part.mkdir()
    os.environ["GRADIO_TEMP_DIR"] = gradio.mcp.DEFAULT_TEMP_DIR = str(folder.uploads)
    gradio.routes.DEFAULT_TEMP_DIR = str(folder.work)
    tempfile.tempdir = str(folder.work)
    processing_utils.hash_seed = os.urandom(32)
    try:
        yield folder
    finally:
        tempfile.tempdir, gradio.mcp.DEFAULT_TEMP_DIR, gradio.routes.DEFAULT_TEMP_DIR = before[:3]
        processing_utils.hash_seed = before[3]
        os.environ.pop("GRADIO_TEMP_DIR")
        os.environ.update({name: value for name, value in outer.items() if value is not None})
        lock.release()
        shutil.rmtree(folder.root, ignore_errors=True)


def remove_abandoned(base: Path) -> None:
    """Remove the folders of pages of this user that no longer run."""
    for root in base.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, Timeout):
            if _is_ours(root) and _is_abandoned(root):
                shutil.rmtree(root, ignore_errors=True)


def keep_swept(folder: PageFolder, also: Callable[[float], None], stop: threading.Event) -> threading.Thread:
    """Sweep a folder until `stop` is set, in a thread.

    Args:
        folder: the page's folder.
        also: called with the age in seconds after each sweep, to forget what is remembered.
        stop: set when the page ends.
    """
    age = max(KEEP_SECONDS - SWEEP_SECONDS, 0)

    def work() -> None:
        while not stop.wait(SWEEP_SECONDS):
            folder.sweep(age)
            also(age)

    thread = threading.Thread(target=work, name="sweeping", daemon=True)
    thread.start()
    return thread


def _is_ours(root: Path) -> bool:
    about = root.lstat()
    return stat.S_ISDIR(about.st_mode) and (not hasattr(os, "getuid") or about.st_uid == os.getuid())


def _is_abandoned(root: Path) -> bool:
    """Whether no process holds the folder's lock; raises Timeout if one does."""
    lock = root / LOCK_FILE
    if not lock.exists():
        return time.time() - root.stat().st_mtime > YOUNG_SECONDS
    with FileLock(lock, timeout=0):
        return True


def _files(base: Path) -> Iterator[Path]:
    """Everything under a folder that is not a folder, links included."""
    for folder, _, names in os.walk(base):
        yield from (Path(folder, name) for name in names)
