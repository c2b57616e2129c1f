"""ONNX files of a checkpoint's networks in float32, opened and compared with PyTorch."""

import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hub_models.cards.facts import FACTS_FILE, CardFacts
from hub_models.checkpoints.folder import WEIGHTS_FILE, Checkpoint, weights_digest
from hub_models.engines.engine import MEASURED, SOURCE, Engine, graph_file, open_engine
from hub_models.models.classifier import NetworkClassifier
from hub_models.models.loading import load_model
from hub_models.models.unet import Segmenter
from hub_models.xray.images import read_image
from hub_models.xray.phantom import draw_phantom

MAX_DIFFERENCE = 1e-3
"""Largest difference of float32 outputs from PyTorch's, as a share of the largest value."""

Model = Segmenter | NetworkClassifier


class ExportError(Exception):
    """A failed export; the message is one sentence for the person who tried."""


@dataclass(frozen=True)
class Exported:
    """A written file, and its measured figures."""

    file: Path
    measured: dict


@contextmanager
def workshop(folder: Path) -> Iterator[Path]:
    """Provide a folder for making ONNX files of a checkpoint; they move beside its weights if no error was raised."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        shutil.copy(folder / WEIGHTS_FILE, work)  # an engine opens only files made of the weights beside them
        yield work
        for file in work.glob("*.onnx"):
            shutil.move(file, folder / file.name)


def parity(model: Model, folder: Path, precision: str, engine: str) -> dict[str, dict[str, float]]:
    """Compare the outputs of a model's ONNX files with PyTorch's, on drawn X-rays and on its own sentences.

    Returns:
        Network -> output -> largest difference, as a share of PyTorch's largest value.

    Raises:
        ExportError: a file cannot be opened.
    """
    fast, differences = open_files(folder, tuple(model.networks), engine, precision), {}
    for name in fast.networks:
        module, largest = model.networks[name], {}
        for inputs in examples(model, name):
            outputs = Engine().run(name, module, *inputs), fast.run(name, module, *inputs)
            for output, slow, quick in zip(module.outputs, *outputs, strict=False):  # some towers have no maps
                difference = np.abs(slow - quick).max() / np.abs(slow).max()
                largest[output] = float(np.maximum(largest.get(output, 0.0), difference))  # NaN stays NaN
        differences[name] = largest
    return differences


def open_files(folder: Path, names: tuple[str, ...], engine_name: str, precision: str) -> Engine:
    """Open ONNX files as `open_engine` does.

    Raises:
        ExportError: a file has a problem, for which `open_engine` takes PyTorch.
    """
    engine = open_engine(folder, names, engine_name, precision)
    if engine.problem:
        raise ExportError(engine.problem)
    return engine


def examples(model: Model, name: str) -> list[tuple[np.ndarray, ...]]:
    """Inputs of a network, one and three at a time: drawn X-rays, or sentences, the last of the three too long."""
    if name == "text":
        texts = [text for sentences in model.prompts.values() for text in sentences]
        return [tuple(model.tokens(batch).values()) for batch in (texts[:1], [*texts[:2], "chest " * 1000])]
    phantoms = [draw_phantom(seed, size=256, opacities=seed) for seed in range(3)]
    pixels = np.concatenate([model.network_input(read_image(phantom.image), phantom.lungs) for phantom in phantoms])
    return [(pixels[:1],), (pixels,)]


def write_float32(model: Model, folder: Path, names: list[str], facts: dict[str, str]) -> list[Exported]:
    """Write the float32 files of a model's networks.

    Raises:
        ExportError: the outputs differ from PyTorch's by more than `MAX_DIFFERENCE`; nothing is then written.
    """
    from hub_models.engines.pytorch.upsampling import as_exported
    from hub_models.export import onnx_graph

    with workshop(folder) as work:
        for name in names:
            file = graph_file(work, name, "float32")
            onnx_graph.export(as_exported(model.networks[name]), examples(model, name)[-1], file, work / WEIGHTS_FILE)
            onnx_graph.write_metadata(file, facts | {"part": name, "precision": "float32"})
        differences = parity(model, work, "float32", "onnxruntime")
        far = [
            f"{name} {output} by {value:.1e}"
            for name, values in differences.items()
            for output, value in values.items()
            if not value <= MAX_DIFFERENCE
        ]
        if far:
            raise ExportError(
                f"Nothing was exported: ONNX differs from PyTorch in {', '.join(far)} of the largest value, and "
                f"{MAX_DIFFERENCE} is the most."
            )
        for name in names:
            onnx_graph.write_metadata(graph_file(work, name, "float32"), {MEASURED: json.dumps(differences[name])})
    return [Exported(graph_file(folder, name, "float32"), differences[name]) for name in names]


def role_of(folder: Path) -> str:
    """The role that a checkpoint's facts name.

    Raises:
        ExportError: it has none.
    """
    if not (folder / FACTS_FILE).is_file():
        raise ExportError(f"There is no {folder / FACTS_FILE}, which says what the checkpoint is.")
    return CardFacts.load(folder).role


def show(exported: list[Exported]) -> None:
    """Print the written files and their measured figures."""
    for entry in exported:
        print(f"{entry.file}, {entry.file.stat().st_size / 1e6:.1f} MB: {json.dumps(entry.measured)}")


def processor_words(model: Model) -> str:
    """Write the image processor of a model as JSON."""
    processor = getattr(model.processor, "image_processor", model.processor)
    return json.dumps(processor.to_dict(), default=str, sort_keys=True)


def open_checkpoint(folder: Path, names: list[str] | None) -> tuple[Model, list[str], dict[str, str]]:
    """Load a checkpoint for its export, run by PyTorch.

    Args:
        folder: the checkpoint's folder.
        names: names of its networks; all if not given.

    Returns:
        The model, the names of the networks to export, and the facts for the metadata of their files.

    Raises:
        ExportError: it does not name its role, has no networks or no such network, or its weights are in several files.
        CheckpointError: it does not load.
    """
    role = role_of(folder)
    model = load_model(Checkpoint(role, folder, "folder", str(folder)), "torch")
    if not model.network_names:
        raise ExportError(
            "A fusion has no network to export: it is one small layer between two checkpoints, export those."
        )
    names = names or list(model.networks)
    if strange := sorted(set(names) - set(model.networks)):
        raise ExportError(f"{role} has no part {strange[0]}; it has {', '.join(model.networks)}.")
    if not (folder / WEIGHTS_FILE).is_file():
        raise ExportError(f"There is no {folder / WEIGHTS_FILE}; weights in several files are not exported.")
    return model, names, {SOURCE: weights_digest(folder), "role": role, "processor": processor_words(model)}
