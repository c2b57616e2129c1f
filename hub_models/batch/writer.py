"""The writer of a batch's results: an image's files, then its row of the table, and none of it half."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from tqdm.auto import tqdm

from hub_models.batch.archives import Item
from hub_models.batch.count import Count
from hub_models.batch.earlier import Earlier, line_of, match, whole_rows
from hub_models.batch.files import ImageFiles
from hub_models.batch.folder import RUN_FILE, CannotGoOn, whole_folder
from hub_models.batch.interrupts import Interrupts
from hub_models.batch.outputs import CSV_FILE, PARQUET_FILE, folder_name, table_row
from hub_models.batch.ray import Answered
from hub_models.batch.run import Result
from hub_models.batch.table import GrowingTable, OtherTable


@dataclass
class ImageWriter:
    """The writer of an image's files and its row of the table, which leaves no image half written.

    Attributes:
        table: the table; its folder gets a folder for each image.
        files: what is written of an answered image.
        lines: the stream that gets a JSON object an image; None for no stream.
        count: counts the images.
        interrupts: waits with an interrupt until an image is written.
        taken: names of the folders so far, casefolded.
    """

    table: GrowingTable
    files: ImageFiles
    lines: TextIO | None
    count: Count
    interrupts: Interrupts
    taken: set[str] = field(default_factory=lambda: {CSV_FILE, RUN_FILE, PARQUET_FILE})

    @property
    def folder(self) -> Path:
        """The folder of all results."""
        return self.table.path.parent

    def take_up(self, items: Iterable[Item]) -> Earlier:
        """Find what was answered earlier among all images, print it as if it were answered now, and count it.

        Raises:
            CannotGoOn: if the table, or an image in it, was changed.
        """
        with self._explained():
            rows = whole_rows(self.table.read_rows(), self.folder)
            earlier = match(rows, items, self.folder)
            self.table.keep(rows)
            self.count.total, self.count.earlier = earlier.total, len(rows)
            self.taken |= {row["folder"].casefold() for row in rows}
            for row in rows:
                self._finish(line_of(row, self.folder))
        return earlier

    def write_all(self, results: Iterator[Result | Answered]) -> None:
        """Write the files of each image as soon as it is answered, and show how far it is.

        Raises:
            CannotGoOn: if the disk is full or the folder cannot be written to; all images so far stay.
        """
        with tqdm(total=self.count.total, initial=self.count.earlier, unit="image") as bar, self._explained():
            for _ in map(self._write, results):  # a loop variable would keep a result while the next one is made
                bar.update()

    def _write(self, result: Result | Answered) -> None:
        with self.interrupts.held():
            if isinstance(result, Answered):
                folder, description, row = self._take(result), result.description, result.row
            else:
                folder, description = self._make(result)
                row = table_row(result)
            self.table.append(row | {"folder": folder})
            self._finish({"file": result.name, "folder": folder, "status": result.status, **description})

    def _make(self, result: Result) -> tuple[str, dict]:
        """Write the files of an image; returns their folder, "" for none, and the image's description."""
        if result.report is None:
            return "", {"notes": [result.refusal]}
        folder, description = folder_name(result.name, self.taken), self.files.describe(result)
        with whole_folder(self.folder / folder) as unfinished:
            self.files.write(unfinished, result, description)
        return folder, description

    def _take(self, answered: Answered) -> str:
        """Take the files of an image that a worker has written; returns their folder, "" for none."""
        if answered.aside is None:
            return ""
        folder = folder_name(answered.name, self.taken)
        with whole_folder(self.folder / folder) as unfinished:
            for file in answered.aside.iterdir():
                file.rename(unfinished / file.name)
        return folder

    def _finish(self, line: dict) -> None:
        """Count an image, name it on stderr if it was refused, and print its line."""
        self.count.add(line["status"])
        if line["status"] == "refused":
            tqdm.write(f"{line['file']}: {' '.join(line['notes'])}", file=sys.stderr)
        if self.lines is not None:
            print(json.dumps(line), file=self.lines, flush=True)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say in one sentence why something cannot be written or read, and what is done so far."""
        try:
            yield
        except OtherTable as error:
            raise CannotGoOn(str(error)) from error
        except OSError as error:
            reason = f"no more can be written to {self.folder} ({error.strerror})"
            raise CannotGoOn(
                f"{self.count} so far, and {reason}; see to that, and the same command goes on."
            ) from error
