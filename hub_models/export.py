"""Write a checkpoint's networks as ONNX beside its weights, for engines that are faster than PyTorch on a processor.

    python -m hub_models.export runs/resnet/release
    python -m hub_models.export runs/resnet/release --int8 --calibrate COVID-QU-Ex

The first writes `PART.onnx` in float32 and tells how far its answers are from PyTorch's. The second adds
`PART.int8.onnx`: training images say how far activations reach, and validation images what int8 costs. A file that
loses more than half a point of accuracy, or 0.01 of Dice, is not kept; before it gives up, the layers that lose most
stay float32. Both need hub_models/requirements-engines.txt, the second also the training packages.
"""

import argparse
import importlib.util
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from hub_models.cards import FACTS_FILE, CardFacts
from hub_models.check import WEIGHTS_FILE
from hub_models.checkpoints import Checkpoint, CheckpointError
from hub_models.clip import ClipClassifier
from hub_models.digest import weights_digest
from hub_models.engines import ENGINES, MEASURED, SOURCE, Engine, graph_file, open_engine
from hub_models.fusion import FusionClassifier
from hub_models.images import read_image
from hub_models.phantom import draw_phantom
from hub_models.pipeline import load_model
from hub_models.resnet import ResnetClassifier
from hub_models.unet import Segmenter
from hub_models.views import apply_view

DIFFERENCE = 1e-3
"""How far float32 outputs may be from PyTorch's, as a share of the largest."""

LOSSES = {"accuracy": 0.005, "dice": 0.01}
"""How much of a figure int8 may lose, by the end of its name."""

SPARED = (0, 2, 4, 8, 16)
"""How many of the layers that lose most stay float32, one try after the other."""

SHOWN = 128
"""How many training images say how far activations reach."""

Model = Segmenter | ResnetClassifier | ClipClassifier


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
    drawn = [draw_phantom(seed, size=256, opacities=seed) for seed in range(3)]
    pixels = torch.cat([pixels_of(model, read_image(one.image), one.lungs) for one in drawn])
    return [(pixels[:1],), (pixels,)]


def pixels_of(model: Model, image: np.ndarray, lungs: np.ndarray | None) -> torch.Tensor:
    """What a model's vision network is shown, float32 (1, ...), of an X-ray float32 and its lungs bool, (H, W) each."""
    if isinstance(model, Segmenter):
        return model.pixel_values([torch.from_numpy(np.ascontiguousarray(image))[None]])
    return model.pixel_values([apply_view(image, lungs, model.view)])


def write_float32(model: Model, folder: Path, parts: list[str], facts: dict[str, str]) -> list[Exported]:
    """Write the float32 files of a model's parts.

    Raises:
        ExportError: its outputs are not PyTorch's; nothing is then written.
    """
    from hub_models import graphs

    with workshop(folder) as work:
        for part in parts:
            file = graph_file(work, part, "float32")
            graphs.export(model.networks[part], examples(model, part)[-1], file)
            graphs.tell(file, facts | {"part": part, "precision": "float32"})
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
            graphs.tell(graph_file(work, part, "float32"), {MEASURED: json.dumps(differences[part])})
    return [Exported(graph_file(folder, part, "float32"), differences[part]) for part in parts]


def write_int8(
    model: Model, folder: Path, parts: list[str], facts: dict[str, str], dataset: str, reduce_range: bool
) -> list[Exported]:
    """Write the int8 files of a model's parts, with as many layers in float32 as its quality needs.

    Args:
        model: run by PyTorch.
        folder: of its checkpoint and float32 files.
        parts: which of its networks.
        facts: for the metadata of the files.
        dataset: as the training scripts take it.
        reduce_range: give weights 7 bits.

    Raises:
        ExportError: they lose too much whatever stays float32; none is then written.
        ValueError: the data set cannot tell what the model is worth.
    """
    from hub_models import graphs
    from train.quality import Quality

    engine = next(name for name in ENGINES if importlib.util.find_spec(name))
    sources = {part: graph_file(folder, part, "float32") for part in parts}
    quality = Quality(dataset, model)
    before = quality.measure(model)
    inputs = [pixels_of(model, *shown).numpy() for shown in quality.shown(SHOWN)]
    ranked: dict[str, list[str]] = {}
    with workshop(folder) as work:
        files = {part: graph_file(work, part, "int8") for part in parts}
        for count in SPARED if set(parts) - {"text"} else SPARED[:1]:
            for part, file in files.items():
                if part == "text":
                    graphs.quantize_weights(sources[part], file, reduce_range)
                else:
                    if count and part not in ranked:
                        ranked[part] = graphs.by_loss(sources[part], inputs, reduce_range)
                    graphs.quantize(sources[part], file, inputs, reduce_range, ranked.get(part, [])[:count])
                graphs.tell(file, facts | {"part": part, "precision": "int8"})
            model.engine = open_files(work, tuple(parts), engine, "int8")
            after = quality.measure(model)
            model.engine = Engine()
            print(f"int8 with {count} layers in float32: {told(before, after)}")
            if not too_much(before, after):
                break
        else:
            raise ExportError(
                f"No int8 file was kept: {told(before, after)}, and not more than {LOSSES['accuracy']} of accuracy or "
                f"{LOSSES['dice']} of Dice may be lost."
            )
        measured = {"float32": before, "int8": after, "spared": count, "reduce_range": reduce_range, "engine": engine}
        measured |= {"split": "validation", "images": quality.images}
        for file in files.values():
            graphs.tell(file, {MEASURED: json.dumps(measured)})
    return [Exported(folder / file.name, measured) for file in files.values()]


