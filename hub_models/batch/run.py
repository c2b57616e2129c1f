"""Many X-rays, one after the other: from files, folders and zip archives to a table and the pictures of each."""

import csv
import io
import re
import unicodedata
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np

from hub_models.batch.archives import Given, Item, find
from hub_models.checkpoints.cells import as_cell
from hub_models.reports.description import EXTENSIONS, Source, printable, remarks
from hub_models.reports.overlay import draw_overlay, encode_png, sketch
from hub_models.xray.images import ImageRefused, read_xray
from hub_models.xray.masks import grade_extent

if TYPE_CHECKING:  # a page that opens before the models must not wait for torch
    from hub_models.models.clip import Prompts
    from hub_models.pipeline import Report, XrayPipeline

AHEAD = 2  # images that are read while the models look at others, and answers that wait to be taken
TOGETHER, PIXELS = 4, 8e6  # so many images, or pixels, go through the networks in one pass
ASKING = 2  # groups that the models look at at the same time, where nobody else wants them
NOBODY_ELSE = nullcontext()
_END = object()
LONGEST = 200  # bytes of a folder's name; file systems take 255
CSV_FILE = "summary.csv"

_FIRST = (
    "file",
    "folder",
    "status",
    "infected_share right",
    "infected_share left",
    "infected_share both",
    "extent_grade right",
    "extent_grade left",
)
_LAST = ("strangeness", "note")
_RESERVED = re.compile(r"con|prn|aux|nul|(com|lpt)\d", re.IGNORECASE)  # no names on Windows


@dataclass(frozen=True)
class Result:
    """Of one file its `name`; and its `source` and `report`, or the sentence of its `refusal`."""

    name: str
    source: Source | None = None
    report: "Report | None" = None
    refusal: str | None = None

    @property
    def status(self) -> str:
        """How it went: "answered", "strange" (answered, but said to be no frontal chest X-ray) or "refused"."""
        if self.report is None:
            return "refused"
        return "strange" if self.report.masks.strange else "answered"


@dataclass(frozen=True)
class Opened:
    """A file that was read: its `name` and `source`, and its `image`, float32 (H, W) in 0..1."""

    name: str
    source: Source
    image: np.ndarray


def run(
    pipeline: "XrayPipeline",
    given: Iterable[Given],
    prompts: "Prompts | None" = None,
    turn: AbstractContextManager = NOBODY_ELSE,
) -> Iterator[Result]:
    """One result for each file that `find` finds, in its order; a file that is refused stops nothing.

    Files are read, and the models run, in threads of their own, a little ahead of who takes the results.

    Args:
        pipeline: the models.
        given: names and places of files, folders and zip archives.
        prompts: sentences of each class for the zero-shot CLIP, as `XrayPipeline.classify` takes them.
        turn: is held while the models run, for `TOGETHER` images at most, where others want them, too.

    Raises:
        ValueError: if a class has no prompt.
    """
    return read_ahead(_answer(pipeline, groups(read_ahead(map(_open, find(given)))), prompts, turn))


def _answer(
    pipeline: "XrayPipeline",
    opened: Iterable[list["Result | Opened"]],
    prompts: "Prompts | None",
    turn: AbstractContextManager,
) -> Iterator[Result]:
    def ask(group: list["Result | Opened"]) -> list[Result]:
        images = [one.image for one in group if isinstance(one, Opened)]
        with turn:
            reports = deque(pipeline.many(images, prompts) if images else [])
        return [one if isinstance(one, Result) else Result(one.name, one.source, reports.popleft()) for one in group]

    for results in at_once(ask, opened, ASKING if turn is NOBODY_ELSE else 1):
        while results:
            yield results.pop(0)


def at_once(function: Callable[[Any], Any], items: Iterable[Any], workers: int) -> Iterator[Any]:
    """What a function gives of each item, in their order, with so many calls at the same time."""
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
            for one in waiting:
                one.cancel()


def groups(opened: Iterable["Result | Opened"]) -> Iterator[list["Result | Opened"]]:
    """The same in lists of at most `TOGETHER`, and at most `PIXELS` where there are several images."""
    group, pixels = [], 0
    for one in opened:
        size = one.image.size if isinstance(one, Opened) else 0
        if group and (len(group) == TOGETHER or pixels + size > PIXELS):
            yield group
            group, pixels = [], 0
        group.append(one)
        pixels += size
    if group:
        yield group


def read_ahead(items: Iterator[Any], ahead: int = AHEAD) -> Iterator[Any]:
    """The same items, of which some are made in a thread of their own before they are asked for.

    Args:
        items: are made in one thread only, in their order.
        ahead: how many may wait.
    """
    with ThreadPoolExecutor(1, "reading") as reader:
        waiting = deque(reader.submit(next, items, _END) for _ in range(ahead))
        try:
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(reader.submit(next, items, _END))
                yield item
        finally:
            for one in waiting:
                one.cancel()


