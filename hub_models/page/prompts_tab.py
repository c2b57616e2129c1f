"""The tab that asks both CLIPs about a visitor's own sentences, beside the ResNet, which knows its own classes only."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd
from gradio.components import Component

from hub_models.checkpoints.roles import ZERO_SHOT
from hub_models.models.labels import QUESTIONS, read_prompts, write_prompts
from hub_models.models.vocabulary import find_unread
from hub_models.page import texts
from hub_models.page.events import MODELS, PRIVATE, clear_on, on_gpu
from hub_models.page.files import FileData
from hub_models.page.limits import prompts_problem
from hub_models.page.results import bullets
from hub_models.page.state import PageState
from hub_models.page.tab import Tab, Visit
from hub_models.page.uploads import refusal

if TYPE_CHECKING:  # the page opens while the models are still being loaded
    from hub_models.pipeline import XrayPipeline

OWN = "classes"
"""Question: that of the zero-shot CLIP's own sentences."""


class PromptsTab(Tab):
    """The sentences, each classifier's probabilities for them, and how similar the X-ray is to each sentence."""

    name, title = "prompts", texts.TABS["prompts"]

    def __init__(self, state: PageState, visit: Visit, opened: gr.Tab) -> None:
        super().__init__(state, visit, opened)
        gr.Markdown(texts.PROMPTS)
        gr.Markdown(texts.TAUGHT)
        choices = [(title, name) for name, title in texts.QUESTIONS.items()]
        self.question = gr.Radio(choices, value=OWN, label=texts.QUESTION, elem_id="question")
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
        """Connect the questions and the button; other sentences empty the answers to the last ones."""
        clear_on([self.prompts.change], self.answers)
        gr.on([self.question.input], self.ask_about, self.question, self.prompts, **PRIVATE)
        inputs = [self.visit.xray, self.prompts, self.visit.key, self.visit.insisted]
        ask = {**PRIVATE, **MODELS, "show_progress_on": self.notes}
        gr.on([self.ask.click], on_gpu(self.compare_prompts), inputs, self.answers, **ask)

    @property
    def model_components(self) -> list[Component]:
        """The sentences."""
        return [self.prompts, self.question]

    def about_models(self, pipeline: "XrayPipeline") -> dict[Component, Any]:
        """Write the sentences that the zero-shot CLIP was saved with."""
        own = write_prompts(pipeline.classifiers[ZERO_SHOT[0]].prompts)
        return {self.prompts: gr.update(value=own, interactive=True), self.question: gr.update(value=OWN)}

    def ask_about(self, question: str) -> str:
        """Return the sentences of a question: of one of `labels.QUESTIONS`, else the zero-shot CLIP's own."""
        own = self.state.pipeline.classifiers[ZERO_SHOT[0]].prompts
        return write_prompts(QUESTIONS.get(question, own))

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
            unread = self._unread(prompts)
            found = self.state.pipeline.compare_prompts(outlined.square, outlined.masks.unpack(), prompts)
        answers, notes, sentences = found
        names = texts.TITLES | texts.SIMILARITY_COLUMNS
        return {label: answers.get(role) for role, label in self.classes.items()} | {
            self.notes: bullets([*outlined.reasons, *outlined.turned, *unread, *notes]),
            self.similarity: pd.DataFrame(sentences).rename(columns=names).round(3),
        }

    def _unread(self, prompts: Mapping[str, Sequence[str]]) -> list[str]:
        """Warn of words that the text model does not know, and of sentences that it does not read to their end."""
        sentences = [sentence for each in prompts.values() for sentence in each]
        unread = find_unread(self.state.pipeline.classifiers[ZERO_SHOT[0]].tokens, sentences)
        words = [texts.UNKNOWN_WORDS.format(", ".join(unread.words))] if unread.words else []
        return [*words, *(texts.CUT_SENTENCE.format(sentence) for sentence in unread.cut)]
