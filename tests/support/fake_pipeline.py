"""A pipeline whose answers are known, and the page served around it."""

import shutil
import socket
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
from gradio.utils import get_upload_folder

import app
from hub_models.checkpoints.folder import Checkpoint
from hub_models.checkpoints.roles import ROLES
from hub_models.engines.engine import Engine
from hub_models.models.calibration import Calibration
from hub_models.models.gradcam import Explanation
from hub_models.models.orientation import Suggestion
from hub_models.models.unet import Masks
from hub_models.page.exchange import Exchange
from hub_models.page.server import launch
from hub_models.pipeline import XrayPipeline
from hub_models.xray.masks import Involvement

PROMPTS = {"Ill": ["an ill chest", "a sick chest"], "Well": ["a well chest"]}
PROBABILITIES = {
    "clip-zero-shot": {"Ill": 0.625, "Well": 0.375},
    "clip-finetuned": {"Ill": 0.875, "Well": 0.125},
    "resnet": {"Ill": 0.25, "Well": 0.75},
    "fusion": {"Ill": 0.5, "Well": 0.5},
}
CALIBRATION = Calibration(temperature=1.0, least=0.3, level=0.9)
FITTED = {"calibration": CALIBRATION, "multi_label": False}
CONCLUSION = {"classes": ["Ill", "Well"], "decided": False, "agree": 3, "of": 4, "unlike": False}
"""By the fusion's set; it, and both CLIPs, find the first class most probable."""
ENGINES = {"unet": "openvino, int8"}
NOTES = ["A note for the visitor."]
INVOLVEMENT = Involvement(right=0.12345, left=None, both=0.5)
CARD = "---\nlicense: other\ntags:\n- xray\n---\n# Card of {}\n\n![badge](https://badges.invalid/b.svg)\n"


def tokens(texts: Sequence[str], limit: int = 12) -> dict[str, np.ndarray]:
    """Tokens of words: a number each, one more for words of over six letters; two frame a sentence."""
    split = [["<", *(piece for word in text.split() for piece in (word[:6], word[6:]) if piece), ">"] for text in texts]
    rows = [[1 + sum(map(ord, piece)) for piece in pieces][:limit] for pieces in split]
    longest = max(map(len, rows))
    ids = np.array([row + [0] * (longest - len(row)) for row in rows], np.int64)
    return {"input_ids": ids, "attention_mask": (ids > 0).astype(np.int64)}


class FakePipeline:
    """Outlines two rectangles, gives fixed numbers, and remembers what it was asked."""

    def __init__(self, folder: Path, lungs: bool = True, strangeness: float | None = None) -> None:
        views = zip(PROBABILITIES, ("lungs", "crop", "full", "lungs"), strict=True)
        self.classifiers = {role: SimpleNamespace(view=view, **FITTED) for role, view in views}
        self.classifiers["clip-zero-shot"].prompts = PROMPTS
        self.classifiers["clip-zero-shot"].tokens = tokens
        bare = {role: Checkpoint(role, folder / "no-card", "embedded", "embedded") for role in ROLES}
        resnet = Checkpoint("resnet", folder, "hub", "someone/resnet", "c0ffee" * 6 + "c0ff")
        self.checkpoints = bare | {"resnet": resnet}
        (folder / "README.md").write_text(CARD.format("the ResNet"), encoding="utf-8")
        self.lungs, self.strangeness = lungs, strangeness
        self.segmenter = SimpleNamespace(thresholds={"lungs": 0.5, "infection": 0.25})
        self.suggestion: Suggestion | None = None  # for every picture
        self.engines = {"unet": Engine("openvino", "int8"), "resnet": Engine(problem="network.onnx is torn.")}
        self.images: list[np.ndarray] = []
        self.prompts: list[dict | None] = []
        self.released = 0

    def release_memory(self) -> None:
        self.released += 1

    def segment(self, images: list[np.ndarray]) -> list[tuple[Masks, Involvement]]:
        self.images += images
        outlined = (replace(masks_for(image.shape, self.lungs), strangeness=self.strangeness) for image in images)
        return [(masks, INVOLVEMENT if self.lungs else Involvement(None, None, None)) for masks in outlined]

    def suggest(self, image: np.ndarray) -> Suggestion | None:
        return self.suggestion

    def _answer(
        self, images: list[np.ndarray], masks: list[Masks], prompts: dict | None
    ) -> list[tuple[dict, list[str]]]:
        self.prompts += [prompts] * len(images)
        resnet = {"resnet": PROBABILITIES["resnet"]}
        return [(PROBABILITIES if outlined.lungs.any() else resnet, NOTES) for outlined in masks]

    def compare_prompts(self, image: np.ndarray, masks: Masks, prompts: dict) -> tuple[dict, list[str], list[dict]]:
        self.prompts.append(prompts)
        sentences = [
            {"class": label, "sentence": text, "clip-zero-shot": 0.12345, "clip-finetuned": -0.5}
            for label, texts in prompts.items()
            for text in texts
        ]
        return PROBABILITIES, NOTES, sentences

    engine_names = ENGINES
    classify, report, __call__ = XrayPipeline.classify, XrayPipeline.report, XrayPipeline.__call__

    def explain(self, image: np.ndarray, masks: Masks) -> dict[str, Explanation]:
        heat = masks.infection.astype(np.float32)
        return {"resnet": Explanation(heat, "Well", 0.75), "clip-zero-shot": Explanation(0 * heat, "Ill", None)}


def masks_for(shape: tuple[int, int], lungs: bool = True) -> Masks:
    """The fake's masks: lungs over the middle half, infection over a part of it."""
    height, width = shape
    found, infection = np.zeros(shape, bool), np.zeros(shape, bool)
    found[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = lungs
    infection[height // 2 : 5 * height // 8, width // 2 : 5 * width // 8] = lungs
    return Masks(found, infection)


def ready(pipeline: FakePipeline | XrayPipeline) -> Future[FakePipeline | XrayPipeline]:
    """A pipeline that has been loaded, as the page takes it."""
    models = Future()
    models.set_result(pipeline)
    return models


@contextmanager
def serve(pipeline: FakePipeline | XrayPipeline, allowed: Exchange | None = None, **options) -> Iterator[str]:
    """The page's address while it is served, with more options of `launch`."""
    demo = app.build_demo(ready(pipeline), allowed)
    try:
        yield launch(demo, quiet=True, **options)
    finally:
        demo.close(verbose=False)


def uploaded(file: Path | str) -> dict[str, str]:
    """A file as an event is given it once a visitor has uploaded it."""
    folder = Path(tempfile.mkdtemp(dir=Path(get_upload_folder())))
    return {"path": str(shutil.copy(file, folder))}


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        return trial.getsockname()[1]
