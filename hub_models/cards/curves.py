"""The recorded answers of the classifiers in use as ROC and reliability curves."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from hub_models.cards.comparison import classifiers
from hub_models.cards.facts import RECORD_FILE, CardFacts
from hub_models.checkpoints.cells import from_cells
from hub_models.checkpoints.folder import Checkpoint

BINS = 15
"""Bins of equally many images in a reliability curve and a calibration error."""

CURVE_POINTS = 200
"""Largest number of points of a drawn curve."""


def answers(checkpoint: Checkpoint, labels: list[str]) -> tuple[np.ndarray, np.ndarray] | None:
    """Read a classifier's answers to the test images: probabilities float64 (N, C), and the true classes int64 (N,).

    None if the checkpoint has no such record, or its images may have several classes. A row of NaN is a missing answer.
    """
    path = checkpoint.folder / RECORD_FILE
    if not path.is_file():
        return None
    record = from_cells(pd.read_csv(path))
    if "label" not in record or not {f"p {label}" for label in labels} <= set(record):
        return None
    return record[[f"p {label}" for label in labels]].to_numpy(), record["label"].map(labels.index).to_numpy()


def roc(scores: np.ndarray, true: np.ndarray) -> np.ndarray:
    """The ROC curve, float64 (P, 2): false and true positive rate, from (0, 0) to (1, 1).

    Args:
        scores: float (N,); NaN ranks last.
        true: bool (N,), neither all nor none.
    """
    ranked = np.nan_to_num(scores, nan=-np.inf)
    order = np.argsort(-ranked, kind="stable")
    last = np.append(np.flatnonzero(ranked[order][1:] != ranked[order][:-1]), len(order) - 1)  # of equal scores
    hits = np.stack([~true[order], true[order]], axis=1).cumsum(axis=0)
    rates = np.vstack([[0, 0], hits[last] / hits[-1]])
    return rates[np.linspace(0, len(rates) - 1, min(len(rates), CURVE_POINTS)).round().astype(int)]


def reliability(probabilities: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Accuracy of the most probable class, in `BINS` bins of images with similar probability.

    Args:
        probabilities: float64 (N, C), N at least 1.
        references: int64 (N,).

    Returns:
        float64 (B, 3), B at most `BINS`: mean probability of the most probable class, accuracy, images.
    """
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == references
    bins = [bin for bin in np.array_split(np.argsort(confidence, kind="stable"), BINS) if len(bin)]
    return np.array([[confidence[bin].mean(), right[bin].mean(), len(bin)] for bin in bins])


def roc_curves(facts: Mapping[str, CardFacts], checkpoints: Mapping[str, Checkpoint], label: str) -> pd.DataFrame:
    """The ROC curves of one class against the others, of every classifier that has it."""
    curves = []
    for role, card_facts in classifiers(facts):
        record = answers(checkpoints[role], card_facts.labels) if label in card_facts.labels else None
        if record is None:
            continue
        position = card_facts.labels.index(label)
        true = record[1] == position
        if 0 < true.sum() < len(true):
            curve = pd.DataFrame(roc(record[0][:, position], true), columns=["False positives", "True positives"])
            curves.append(curve.assign(Model=role))
    return pd.concat(curves) if curves else pd.DataFrame(columns=["False positives", "True positives", "Model"])


def reliability_curves(facts: Mapping[str, CardFacts], checkpoints: Mapping[str, Checkpoint]) -> pd.DataFrame:
    """The reliability curves of every classifier: accuracy against probability."""
    columns = ["Probability", "Right", "Images"]
    curves = []
    for role, card_facts in classifiers(facts):
        record = answers(checkpoints[role], card_facts.labels)
        answered = None if record is None else ~np.isnan(record[0]).any(axis=1)
        if answered is not None and answered.any():
            bins = reliability(record[0][answered], record[1][answered])
            curves.append(pd.DataFrame(bins, columns=columns).assign(Model=role))
    return pd.concat(curves) if curves else pd.DataFrame(columns=[*columns, "Model"])
