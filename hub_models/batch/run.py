"""Answers about many X-rays from files, folders and zip archives, one result a file, in order."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hub_models.batch.archives import Item, NamedPath, find
from hub_models.reports.description import Source, printable
from hub_models.xray.images import ImageRefused, read_xray

if TYPE_CHECKING:  # a page that opens before the models must not wait for them
    from hub_models.models.labels import Prompts
    from hub_models.pipeline import Report, XrayPipeline

READ_AHEAD_ITEMS = 2  # images read while the models run on others; finished results that wait to be taken
MAX_GROUP_IMAGES, MAX_GROUP_PIXELS = 4, 8e6  # limits of what goes through the networks in one pass
SHARED_GROUP_IMAGES = 2  # the first limit where others wait for the same models
PARALLEL_GROUPS = 2  # groups that the models run on at the same time, where nobody else uses them
NOBODY_ELSE = nullcontext()
_END = object()


@dataclass(frozen=True)
class Result:
    """The result of one file.

    Attributes:
        name: the file's name.
        source, report: what it is and what was found, unless it was refused.
        refusal: one sentence why it cannot be read, or None.
        file: its bytes, where they are kept.
    """

    name: str
    source: Source | None = None
    report: "Report | None" = None
    refusal: str | None = None
    file: bytes | None = field(default=None, repr=False)

    @property
    def status(self) -> str:
        """Either "answered", or "refused": it cannot be read, or is not a frontal chest X-ray."""
        return "refused" if self.report is None or self.report.refused else "answered"


@dataclass(frozen=True)
class Opened:
    """A file that was read: its `name`, `source`, `image`, float32 (H, W) in 0..1, and, if they are kept, its bytes."""

    name: str
    source: Source
    image: np.ndarray
    file: bytes | None = field(default=None, repr=False)


def run(
    pipeline: "XrayPipeline",
    paths: Iterable[NamedPath],
    prompts: "Prompts | None" = None,
    turn: AbstractContextManager = NOBODY_ELSE,
    anyway: bool = False,
) -> Generator[Result, None, None]:
    """Answer about every file that `find` finds, in its order; a refused file does not stop the others.

    Arguments and errors are those of `answer`, but that `paths` are files, folders and zip archives.
    """
    return answer(pipeline, find(paths), prompts, turn, anyway)


def answer(
    pipeline: "XrayPipeline",
    items: Iterator[Item],
    prompts: "Prompts | None" = None,
    turn: AbstractContextManager = NOBODY_ELSE,
    anyway: bool = False,
    keep: bool = False,
) -> Generator[Result, None, None]:
    """Answer about files, in their order; a refused file does not stop the others.

    Files are read, and the models run, in threads of their own, a little ahead of the caller. A caller that may not
    take all results closes what is returned (`contextlib.closing`), which ends the threads. The garbage collector runs
    in any thread, also in one that is about to start, and would wait there for the others without end.

    Args:
        pipeline: the models.
        items: files that `find` found, each of which can be loaded until the next one is taken.
        prompts: sentences of each class for the zero-shot CLIP, as `XrayPipeline.classify` takes them.
        turn: held while the models run, for `SHARED_GROUP_IMAGES` images at most, where others use them, too.
        anyway: whether to name classes and shares also of what is refused as a frontal chest X-ray.
        keep: whether results hold the bytes of their files.

    Raises:
        ValueError: if a class has no prompt.
    """
    most = MAX_GROUP_IMAGES if turn is NOBODY_ELSE else SHARED_GROUP_IMAGES
    return read_ahead(
        _answer(pipeline, groups(read_ahead(map(partial(_open, keep=keep), items)), most), prompts, turn, anyway)
    )


def _answer(
    pipeline: "XrayPipeline",
    opened: Iterable[list["Result | Opened"]],
    prompts: "Prompts | None",
    turn: AbstractContextManager,
    anyway: bool,
) -> Iterator[Result]:
    def answer_group(group: list["Result | Opened"]) -> list[Result]:
        files = [file for file in group if isinstance(file, Opened)]
        images, headers = [file.image for file in files], [file.source.reasons for file in files]
        with turn:
            reports = pipeline.report(images, prompts=prompts, headers=headers, anyway=anyway) if files else []
        reports = deque(reports)
        return [
            file if isinstance(file, Result) else Result(file.name, file.source, reports.popleft(), file=file.file)
            for file in group
        ]

    for results in map_parallel(answer_group, opened, PARALLEL_GROUPS if turn is NOBODY_ELSE else 1):
        while results:
            yield results.pop(0)


def map_parallel(function: Callable[[Any], Any], items: Iterable[Any], workers: int) -> Iterator[Any]:
    """Yield a function's value for each item, in their order, from `workers` calls at the same time."""
    with ThreadPoolExecutor(workers, "answering") as pool:
        waiting: deque = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for call in waiting:
                call.cancel()


def groups(files: Iterable["Result | Opened"], most: int = MAX_GROUP_IMAGES) -> Iterator[list["Result | Opened"]]:
    """Yield lists of at most `most` files, and `MAX_GROUP_PIXELS` pixels where there are several images.

    A list begins at every multiple of `most`: a batch that goes on from there has the same lists, and the same digits.
    """
    group, pixels = [], 0
    for position, file in enumerate(files):
        size = file.image.size if isinstance(file, Opened) else 0
        if group and (position % most == 0 or pixels + size > MAX_GROUP_PIXELS):
            yield group
            group, pixels = [], 0
        group.append(file)
        pixels += size
    if group:
        yield group


def read_ahead(items: Iterator[Any], ahead: int = READ_AHEAD_ITEMS) -> Generator[Any, None, None]:
    """Yield the same items, the next of which a thread makes while the caller works on the last.

    Args:
        items: are made in one thread only, in their order.
        ahead: number of items that may wait.
    """
    with ThreadPoolExecutor(1, "reading") as reader:
        waiting = deque(reader.submit(next, items, _END) for _ in range(ahead))
        try:
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(reader.submit(next, items, _END))
                yield item
        finally:
            for call in waiting:
                call.cancel()


def _open(item: Item, keep: bool = False) -> "Result | Opened":
    """Read a file as an image, or say why not."""
    if item.load is None:
        return Result(item.name, refusal=item.problem)
    try:
        data = item.load()
        xray = read_xray(data)
        return Opened(item.name, Source.of(item.name, data, xray), xray.image, data if keep else None)
    except ImageRefused as error:
        return Result(item.name, refusal=printable(str(error)))