def pictures(report: "Report") -> dict[str, np.ndarray]:
    """What is kept of an X-ray to look at: overlay.png, uint8 (h, w, 3), and lungs.png and infection.png, uint8 (H, W)
    with 0 outside and 255 inside.
    """
    masks = {"lungs.png": report.masks.lungs, "infection.png": report.masks.infection}
    overlay = draw_overlay(sketch(report.image, report.masks))
    return {"overlay.png": overlay} | {name: mask.astype(np.uint8) * 255 for name, mask in masks.items()}


def folder_name(name: str, taken: set[str]) -> str:
    """A name for the folder of a file's results that every system takes and that is not taken; then it is.

    Args:
        name: the file's own, perhaps with folders before it.
        taken: names in use, without regard to case.
    """
    file = PurePosixPath(name)
    stem = file.stem if file.suffix.lower() in EXTENSIONS else file.name  # the end of a DICOM number is no extension
    stem = re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", stem)).encode()[:LONGEST].decode(errors="ignore")
    stem = stem.strip("._-")
    if not stem or _RESERVED.fullmatch(stem.partition(".")[0]):
        stem = f"xray_{stem}".rstrip("_")
    unique, number = stem, 1
    while unique.casefold() in taken:
        number += 1
        unique = f"{stem}-{number}"
    taken.add(unique.casefold())
    return unique


def table_row(result: Result, folder: str = "") -> dict[str, str | float | int | None]:
    """One image's row of the table: column -> value, None for what is not known.

    Args:
        result: of the image.
        folder: where its pictures are kept.

    Returns:
        "file", "folder", "status"; "infected_share SIDE" (0..1) and "extent_grade SIDE" (0..4); of each classifier
        that answered "ROLE class", its most probable one, and "ROLE p CLASS" (0..1); "strangeness"; "note".
    """
    row = dict.fromkeys(_FIRST) | {"file": result.name, "folder": folder, "status": result.status}
    if result.report is None:
        return row | dict.fromkeys(_LAST) | {"note": result.refusal}
    for side in ("right", "left", "both"):
        row[f"infected_share {side}"] = getattr(result.report.involvement, side)
    for side in ("right", "left"):
        row[f"extent_grade {side}"] = grade_extent(row[f"infected_share {side}"])
    for role, probabilities in result.report.classifiers.items():
        row[f"{role} class"] = max(probabilities, key=probabilities.get)
        row |= {f"{role} p {label}": probability for label, probability in probabilities.items()}
    note = " ".join(remarks(result.report, result.source)) or None
    return row | {"strangeness": result.report.masks.strangeness, "note": note}


def table_csv(rows: Sequence[dict]) -> bytes:
    """The rows of `table_row` as a CSV file for spreadsheets: UTF-8 with its mark, and no text that is a formula."""
    answers = dict.fromkeys(column for row in rows for column in row if column not in (*_FIRST, *_LAST))
    columns = [*_FIRST, *answers, *_LAST]
    stream = io.StringIO()
    writer = csv.writer(stream)
    writer.writerow(map(as_cell, columns))
    writer.writerows([as_cell(row.get(column)) for column in columns] for row in rows)
    return stream.getvalue().encode("utf-8-sig", "backslashreplace")


def write_zip(path: Path, results: Iterable[Result]) -> Iterator[dict]:
    """Write an archive with the `pictures` of each result in a folder of its own, and summary.csv.

    It is written as the results come, and whole once the last row was taken; no picture is kept.

    Returns:
        The row of each result, once its pictures are written.
    """
    rows: list[dict] = []
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        # A loop over the results would hold on to one while the next is made.
        for row in map(partial(_pack, archive, {CSV_FILE}), results):
            rows.append(row)
            yield row
        archive.writestr(ZipInfo(CSV_FILE), table_csv(rows))


def _pack(archive: ZipFile, taken: set[str], result: Result) -> dict:
    if result.report is None:
        return table_row(result)
    folder = folder_name(result.name, taken)
    for name, picture in pictures(result.report).items():
        archive.writestr(ZipInfo(f"{folder}/{name}"), encode_png(picture))  # stored: it is compressed already
    return table_row(result, folder)


def _open(item: Item) -> "Result | Opened":
    """A file as an image, or its refusal."""
    if item.load is None:
        return Result(item.name, refusal=item.problem)
    try:
        data = item.load()
        xray = read_xray(data)
        return Opened(item.name, Source.of(item.name, data, xray.notes), xray.image)
    except ImageRefused as refused:
        return Result(item.name, refusal=printable(str(refused)))
