"""ONNX files of a checkpoint's networks in float32, opened and compared with PyTorch."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hub_models.cards.facts import FACTS_FILE, CardFacts
from hub_models.checkpoints.folder import WEIGHTS_FILE, Checkpoint, weights_digest
from hub_models.engines.engine import MEASURED, SOURCE, Engine, graph_file, open_engine
from hub_models.models.classifier import NetworkClassifier
from hub_models.models.loading import load_model
from hub_models.models.unet import Segmenter
from hub_models.xray.images import read_image
from hub_models.xray.phantom import draw_phantom

DIFFERENCE = 1e-3
"""How far float32 outputs may be from PyTorch's, as a share of the largest."""

Model = Segmenter | NetworkClassifier


class ExportError(Exception):
    """A checkpoint was not exported. The message is one sentence for the person who wanted to."""


@dataclass(frozen=True)
class Exported:
    """A file that was written, and what was measured of it."""

    file: Path
    measured: dict


@contextmanager
def workshop(folder: Path) -> Iterator[Path]:
    """A place to make ONNX files of a checkpoint; they go beside its weights once nothing has gone wrong with any."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        shutil.copy(folder / WEIGHTS_FILE, work)  # an engine opens what was made of the weights beside it
        yield work
        for file in work.glob("*.onnx"):
            shutil.move(file, folder / file.name)


def parity(model: Model, folder: Path, precision: str, engine: str) -> dict[str, dict[str, float]]:
    """How far the outputs of a model's ONNX files are from PyTorch's on drawn X-rays, and on its own sentences.

    Returns:
        part -> output -> largest difference, as a share of PyTorch's largest.

    Raises:
        ExportError: a file cannot be opened.
    """
    fast, differences = open_files(folder, tuple(model.networks), engine, precision), {}
    for part in fast.networks:
        module, found = model.networks[part], dict.fromkeys(model.networks[part].outputs, 0.0)
        for inputs in examples(model, part):
            answers = Engine().run(part, module, *inputs), fast.run(part, module, *inputs)
            for name, slow, quick in zip(found, *answers, strict=True):
                difference = float((slow - quick).abs().max() / slow.abs().max())
                found[name] = float(np.maximum(found[name], difference))  # keeps what is not a number
        differences[part] = found
    return differences


def open_files(folder: Path, parts: tuple[str, ...], engine: str, precision: str) -> Engine:
    """What `open_engine` gives, or else an ExportError that says why it gave PyTorch."""
    found = open_engine(folder, parts, engine, precision)
    if found.problem:
        raise ExportError(found.problem)
    return found


def examples(model: Model, part: str) -> list[tuple[torch.Tensor, ...]]:
    """Inputs of a part, one and three at a time: drawn X-rays; or sentences, of three one longer than can be read."""
    if part == "text":
        texts = [text for sentences in model.prompts.values() for text in sentences]
        return [tuple(model.tokens(some).values()) for some in (texts[:1], [*texts[:2], "chest " * 1000])]
    phantoms = [draw_phantom(seed, size=256, opacities=seed) for seed in range(3)]
    pixels = torch.cat([model.network_input(read_image(phantom.image), phantom.lungs) for phantom in phantoms])
    return [(pixels[:1],), (pixels,)]


def write_float32(model: Model, folder: Path, parts: list[str], facts: dict[str, str]) -> list[Exported]:
    """Write the float32 files of a model's parts.

    Raises:
        ExportError: its outputs are not PyTorch's; nothing is then written.
    """
    from hub_models.export import onnx_graph

    with workshop(folder) as work:
        for part in parts:
            file = graph_file(work, part, "float32")
            onnx_graph.export(model.networks[part], examples(model, part)[-1], file, work / WEIGHTS_FILE)
            onnx_graph.tell(file, facts | {"part": part, "precision": "float32"})
        differences = parity(model, work, "float32", "onnxruntime")
        far = [
            f"{part} {name} by {value:.1e}"
            for part, found in differences.items()
            for name, value in found.items()
            if not value <= DIFFERENCE
        ]
        if far:
            raise ExportError(
                f"Nothing was exported: ONNX differs from PyTorch in {', '.join(far)} of the largest value, and "
                f"{DIFFERENCE} is the most."
            )
        for part in parts:
            onnx_graph.tell(graph_file(work, part, "float32"), {MEASURED: json.dumps(differences[part])})
    return [Exported(graph_file(folder, part, "float32"), differences[part]) for part in parts]


def role_of(folder: Path) -> str:
    """The role that a checkpoint's facts name.

    Raises:
        ExportError: it has none.
    """
    if not (folder / FACTS_FILE).is_file():
        raise ExportError(f"There is no {folder / FACTS_FILE}, which says what the checkpoint is.")
    return CardFacts.load(folder).role


def show(exported: list[Exported]) -> None:
    """Print what was written, and what was measured of it."""
    for one in exported:
        print(f"{one.file}, {one.file.stat().st_size / 1e6:.1f} MB: {json.dumps(one.measured)}")


def processor_words(model: Model) -> str:
    """The processor of a model's images as JSON."""
    processor = getattr(model.processor, "image_processor", model.processor)
    return json.dumps(processor.to_dict(), default=str, sort_keys=True)


def open_checkpoint(folder: Path, parts: list[str] | None) -> tuple[Model, list[str], dict[str, str]]:
    """Load a checkpoint to be exported, run by PyTorch.

    Args:
        folder: the checkpoint's folder.
        parts: names of its networks; all if not given.

    Returns:
        The model, the names of the networks to export, and the facts for the metadata of their files.

    Raises:
        ExportError: it does not say what it is, has no network, no such network, or its weights are in several files.
        CheckpointError: it does not load.
    """
    role = role_of(folder)
    model = load_model(Checkpoint(role, folder, "folder", str(folder)))
    if not model.network_names:
        raise ExportError(
            "A fusion has no network to export: it is one small layer between two checkpoints, export those."
        )
    model.engine = Engine()
    parts = parts or list(model.networks)
    if strange := sorted(set(parts) - set(model.networks)):
        raise ExportError(f"{role} has no part {strange[0]}; it has {', '.join(model.networks)}.")
    if not (folder / WEIGHTS_FILE).is_file():
        raise ExportError(f"There is no {folder / WEIGHTS_FILE}; weights in several files are not exported.")
    return model, parts, {SOURCE: weights_digest(folder), "role": role, "processor": processor_words(model)}
