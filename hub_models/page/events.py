"""How the page's events are set up: which queue they wait in, what scripts see of them, and who runs them."""

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from types import ModuleType

import gradio as gr
from gradio.components import Component

from hub_models.page.visitors import BATCHES

PRIVATE = {"api_visibility": "private", "show_progress": "minimal"}
MODELS = {"preprocess": False, "concurrency_id": "models", "concurrency_limit": 2}  # events that run the models
MANY = {"concurrency_id": BATCHES, "concurrency_limit": 1}  # those take turns with the others
DRAWING = {"preprocess": False, "concurrency_id": "drawing", "concurrency_limit": 2}  # events that need no model
EXCHANGES = {**PRIVATE, "concurrency_id": "checkpoints", "concurrency_limit": 1}  # events that may wait for the Hub


def zero_gpu() -> ModuleType | None:
    """Return the package `spaces`, which a Space on ZeroGPU has; imported before any model asks for a graphics card."""
    return importlib.import_module("spaces") if importlib.util.find_spec("spaces") else None


def on_gpu(event: Callable) -> Callable:
    """Return the event with a graphics card lent to each call where ZeroGPU is; as it is anywhere else."""
    spaces = zero_gpu()
    return spaces.GPU(event) if spaces else event


def clear_on(triggers: Sequence[Callable], outputs: Sequence[Component]) -> None:
    """Empty the answers to an earlier question when another is asked; the browser does so by itself."""
    nothing = ", ".join(_nothing(component) for component in outputs)
    gr.on(list(triggers), None, None, list(outputs), js=f"() => [{nothing}]")


def _nothing(component: Component) -> str:
    """Return the value of an empty component as its part in the browser takes it, in JavaScript."""
    match component:
        case gr.Label():
            return "{}"
        case gr.Dataframe():
            return "{headers: [], data: [], metadata: null}"
        case gr.Markdown() | gr.HTML():
            return '""'
    return "null"
