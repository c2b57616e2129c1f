"""Calibration of a trained classifier on the validation split: its temperature, and its prediction sets."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar

from hub_models.models.calibration import Calibration
from train.scoring.class_metrics import calibration_error, score_probabilities

LEVEL = 0.9
"""Share of images whose prediction set is meant to hold the true class."""

SMALLEST = 1e-12
"""What a probability of 0 counts as where its logarithm is taken."""

TEMPERATURES = (0.05, 20.0)
"""Between which the temperature is looked for."""


def cooled(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """What softmax gives of logits divided by a temperature, float64 (N, C), of what it gave of the logits."""
    logits = np.log(np.maximum(probabilities, SMALLEST)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def fit_calibration(probabilities: np.ndarray, references: Sequence[int]) -> Calibration:
    """The temperature with the least cross-entropy, and the prediction sets of the probabilities that it gives.

    The least probability of a set is split conformal prediction's: the ceil((n + 1) * level)-th largest probability of
    a true class (Angelopoulos and Bates 2023, section 1), 0 if there are too few images for the level.

    Args:
        probabilities: float64 (N, C), of the validation split; rows of NaN take no part.
        references: N class positions.

    Raises:
        ValueError: if no row has an answer.
    """
    answered = ~np.isnan(probabilities).any(axis=1)
    given, true = probabilities[answered], np.asarray(references)[answered]
    if not len(given):
        raise ValueError("No image of the validation split has an answer, so nothing can be calibrated.")

    def cross_entropy(log_temperature: float) -> float:
        right = cooled(given, np.exp(log_temperature))[np.arange(len(true)), true]
        return -np.log(np.maximum(right, SMALLEST)).mean()

    temperature = float(np.exp(minimize_scalar(cross_entropy, bounds=np.log(TEMPERATURES), method="bounded").x))
    right = np.sort(cooled(given, temperature)[np.arange(len(true)), true])[::-1]
    rank = int(np.ceil((len(right) + 1) * LEVEL))
    return Calibration(temperature, float(right[rank - 1]) if rank <= len(right) else 0.0, LEVEL)


def calibration_results(probabilities: np.ndarray, references: Sequence[int], calibration: Calibration) -> dict:
    """How well calibrated the answers to other images are, and how large their prediction sets.

    Args:
        probabilities: float64 (N, C), calibrated; rows of NaN take no part.
        references: N class positions.
        calibration: what made them so.

    Returns:
        temperature; ece_before, brier_before: of the same answers with the logits as they were; set_level, set_least:
        as the calibration has them; set_sizes: how many sets have 1, 2, ... classes; and what `set_scores` gives. {} if
        there is no prediction set.
    """
    if calibration.least is None:
        return {}
    answered = ~np.isnan(probabilities).any(axis=1)
    given, true = probabilities[answered], np.asarray(references)[answered]
    before = cooled(given, 1 / calibration.temperature)
    sizes = _inside(given, calibration.least).sum(axis=1)
    return {
        "temperature": calibration.temperature,
        "ece_before": calibration_error(before, true),
        "brier_before": score_probabilities(before, true)["brier"],
        "set_level": calibration.level,
        "set_least": calibration.least,
        "set_sizes": np.bincount(sizes, minlength=given.shape[1] + 1)[1:].tolist(),
        **set_scores(probabilities, references, calibration),
    }


def set_scores(
    probabilities: np.ndarray, references: Sequence[int], calibration: Calibration
) -> dict[str, float | None]:
    """set_coverage, the share of the images whose set holds the true class, and set_size_mean; {} without sets.

    Arguments as of `calibration_results`. None if no row has an answer.
    """
    if calibration.least is None:
        return {}
    answered = ~np.isnan(probabilities).any(axis=1)
    inside, true = _inside(probabilities[answered], calibration.least), np.asarray(references)[answered]
    if not len(inside):
        return {"set_coverage": None, "set_size_mean": None}
    held = inside[np.arange(len(true)), true]
    return {"set_coverage": float(held.mean()), "set_size_mean": float(inside.sum(axis=1).mean())}


def _inside(probabilities: np.ndarray, least: float) -> np.ndarray:
    """Which classes, bool (N, C), are in the set of each row of probabilities, float64 (N, C)."""
    return (probabilities >= least) | (probabilities == probabilities.max(axis=1, keepdims=True))
