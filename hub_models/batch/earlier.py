"""The images of a batch that were answered before it was stopped: found again in its folder, and passed over."""

import json
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import filterfalse
from pathlib import Path
from typing import Any

from hub_models.batch.archives import Item
from hub_models.batch.folder import CannotGoOn
from hub_models.batch.run import MAX_GROUP_IMAGES, Result
from hub_models.batch.table import Cells
from hub_models.checkpoints.cells import as_cell, from_cell
from hub_models.xray.images import ImageRefused

REPORT_FILE = "report.json"


@dataclass(frozen=True)
class Earlier:
    """The images that were answered earlier.

    Attributes:
        names: their names in the results, in the order in which they are found.
        again: the last of them, with which the next image shares a pass of the networks. Each network answers about
            them again, and the answers are dropped: alone, the next image would get other last digits.
        total: number of all images, those that are left among them.
    """

    names: list[str]
    again: list[str]
    total: int

    def left(self, items: Iterable[Item]) -> Iterator[Item]:
        """Yield the files that have to be read: `again`, and all that were not answered earlier."""
        done = Counter(self.names) - Counter(self.again)
        for item in items:
            if done[item.name]:
                done[item.name] -= 1
            else:
                yield item

    def new(self, results: Iterable[Result]) -> Iterator[Result]:
        """Yield the results of `left` but those of `again`."""
        waiting = deque(self.again)

        def is_dropped(result: Result) -> bool:
            if not waiting or result.name != waiting[0]:
                return False
            waiting.popleft()
            return True

        return filterfalse(is_dropped, results)  # a loop variable would keep a result while the next one is made


def match(rows: Iterable[Cells], items: Iterable[Item], folder: Path) -> Earlier:
    """Match the rows of a table with the images of a batch, by name, and by the SHA-256 of those that were answered.

    Args:
        rows: whole rows, from `whole_rows`.
        items: all files of the batch, each of which can be loaded until the next one is taken.
        folder: the folder of the results.

    Raises:
        CannotGoOn: if an image that was answered has changed, or is not among the files.
    """
    waiting: dict[str, deque[Cells]] = {}
    for row in rows:
        waiting.setdefault(row["file"], deque()).append(row)
    names, first, total = [], 0, 0
    for item in items:
        if rows_of_name := waiting.get(as_cell(item.name)):
            _check_content(item, rows_of_name.popleft(), folder)
            first += len(names) == total  # all files so far were answered
            names.append(item.name)
        total += 1
    if left := [from_cell(name) for name, rows_of_name in waiting.items() if rows_of_name]:
        raise CannotGoOn(
            f"{folder} holds the results of {left[0]}, which is not among these images; "
            "name the same ones, or a new folder."
        )
    return Earlier(names, names[first - first % MAX_GROUP_IMAGES : first] if len(names) < total else [], total)


def whole_rows(rows: Iterable[Cells], folder: Path) -> list[Cells]:
    """Select the rows whose image has a folder with a whole report.json, or was refused and has no folder."""
    return [row for row in rows if not row["folder"] or _read_report(row, folder) is not None]


def line_of(row: Cells, folder: Path) -> dict[str, Any]:
    """Describe an image that was answered earlier as `--json` does when it is answered."""
    heading = {column: from_cell(row[column]) for column in ("file", "folder", "status")}
    return heading | (_read_report(row, folder) if row["folder"] else {"notes": [from_cell(row["note"])]})


def _read_report(row: Cells, folder: Path) -> dict[str, Any] | None:
    """Read the description in an image's folder; None if there is none, or it is not whole."""
    try:
        report = json.loads((folder / from_cell(row["folder"]) / REPORT_FILE).read_text(encoding="utf-8"))
        return report if report["source"]["sha256"] else None
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _check_content(item: Item, row: Cells, folder: Path) -> None:
    """Refuse an image that was answered and is another one now; of a refused one no SHA-256 is kept."""
    if not row["folder"]:
        return
    try:
        digest = sha256(item.load()).hexdigest() if item.load else None
    except ImageRefused:
        digest = None
    if digest != _read_report(row, folder)["source"]["sha256"]:
        raise CannotGoOn(f"{item.name} is not the file that was answered earlier; put it back, or name a new folder.")
