"""The folder of what a page keeps for visitors: its names, its sweeping, and what a killed page leaves."""

import os
import stat
import tempfile
import threading
import time
from pathlib import Path

import gradio.mcp
import pytest
from filelock import FileLock
from gradio import processing_utils
from gradio.utils import get_upload_folder

from hub_models.page import folder as module
from hub_models.page.folder import LOCK_FILE, PREFIX, keep_swept, open_folder, remove_abandoned


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    return tmp_path


def put(file: Path, age: float = 0) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(b"an X-ray")
    os.utime(file, (time.time() - age,) * 2)
    return file


def test_everything_of_the_process_goes_there_and_nothing_stays(base):
    before = tempfile.gettempdir(), processing_utils.hash_seed
    with open_folder() as folder:
        assert folder.root.parent == base.resolve()
        assert get_upload_folder() == gradio.mcp.DEFAULT_TEMP_DIR == str(folder.uploads)
        with tempfile.NamedTemporaryFile() as file:
            assert Path(file.name).is_relative_to(folder.work)
        put(folder.uploads / "a" / "xray.png")
        if os.name == "posix":
            assert stat.S_IMODE(folder.root.stat().st_mode) == 0o700
    assert not list(base.iterdir())
    assert (tempfile.gettempdir(), processing_utils.hash_seed) == before
    assert get_upload_folder() == str(base)


def test_the_name_of_a_file_does_not_follow_from_its_content(base):
    names = set()
    for _ in range(2):
        with open_folder() as folder:
            file = put(folder.work / "xray.png")
            names.add(Path(processing_utils.save_file_to_cache(file, str(folder.uploads))).parent.name)
    assert len(names) == 2


def test_sweeping_takes_what_is_old_and_leaves_what_is_new_or_came_with_the_page(base, monkeypatch):
    with open_folder() as folder:
        example = put(folder.uploads / "example" / "healthy.png")
        folder.keep_what_is_there()
        old = [
            put(folder.uploads / "a" / "xray.png"),
            put(folder.uploads / "torn"),
            put(folder.work / "b" / "c" / "t.zip"),
        ]
        (folder.uploads / "link").symlink_to(example)
        now = time.time()
        monkeypatch.setattr(module.time, "time", lambda: now + 100)
        new = folder.uploads / "d" / "new.png"
        put(new)
        monkeypatch.setattr(module.time, "time", lambda: now + 3600)
        real = Path.lstat

        def lstat(path: Path) -> os.stat_result:
            about = real(path)
            if path == new:
                return os.stat_result((*about[:7], now + 3599, now + 3599, now + 3599))
            return about

        monkeypatch.setattr(Path, "lstat", lstat)
        folder.sweep(1800)
        assert example.is_file()
        assert new.is_file()
        assert not [file for file in old if file.exists()]
        assert not (folder.uploads / "link").is_symlink()
        assert not (folder.work / "b").exists()
        assert folder.uploads.is_dir()


def test_a_page_that_starts_removes_what_a_killed_one_left_and_leaves_one_that_runs(base):
    killed = base / f"{PREFIX}killed"
    put(killed / "uploads" / "a" / "xray.png")
    put(killed / LOCK_FILE)
    young = base / f"{PREFIX}young"
    young.mkdir()
    stranger = put(base / "something else" / "xray.png")
    with open_folder() as running:
        put(running.uploads / "a" / "xray.png")
        remove_abandoned(base)
        assert (running.uploads / "a" / "xray.png").is_file()
    assert not killed.exists()
    assert young.is_dir()  # another page is making it
    os.utime(young, (0, 0))
    remove_abandoned(base)
    assert not young.exists()
    assert stranger.is_file()


def test_a_link_in_place_of_a_folder_is_not_followed(base, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    put(elsewhere / LOCK_FILE)
    (base / f"{PREFIX}link").symlink_to(elsewhere)
    remove_abandoned(base)
    assert (elsewhere / LOCK_FILE).is_file()


def test_it_is_swept_until_the_page_ends(base, monkeypatch):
    monkeypatch.setattr(module, "SWEEP_SECONDS", 0.05)
    monkeypatch.setattr(module, "KEEP_SECONDS", 0.2)
    forgotten, stop = [], threading.Event()
    with open_folder() as folder:
        thread = keep_swept(folder, forgotten.append, stop)
        file = put(folder.uploads / "a" / "xray.png")
        end = time.monotonic() + 5
        while file.exists() and time.monotonic() < end:
            time.sleep(0.02)
        assert not file.exists()
        stop.set()
        thread.join(5)
        assert not thread.is_alive()
    assert forgotten[0] == pytest.approx(0.15)


def test_two_pages_at_the_same_time_have_folders_of_their_own(base):
    with open_folder() as one:
        lock = FileLock(one.root / LOCK_FILE, timeout=0)
        assert lock.lock_file
        os.environ["GRADIO_TEMP_DIR"] = str(base)
        with open_folder() as other:
            assert one.root != other.root
            assert one.root.is_dir()
        os.environ["GRADIO_TEMP_DIR"] = str(one.uploads)
