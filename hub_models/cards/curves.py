"""The recorded answers of the classifiers in use as ROC and reliability curves."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from hub_models.cards.comparison import classifiers
from hub_models.cards.facts import RECORD_FILE, CardFacts
from hub_models.checkpoints.cells import from_cells
from hub_models.checkpoints.folder import Checkpoint

BINS = 15
"""Of how many bins, with equally many images each, a reliability curve and a calibration error are made."""

CURVE_POINTS = 200
"""At most so many points of a curve are drawn."""


def answers(checkpoint: Checkpoint, labels: list[str]) -> tuple[np.ndarray, np.ndarray] | None:
    """What a classifier answered to every test image: probabilities float64 (N, C), and the true classes int64 (N,).

    None if the checkpoint has no such record, or its images may have several classes. A row of NaN is no answer.
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
    """How often the most probable class is the true one, in `BINS` bins of images with like probability.

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
    found = []
    for role, one in classifiers(facts):
        given = answers(checkpoints[role], one.labels) if label in one.labels else None
        if given is None:
            continue
        position = one.labels.index(label)
        true = given[1] == position
        if 0 < true.sum() < len(true):
            curve = pd.DataFrame(roc(given[0][:, position], true), columns=["False positives", "True positives"])
            found.append(curve.assign(Model=role))
    return pd.concat(found) if found else pd.DataFrame(columns=["False positives", "True positives", "Model"])


def reliability_curves(facts: Mapping[str, CardFacts], checkpoints: Mapping[str, Checkpoint]) -> pd.DataFrame:
    """How often each classifier is right against how sure it says it is."""
    columns = ["Probability", "Right", "Images"]
    found = []
    for role, one in classifiers(facts):
        given = answers(checkpoints[role], one.labels)
        answered = None if given is None else ~np.isnan(given[0]).any(axis=1)
        if answered is not None and answered.any():
            bins = reliability(given[0][answered], given[1][answered])
            found.append(pd.DataFrame(bins, columns=columns).assign(Model=role))
    return pd.concat(found) if found else pd.DataFrame(columns=[*columns, "Model"])
