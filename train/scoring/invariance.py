"""Answers of a pipeline to the same X-rays stored otherwise, and how far they differ from those to the files as stored.

The outline of the lungs that a change is compared with moves along where the change moves the picture. An X-ray that a
classifier does not answer, for want of lungs, has no class: that counts as wrong, and as another class where it answers
the other file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import datasets
import numpy as np
from scipy.stats import norm
from tqdm.auto import tqdm

from hub_models.models.report import Report
from hub_models.pipeline import XrayPipeline
from hub_models.xray.geometry import mask_to_square
from hub_models.xray.images import ImageRefused, read_image
from train.data.harmless_changes import CHANGES, eight_bit_greys
from train.data.rows import source, undecoded
from train.scoring.intervals import INTERVAL_LEVEL, intervals
from train.scoring.mask_metrics import overlaps, pixel_counts
from train.scoring.predictions import identity

NO_ANSWER = -1


@dataclass(frozen=True)
class Answers:
    """The answers to N X-rays, each as stored (column 0) and after each of `CHANGES` (the others): V versions.

    Attributes:
        predictions: role -> position of the most probable class, int64 (N, V); `NO_ANSWER` without one.
        infected: infected share of both lungs, float64 (N, V) in 0..1; NaN where no lungs are outlined.
        dice: Dice of the outlined lungs with those of the X-ray as stored, float64 (N, V).
    """

    predictions: dict[str, np.ndarray]
    infected: np.ndarray
    dice: np.ndarray


def answer_versions(pipeline: XrayPipeline, rows: datasets.Dataset, roles: Sequence[str]) -> Answers:
    """Answer every X-ray of some rows as stored and after each of `CHANGES`.

    Args:
        pipeline: the models.
        rows: N rows.
        roles: the classifiers whose answers are kept; they score the classes of the rows.

    Raises:
        ValueError: a file cannot be changed or read.
    """
    labels, shape = rows.features["label"].names, (len(rows), 1 + len(CHANGES))
    predictions = {role: np.full(shape, NO_ANSWER) for role in roles}
    infected, dice = np.full(shape, np.nan), np.ones(shape)
    for i, row in enumerate(tqdm(undecoded(rows), desc="Answering each X-ray in every version")):
        reports = pipeline.report(versions(row), anyway=True)  # refusals are measured elsewhere
        for role, found in predictions.items():
            found[i] = [_best_class(report, role, labels) for report in reports]
        infected[i] = [np.nan if report.involvement.both is None else report.involvement.both for report in reports]
        lungs = reports[0].masks.lungs
        moved = [change.move(lungs) for change in CHANGES.values()]
        dice[i, 1:] = [
            lungs_dice(report.masks.lungs, expected) for report, expected in zip(reports[1:], moved, strict=True)
        ]
    return Answers(predictions, infected, dice)


def versions(row: dict) -> list[np.ndarray]:
    """Read an undecoded row's X-ray as stored and after each of `CHANGES`, float32 (H, W) in 0..1 each.

    Raises:
        ValueError: its file cannot be changed or read.
    """
    data, file = source(row["image"]), row["file"]
    data = data if isinstance(data, bytes) else Path(data).read_bytes()
    stored, grey = _read(data, f"{file}, as stored"), eight_bit_greys(data)
    return [stored, *(_read(change.write(grey), f"{file}, {name}") for name, change in CHANGES.items())]


def _read(data: bytes, title: str) -> np.ndarray:
    try:
        return read_image(data)
    except ImageRefused as error:
        raise ValueError(f"{title}: {error} To go on, take this image out of the data.") from error


def _best_class(report: Report, role: str, labels: Sequence[str]) -> int:
    answer = report.classifiers.get(role)
    return NO_ANSWER if answer is None else labels.index(max(answer, key=answer.__getitem__))


def lungs_dice(one: np.ndarray, other: np.ndarray) -> float:
    """Return the Dice of two masks, bool (H, W) of any sizes, at the size that models see; 1 if both are blank."""
    first, second = mask_to_square(one), mask_to_square(other)
    if not first.any() and not second.any():
        return 1.0
    return float(overlaps(pixel_counts(first, second))[1])


def wilson(share: float, trials: int) -> list[float]:
    """Return Wilson's score interval of a share that was observed in some trials (Wilson 1927, JASA 22).

    Unlike a bootstrap, it keeps a width where nothing or everything was observed.
    """
    z = norm.ppf((1 + INTERVAL_LEVEL) / 2)
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2)) / (1 + z**2 / trials)
    return [max(0.0, float(centre - half)), min(1.0, float(centre + half))]


def invariance_figures(answers: Answers, rows: datasets.Dataset) -> dict:
    """Measure how far the answers to the changed files differ from those to the files as stored.

    Returns:
        "images", "patients"; and "checkpoints": "unet" -> `outline_figures`, role of a classifier -> `class_figures`.
    """
    patients = identity(rows)["patient"].to_numpy()
    truth = np.array(rows["label"][:])
    checkpoints = {"unet": outline_figures(answers.infected, answers.dice)}
    for role, predictions in answers.predictions.items():
        checkpoints[role] = class_figures(predictions, truth, patients)
    return {"images": len(rows), "patients": len(np.unique(patients)), "checkpoints": checkpoints}


def class_figures(predictions: np.ndarray, truth: np.ndarray, patients: np.ndarray) -> dict:
    """Measure how often a classifier's most probable class changes with the file, and its accuracy on each version.

    Args:
        predictions: int64 (N, V), as in `Answers`.
        truth: true class of each X-ray, int64 (N,).
        patients: patient of each X-ray, (N,).

    Returns:
        "accuracy" of the files as stored, its "intervals", and "changes": name -> "changed" (the share of X-rays with
        another class than as stored), "accuracy" and the "intervals" of both. The interval of "changed" is Wilson's at
        the number of patients, as X-rays of one patient are not independent; that of the accuracy is a bootstrap's.
    """
    right = predictions == truth[:, None]

    def accuracies(chosen: np.ndarray) -> dict[str, float]:
        return {str(version): share for version, share in enumerate(right[chosen].mean(axis=0).tolist())}

    bounds = intervals(accuracies, patients).get("intervals", {})
    stored, *others = (
        {"accuracy": accuracy, "intervals": {"accuracy": bounds[version]} if bounds else {}}
        for version, accuracy in accuracies(np.arange(len(right))).items()
    )
    changed = (predictions[:, 1:] != predictions[:, :1]).mean(axis=0).tolist()
    for scores, share in zip(others, changed, strict=True):
        scores["changed"] = share
        scores["intervals"]["changed"] = wilson(share, len(np.unique(patients)))
    return stored | {"changes": dict(zip(CHANGES, others, strict=True))}


def outline_figures(infected: np.ndarray, dice: np.ndarray) -> dict[str, Mapping]:
    """Measure how far the infected share and the outline of the lungs change with the file.

    Args:
        infected, dice: float64 (N, V), as in `Answers`.

    Returns:
        "changes": name -> "infected_images" (X-rays with lungs before and after), on them "infected_median" and
        "infected_percentile_95" of the absolute change in percentage points, None without any; and "lungs_dice", the
        mean over all X-rays.
    """
    changes = {}
    for version, name in enumerate(CHANGES, start=1):
        points = 100 * np.abs(infected[:, version] - infected[:, 0])
        points = points[~np.isnan(points)]
        median, high = np.percentile(points, [50, 95]).tolist() if len(points) else (None, None)
        changes[name] = {
            "infected_images": len(points),
            "infected_median": median,
            "infected_percentile_95": high,
            "lungs_dice": float(dice[:, version].mean()),
        }
    return {"changes": changes}
