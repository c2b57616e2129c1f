"""The surface that all tabs of the page share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from hub_models.page.state import PageState

if TYPE_CHECKING:  # the page opens while the models are still being loaded
    from hub_models.pipeline import XrayPipeline


@dataclass(frozen=True)
class Visit:
    """A visitor's X-ray, which several tabs ask about.

    Attributes:
        xray: the field that holds it.
        key: what `PageState.memory` remembers its outlines by.
        insisted: whether the visitor asked for answers though it is refused as a frontal chest X-ray.
    """

    xray: gr.Image
    key: gr.State
    insisted: gr.State


class Tab:
    """A tab: it lays out its components when it is made; `connect` then connects the events about the X-ray.

    Attributes:
        name: in the page's address, as in /?tab=batch.
        title: as visitors see it.
    """

    name: str
    title: str

    def __init__(self, state: PageState, visit: Visit, opened: gr.Tab) -> None:
        self.state, self.visit, self.opened = state, visit, opened

    @property
    def answers(self) -> list[Component]:
        """The answers to questions about the X-ray that only a button asks; another X-ray empties them."""
        return []

    def connect(self) -> None:
        """Connect the events about the X-ray. The page empties `answers` in an event that is connected before."""

    @property
    def model_components(self) -> list[Component]:
        """The components that `about_models` fills."""
        return []

    def about_models(self, pipeline: "XrayPipeline") -> dict[Component, Any]:
        """Return what the tab says of the models in use, by component."""
        return {}
