"""Write a checkpoint's networks as int8 ONNX files, measured on a data set and kept only if they lose little.

    python -m train.quantize runs/resnet/release --dataset COVID-QU-Ex

The float32 files come first, as `python -m hub_models.export` writes them; then `PART.int8.onnx` is added. The range of
the activations is taken from training images, and the loss by int8 is measured on validation images. A file that loses
more than half a point of accuracy or 0.01 of Dice, or answers another class than before to more than 2 % of the images,
is not kept; before the script gives up, it tries again with the layers that lose most in float32. Needs
requirements.txt.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from hub_models.checkpoints.choices import fastest_engine
from hub_models.checkpoints.folder import CheckpointError
from hub_models.engines.engine import MEASURED, Engine, graph_file
from hub_models.engines.quiet import no_telemetry
from hub_models.export.float32 import (
    Exported,
    ExportError,
    Model,
    open_checkpoint,
    open_files,
    show,
    workshop,
    write_float32,
)
from train.scoring.quality import Quality

MAX_LOSSES = {"accuracy": 0.005, "agreement": 0.02, "dice": 0.01}
"""Last word of a figure's name -> how much of the figure int8 may lose."""

SPARED_LAYERS = (0, 2, 4, 8, 16, 32)
"""Numbers of layers, those that lose most, that stay float32 in one attempt after the other."""

CALIBRATION_IMAGES = 128
"""Number of training images from which the range of the activations is taken."""


@dataclass(frozen=True)
class Attempt:
    """One attempt at a model's int8 files.

    Attributes:
        files: file -> its bytes.
        spared: number of layers that stayed float32.
        reach: how the range of the activations was chosen, one of `quantization.REACHES`.
        worth: figures of the model with these files, as `Quality.measure` gives them.
        loss: the `worst_loss` of these figures.
    """

    files: dict[Path, bytes]
    spared: int
    reach: str
    worth: dict[str, float]
    loss: float


def write_int8(
    model: Model, folder: Path, parts: list[str], facts: dict[str, str], dataset: str, reduce_range: bool
) -> list[Exported]:
    """Write the int8 files of a model's parts, with as many layers in float32 as its quality needs.

    Args:
        model: the model, run by PyTorch.
        folder: the folder of its checkpoint and float32 files.
        parts: names of the networks to write.
        facts: metadata of the files.
        dataset: the data set, as the training scripts take it.
        reduce_range: give weights 7 bits instead of 8.

    Raises:
        ExportError: the files lose too much with any of `SPARED_LAYERS`; none is then written.
        ValueError: the model cannot be measured on the data set.
    """
    quality = Quality(dataset, model)
    before = quality.measure(model)
    inputs = [model.network_input(*image) for image in quality.training_images(CALIBRATION_IMAGES)]
    engine = fastest_engine()
    with workshop(folder) as work:
        writer = Int8Writer(folder, work, parts, facts, inputs, reduce_range)
        for spared in SPARED_LAYERS if writer.vision else SPARED_LAYERS[:1]:
            attempts = []
            for reach in writer.reaches:
                files = writer.write(spared, reach)
                model.engine = open_files(work, tuple(parts), engine, "int8")
                after = quality.measure(model)
                model.engine = Engine()
                loss = worst_loss(before, after)
                attempts.append(Attempt(files, spared, reach, after, loss))
                print(f"int8 with {spared} layers in float32, activations by their {reach}: {changes(before, after)}")
            best = min(attempts, key=lambda attempt: attempt.loss)
            if best.loss <= 1:
                break
        else:
            limits = ", ".join(f"{limit} of {name}" for name, limit in MAX_LOSSES.items())
            raise ExportError(
                f"No int8 file was kept: {changes(before, best.worth)}, and not more than {limits} may be lost."
            )
        measured = {"float32": before, "int8": best.worth, "spared": best.spared, "reach": best.reach}
        measured |= {"reduce_range": reduce_range, "engine": engine, "split": "validation", "images": quality.images}
        for file, content in best.files.items():
            file.write_bytes(content)
            writer.write_metadata(file, {MEASURED: json.dumps(measured)})
    return [Exported(graph_file(folder, part, "int8"), measured) for part in parts]


