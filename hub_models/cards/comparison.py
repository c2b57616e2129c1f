"""The recorded figures of the checkpoints in use, side by side, as the tables and curves that the page draws.

Nothing is measured here: the scores come from each checkpoint's metrics.json, the curves from its predictions.csv.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from hub_models.cards.card import AVERAGES, FACTS_FILE, OVERLAPS, RECORD_FILE, CardFacts, number, with_interval
from hub_models.checkpoints.resolve import Checkpoint

BINS = 15
"""Of how many bins, with equally many images each, a reliability curve and a calibration error are made."""

CURVE_POINTS = 200
"""At most so many points of a curve are drawn."""

CLASSES = {
    "accuracy": "Accuracy",
    "recall_macro": "Balanced accuracy",
    "f1_macro": "F1, macro",
    "auroc_macro": "AUROC, macro",
    "average_precision_macro": "AP, macro",
    "ece": "Calibration error",
    "brier": "Brier score",
    "set_coverage": "Sets that hold the class",
    "set_size_mean": "Classes in a set",
}
"""Score -> column of the table of classifiers."""

CONTROLS = {"accuracy": "Accuracy", "AUROC": "AUROC, macro"}


def recorded(checkpoints: Mapping[str, Checkpoint]) -> dict[str, CardFacts]:
    """Role -> facts of its card; a checkpoint without recorded figures is missing.

    Raises:
        ValueError: if recorded figures are damaged.
    """
    return {
        role: CardFacts.load(checkpoint.folder)
        for role, checkpoint in checkpoints.items()
        if (checkpoint.folder / FACTS_FILE).is_file()
    }


def class_scores(facts: Mapping[str, CardFacts]) -> pd.DataFrame:
    """The scores of the classifiers, a row each, 95 % intervals in brackets."""
    rows = [
        {"Model": role, "Images": one.results["images"]}
        | {column: with_interval(one.results, score) for score, column in CLASSES.items()}
        for role, one in _classifiers(facts)
    ]
    return pd.DataFrame(rows, columns=["Model", "Images", *CLASSES.values()])


def outline_scores(facts: Mapping[str, CardFacts]) -> pd.DataFrame:
    """The overlaps of the UNet's masks with drawn ones, a row for each mask and way to average."""
    columns = ["Mask", "Averaged", "Images", *OVERLAPS.values()]
    if "unet" not in facts:
        return pd.DataFrame(columns=columns)
    unet = facts["unet"]
    rows = [
        [mask, words, scores["images_all" if "all_images" in average else "images"]]
        + [with_interval(scores, f"{score}_{average}") for score in OVERLAPS]
        for mask in unet.labels
        if (scores := unet.results.get(mask))
        for average, words in AVERAGES.items()
        if f"iou_{average}" in scores
    ]
    return pd.DataFrame(rows, columns=columns)


def control_scores(facts: Mapping[str, CardFacts]) -> pd.DataFrame:
    """What each classifier scores when the lungs are hidden, and the other controls; a row each."""
    rows = [
        {"Model": role, "Control": name, "Images": scores["images"]}
        | {column: number(scores.get(key)) for key, column in CONTROLS.items()}
        for role, one in _classifiers(facts)
        for name, scores in one.results.get("controls", {}).items()
    ]
    return pd.DataFrame(rows, columns=["Model", "Control", "Images", *CONTROLS.values()])


def confusion(facts: CardFacts) -> pd.DataFrame:
    """The images of each true class (rows) that were given each class (columns); empty where there is none."""
    cells = facts.results.get("confusion", np.zeros((0, len(facts.labels)), int))
    table = pd.DataFrame(cells, columns=[f"called {label}" for label in facts.labels])
    table.insert(0, "True class", facts.labels[: len(table)])
    return table


def answers(checkpoint: Checkpoint, labels: list[str]) -> tuple[np.ndarray, np.ndarray] | None:
    """What a classifier answered to every test image: probabilities float64 (N, C), and the true classes int64 (N,).

    None if the checkpoint has no such record, or its images may have several classes. A row of NaN is no answer.
    """
    path = checkpoint.folder / RECORD_FILE
    if not path.is_file():
        return None
    record = pd.read_csv(path)
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
    for role, one in _classifiers(facts):
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
    for role, one in _classifiers(facts):
        given = answers(checkpoints[role], one.labels)
        answered = None if given is None else ~np.isnan(given[0]).any(axis=1)
        if answered is not None and answered.any():
            bins = reliability(given[0][answered], given[1][answered])
            found.append(pd.DataFrame(bins, columns=columns).assign(Model=role))
    return pd.concat(found) if found else pd.DataFrame(columns=[*columns, "Model"])


def _classifiers(facts: Mapping[str, CardFacts]) -> Iterator[tuple[str, CardFacts]]:
    return ((role, one) for role, one in facts.items() if role != "unet")
