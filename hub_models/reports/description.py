"""The description of one X-ray, with everything that led to it, ready for JSON."""

import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import PurePath
from typing import TYPE_CHECKING

from hub_models.checkpoints.folder import Checkpoint, weights_digest
from hub_models.reports.mask_files import describe_masks, describe_verdict
from hub_models.reports.sentences import UNLIKE_MOST
from hub_models.xray.formats import ENDINGS
from hub_models.xray.images import PERCENTILES, Xray
from hub_models.xray.placement import AS_IT_IS, Placement
from hub_models.xray.verdict import MEANINGLESS

if TYPE_CHECKING:  # a page that opens before the models must not wait for them
    from hub_models.models.calibration import Calibration
    from hub_models.models.labels import Prompts
    from hub_models.models.report import Report

PREPROCESSING = f"""Turned upright, made greyscale (of a DICOM file, as its own window shows it), and the greys from the
{PERCENTILES[0]} to the {PERCENTILES[1]} percentile stretched to 0..1. Each model then resizes and normalises as its own
checkpoint says."""
EXTENSIONS = ENDINGS
"""Endings of a file's name that a description keeps. Any other ending may belong to a person's name."""
PACKAGES = ("torch", "transformers", "segmentation-models-pytorch", "openvino", "onnxruntime", "numpy", "pillow")
"""Packages whose versions may decide an answer; those that are not installed are left out."""


@dataclass(frozen=True)
class Source:
    """The file that an X-ray came in.

    Attributes:
        sha256: the SHA-256 of its bytes, in hexadecimal.
        extension: one of `EXTENSIONS`, or "" for any other.
        reasons: why its header says that it is not a frontal chest X-ray for reading, as `Xray.reasons` holds them.
        turned: in a sentence or two, that the picture was turned, inverted or mirrored: as its header says
            (`Xray.turned`), as the visitor asked, or both; None if it was not.
        placement: how the picture then lies beside that of a DICOM file.
    """

    sha256: str
    extension: str
    reasons: tuple[str, ...] = ()
    turned: str | None = None
    placement: Placement = AS_IT_IS

    @classmethod
    def of(cls, name: str, data: bytes, xray: Xray | None = None) -> "Source":
        """Return the source of a file's name and bytes, and of what was read from it."""
        extension = PurePath(name).suffix.lower()
        digest = hashlib.sha256(data).hexdigest()
        about = (xray.reasons, xray.turned, xray.placement) if xray else ()
        return cls(digest, extension if extension in EXTENSIONS else "", *about)


def describe(
    report: "Report",
    checkpoints: Mapping[str, Checkpoint],
    calibrations: "Mapping[str, Calibration]",
    source: Source,
    made: datetime,
    prompts: "Prompts | None" = None,
) -> dict:
    """Describe one X-ray and its answers, without the name of its file.

    Args:
        report: the pipeline's report.
        checkpoints: role -> checkpoint of its model, from the pipeline.
        calibrations: role -> calibration of its answer, from `fitting_calibrations`.
        source: the X-ray's file.
        made: the time of the answers, with a time zone.
        prompts: the visitor's sentences for the zero-shot CLIP; None for its own.

    Returns:
        "made" (UTC); "status": "answered", or "refused" as a frontal chest X-ray, with the "reasons"; "source"; "image"
        ("height", "width" and "preprocessing"); "infected_share", "extent_grade",
        "strangeness", "masks" and "disclaimer" as `describe_masks` gives them; "conclusion" (`Conclusion.describe`),
        null where no class is named; "classifiers": role -> "probabilities",
        and "likely" (the prediction set) with its "level", null where the answer is not calibrated; "prompts" or null;
        "notes" (`remarks`); "checkpoints": of each role "origin", "name", "revision", the "sha256" of its weights and
        the "engine" that ran them, null for the fusion; "versions" of the packages.
    """
    outlines = describe_masks(report.masks, report.involvement, checkpoints["unet"])
    del outlines["checkpoint"]  # it stands among the checkpoints
    height, width = report.image.shape
    return {
        "made": made.astimezone(UTC).isoformat(timespec="seconds"),
        **describe_verdict(report.reasons),
        "source": {"sha256": source.sha256, "extension": source.extension},
        "image": {"height": height, "width": width, "preprocessing": one_line(PREPROCESSING)},
        **outlines,
        "conclusion": report.conclusion and report.conclusion.describe(),
        "classifiers": {role: _answer(p, calibrations.get(role)) for role, p in report.classifiers.items()},
        "prompts": prompts,
        "notes": remarks(report, source),
        "checkpoints": {
            role: _origin(checkpoint) | {"engine": report.engines.get(role)} for role, checkpoint in checkpoints.items()
        },
        "versions": dict(_versions()),
    }


def remarks(report: "Report", source: Source | None = None) -> list[str]:
    """List the sentences that a reader must see first.

    They are why the picture is refused, or why nothing is decided about one that is unlike most; how it was turned,
    inverted or mirrored; and the report's notes.
    """
    refused = [*report.reasons, MEANINGLESS] if report.refused else []
    if report.conclusion is not None and report.conclusion.unlike and not report.masks.strange:
        refused.append(UNLIKE_MOST)
    turned = [source.turned] if source is not None and source.turned else []
    return refused + turned + report.notes


def printable(text: str, encoding: str = "utf-8") -> str:
    """Write characters that an encoding lacks, or that would move the text around them, as escapes: \\u80ba."""
    return "".join(
        c if c.isprintable() and c.encode(encoding, "ignore") else c.encode("unicode_escape").decode() for c in text
    )


@cache
def _versions() -> Mapping[str, str]:
    installed = {}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            installed[package] = version(package)
    return installed


def _answer(probabilities: dict[str, float], calibration: "Calibration | None") -> dict:
    likely = calibration and calibration.likely(probabilities)
    return {"probabilities": probabilities, "likely": likely, "level": calibration and calibration.level}


def _origin(checkpoint: Checkpoint) -> dict[str, str | None]:
    origin = {"origin": checkpoint.origin, "name": checkpoint.name, "revision": checkpoint.revision}
    return {**origin, "sha256": weights_digest(checkpoint.folder)}


def one_line(text: str) -> str:
    """Join the lines of a text with spaces."""
    return " ".join(text.split())
