"""Write checkpoints' networks as ONNX beside their weights: for the page without PyTorch, and faster on a processor.

    python -m hub_models.export runs/resnet/release
    python -m hub_models.export hub_models/embedded/*

This writes NETWORK.onnx in float32, which reads its weights from the model.safetensors beside it, and prints how far
its answers are from PyTorch's. `python -m train.quantize` adds int8 files, which it measures on a data set. Both need
requirements.txt.
"""

import argparse
from pathlib import Path

from hub_models.checkpoints.folder import CheckpointError
from hub_models.checkpoints.roles import ROLES
from hub_models.engines.quiet import no_telemetry
from hub_models.export.float32 import (
    Exported,
    ExportError,
    open_checkpoint,
    role_of,
    show,
    write_float32,
)


def main(argv: list[str] | None = None) -> list[Exported]:
    """Export the checkpoints on the command line, and print the measured differences.

    Among several, a fusion is passed over: it has no network of its own.

    Raises:
        SystemExit: with one sentence (exit code 1) when it cannot be exported.
    """
    no_telemetry()
    parser = argparse.ArgumentParser(
        prog="python -m hub_models.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="folder", help="the checkpoint's folder")
    parser.add_argument("--parts", nargs="+", help="names of its networks; all if not given")
    args = parser.parse_args(argv)
    try:
        # Missing packages are reported before anything is loaded
        import onnxruntime  # noqa: F401

        from hub_models.export import onnx_graph  # noqa: F401

        several = len(args.folders) > 1
        folders = [folder for folder in args.folders if not (several and ROLES[role_of(folder)].parts)]
        exported = [file for folder in folders for file in export(folder, args.parts)]
    except (ExportError, CheckpointError, ValueError, OSError) as error:
        raise SystemExit(str(error)) from error
    except ModuleNotFoundError as error:
        raise SystemExit(f"This needs the package {error.name}: pip install -r requirements.txt.") from error
    return exported


def export(folder: Path, parts: list[str] | None) -> list[Exported]:
    """Export a checkpoint's networks, all of them if none are named, and print the measured differences.

    Raises:
        ExportError, CheckpointError: it cannot be exported.
    """
    model, names, facts = open_checkpoint(folder, parts)
    exported = write_float32(model, folder, names, facts)
    show(exported)
    return exported


if __name__ == "__main__":
    main()
