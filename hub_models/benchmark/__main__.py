"""Measure the response times of networks, pipeline, page and batch, side by side in one run.

    python -m hub_models.benchmark --sections networks end-to-end --rounds 5
    python -m hub_models.benchmark --quality runs/quality.json --requests 1000 --output_dir runs/benchmark
    python -m hub_models.benchmark --sections install against --against ../before --rounds 15 --requests 1000

The report is printed, and written to OUTPUT_DIR as benchmark.md and benchmark.json. The checkpoints are those that the
environment chooses (XRAY_UNET, ...) or that ship with the project, with the ONNX files beside their weights. The
quality of each network comes from a file that `python -m train.scoring` writes. Exit code 0: all chosen sections were
measured; 1: a section could not be, the report says why; 2: nothing was measured.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

from hub_models.benchmark import WrongUse
from hub_models.benchmark.against import Checkout, measure_against, variants
from hub_models.benchmark.batch import measure_batch
from hub_models.benchmark.document import SECTIONS, write_document
from hub_models.benchmark.end_to_end import measure_end_to_end
from hub_models.benchmark.inputs import draw_as, draw_files, with_exports
from hub_models.benchmark.install import measure_install
from hub_models.benchmark.machine import describe_machine
from hub_models.benchmark.networks import measure_networks
from hub_models.benchmark.page import APP, PageError, measure_page
from hub_models.benchmark.peers import measure_peers
from hub_models.benchmark.quality import Quality
from hub_models.benchmark.startup import measure_startup
from hub_models.checkpoints.choices import variable
from hub_models.checkpoints.folder import CheckpointError
from hub_models.engines.device import has_graphics_card, pytorch_is_installed
from hub_models.engines.quiet import no_telemetry
from hub_models.pipeline import XrayPipeline

USUAL = SECTIONS[:5]
"""The sections that need neither another checkout nor a network."""

SIZES, FORMATS = (256, 1024, 2560), ("PNG", "JPEG", "DICOM")
"""Sides in pixels, and kinds, of the files that checkouts are compared with."""

DIFFERENT_XRAYS = 4
"""Number of different drawn X-rays."""


def main(argv: list[str] | None = None) -> int:
    """Measure the sections on the command line; returns 0 if all could be measured, else 1.

    Raises:
        SystemExit: with code 2 and one sentence when nothing was measured.
    """
    no_telemetry()
    parser = _parser()
    args = parser.parse_args(argv)
    if args.startup:
        args.sections = ["startup"]
    if args.against and "against" not in args.sections:
        args.sections = [*args.sections, "against"]
    if "against" in args.sections and not args.against:
        parser.error("the section against needs --against CHECKOUT")
    try:
        # 1. The folder of the report, and the models
        if has_graphics_card():
            raise WrongUse("This measures the processor; hide the graphics card with CUDA_VISIBLE_DEVICES=-1.")
        make_folder(args.output_dir)
        quality = Quality.load(args.quality) if args.quality else None
        with with_exports(args.exports) as overrides, redirect_stdout(sys.stderr):
            pipeline = XrayPipeline.from_pretrained(overrides)
            facts = {"machine": describe_machine(), "engines": pipeline.engine_names}
            facts |= {"rounds": args.rounds, "side": args.side, "dataset": quality and quality.dataset, "left_out": []}
            # 2. Each section
            complete = measure(facts, sections_of(args, pipeline, overrides, quality))
    except (WrongUse, CheckpointError) as error:
        parser.exit(2, f"{error}\n")
    # 3. The report
    text = write_document(facts)
    (args.output_dir / "benchmark.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    (args.output_dir / "benchmark.md").write_text(text, encoding="utf-8")
    print(text)
    return int(not complete)


def measure(facts: dict, sections: dict[str, Callable[[], dict]]) -> bool:
    """Add the figures of each section to the facts, or the reason for their absence to "left_out".

    Returns:
        Whether all sections have figures.
    """
    complete = True
    for name, measure_section in sections.items():
        try:
            facts[name] = measure_section()
        except PageError as error:
            facts["left_out"].append(f"The section {name}: {error}")
            complete = False
        else:
            facts["left_out"] += facts[name].pop("left_out", [])
    facts["left_out"] += [f"The section {name} was not chosen." for name in USUAL if name not in sections]
    return complete


def sections_of(
    args: argparse.Namespace, pipeline: XrayPipeline, overrides: dict[str, str], quality: Quality | None = None
) -> dict[str, Callable[[], dict]]:
    """Functions that measure the chosen sections, in the order of the report."""
    folders = {role: checkpoint.folder for role, checkpoint in pipeline.checkpoints.items()}
    environment = {variable(role): folder for role, folder in overrides.items()}
    files, other = draw_files(DIFFERENT_XRAYS, args.side), args.against and Checkout.find(args.against)
    every = {
        "networks": beside_pytorch(lambda: measure_networks(pipeline.network_models, folders, args.rounds, quality)),
        "end-to-end": beside_pytorch(lambda: measure_end_to_end(pipeline, files, args.rounds)),
        "page": lambda: measure_page(environment, files, args.requests),
        "startup": lambda: measure_startup(environment, files[0]),
        "batch": lambda: measure_batch(pipeline, files, args.images),
        "against": lambda: measure_against(other, kinds(), environment, args.rounds, args.requests),
        "peers": beside_pytorch(lambda: measure_peers(kinds(("PNG",), SIZES[:2]), folders, args.rounds)),
        "install": lambda: measure_install({"this": APP.parent} | ({"other": other.folder} if other else {})),
    }
    return {name: every[name] for name in SECTIONS if name in args.sections}


def beside_pytorch(measure_section: Callable[[], dict]) -> Callable[[], dict]:
    """Return a section that compares with PyTorch, or one that says that it is not installed."""

    def section() -> dict:
        if not pytorch_is_installed():
            raise PageError("it compares with PyTorch, which is not installed: pip install -r requirements.txt.")
        return measure_section()

    return section


def kinds(formats: Sequence[str] = FORMATS, sizes: Sequence[int] = SIZES) -> dict[str, bytes]:
    """Draw an X-ray in every size and format that checkouts are compared with, or some of them."""
    return variants(sizes, {kind: partial(draw_as, kind) for kind in formats})


def make_folder(path: Path) -> None:
    """Make the folder of the report.

    Raises:
        WrongUse: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WrongUse(f"{path} cannot be the folder of the report ({error.strerror}); name another.") from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hub_models.benchmark",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--quality",
        type=Path,
        metavar="FILE",
        help="file that python -m train.scoring wrote; its figures stand in the report",
    )
    parser.add_argument("--output_dir", type=Path, default=Path("runs/benchmark"), help="folder of the report")
    parser.add_argument("--exports", type=Path, metavar="DIR", help="DIR/ROLE holds more ONNX files of a checkpoint")
    parser.add_argument("--rounds", type=_count, default=30, help="rounds of networks and end to end")
    parser.add_argument("--side", type=_count, default=1024, help="side of the drawn X-rays, in pixels")
    parser.add_argument("--images", type=_count, default=200, help="images of the batch")
    parser.add_argument(
        "--requests", type=_count, default=200, help="requests to the page by 1, by 8 and by 25 clients"
    )
    parser.add_argument("--sections", nargs="+", choices=SECTIONS, default=USUAL, help="networks to batch if not given")
    parser.add_argument(
        "--against", type=Path, metavar="CHECKOUT", help="an older checkout of this project, beside this one"
    )
    parser.add_argument("--startup", action="store_true", help="measure nothing but the startup")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
