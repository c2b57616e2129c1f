"""The same batch on Ray Data: workers that load the models once answer and write, and the caller keeps the table.

Each worker is given a few images at a time and writes their files into a folder aside; what it returns is taken in the
images' order. A worker that dies is started again, and its images are answered again; what it had written aside is
never looked at. Every machine of a cluster needs the project and the folder of the results at the same path.
"""

import importlib.util
import logging
import os
import pickle
import re
import secrets
import shutil
import signal
import socket
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from hub_models.batch.archives import Item
from hub_models.batch.files import ImageFiles
from hub_models.batch.folder import CannotGoOn
from hub_models.batch.outputs import table_row
from hub_models.batch.run import MAX_GROUP_IMAGES, Result, answer
from hub_models.reports.description import printable

if TYPE_CHECKING:
    from hub_models.pipeline import XrayPipeline

HERE = "here"
"""The address of a Ray that this process starts for itself."""
ADDRESS = re.compile(r"here|auto|(ray://)?[\w.-]+:\d+")
ASIDE = ".aside"
"""Folder, in that of the results, of what workers have written and nobody has taken yet."""
CHUNK_IMAGES = 2 * MAX_GROUP_IMAGES  # a whole number of groups: each image gets the digits that it gets without Ray
ANSWER_SECONDS = 10.0
MOST_STARTS = 2  # of one chunk, before its images are answered one by one
STORE_BYTES = 200_000_000  # of a Ray of one's own; what passes through it is small
CHUNKS_OF_A_WORKER = 2  # at work or waiting for it; the others go to whichever worker is free first
PRIVATE = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # on every system: listen on 127.0.0.1 alone, and not on all networks
    "RAY_AUTH_MODE": "token",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}


@dataclass(frozen=True)
class Answered:
    """The result of one file that a worker has answered, its files in a folder aside.

    Attributes:
        name, status: as in `Result`.
        row: its row of the table, but for the folder.
        description: what `ImageFiles.describe` says of it, or {"notes": why it was refused}.
        aside: the folder of its files; None if it has none.
        error: why its files could not be written, or None.
    """

    name: str
    status: str
    row: dict[str, Any]
    description: dict[str, Any]
    aside: Path | None = None
    error: OSError | None = None


@dataclass(frozen=True)
class Work:
    """The needs of a worker: how to load the models, what to write and where, and the variables that it sees."""

    load: "Callable[[], XrayPipeline]"
    files: ImageFiles
    anyway: bool
    aside: Path
    variables: dict[str, str]


class Worker:
    """The models in a process of their own, which answer chunks of images."""

    def __init__(self, work: Work) -> None:
        os.environ.update(work.variables)
        self.work, self.pipeline = work, work.load()

    def __call__(self, row: dict[str, Any]) -> dict[str, bytes]:
        """Answer the items of a chunk; of one that ended its workers again and again, one by one."""
        items, chunk = pickle.loads(row["items"]), self.work.aside / f"chunk-{row['chunk']}"
        if self._starts(chunk) <= MOST_STARTS:
            return {"answered": pickle.dumps(self._answer(items))}
        alone = [self._alone(item, chunk.with_name(f"{chunk.name}-{place}")) for place, item in enumerate(items)]
        return {"answered": pickle.dumps(alone)}

    def _answer(self, items: list[Item]) -> list[Answered]:
        files, anyway = self.work.files, self.work.anyway
        with closing(
            answer(self.pipeline, iter(items), files.prompts, anyway=anyway, keep=bool(files.also))
        ) as results:
            return [self._write(result) for result in results]

    def _alone(self, item: Item, mark: Path) -> Answered:
        if self._starts(mark) > 1:
            refusal = "Workers ended while they read this file; look at it alone, without --ray."
            return self._write(Result(item.name, refusal=refusal))
        (answered,) = self._answer([item])
        mark.unlink()
        return answered

    @staticmethod
    def _starts(mark: Path) -> int:
        """Count the starts of something, this one among them, also of workers that have ended since."""
        with mark.open("ab") as stream:
            stream.write(b".")
            return stream.tell()

    def _write(self, result: Result) -> Answered:
        if result.report is None:
            return Answered(result.name, result.status, table_row(result), {"notes": [result.refusal]})
        description, folder = self.work.files.describe(result), self.work.aside / uuid4().hex
        try:
            folder.mkdir()
            self.work.files.write(folder, result, description)
        except OSError as error:
            return Answered(result.name, result.status, {}, {}, error=error)
        return Answered(result.name, result.status, table_row(result), description, folder)


