"""The table of a batch that may be stopped at any moment: summary.csv, which grows by a row an image."""

import csv
import io
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub_models.batch.outputs import csv_head, csv_line, table_columns
from hub_models.checkpoints.cells import as_cell
from hub_models.checkpoints.roles import ZERO_SHOT

if TYPE_CHECKING:  # a page that opens before the models must not wait for them
    from hub_models.models.classifier import Classifier
    from hub_models.models.labels import Prompts

Cells = dict[str, str]
"""Column -> text in the file, which `from_cell` makes the value's text of."""


def columns_for(classifiers: "Mapping[str, Classifier]", prompts: "Prompts | None" = None) -> list[str]:
    """List the columns of a table of the answers that classifiers can give, before the first one is given.

    Args:
        classifiers: role -> classifier, in the pipeline's order; one that never answers gets no columns.
        prompts: sentences of each class for the zero-shot CLIP; None for its own.
    """
    answers = []
    for role, classifier in classifiers.items():
        if not classifier.problem:
            labels = prompts if prompts is not None and role in ZERO_SHOT else classifier.labels
            answers += [f"{role} class", *(f"{role} p {label}" for label in labels)]
    return table_columns(answers)


class OtherTable(ValueError):
    """A file that holds something else than the table; the message is one sentence."""


class GrowingTable:
    """A CSV file for spreadsheets with columns that are known from the start: UTF-8 with a byte order mark, no formula.

    Each row is in the file before `append` returns. A program that is killed meanwhile leaves a torn last line at most,
    which `read_rows` drops.
    """

    def __init__(self, path: Path, columns: Sequence[str]) -> None:
        self.path = path
        self.columns = list(columns)

    def read_rows(self) -> list[Cells]:
        """Read the rows that are whole, up to the first that is not.

        Raises:
            OtherTable: if the file does not begin with the names of these columns.
        """
        written = self.path.read_bytes() if self.path.exists() else b""
        head = csv_head(self.columns)
        if not written.startswith(head) and not head.startswith(written):
            raise OtherTable(f"{self.path} was changed by another program; name a new folder.")
        text = written[len(head) : written.rfind(b"\r\n") + 2].decode("utf-8", "replace")
        rows: list[Cells] = []
        with suppress(csv.Error):  # it is raised at a row that is torn inside quotes
            for cells in csv.reader(io.StringIO(text, newline=""), strict=True):
                if len(cells) != len(self.columns):
                    break
                rows.append(dict(zip(self.columns, cells, strict=True)))
        return rows

    def keep(self, rows: Iterable[Cells]) -> None:
        """Let the file hold these rows and no others; rows that stand in it already are not written again."""
        kept = csv_head(self.columns) + b"".join(csv_line(row.values()) for row in rows)
        written = self.path.read_bytes() if self.path.exists() else b""
        if written.startswith(kept):
            os.truncate(self.path, len(kept))
        else:
            aside = self.path.with_name(f".{self.path.name}")
            aside.write_bytes(kept)
            aside.replace(self.path)

    def append(self, row: Mapping[str, Any]) -> None:
        """Write a row of `table_row` at the end; one that does not fit on the disk leaves nothing of itself.

        Raises:
            ValueError: if the table lacks one of its columns.
        """
        if unknown := row.keys() - set(self.columns):
            raise ValueError(f"The table has no column {min(unknown)!r}; its columns are {', '.join(self.columns)}.")
        line, length = csv_line(as_cell(row.get(column)) for column in self.columns), self.path.stat().st_size
        try:
            with self.path.open("ab") as stream:
                stream.write(line)
        except BaseException:
            os.truncate(self.path, length)
            raise
