"""Outline and classify X-rays without the page.

    python -m hub_models.predict xray.png --output_dir results
    python -m hub_models.predict xrays/ more.zip --output_dir results --pdf
    python -m hub_models.predict xrays/ --output_dir results --json > results.jsonl
    python -m hub_models.predict hf://datasets/USER/NAME --output_dir results --ray

An image is a file, a folder with all below it, a zip archive, a Parquet file with a column of pictures, or a data set
of the Hub. OUTPUT_DIR gets summary.csv, a row an image, and for
each image a folder with overlay.png, lungs.png, infection.png and report.json, report.pdf with --pdf, the masks as a
DICOM Segmentation that refers to the X-ray's file with --dicom, and as NIfTI files with --nifti. The checkpoints are
those that the environment chooses (XRAY_UNET, ...) or that ship with the project. With --ray, several processes, on
one machine or on those of a Ray cluster, write the same, and summary.parquet.

After Ctrl-C, a kill or a full disk the same command goes on after the last row of summary.csv. It refuses to if
anything else is asked (run.json keeps what was), or if an image that was answered is gone or has changed. A file that
was refused stays refused; once it is put right, give it a new folder.

Exit code 0: all images were answered; 1: some were refused, each is named on stderr, and the others are done;
2: nothing, or nothing more, could be done; 130: Ctrl-C or SIGTERM.
"""

import argparse
import os
import sys
from collections.abc import Generator, Iterator
from contextlib import closing, redirect_stdout
from functools import partial
from pathlib import Path

from hub_models.batch import archives, parquet, ray
from hub_models.batch.archives import Item
from hub_models.batch.count import Count
from hub_models.batch.files import ALSO, ImageFiles
from hub_models.batch.folder import CannotGoOn, begin, request, reserve
from hub_models.batch.hub_data import named_path
from hub_models.batch.interrupts import Interrupts
from hub_models.batch.outputs import CSV_FILE, PARQUET_FILE
from hub_models.batch.ray import Answered
from hub_models.batch.run import Result, answer
from hub_models.batch.table import GrowingTable, columns_for
from hub_models.batch.writer import ImageWriter
from hub_models.checkpoints.folder import CheckpointError
from hub_models.engines.device import threads
from hub_models.engines.quiet import no_telemetry
from hub_models.models.calibration import fitting_calibrations
from hub_models.models.labels import Prompts, read_prompts
from hub_models.pipeline import XrayPipeline

TABLES = {parquet.ENDING: parquet.pictures_in}


def main(argv: list[str] | None = None) -> int:
    """Answer about the images on the command line.

    Returns:
        0 if all were answered, 1 if some were refused, 130 if it was interrupted.

    Raises:
        SystemExit: With code 2 and one sentence when nothing, or nothing more, could be done.
    """
    no_telemetry()
    parser = _parser()
    args = parser.parse_args(argv)
    out, lines, count = args.output_dir, sys.stdout if args.json else None, Count()
    with redirect_stdout(sys.stderr if args.json else sys.stdout), Interrupts() as interrupts:
        try:
            # 1. The images, the prompts and the output folder
            if args.ray:
                ray.check(args.ray)
            find = partial(archives.find, list(map(named_path, args.images)), out, TABLES)
            _check_images(find())
            prompts = _read_prompts(args.prompts) if args.prompts else None
            with reserve(out):
                # 2. The models; all results of a folder have them, and the prompts, in common
                pipeline = XrayPipeline.from_pretrained()
                table = GrowingTable(out / CSV_FILE, columns_for(pipeline.classifiers, prompts))
                options = {name: vars(args)[name] for name in (*ALSO, "anyway")}
                begin(out, request(pipeline.checkpoints, pipeline.engine_names, table.columns, prompts, options))
                # 3. The images that were answered before the command was stopped
                files = image_files(pipeline, prompts, frozenset(name for name in ALSO if options[name]))
                writer = ImageWriter(table, files, lines, count, interrupts)
                earlier = writer.take_up(find())
                # 4. Each other image, and its files
                if len(earlier.names) < earlier.total:
                    with closing(_answers(args, pipeline, files, earlier.left(find()))) as answers:
                        writer.write_all(earlier.new(answers))
                if args.ray:
                    parquet.write_parquet(table, out / PARQUET_FILE)
        except (WrongUse, CannotGoOn, CheckpointError) as error:
            parser.exit(2, f"{error}\n")
        except KeyboardInterrupt:
            print(f"{count} so far; the same command goes on.", file=sys.stderr)
            return 130
        # 5. All images
        print(f"{count}{' earlier, and nothing was left to do' * (count.earlier == count.total)}: {table.path}")
    return int(count.refused > 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="a picture, a folder or a zip archive")
    parser.add_argument(
        "--output_dir", required=True, type=Path, help="a new or empty folder, or that of the same command"
    )
    json_help = (
        "print a JSON object an image, and nothing else, to stdout; first those of all that were answered earlier"
    )
    parser.add_argument("--json", action="store_true", help=json_help)
    parser.add_argument("--prompts", type=Path, help='"class: sentence" lines for the zero-shot CLIP')
    for name, help_text in ALSO.items():
        parser.add_argument(f"--{name}", action="store_true", help=help_text)
    parser.add_argument(
        "--ray", nargs="?", const=ray.HERE, metavar="ADDRESS", help="use Ray, of this machine or of a cluster"
    )
    parser.add_argument(
        "--workers", type=int, help="with --ray: number of workers, a core each; all cores if not given"
    )
    parser.add_argument("--anyway", action="store_true", help="name classes and shares also of what is refused")
    return parser


class WrongUse(ValueError):
    """A command line that cannot be carried out; the message is one sentence."""


def _answers(
    args: argparse.Namespace, pipeline: XrayPipeline, files: ImageFiles, items: Iterator[Item]
) -> Generator[Result | Answered, None, None]:
    """Answer about files, here or on Ray."""
    if not args.ray:
        return answer(pipeline, items, files.prompts, anyway=args.anyway, keep=bool(files.also))
    variables = {name: value for name, value in os.environ.items() if name.startswith("XRAY_")}
    aside = args.output_dir.absolute() / ray.ASIDE
    work = ray.Work(XrayPipeline.from_pretrained, files, args.anyway, aside, variables | {"OMP_NUM_THREADS": "1"})
    return ray.answer_on(args.ray, args.workers or (threads() if args.ray == ray.HERE else None), work, items)


def image_files(pipeline: XrayPipeline, prompts: Prompts | None, also: frozenset[str]) -> ImageFiles:
    """Return what is written of the images that a pipeline answers."""
    return ImageFiles(pipeline.checkpoints, fitting_calibrations(pipeline.classifiers, prompts), prompts, also)


def _check_images(items: Iterator[Item]) -> None:
    """Raise WrongUse if not one file is there."""
    problems = []
    for item in items:
        if not item.problem:
            return
        problems.append(f"There is nothing to read in {item.name}: {item.problem}")
    raise WrongUse(problems[0])


def _read_prompts(path: Path) -> dict[str, list[str]]:
    try:
        return read_prompts(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise WrongUse(f"The prompts in {path} are not UTF-8 text; save them as such.") from error
    except OSError as error:
        raise WrongUse(f"The prompts in {path} cannot be read ({error.strerror}); name a text file.") from error
    except ValueError as error:
        raise WrongUse(f"The prompts in {path} are not as they should be: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
