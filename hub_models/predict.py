"""Outline and classify X-rays without the page.

    python -m hub_models.predict xray.png --output_dir results
    python -m hub_models.predict xrays/ more.zip --output_dir results --pdf
    python -m hub_models.predict xrays/ --output_dir results --json > results.jsonl

An image is a file, a folder with all below it, or a zip archive. OUTPUT_DIR gets summary.csv, a row an image, and for
each image a folder with overlay.png, lungs.png, infection.png and report.json, report.pdf with --pdf, the masks as a
DICOM Segmentation that refers to the X-ray's file with --dicom, and as NIfTI files with --nifti. The checkpoints are
those that the environment chooses (XRAY_UNET, ...) or that ship with the project.

After Ctrl-C, a kill or a full disk the same command goes on after the last row of summary.csv. It refuses to if
anything else is asked (run.json keeps what was), or if an image that was answered is gone or has changed. A file that
was refused stays refused; once it is put right, give it a new folder.

Exit code 0: all images were answered; 1: some were refused, each is named on stderr, and the others are done;
2: nothing, or nothing more, could be done; 130: Ctrl-C or SIGTERM.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from tqdm.auto import tqdm

from hub_models.batch.archives import Item, NamedPath, find
from hub_models.batch.count import Count
from hub_models.batch.earlier import REPORT_FILE, Earlier, line_of, match, whole_rows
from hub_models.batch.folder import RUN_FILE, CannotGoOn, begin, request, reserve, whole_folder
from hub_models.batch.interrupts import Interrupts
from hub_models.batch.outputs import CSV_FILE, folder_name, pictures, table_row
from hub_models.batch.run import Result, answer
from hub_models.batch.table import GrowingTable, OtherTable, columns_for
from hub_models.checkpoints.folder import CheckpointError
from hub_models.engines.quiet import no_telemetry
from hub_models.models.calibration import fitting_calibrations
from hub_models.models.labels import Prompts, read_prompts
from hub_models.pipeline import XrayPipeline
from hub_models.reports.description import describe
from hub_models.reports.dicom_seg import write_segmentation
from hub_models.reports.nifti import write_nifti
from hub_models.reports.pdf import write_pdf
from hub_models.reports.png import encode_png

ALSO = {
    "pdf": "write report.pdf, too",
    "dicom": "write segmentation.dcm, too, and secondary-capture.dcm where the image is not a DICOM file",
    "nifti": "write lungs.nii.gz and infection.nii.gz, too",
}
"""Switch -> the files that it adds to each image's."""


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
            paths = [(name, Path(name)) for name in args.images]
            _check_images(paths, out)
            prompts = _read_prompts(args.prompts) if args.prompts else None
            with reserve(out):
                # 2. The models; all results of a folder have them, and the prompts, in common
                pipeline = XrayPipeline.from_pretrained()
                table = GrowingTable(out / CSV_FILE, columns_for(pipeline.classifiers, prompts))
                options = {name: vars(args)[name] for name in (*ALSO, "anyway")}
                begin(out, request(pipeline.checkpoints, pipeline.engine_names, table.columns, prompts, options))
                # 3. The images that were answered before the command was stopped
                also = frozenset(name for name in ALSO if options[name])
                writer = ImageWriter(table, pipeline, prompts, also, lines, count, interrupts)
                earlier = writer.take_up(find(paths, out))
                # 4. Each other image, and its files
                if len(earlier.names) < earlier.total:
                    results = answer(
                        pipeline, earlier.left(find(paths, out)), prompts, anyway=args.anyway, keep=bool(also)
                    )
                    writer.write_all(earlier.new(results))
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
    parser.add_argument("--anyway", action="store_true", help="name classes and shares also of what is refused")
    return parser


class WrongUse(ValueError):
    """A command line that cannot be carried out; the message is one sentence."""


