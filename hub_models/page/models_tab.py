"""The tab that names the checkpoints in use with their cards, and lets another be chosen where the owner allows it."""

from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from hub_models.checkpoints.choices import chosen_checkpoint
from hub_models.checkpoints.folder import CheckpointError
from hub_models.checkpoints.roles import ROLES
from hub_models.page import texts
from hub_models.page.border import AS_WRITTEN
from hub_models.page.exchange import Exchange
from hub_models.page.results import card_html, checkpoints_table, plain_html
from hub_models.page.state import PageState
from hub_models.page.tab import Tab, Visit
from hub_models.page.uploads import refusal

if TYPE_CHECKING:  # the page opens while the models are still being loaded
    from hub_models.pipeline import XrayPipeline


class ModelsTab(Tab):
    """A table of the checkpoints in use, and the card of each."""

    name, title = "models", texts.TABS["models"]

    def __init__(self, state: PageState, visit: Visit, opened: gr.Tab) -> None:
        super().__init__(state, visit, opened)
        self.table = gr.Markdown(elem_id="checkpoints")
        self.cards = {}
        for role in ROLES:
            with gr.Accordion(texts.CARD_TITLE.format(role), open=False):
                self.cards[role] = gr.HTML(padding=False, elem_classes=[AS_WRITTEN])
        self.chooser = Chooser(state, state.exchange) if state.exchange is not None else None

    @property
    def model_components(self) -> list[Component]:
        """The table and the cards."""
        return [self.table, *self.cards.values()]

    def about_models(self, pipeline: "XrayPipeline") -> dict[Component, Any]:
        """Name the checkpoints in use, what runs them, and show their cards."""
        cards = {card: card_html(pipeline.checkpoints[role]) for role, card in self.cards.items()}
        return {self.table: checkpoints_table(pipeline.checkpoints, pipeline.engines)} | cards


class Chooser:
    """The exchange of a checkpoint, which is for everyone who has the page open.

    Attributes:
        role: whose checkpoint is exchanged.
        load: the button; `put_in_place` is its event, which the layout connects, since all tabs tell of the models.
    """

    def __init__(self, state: PageState, exchange: Exchange) -> None:
        self.state, self.exchange = state, exchange
        known = dict.fromkeys(["embedded", *filter(None, map(chosen_checkpoint, ROLES)), *exchange.named])
        with gr.Accordion(texts.CHOOSE_TITLE, open=False):
            gr.Markdown(texts.CHOOSE)
            with gr.Row():
                self.role = gr.Dropdown(list(ROLES), label=texts.CHOOSE_ROLE, min_width=160)
                look = {"value": "embedded", "allow_custom_value": True, "scale": 3}
                self.checkpoint = gr.Dropdown(list(known), label=texts.CHOOSE_CHECKPOINT, **look)
            self.load = gr.Button(texts.CHOOSE_BUTTON)

    def put_in_place(self, role: str, name: str | None, progress: gr.Progress = gr.Progress()) -> None:  # noqa: B008
        """Use another checkpoint for a role, and say how far it is; the one in use stays if that fails."""

        def arrived(n: int, total: int) -> None:
            progress((n, total), desc=texts.CHOOSE_DOWNLOADING.format(total / 1e6), unit=texts.CHOOSE_UNIT)

        pipeline = self.state.pipeline
        try:
            checkpoint = self.exchange.find(role, (name or "").strip() or "embedded", arrived)
            progress(1.0, desc=texts.CHOOSE_LOADING)
            with self.state.turns.alone:
                self.exchange.put_in_place(pipeline, checkpoint)
        except CheckpointError as error:
            raise refusal(texts.NOT_EXCHANGED.format(plain_html(str(error)), role)) from None
        gr.Info(texts.CHOOSE_DONE.format(role, plain_html(pipeline.checkpoints[role].name)))
