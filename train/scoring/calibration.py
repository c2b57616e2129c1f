"""Calibration of a trained classifier on the validation split: its temperature, and its prediction sets."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize_scalar

from hub_models.models.calibration import Calibration
from train.scoring.class_metrics import calibration_error, score_probabilities

SET_LEVEL = 0.9
"""Share of the images whose prediction set shall hold the true class."""

MIN_PROBABILITY = 1e-12
"""The least probability of which a logarithm is taken; smaller ones, such as 0, count as this."""

TEMPERATURES = (0.05, 20.0)
"""The least and the greatest temperature that is tried."""


def with_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Return the probabilities, float64 (N, C), that the same logits give once they are divided by a temperature."""
    logits = np.log(np.maximum(probabilities, MIN_PROBABILITY)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def fit_calibration(probabilities: np.ndarray, references: Sequence[int]) -> Calibration:
    """Fit the temperature with the least cross-entropy, and the prediction sets of the probabilities that it gives.

    The least probability of a set is split conformal prediction's: the ceil((n + 1) * level)-th largest probability of
    a true class (Angelopoulos and Bates 2023, section 1), 0 if there are too few images for the level.

    Args:
        probabilities: answers to the validation split, float64 (N, C); rows of NaN take no part.
        references: N class positions.

    Raises:
        ValueError: no row has an answer.
    """
    answered = ~np.isnan(probabilities).any(axis=1)
    answers, true = probabilities[answered], np.asarray(references)[answered]
    if not len(answers):
        raise ValueError("No image of the validation split has an answer, so nothing can be calibrated.")

    def cross_entropy(log_temperature: float) -> float:
        right = with_temperature(answers, np.exp(log_temperature))[np.arange(len(true)), true]
        return -np.log(np.maximum(right, MIN_PROBABILITY)).mean()

    temperature = float(np.exp(minimize_scalar(cross_entropy, bounds=np.log(TEMPERATURES), method="bounded").x))
    right = np.sort(with_temperature(answers, temperature)[np.arange(len(true)), true])[::-1]
    rank = int(np.ceil((len(right) + 1) * SET_LEVEL))
    return Calibration(temperature, float(right[rank - 1]) if rank <= len(right) else 0.0, SET_LEVEL)


def calibration_results(probabilities: np.ndarray, references: Sequence[int], calibration: Calibration) -> dict:
    """Measure how well calibrated the answers to other images are, and how large their prediction sets.

    Args:
        probabilities: float64 (N, C), calibrated; rows of NaN take no part.
        references: N class positions.
        calibration: the calibration that was applied to them.

    Returns:
        temperature; ece_before, brier_before: calibration error and Brier score without the temperature; set_level,
        set_least: those of the calibration; set_sizes: how many sets have 1, 2, ... classes; and the `set_scores`. {}
        if the calibration has no prediction sets.
    """
    if calibration.least is None:
        return {}
    answered = ~np.isnan(probabilities).any(axis=1)
    answers, true = probabilities[answered], np.asarray(references)[answered]
    before = with_temperature(answers, 1 / calibration.temperature)
    sizes = _inside(answers, calibration.least).sum(axis=1)
    return {
        "temperature": calibration.temperature,
        "ece_before": calibration_error(before, true),
        "brier_before": score_probabilities(before, true)["brier"],
        "set_level": calibration.level,
        "set_least": calibration.least,
        "set_sizes": np.bincount(sizes, minlength=answers.shape[1] + 1)[1:].tolist(),
        **set_scores(probabilities, references, calibration),
    }


def set_scores(
    probabilities: np.ndarray, references: Sequence[int], calibration: Calibration
) -> dict[str, float | None]:
    """Return set_coverage, the share of the images whose set holds the true class, and set_size_mean.

    The arguments are those of `calibration_results`. {} if the calibration has no prediction sets; None for both if no
    row has an answer.
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
    """Return which classes, bool (N, C), are in the set of each row of probabilities, float64 (N, C)."""
    return (probabilities >= least) | (probabilities == probabilities.max(axis=1, keepdims=True))
