"""The answers to every test image, kept beside a checkpoint as predictions.csv, and the scores made from them.

Scores come from the record as it is written, so that whoever has the file can make them again.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import datasets
import numpy as np
import pandas as pd

from hub_models.cards import RECORD_FILE
from hub_models.labels import MASKS
from train.evaluation import best_classes, classification_results, segmentation_results
from train.metrics import score_classes, score_pixels

COUNTS = ("true_positive", "false_positive", "false_negative")
LEVEL, RESAMPLES = 0.95, 1000
DECIMALS = 6


def outlines_record(rows: datasets.Dataset, counts: np.ndarray) -> pd.DataFrame:
    """One row an image: file, patient and, of each mask, the pixel counts that `segmentation_counts` gives.

    Args:
        rows: N rows.
        counts: int64 (N, 2, 3), -1 where the row has no such mask.
    """
    columns = {f"{mask} {name}": counts[:, i, j] for i, mask in enumerate(MASKS) for j, name in enumerate(COUNTS)}
    return _identity(rows).assign(**columns)


def classes_record(rows: datasets.Dataset, probabilities: np.ndarray, labels: Sequence[str]) -> pd.DataFrame:
    """One row an image: file, patient, label and the probability of each class, NaN where there was no answer.

    Args:
        rows: N rows, whose classes are `labels`, in this order.
        probabilities: float64 (N, C), as `class_probabilities` gives it.
    """
    truth = [labels[position] for position in rows["label"]]
    columns = {f"p {label}": probabilities[:, i].round(DECIMALS) for i, label in enumerate(labels)}
    return _identity(rows).assign(label=truth, **columns)


def outlines_scores(record: pd.DataFrame) -> dict[str, dict]:
    """What `segmentation_results` gives, with intervals, of an `outlines_record`."""
    counts = record[[f"{mask} {name}" for mask in MASKS for name in COUNTS]].to_numpy().reshape(-1, len(MASKS), 3)
    results = segmentation_results(counts)
    for i, mask in enumerate(MASKS):
        drawn = np.flatnonzero((counts[:, i, 0] >= 0) & (counts[:, i, [0, 2]].sum(axis=1) > 0))
        patients = record["patient"].to_numpy()[drawn]
        results[mask] |= intervals(lambda chosen, counts=counts[drawn, i]: score_pixels(counts[chosen]), patients)
    return results


def classes_scores(record: pd.DataFrame, labels: Sequence[str]) -> dict:
    """What `classification_results` gives, with intervals, of a `classes_record`."""
    probabilities = record[[f"p {label}" for label in labels]].to_numpy()
    references = np.array([list(labels).index(label) for label in record["label"]])
    predictions = best_classes(probabilities)

    def score(chosen: np.ndarray) -> dict:
        return score_classes(predictions[chosen], references[chosen], len(labels))

    return classification_results(probabilities, references) | intervals(score, record["patient"].to_numpy())


def intervals(score: Callable[[np.ndarray], dict], patients: np.ndarray) -> dict:
    """Percentile bootstrap intervals of those scores that are one float.

    Patients are drawn with replacement, each with all of their images (Efron and Tibshirani 1993, chapters 8 and 13).

    Args:
        score: gives the scores of the images at some positions, int64 (M,), which may repeat.
        patients: patient of each image, (N,).

    Returns:
        {"intervals": {name: [low, high]}, "bootstrap": how they were made}; {} for fewer than two patients.
    """
    groups = list(pd.Series(patients).groupby(patients).indices.values())
    if len(groups) < 2:
        return {}
    rng = np.random.default_rng(0)
    draws = [np.concatenate([groups[i] for i in rng.integers(len(groups), size=len(groups))]) for _ in range(RESAMPLES)]
    drawn = pd.DataFrame([score(draw) for draw in draws]).select_dtypes(float)
    bounds = drawn.quantile([(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    how = {"patients": len(groups), "resamples": RESAMPLES, "level": LEVEL}
    return {"intervals": {name: bounds[name].tolist() for name in bounds}, "bootstrap": how}


def save_record(record: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Write a record into a checkpoint folder, and read it back as others will."""
    record.to_csv(folder / RECORD_FILE, index=False)
    return load_record(folder)


def load_record(folder: Path) -> pd.DataFrame:
    """Read a checkpoint's record."""
    return pd.read_csv(folder / RECORD_FILE, dtype={"file": str, "label": str})


def _identity(rows: datasets.Dataset) -> pd.DataFrame:
    """File, and a number for the patient; a row whose patient is not known is a patient of its own."""
    patients = [patient if patient is not None else ("unknown", i) for i, patient in enumerate(rows["patient"])]
    numbers, _ = pd.factorize(pd.Series(patients, dtype=object))
    return pd.DataFrame({"file": rows["file"][:], "patient": numbers})
