"""Bootstrap intervals of scores, over patients."""

from collections.abc import Callable

import numpy as np
import pandas as pd

INTERVAL_LEVEL, RESAMPLES = 0.95, 1000


def with_intervals(score: Callable[[np.ndarray], dict], patients: np.ndarray) -> dict:
    """Return the scores of all images, and their `intervals`, whose arguments these are."""
    return score(np.arange(len(patients))) | intervals(score, patients)


def intervals(score: Callable[[np.ndarray], dict], patients: np.ndarray) -> dict:
    """Compute percentile bootstrap intervals of those scores that are a single float.

    Patients are drawn with replacement, each with all of their images (Efron and Tibshirani 1993, chapters 8 and 13).

    Args:
        score: returns the scores of the images at some positions, int64 (M,), which may repeat.
        patients: patient of each image, (N,).

    Returns:
        {"intervals": {name: [low, high]}, "bootstrap": {"patients": n, "resamples": n, "level": 0.95}}; {} for fewer
        than two patients.
    """
    groups = list(pd.Series(patients).groupby(patients).indices.values())
    if len(groups) < 2:
        return {}
    rng = np.random.default_rng(0)
    draws = [np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))]) for _ in range(RESAMPLES)]
    samples = pd.DataFrame([score(draw) for draw in draws]).select_dtypes(float)
    bounds = samples.quantile([(1 - INTERVAL_LEVEL) / 2, (1 + INTERVAL_LEVEL) / 2])
    bootstrap = {"patients": len(groups), "resamples": RESAMPLES, "level": INTERVAL_LEVEL}
    return {"intervals": {name: bounds[name].tolist() for name in bounds}, "bootstrap": bootstrap}
