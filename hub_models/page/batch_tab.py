"""The tab that answers many X-rays, and the answering itself, which scripts call, too."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pandas as pd

from hub_models.batch.archives import find
from hub_models.batch.outputs import CSV_FILE, table_csv, write_zip
from hub_models.batch.run import run
from hub_models.page import limits, texts
from hub_models.page.events import MANY, PRIVATE, on_gpu
from hub_models.page.state import PageState
from hub_models.page.tab import Tab, Visit
from hub_models.page.uploads import admit, refusal


class BatchTab(Tab):
    """The files, a row for each image as it is answered, and at the end a table and an archive to keep."""

    name, title = "batch", texts.TABS["batch"]

    def __init__(self, state: PageState, visit: Visit, opened: gr.Tab) -> None:
        super().__init__(state, visit, opened)
        gr.Markdown(texts.BATCH)
        self.files = gr.File(label=texts.BATCH_FIELD, file_count="multiple", height=160, elem_id="batch-files")
        self.ask = gr.Button(texts.BATCH_BUTTON, variant="primary")
        widths = [150, 110, 180, *[110] * (6 + len(texts.TITLES)), 300]
        look = {"buttons": ["copy", "fullscreen"], "column_widths": widths, "wrap": True}
        self.table = gr.Dataframe(label=texts.BATCH_TABLE, elem_id="batch-table", **look)
        self.kept = gr.File(label=texts.BATCH_FILES, file_count="multiple", height=110, elem_id="batch-kept")
        show = {**PRIVATE, "api_name": "show_batch", "show_progress": "full"}  # "batch" is for scripts
        gr.on([self.ask.click], on_gpu(self.batch), self.files, [self.table, self.kept], **show, **MANY)

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
        if not files:
            raise refusal(texts.CHOOSE_FILES_FIRST)
        given = [(Path(file).name, admit(file)) for file in files]
        total, rows = sum(1 for _ in find(given)), []
        if problem := limits.files_problem(len(given)) or limits.images_problem(total):
            raise refusal(problem)
        with tempfile.TemporaryDirectory(prefix="xray-batch-") as folder:  # until gradio has copied the files
            table, archive = Path(folder, CSV_FILE), Path(folder, "results.zip")
            for row in write_zip(archive, run(self.state.pipeline, given, turn=self.state.turns.batch, anyway=anyway)):
                rows.append(row)
                progress((len(rows), total), unit=texts.BATCH_UNIT)
                yield shown_table(rows), gr.skip()
            table.write_bytes(table_csv(rows))
            yield shown_table(rows), [str(table), str(archive)]
        self.state.release_memory()

    batch._mcp_type = "none"  # gradio hands no list of files to a tool


def shown_table(rows: list[dict]) -> pd.DataFrame:
    """Return the rows of a batch as visitors see them: no folder, and of each classifier its class alone."""
    table = pd.DataFrame(rows).drop(columns="folder")
    table = table[[name for name in table if " p " not in name]].convert_dtypes().round(3)
    return table.rename(columns=lambda name: name.replace("_", " ").capitalize())
