"""The tab that asks both CLIPs about a visitor's own sentences, beside the ResNet, which knows its own classes only."""

from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd
from gradio.components import Component

from hub_models.checkpoints.roles import ZERO_SHOT
from hub_models.models.labels import read_prompts, write_prompts
from hub_models.page import texts
from hub_models.page.events import MODELS, PRIVATE, on_gpu
from hub_models.page.limits import prompts_problem
from hub_models.page.results import bullets
from hub_models.page.state import FileData, PageState
from hub_models.page.tab import Tab, Visit
from hub_models.page.uploads import refusal

if TYPE_CHECKING:  # the page opens while the models are still being loaded
    from hub_models.pipeline import XrayPipeline


class PromptsTab(Tab):
    """The sentences, each classifier's probabilities for them, and how similar the X-ray is to each sentence."""

    name, title = "prompts", texts.TABS["prompts"]

    def __init__(self, state: PageState, visit: Visit, opened: gr.Tab) -> None:
        super().__init__(state, visit, opened)
        gr.Markdown(texts.PROMPTS)
        # Nothing is typed before the model's own sentences are there, which would overwrite it.
        look = {"lines": 6, "max_lines": 20, "interactive": False}
        self.prompts = gr.Textbox(label=texts.PROMPTS_FIELD, elem_id="prompts", **look)
        self.ask = gr.Button(texts.PROMPTS_BUTTON, variant="primary")
        with gr.Row():
            self.classes = {
                role: gr.Label(label=title, min_width=220, elem_id=f"asked-{role}")
                for role, title in texts.LOOKING.items()
            }
        self.notes = gr.Markdown(elem_id="asked-notes")
        gr.Markdown(texts.SIMILARITY)
        look = {"wrap": True, "buttons": ["copy"], "column_widths": [110, 260, 120, 120]}
        self.similarity = gr.Dataframe(label=texts.SIMILARITY_TABLE, elem_id="similarity", **look)

    @property
    def answers(self) -> list[Component]:
        """Everything that `compare_prompts` fills."""
        return [*self.classes.values(), self.notes, self.similarity]

    def connect(self) -> None:
        """Connect the button."""
        inputs = [self.visit.xray, self.prompts, self.visit.key, self.visit.insisted]
        ask = {**PRIVATE, **MODELS, "show_progress_on": self.notes}
        gr.on([self.ask.click], on_gpu(self.compare_prompts), inputs, self.answers, **ask)

    @property
    def model_components(self) -> list[Component]:
        """The sentences."""
        return [self.prompts]

    def about_models(self, pipeline: "XrayPipeline") -> dict[Component, Any]:
        """Write the sentences that the zero-shot CLIP was saved with."""
        own = write_prompts(pipeline.classifiers[ZERO_SHOT[0]].prompts)
        return {self.prompts: gr.update(value=own, interactive=True)}

    def compare_prompts(
        self, xray: FileData | None, text: str, key: str | None = None, anyway: bool = False
    ) -> dict[Component, Any]:
        """Ask the classifiers about the sentences in a text, one `class: sentence` a line."""
        try:
            prompts = read_prompts(text)
        except ValueError as error:
            raise refusal(str(error)) from None
        if problem := prompts_problem(prompts):
            raise refusal(problem)
        outlined = self.state.outline_readable(xray, key, anyway)
        with self.state.turns.single:
            found = self.state.pipeline.compare_prompts(outlined.square, outlined.masks.unpack(), prompts)
        answers, notes, sentences = found
        names = texts.TITLES | texts.SIMILARITY_COLUMNS
        return {label: answers.get(role) for role, label in self.classes.items()} | {
            self.notes: bullets([*outlined.reasons, *outlined.turned, *notes]),
            self.similarity: pd.DataFrame(sentences).rename(columns=names).round(3),
        }
