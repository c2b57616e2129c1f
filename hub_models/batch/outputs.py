"""Files that hold the results of a batch: rows of a table, a CSV file, and a zip archive of pictures."""

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import numpy as np

from hub_models.batch.run import Result
from hub_models.checkpoints.cells import as_cell
from hub_models.reports.description import EXTENSIONS, remarks
from hub_models.reports.overlay import draw_overlay, sketch
from hub_models.reports.png import encode_png
from hub_models.reports.sentences import headline
from hub_models.xray.masks import grade_extent

if TYPE_CHECKING:  # a page that opens before the models must not wait for them
    from hub_models.models.report import Report

MAX_FOLDER_NAME_BYTES = 200  # file systems take 255
CSV_FILE = "summary.csv"
PARQUET_FILE = "summary.parquet"

_FIRST_COLUMNS = (
    "file",
    "folder",
    "status",
    "conclusion",
    "infected_share right",
    "infected_share left",
    "infected_share both",
    "extent_grade right",
    "extent_grade left",
)
_LAST_COLUMNS = ("strangeness", "note")
_RESERVED_NAMES = re.compile(r"con|prn|aux|nul|(com|lpt)\d", re.IGNORECASE)  # Windows refuses these names


def table_columns(answers: Iterable[str]) -> list[str]:
    """List the columns of the table, in order; `answers` are those of the classifiers."""
    return [*_FIRST_COLUMNS, *answers, *_LAST_COLUMNS]


def pictures(report: "Report") -> dict[str, np.ndarray]:
    """Draw the pictures of a report.

    Returns:
        File name -> picture: overlay.png, uint8 (h, w, 3); lungs.png and infection.png, uint8 (H, W), 0 outside and 255
        inside.
    """
    drawn = report.masks.at(report.image.shape)
    masks = {"lungs.png": drawn.lungs, "infection.png": drawn.infection}
    overlay = draw_overlay(sketch(report.image, report.masks))
    return {"overlay.png": overlay} | {name: mask.astype(np.uint8) * 255 for name, mask in masks.items()}


def folder_name(name: str, taken: set[str]) -> str:
    """Name the folder of a file's results so that every operating system accepts it and no other folder has it.

    Args:
        name: the file's name, perhaps with folders before it.
        taken: names of folders in use, casefolded; the new one is added.
    """
    file = PurePosixPath(name)
    stem = (
        file.stem if file.suffix.lower() in EXTENSIONS else file.name
    )  # a DICOM number ends like an extension, but has none
    stem = (
        re.sub(r"[^\w.-]+", "_", unicodedata.normalize("NFC", stem))
        .encode()[:MAX_FOLDER_NAME_BYTES]
        .decode(errors="ignore")
    )
    stem = stem.strip("._-")
    if not stem or _RESERVED_NAMES.fullmatch(stem.partition(".")[0]):
        stem = f"xray_{stem}".rstrip("_")
    unique, number = stem, 1
    while unique.casefold() in taken:
        number += 1
        unique = f"{stem}-{number}"
    taken.add(unique.casefold())
    return unique


def table_row(result: Result, folder: str = "") -> dict[str, str | float | int | None]:
    """Make the row of one image in the table: column -> value, None for a value that is not known.

    Args:
        result: the image's result.
        folder: name of the folder with its pictures.

    Returns:
        "file", "folder", "status"; "conclusion", a class or "Undecided: ..." (`headline`); "infected_share SIDE" (0..1)
        and "extent_grade SIDE" (0..4); of each classifier that answered "ROLE class", its most probable one, and
        "ROLE p CLASS" (0..1); "strangeness"; "note".
    """
    row = dict.fromkeys(_FIRST_COLUMNS) | {"file": result.name, "folder": folder, "status": result.status}
    if result.report is None:
        return row | dict.fromkeys(_LAST_COLUMNS) | {"note": result.refusal}
    if conclusion := result.report.conclusion:
        row["conclusion"] = headline(conclusion.classes, conclusion.decided)
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
    """Write rows of `table_row` as CSV for spreadsheets: UTF-8 with a byte order mark, no text is a formula."""
    answers = dict.fromkeys(column for row in rows for column in row if column not in (*_FIRST_COLUMNS, *_LAST_COLUMNS))
    columns = table_columns(answers)
    return csv_head(columns) + b"".join(csv_line(as_cell(row.get(column)) for column in columns) for row in rows)


def csv_head(columns: Iterable[str]) -> bytes:
    """Write the beginning of a CSV file for spreadsheets: a byte order mark, and the names of the columns."""
    return codecs.BOM_UTF8 + csv_line(map(as_cell, columns))


def csv_line(cells: Iterable[Any]) -> bytes:
    """Write a line of a CSV file in UTF-8; the texts come from `as_cell`."""
    stream = io.StringIO()
    csv.writer(stream).writerow(cells)
    return stream.getvalue().encode("utf-8", "backslashreplace")


def write_zip(path: Path, results: Iterable[Result]) -> Iterator[dict]:
    """Write an archive with the `pictures` of each result in a folder of its own, and summary.csv.

    Each result is written as it comes, and no picture stays in memory. The archive is complete once the last row was
    taken.

    Yields:
        The row of each result, once its pictures are written.
    """
    rows: list[dict] = []
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        # `map` and not a loop: a loop variable would keep a result in memory while the next one is made.
        for row in map(partial(_pack, archive, {CSV_FILE}), results):
            rows.append(row)
            yield row
        archive.writestr(ZipInfo(CSV_FILE), table_csv(rows))


def _pack(archive: ZipFile, taken: set[str], result: Result) -> dict:
    if result.report is None:
        return table_row(result)
    folder = folder_name(result.name, taken)
    for name, picture in pictures(result.report).items():
        archive.writestr(ZipInfo(f"{folder}/{name}"), encode_png(picture))  # a PNG is compressed already
    return table_row(result, folder)