def check(address: str) -> None:
    """Refuse an address where no Ray is, or a Ray that is not installed, before anything starts.

    Raises:
        CannotGoOn: as told.
    """
    if ADDRESS.fullmatch(address) is None:
        raise CannotGoOn(
            f"--ray takes the address of a cluster, HOST:PORT or auto, and not {printable(address)!r}; give the images "
            "first."
        )
    if importlib.util.find_spec("ray") is None:
        raise CannotGoOn("--ray needs the package ray; pip install -r hub_models/requirements-ray.txt.")
    host, _, port = address.removeprefix("ray://").partition(":")
    if not port:
        return
    try:  # Ray itself tries for minutes
        socket.create_connection((host, int(port)), ANSWER_SECONDS).close()
    except OSError as error:
        raise CannotGoOn(f"No Ray answers at {address} ({error}); start one there, or see to the address.") from error


def answer_on(address: str, workers: int | None, work: Work, items: Iterable[Item]) -> Generator[Answered, None, None]:
    """Answer about files, in their order, as `batch.run.answer` does, on Ray Data.

    Args:
        address: a cluster's, or `HERE` for a Ray of one's own, which ends with the iterator.
        workers: number of workers, a core each; all cores of the cluster if None.
        work: what the workers need; its folder `aside` is made, and removed at the end.
        items: files that `find` found.

    Raises:
        OSError: files could not be written.
    """
    left = iter(items)
    chunks = iter(lambda: list(islice(left, CHUNK_IMAGES)), [])
    rows = [{"chunk": number, "items": pickle.dumps(chunk)} for number, chunk in enumerate(chunks)]
    shutil.rmtree(work.aside, ignore_errors=True)
    work.aside.mkdir()
    try:
        with _ray(address, workers) as ray:
            size = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
            pool = ray.data.ActorPoolStrategy(
                size=min(size, len(rows)), max_tasks_in_flight_per_actor=CHUNKS_OF_A_WORKER
            )
            data = ray.data.from_items(rows, override_num_blocks=len(rows))
            for row in data.map(Worker, fn_constructor_args=(work,), compute=pool, num_cpus=1).iter_rows():
                for answered in pickle.loads(row["answered"]):
                    if answered.error is not None:
                        raise answered.error
                    yield answered
    finally:
        shutil.rmtree(work.aside, ignore_errors=True)


@contextmanager
def _ray(address: str, workers: int | None) -> Iterator[Any]:
    """Connect to a Ray, or start one that listens on 127.0.0.1, sends nothing, and is gone at the end."""
    if own := address == HERE:
        os.environ.update(PRIVATE | {"RAY_AUTH_TOKEN": secrets.token_hex(32)})
    import ray
    import ray.data

    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as folder:
        limits = {
            "num_cpus": workers,
            "object_store_memory": STORE_BYTES,
            "_temp_dir": folder,
            "include_dashboard": False,
        }
        options = limits if own else {"address": address}
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        handler = signal.getsignal(signal.SIGTERM)
        ray.init(**options, logging_level="error", log_to_driver=False)
        signal.signal(signal.SIGTERM, handler)  # Ray takes it over
        try:
            context = ray.data.DataContext.get_current()
            context.execution_options.preserve_order, context.enable_progress_bars = True, False
            yield ray
        finally:
            ray.shutdown()
