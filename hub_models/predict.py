"""Outline and classify X-rays without the page.

    python -m hub_models.predict xray.png --output_dir results
    python -m hub_models.predict xrays/ more.zip --output_dir results --pdf
    python -m hub_models.predict xrays/ --output_dir results --json > results.jsonl

An image is a file, a folder with all below it, or a zip archive. OUTPUT_DIR gets summary.csv, a row an image, and for
each image a folder with overlay.png, lungs.png, infection.png and report.json, and report.pdf with --pdf. The
checkpoints are those that the environment chooses (XRAY_UNET, ...) or that ship with the project. Exit code 0: all
images were answered; 1: some were refused, each is named on stderr, and the others are done; 2: nothing could be done.
"""

import argparse
import json
import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from tqdm.auto import tqdm

from hub_models.batch.archives import NamedPath, find
from hub_models.batch.outputs import CSV_FILE, folder_name, pictures, table_csv, table_row
from hub_models.batch.run import Result, run
from hub_models.checkpoints.folder import CheckpointError
from hub_models.engines.quiet import no_telemetry
from hub_models.models.labels import Prompts, read_prompts
from hub_models.pipeline import Report, XrayPipeline
from hub_models.reports.description import describe, fitting_calibrations
from hub_models.reports.overlay import encode_png
from hub_models.reports.pdf import write_pdf


def main(argv: list[str] | None = None) -> int:
    """Answer about the images on the command line; returns 0 if all were answered, else 1.

    Raises:
        SystemExit: With code 2 and one sentence when nothing could be done.
    """
    no_telemetry()
    parser = _parser()
    args = parser.parse_args(argv)
    paths = [(name, Path(name)) for name in args.images]
    lines = sys.stdout if args.json else None
    with redirect_stdout(sys.stderr if args.json else sys.stdout):
        try:
            # 1. The images, the prompts and the output folder
            total = _count(paths)
            prompts = _read_prompts(args.prompts) if args.prompts else None
            _make_folder(args.output_dir)
            # 2. The models
            pipeline = XrayPipeline.from_pretrained()
        except (WrongUse, CheckpointError) as error:
            parser.exit(2, f"{error}\n")
        # 3. Each image, and its files
        writer = ImageWriter(args.output_dir, pipeline, prompts, args.pdf, lines)
        rows = list(tqdm(map(writer.write, run(pipeline, paths, prompts)), total=total, unit="image"))
        # 4. All images
        (args.output_dir / CSV_FILE).write_bytes(table_csv(rows))
        refused = sum(row["status"] == "refused" for row in rows)
        print(f"{len(rows) - refused} of {len(rows)} images answered: {args.output_dir / CSV_FILE}")
    return int(refused > 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("images", nargs="+", metavar="IMAGE", help="a picture, a folder or a zip archive")
    parser.add_argument("--output_dir", required=True, type=Path, help="a new or empty folder")
    parser.add_argument("--json", action="store_true", help="print a JSON object an image, and nothing else, to stdout")
    parser.add_argument("--prompts", type=Path, help='"class: sentence" lines for the zero-shot CLIP')
    parser.add_argument("--pdf", action="store_true", help="write report.pdf, too")
    return parser


class WrongUse(ValueError):
    """A command line that cannot be carried out; the message is one sentence."""


@dataclass
class ImageWriter:
    """The writer of an image's files.

    Attributes:
        output_dir: the folder that gets a folder for each image.
        pipeline: the models that answer.
        prompts: sentences of each class for the zero-shot CLIP; None for its own.
        pdf: whether a report.pdf is written.
        lines: the stream that gets a JSON object an image; None for no stream.
        taken: names of the folders so far.
    """

    output_dir: Path
    pipeline: XrayPipeline
    prompts: Prompts | None
    pdf: bool
    lines: TextIO | None
    taken: set[str] = field(default_factory=lambda: {CSV_FILE})

    def write(self, result: Result) -> dict:
        """Write the files of an image, or name it on stderr if it was refused; returns its row of the table."""
        folder = ""
        if result.report is None:
            tqdm.write(f"{result.name}: {result.refusal}", file=sys.stderr)
            description = {"notes": [result.refusal]}
        else:
            folder = folder_name(result.name, self.taken)
            description = self._describe(result)
            self._write_files(self.output_dir / folder, result.report, description)
        if self.lines is not None:
            line = {"file": result.name, "folder": folder, "status": result.status, **description}
            print(json.dumps(line), file=self.lines, flush=True)
        return table_row(result, folder)

    def _describe(self, result: Result) -> dict:
        calibrations = fitting_calibrations(self.pipeline.classifiers, self.prompts)
        origins = self.pipeline.checkpoints
        return describe(result.report, origins, calibrations, result.source, datetime.now(UTC), self.prompts)

    def _write_files(self, folder: Path, report: Report, description: dict) -> None:
        folder.mkdir()
        drawn = pictures(report)
        for name, picture in drawn.items():
            (folder / name).write_bytes(encode_png(picture))
        (folder / "report.json").write_text(json.dumps(description) + "\n", encoding="utf-8")
        if self.pdf:
            write_pdf(folder / "report.pdf", description, drawn["overlay.png"])


def _count(paths: list[NamedPath]) -> int:
    """Count the results that there will be; WrongUse if not one file is there."""
    items = list(find(paths))
    if all(item.problem for item in items):
        raise WrongUse(f"There is nothing to read in {items[0].name}: {items[0].problem}")
    return len(items)


def _read_prompts(path: Path) -> dict[str, list[str]]:
    try:
        return read_prompts(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise WrongUse(f"The prompts in {path} are not UTF-8 text; save them as such.") from error
    except OSError as error:
        raise WrongUse(f"The prompts in {path} cannot be read ({error.strerror}); name a text file.") from error
    except ValueError as error:
        raise WrongUse(f"The prompts in {path} are not as they should be: {error}") from error


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise WrongUse(f"The folder {path} is not empty, and nothing in it is overwritten; name a new one.")
    except OSError as error:
        raise WrongUse(f"{path} cannot be the folder of the results ({error.strerror}); name another.") from error


if __name__ == "__main__":
    sys.exit(main())
