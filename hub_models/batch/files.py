"""The files of one answered X-ray: pictures, masks in other formats, its description and PDF."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub_models.batch.earlier import REPORT_FILE
from hub_models.batch.outputs import pictures
from hub_models.batch.run import Result
from hub_models.checkpoints.folder import Checkpoint
from hub_models.reports.description import describe
from hub_models.reports.dicom_seg import write_segmentation
from hub_models.reports.nifti import write_nifti
from hub_models.reports.pdf import write_pdf
from hub_models.reports.png import encode_png

if TYPE_CHECKING:
    from hub_models.models.calibration import Calibration
    from hub_models.models.labels import Prompts

ALSO = {
    "pdf": "write report.pdf, too",
    "dicom": "write segmentation.dcm, too, and secondary-capture.dcm where the image is not a DICOM file",
    "nifti": "write lungs.nii.gz and infection.nii.gz, too",
}
"""Switch -> the files that it adds to each image's."""


@dataclass(frozen=True)
class ImageFiles:
    """The files of each answered image, and the models that its description names.

    Attributes:
        origins: role -> its checkpoint.
        calibrations: role -> the calibration that holds for the answers, from `fitting_calibrations`.
        prompts: sentences of each class for the zero-shot CLIP; None for its own.
        also: those of `ALSO` that are written.
    """

    origins: Mapping[str, Checkpoint]
    calibrations: "Mapping[str, Calibration]"
    prompts: "Prompts | None"
    also: frozenset[str]

    def describe(self, result: Result) -> dict[str, Any]:
        """Describe an answered image, ready for JSON."""
        made = datetime.now(UTC)
        return describe(result.report, self.origins, self.calibrations, result.source, made, self.prompts)

    def write(self, folder: Path, result: Result, description: dict[str, Any]) -> None:
        """Write an answered image's files into an empty folder.

        Raises:
            OSError: the disk is full, or the folder cannot be written to.
        """
        report, placement = result.report, result.source.placement
        drawn = pictures(report)
        files = {name: encode_png(picture) for name, picture in drawn.items()}
        if "dicom" in self.also:
            files |= write_segmentation(result.file, report.image, report.masks, placement, self.origins["unet"])
        if "nifti" in self.also:
            files |= write_nifti(result.file, report.image.shape, report.masks, placement)
        for name, data in files.items():
            (folder / name).write_bytes(data)
        if "pdf" in self.also:
            write_pdf(folder / "report.pdf", description, drawn["overlay.png"])
        (folder / REPORT_FILE).write_text(json.dumps(description) + "\n", encoding="utf-8")