class Int8Writer:
    """A writer of the int8 files of a model's parts.

    Args:
        folder: the folder of the float32 files.
        work: the folder that gets the int8 files.
        parts: names of the networks.
        facts: metadata of the files.
        inputs: inputs of the vision networks, float32 (1, ...) each, from which the range of activations is taken.
        reduce_range: give weights 7 bits instead of 8.
    """

    def __init__(
        self,
        folder: Path,
        work: Path,
        parts: Sequence[str],
        facts: dict[str, str],
        inputs: Sequence[np.ndarray],
        reduce_range: bool,
    ) -> None:
        from hub_models.export import onnx_graph, quantization  # here, because they need packages that may be missing

        self.write_metadata, self.quantization = onnx_graph.write_metadata, quantization
        self.facts, self.inputs, self.reduce_range = facts, inputs, reduce_range
        self.files = {part: (graph_file(folder, part, "float32"), graph_file(work, part, "int8")) for part in parts}
        self.vision = [part for part in parts if part != "text"]
        self.reaches = quantization.REACHES if self.vision else quantization.REACHES[:1]
        self._ranked: dict[str, list[str]] = {}

    def write(self, spared: int, reach: str) -> dict[Path, bytes]:
        """Write all files, with `spared` layers in float32; returns file -> its bytes."""
        for part, (source, file) in self.files.items():
            if part == "text":
                self.quantization.quantize_weights(source, file, self.reduce_range)
            else:
                in_float32 = self._worst(part)[:spared] if spared else []
                self.quantization.quantize(source, file, self.inputs, self.reduce_range, in_float32, reach)
            self.write_metadata(file, self.facts | {"part": part, "precision": "int8"})
        return {file: file.read_bytes() for _, file in self.files.values()}

    def _worst(self, part: str) -> list[str]:
        if part not in self._ranked:
            self._ranked[part] = self.quantization.by_loss(self.files[part][0], self.inputs, self.reduce_range)
        return self._ranked[part]


def worst_loss(before: dict[str, float], after: dict[str, float]) -> float:
    """Return the largest loss of any figure as a share of what `MAX_LOSSES` allow: over 1 is too much."""
    losses = [
        round(before[name] - after[name], 9) / limit
        for name in before
        for ending, limit in MAX_LOSSES.items()
        if name.endswith(ending)
    ]
    return max(np.inf if np.isnan(loss) else loss for loss in losses)


def changes(before: dict[str, float], after: dict[str, float]) -> str:
    """Write both values of each figure in words."""
    return ", ".join(f"{name} {before[name]:.4f} -> {after[name]:.4f}" for name in before)


def lacks_vnni() -> bool:
    """Return whether int8 sums may overflow on this processor; True where the system does not say."""
    try:
        return "vnni" not in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return True


def main(argv: list[str] | None = None) -> list[Exported]:
    """Write the networks that the command line names in float32 and int8, and print what was measured.

    Raises:
        SystemExit: with one sentence (exit code 1) when it cannot be exported.
    """
    no_telemetry()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="the checkpoint's folder, which gets the files")
    parser.add_argument("--dataset", required=True, help="as the training scripts take it")
    parser.add_argument("--parts", nargs="+", help="names of its networks; all if not given")
    parser.add_argument(
        "--reduce_range",
        choices=("auto", "always", "never"),
        default="auto",
        help="7-bit weights, for processors without VNNI; auto asks this one",
    )
    args = parser.parse_args(argv)
    try:
        return quantize_folder(args)
    except (ExportError, CheckpointError, ValueError, OSError) as error:
        raise SystemExit(str(error)) from error
    except ModuleNotFoundError as error:
        raise SystemExit(f"This needs the package {error.name}: pip install -r requirements.txt.") from error


def quantize_folder(args: argparse.Namespace) -> list[Exported]:
    """Do the work of `main`, and let its errors through."""
    from hub_models.export import quantization  # noqa: F401  a missing package ends it before anything is loaded

    model, parts, facts = open_checkpoint(args.folder, args.parts)
    exported = write_float32(model, args.folder, parts, facts)
    show(exported)
    reduce = args.reduce_range == "always" or (args.reduce_range == "auto" and lacks_vnni())
    smaller = write_int8(model, args.folder, parts, facts, args.dataset, reduce)
    show(smaller)
    return exported + smaller


if __name__ == "__main__":
    main()
