"""The offer to turn, invert or mirror an X-ray that seems to lie wrong: a sentence and a button."""

from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component

from hub_models.models.orientation import Suggestion
from hub_models.page import texts
from hub_models.page.events import DRAWING, PRIVATE
from hub_models.page.files import FileData
from hub_models.page.results import suggestion_html
from hub_models.page.state import PageState
from hub_models.page.tab import Visit
from hub_models.page.uploads import refusal
from hub_models.reports.description import Source


@dataclass(frozen=True)
class Offer:
    """A correction that a visitor may ask for.

    Attributes:
        path: the picture in the field when it was offered.
        source: the file behind it.
        suggestion: the correction.
    """

    path: str
    source: Source
    suggestion: Suggestion


class Correction:
    """The sentence, the button beside it, and the event that puts the corrected picture into the field.

    Attributes:
        parts: the components that `hidden` and `look` fill.
    """

    def __init__(self, state: PageState, visit: Visit) -> None:
        self.state, self.visit = state, visit
        self.offer = gr.State()
        with gr.Row(elem_id="correction"):
            self.sentence = gr.HTML(padding=False, elem_id="suggestion")
            look = {"variant": "primary", "scale": 0, "min_width": 260, "elem_id": "correct"}
            self.button = gr.Button(texts.TURN_BUTTON, visible=False, **look)
        self.parts = [self.offer, self.sentence, self.button]

    def connect(self) -> None:
        """Connect the button; the event of another X-ray in the field then analyses the corrected picture."""
        xray = self.visit.xray
        ask = {**PRIVATE, **DRAWING, "show_progress_on": xray}
        gr.on([self.button.click], self.correct, [xray, self.offer], xray, **ask)

    def hidden(self) -> dict[Any, Any]:
        """Return the components without any offer."""
        return {self.offer: None, self.sentence: "", self.button: gr.update(visible=False)}

    def look(self, xray: FileData, source: Source, image: np.ndarray) -> dict[Any, Any]:
        """Ask the UNet for a correction, and offer it; nothing changes if there is none.

        Args:
            xray: the picture in the field.
            source: the file behind it.
            image: the X-ray, float32 (H, W) in 0..1.
        """

        def ask() -> Suggestion | None:
            with self.state.turns.single:
                return self.state.pipeline.suggest(image)

        suggestion = self.state.once(xray["path"], "suggestion", ask)
        if suggestion is None:
            return {}
        return {
            self.offer: Offer(xray["path"], source, suggestion),
            self.sentence: suggestion_html(suggestion.sentence),
            self.button: gr.update(value=button_text(suggestion), visible=True),
        }

    def correct(self, xray: FileData | None, offer: Offer | None) -> dict[Component, str]:
        """Make the corrected picture the visitor's X-ray; what its file said against it still holds."""
        _, read = self.state.files.read(xray)
        if offer is None or offer.path != xray["path"]:
            raise refusal(texts.FORGOTTEN)
        turned = " ".join(filter(None, (offer.source.turned, offer.suggestion.note)))
        placement = offer.source.placement.then(offer.suggestion.placement)
        source = replace(offer.source, turned=turned, placement=placement)
        return {
            self.visit.xray: self.state.files.keep_corrected(
                offer.suggestion.apply(read.image), source, self.state.files.own_file(xray)
            )
        }


def button_text(suggestion: Suggestion) -> str:
    """Say what a correction does, on its button."""
    if suggestion.mirror:
        return texts.MIRROR_BUTTON
    if suggestion.turn_degrees and suggestion.invert:
        return texts.TURN_AND_INVERT_BUTTON
    return texts.INVERT_BUTTON if suggestion.invert else texts.TURN_BUTTON
