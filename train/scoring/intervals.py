"""Bootstrap intervals of scores, over patients."""

from collections.abc import Callable

import numpy as np
import pandas as pd

INTERVAL_LEVEL, RESAMPLES = 0.95, 1000
BIASED = ("ece",)
"""Scores that resampling raises: images that repeat make bins look less calibrated than they are."""


def with_intervals(score: Callable[[np.ndarray], dict], patients: np.ndarray) -> dict:
    """Return the scores of all images, and their `intervals`, whose arguments these are."""
    return score(np.arange(len(patients))) | intervals(score, patients)


def intervals(score: Callable[[np.ndarray], dict], patients: np.ndarray) -> dict:
    """Compute percentile bootstrap intervals of those scores that are a single float.

    Patients are drawn with replacement, each with all of their images (Efron and Tibshirani 1993, chapters 8 and 13).
    The interval of one of `BIASED` is moved by the estimate of its bias, the mean of the samples less the score
    (chapter 10), and ends at 0.

    Args:
        score: returns the scores of the images at some positions, int64 (M,), which may repeat.
        patients: patient of each image, (N,).

    Returns:
        {"intervals": {name: [low, high]}, "bootstrap": {"patients": n, "resamples": n, "level": 0.95}}, and in the
        bootstrap "bias_corrected", the names of such scores, where there are any; {} for fewer than two patients.
    """
    groups = list(pd.Series(patients).groupby(patients).indices.values())
    if len(groups) < 2:
        return {}
    rng = np.random.default_rng(0)
    draws = [np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))]) for _ in range(RESAMPLES)]
    samples = pd.DataFrame([score(draw) for draw in draws]).select_dtypes(float)
    bounds = samples.quantile([(1 - INTERVAL_LEVEL) / 2, (1 + INTERVAL_LEVEL) / 2])
    bootstrap: dict = {"patients": len(groups), "resamples": RESAMPLES, "level": INTERVAL_LEVEL}
    if corrected := [name for name in BIASED if name in bounds]:
        whole = score(np.arange(len(patients)))
        for name in corrected:
            bounds[name] = (bounds[name] - (samples[name].mean() - whole[name])).clip(lower=0)
        bootstrap["bias_corrected"] = corrected
    return {"intervals": {name: bounds[name].tolist() for name in bounds}, "bootstrap": bootstrap}