def too_much(before: dict[str, float], after: dict[str, float]) -> bool:
    """Whether any figure lost more than `LOSSES` allow."""
    return any(
        not round(before[name] - after[name], 9) <= most
        for name in before
        for ending, most in LOSSES.items()
        if name.endswith(ending)
    )


def told(before: dict[str, float], after: dict[str, float]) -> str:
    """Both figures of each name in words."""
    return ", ".join(f"{name} {before[name]:.4f} -> {after[name]:.4f}" for name in before)


def lacks_vnni() -> bool:
    """Whether int8 sums may overflow here; also where the system does not tell."""
    try:
        return "vnni" not in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return True


def role_of(folder: Path) -> str:
    """The role that a checkpoint's facts name.

    Raises:
        ExportError: it has none.
    """
    if not (folder / FACTS_FILE).is_file():
        raise ExportError(f"There is no {folder / FACTS_FILE}, which says what the checkpoint is.")
    return CardFacts.load(folder).role


def main(argv: list[str] | None = None) -> list[Exported]:
    """Export what the command line names, and say what was measured.

    Raises:
        SystemExit: with one sentence (exit code 1) when it cannot be exported.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="of the checkpoint")
    parser.add_argument("--parts", nargs="+", help="which of its networks; all if not given")
    parser.add_argument("--int8", action="store_true", help="write int8 files, too; needs --calibrate")
    parser.add_argument("--calibrate", metavar="DATASET", help="as the training scripts take it")
    parser.add_argument(
        "--reduce_range",
        choices=("auto", "always", "never"),
        default="auto",
        help="7-bit weights, for processors without VNNI; auto asks this one",
    )
    args = parser.parse_args(argv)
    if args.int8 != bool(args.calibrate):
        parser.error("--int8 and --calibrate DATASET go together")
    try:
        return export_folder(args)
    except (ExportError, CheckpointError, ValueError, OSError) as error:
        raise SystemExit(str(error)) from error
    except ModuleNotFoundError as error:
        raise SystemExit(
            f"This needs the package {error.name}: pip install -r hub_models/requirements-engines.txt, and for --int8 "
            "-r train/requirements.txt."
        ) from error


def export_folder(args: argparse.Namespace) -> list[Exported]:
    """What `main` does, with its errors as they are."""
    from hub_models import graphs  # noqa: F401  missing packages are told before anything is loaded

    role = role_of(args.folder)
    model = load_model(Checkpoint(role, args.folder, "folder", str(args.folder)))
    if isinstance(model, FusionClassifier):
        raise ExportError(
            "A fusion has no network to export: it is one small layer between two checkpoints, export those."
        )
    model.engine = Engine()
    parts = args.parts or list(model.networks)
    if strange := sorted(set(parts) - set(model.networks)):
        raise ExportError(f"{role} has no part {strange[0]}; it has {', '.join(model.networks)}.")
    if not (args.folder / WEIGHTS_FILE).is_file():
        raise ExportError(f"There is no {args.folder / WEIGHTS_FILE}; weights in several files are not exported.")
    facts = {SOURCE: weights_digest(args.folder), "role": role, "processor": processor_words(model)}
    exported = write_float32(model, args.folder, parts, facts)
    show(exported)
    if args.int8:
        reduce = args.reduce_range == "always" or (args.reduce_range == "auto" and lacks_vnni())
        smaller = write_int8(model, args.folder, parts, facts, args.calibrate, reduce)
        show(smaller)
        exported += smaller
    return exported


def show(exported: list[Exported]) -> None:
    """Print what was written, and what was measured of it."""
    for one in exported:
        print(f"{one.file}, {one.file.stat().st_size / 1e6:.1f} MB: {json.dumps(one.measured)}")


def processor_words(model: Model) -> str:
    """The processor of a model's images as JSON."""
    processor = getattr(model.processor, "image_processor", model.processor)
    return json.dumps(processor.to_dict(), default=str, sort_keys=True)


if __name__ == "__main__":
    main()