@dataclass
class ImageWriter:
    """The writer of an image's files and its row of the table, which leaves no image half written.

    Attributes:
        table: the table; its folder gets a folder for each image.
        pipeline: the models that answer.
        prompts: sentences of each class for the zero-shot CLIP; None for its own.
        also: those of `ALSO` that are written.
        lines: the stream that gets a JSON object an image; None for no stream.
        count: counts the images.
        interrupts: waits with an interrupt until an image is written.
        taken: names of the folders so far, casefolded.
    """

    table: GrowingTable
    pipeline: XrayPipeline
    prompts: Prompts | None
    also: frozenset[str]
    lines: TextIO | None
    count: Count
    interrupts: Interrupts
    taken: set[str] = field(default_factory=lambda: {CSV_FILE, RUN_FILE})

    @property
    def folder(self) -> Path:
        """The folder of all results."""
        return self.table.path.parent

    def take_up(self, items: Iterable[Item]) -> Earlier:
        """Find what was answered earlier among all images, print it as if it were answered now, and count it.

        Raises:
            CannotGoOn: if the table, or an image in it, was changed.
        """
        with self._explained():
            rows = whole_rows(self.table.read_rows(), self.folder)
            earlier = match(rows, items, self.folder)
            self.table.keep(rows)
            self.count.total, self.count.earlier = earlier.total, len(rows)
            self.taken |= {row["folder"].casefold() for row in rows}
            for row in rows:
                self._finish(line_of(row, self.folder))
        return earlier

    def write_all(self, results: Iterator[Result]) -> None:
        """Write the files of each image as soon as it is answered, and show how far it is.

        Raises:
            CannotGoOn: if the disk is full or the folder cannot be written to; all images so far stay.
        """
        with tqdm(total=self.count.total, initial=self.count.earlier, unit="image") as bar, self._explained():
            for _ in map(self._write, results):  # a loop variable would keep a result while the next one is made
                bar.update()

    def _write(self, result: Result) -> None:
        with self.interrupts.held():
            folder, description = "", {"notes": [result.refusal]}
            if result.report is not None:
                folder, description = folder_name(result.name, self.taken), self._describe(result)
                with whole_folder(self.folder / folder) as unfinished:
                    self._write_files(unfinished, result, description)
            self.table.append(table_row(result, folder))
            self._finish({"file": result.name, "folder": folder, "status": result.status, **description})

    def _finish(self, line: dict) -> None:
        """Count an image, name it on stderr if it was refused, and print its line."""
        self.count.add(line["status"])
        if line["status"] == "refused":
            tqdm.write(f"{line['file']}: {' '.join(line['notes'])}", file=sys.stderr)
        if self.lines is not None:
            print(json.dumps(line), file=self.lines, flush=True)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Say in one sentence why something cannot be written or read, and what is done so far."""
        try:
            yield
        except OtherTable as error:
            raise CannotGoOn(str(error)) from error
        except OSError as error:
            reason = f"no more can be written to {self.folder} ({error.strerror})"
            raise CannotGoOn(
                f"{self.count} so far, and {reason}; see to that, and the same command goes on."
            ) from error

    def _describe(self, result: Result) -> dict:
        calibrations = fitting_calibrations(self.pipeline.classifiers, self.prompts)
        origins = self.pipeline.checkpoints
        return describe(result.report, origins, calibrations, result.source, datetime.now(UTC), self.prompts)

    def _write_files(self, folder: Path, result: Result, description: dict) -> None:
        report, placement = result.report, result.source.placement
        drawn = pictures(report)
        files = {name: encode_png(picture) for name, picture in drawn.items()}
        if "dicom" in self.also:
            unet = self.pipeline.checkpoints["unet"]
            files |= write_segmentation(result.file, report.image, report.masks, placement, unet)
        if "nifti" in self.also:
            files |= write_nifti(result.file, report.image.shape, report.masks, placement)
        for name, data in files.items():
            (folder / name).write_bytes(data)
        if "pdf" in self.also:
            write_pdf(folder / "report.pdf", description, drawn["overlay.png"])
        (folder / REPORT_FILE).write_text(json.dumps(description) + "\n", encoding="utf-8")


def _check_images(paths: list[NamedPath], results: Path) -> None:
    """Raise WrongUse if not one file is there."""
    problems = []
    for item in find(paths, results):
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
