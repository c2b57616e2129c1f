"""Write a checkpoint's networks as ONNX beside its weights, for engines that are faster than PyTorch on a processor.

    python -m hub_models.export runs/resnet/release
    python -m hub_models.export runs/resnet/release --int8 --calibrate COVID-QU-Ex

The first writes `PART.onnx` in float32, which reads its weights from the model.safetensors beside it, and tells how far
its answers are from PyTorch's. The second adds `PART.int8.onnx`: training images say how far activations reach, and
validation images what int8 costs. A file that loses more than half a point of accuracy or 0.01 of Dice, or answers
another class than before to more than 2 % of the images, is not kept; before it gives up, the layers that lose most
stay float32. Both need hub_models/requirements-engines.txt, the second also the training packages.
"""

import argparse
import json
from pathlib import Path

from hub_models.cards.card import FACTS_FILE, CardFacts
from hub_models.checkpoints.folder import WEIGHTS_FILE, weights_digest
from hub_models.checkpoints.resolve import Checkpoint, CheckpointError
from hub_models.engines.engine import SOURCE, Engine
from hub_models.export.float32 import Exported, ExportError, Model, write_float32
from hub_models.export.int8 import write_int8
from hub_models.models.fusion import FusionClassifier
from hub_models.pipeline import load_model


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
    parser = argparse.ArgumentParser(
        prog="python -m hub_models.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
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
    from hub_models.export import onnx_graph  # noqa: F401  missing packages are told before anything is loaded

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
