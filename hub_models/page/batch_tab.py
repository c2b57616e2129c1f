"""The tab that answers many X-rays, and the answering itself, which scripts call, too."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

import gradio as gr
import numpy as np
import pandas as pd
from gradio.components import Component

from hub_models.batch.archives import NamedPath, find
from hub_models.batch.outputs import CSV_FILE, table_csv, write_zip
from hub_models.batch.run import Result, run
from hub_models.page import limits, texts
from hub_models.page.events import MANY, PRIVATE, on_gpu
from hub_models.page.findings import inside
from hub_models.page.results import named, plain_html
from hub_models.page.state import PageState
from hub_models.page.tab import Tab, Visit
from hub_models.page.uploads import admit, inline, refusal, served_folder
from hub_models.reports.overlay import reduced

THUMBNAIL_SIDE = 64
"""Of the pictures in the table, in pixels."""


@dataclass
class Batched:
    """A batch that is being answered.

    Attributes:
        total: number of its X-rays.
        rows: of `table_row`, of the X-rays that are answered.
        pictures: the X-ray of each row, uint8 (h, w); None of one that cannot be read.
        kept: the table and the archive, once all are answered.
    """

    total: int
    rows: list[dict]
    pictures: list[np.ndarray | None]
    kept: list[str] | None = None


class BatchTab(Tab):
    """The files, a row for each image as it is answered, and at the end a table and an archive to keep."""

    name, title = "batch", texts.TABS["batch"]

    def __init__(self, state: PageState, visit: Visit, opened: gr.Tab) -> None:
        super().__init__(state, visit, opened)
        gr.Markdown(texts.BATCH)
        self.files = gr.File(label=texts.BATCH_FIELD, file_count="multiple", height=140, elem_id="batch-files")
        with gr.Row():
            self.ask = gr.Button(texts.BATCH_BUTTON, variant="primary")
            self.stop = gr.Button(texts.BATCH_STOP, elem_id="batch-stop")
        self.progress = gr.HTML(elem_id="batch-progress")
        self.asked = gr.State()
        look = {"show_search": "filter", "buttons": ["copy", "fullscreen"], "wrap": True, "max_height": 640}
        kinds = ["number", "html", "str", "str", "str", *["number"] * 3, *["str"] * (len(texts.TITLES) + 1)]
        widths = [60, 90, 170, 110, 220, *[100] * 3, *[130] * len(texts.TITLES), 320]
        look |= {"datatype": kinds, "column_widths": widths, "interactive": False}
        self.table = gr.Dataframe(label=texts.BATCH_TABLE, elem_id="batch-table", **look)
        self.kept = gr.File(label=texts.BATCH_FILES, file_count="multiple", height=110, elem_id="batch-kept")
        show = {**PRIVATE, "api_name": "show_batch", "show_progress": "full"}  # "batch" is for scripts
        filled = [self.progress, self.asked, self.table, self.kept]
        running = gr.on([self.ask.click], on_gpu(self.show), self.files, filled, **show, **MANY)
        gr.on([self.stop.click], None, None, None, cancels=[running], **PRIVATE)

    def batch(
        self,
        files: list[str] | None,
        anyway: bool = False,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[tuple]:
        """Outline and classify many chest X-rays.

        Args:
            files: Pictures, DICOM files, or zip archives of them.
            anyway: Whether to name shares and classes also of what is refused as a frontal chest X-ray.

        Returns:
            A row for each image: how it went, infected shares (0 to 1), classes and probabilities, notes.
            summary.csv, the same as a table with all columns, and results.zip, with the outlines and masks of each.
        """
        for batched in self._answer(given_files(files), anyway, progress):
            yield shown_table(batched.rows), batched.kept or gr.skip()
        self.state.release_memory()

    batch._mcp_type = "none"  # gradio hands no list of files to a tool

    def show(
        self,
        files: list[str] | None,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Iterator[dict[Component, Any]]:
        """Fill the tab: a row with a picture for each X-ray as it is answered, and how many are left."""
        for batched in self._answer(given_files(files), False, progress):
            done, left = len(batched.rows), batched.total - len(batched.rows)
            yield {
                self.progress: f"<p role='status'>{texts.BATCH_LEFT.format(done, left)}</p>",
                self.asked: files,
                self.table: visitors_table(batched),
                self.kept: batched.kept,
            }
        self.state.release_memory()

    def open_row(self, asked: list[str] | None, event: gr.SelectData) -> str:
        """Put the X-ray of the row that was clicked into the field; its number stands in the first column."""
        number = int(event.row_value[0])
        items = find(given_files(asked))  # held, since an archive is closed with it
        item = next(islice(items, number - 1, None), None)
        if item is None or item.load is None:
            raise refusal(texts.NOT_HERE)
        file = served_folder() / PurePath(item.name.lstrip(".")).name
        file.write_bytes(item.load())
        return self.state.files.stand_in(str(file))

    def _answer(self, given: list[NamedPath], anyway: bool, progress: gr.Progress) -> Iterator[Batched]:
        """Answer about files, X-ray by X-ray."""
        batched = Batched(sum(1 for _ in find(given)), [], [])
        if problem := limits.files_problem(len(given)) or limits.images_problem(batched.total):
            raise refusal(problem)
        with tempfile.TemporaryDirectory(prefix="xray-batch-") as folder:  # until gradio has copied the files
            table, archive = Path(folder, CSV_FILE), Path(folder, "results.zip")
            with closing(run(self.state.pipeline, given, turn=self.state.turns.batch, anyway=anyway)) as results:
                for row in write_zip(archive, note_pictures(results, batched.pictures)):
                    batched.rows.append(row)
                    progress((len(batched.rows), batched.total), unit=texts.BATCH_UNIT)
                    yield batched
            table.write_bytes(table_csv(batched.rows))
            batched.kept = [str(table), str(archive)]
            yield batched


def given_files(files: list[str] | None) -> list[NamedPath]:
    """Return the names and paths of files that a visitor uploaded.

    Raises:
        gr.Error: there are none, or one is not a visitor's.
    """
    if not files:
        raise refusal(texts.CHOOSE_FILES_FIRST)
    return [(Path(file).name, admit(file)) for file in files]


def note_pictures(results: Iterable[Result], pictures: list[np.ndarray | None]) -> Iterator[Result]:
    """Hand on results, and note the picture of each, uint8 (h, w), sides of at most `THUMBNAIL_SIDE`."""
    for result in results:
        pictures.append(None if result.report is None else thumbnail(result.report.image))
        yield result


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Reduce an X-ray, float32 (H, W) in 0..1, to uint8 (h, w), sides of at most about `THUMBNAIL_SIDE`."""
    small = reduced(image)
    step = -(-max(small.shape) // THUMBNAIL_SIDE)
    return small[::step, ::step]


def shown_table(rows: list[dict]) -> pd.DataFrame:
    """Return the rows of a batch as scripts see them: no folder, and of each classifier its class alone."""
    table = pd.DataFrame(rows).drop(columns="folder")
    table = table[[name for name in table if " p " not in name]].convert_dtypes().round(3)
    return table.rename(columns=lambda name: name.replace("_", " ").capitalize())


def visitors_table(batched: Batched) -> pd.DataFrame:
    """Return the rows of a batch as visitors see them: numbered, with a picture, shares as per cent, plain names."""
    rows = []
    for number, (row, picture) in enumerate(zip(batched.rows, batched.pictures, strict=True), 1):
        seen = "" if picture is None else f"<img src='{inline(picture)}' alt='{plain_html(row['file'])}' height='56'>"
        shares = [row[f"infected_share {side}"] for side in texts.SIDES]
        classes = [named(row.get(f"{role} class") or "") for role in texts.TITLES]
        cells = [number, seen, row["file"], row["status"], in_plain_names(row["conclusion"] or "")]
        cells += [None if share is None else round(100 * share, 1) for share in shares]
        rows.append([*cells, *classes, row["note"] or ""])
    return pd.DataFrame(rows, columns=[*texts.BATCH_COLUMNS, *texts.TITLES.values(), texts.BATCH_NOTE])


def in_plain_names(conclusion: str) -> str:
    """Write a conclusion of `table_row` with the plain names of its classes."""
    head, mark, classes = conclusion.rpartition(": ")
    return f"{head}{mark}{' or '.join(map(inside if mark else named, classes.split(' or ')))}"
