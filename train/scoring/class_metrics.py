"""Metrics of classes and of their probabilities, as an `evaluate.Metric` that needs no network.

Precision, recall, F1, AUROC and average precision are those of each class against all others; a macro average is their
plain mean, so the mean recall is what is also called balanced accuracy. An image without an answer counts as wrong, and
as a probability of 0 for every class; it takes no part in the calibration error and the Brier score.
"""

import datasets
import evaluate
import numpy as np
from scipy.stats import binomtest, rankdata

from hub_models.cards.curves import reliability


class Classification(evaluate.Metric):
    """Accuracy, precision, recall and F1 (per class and macro), and confusion matrix, of single-label predictions."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Accuracy; precision, recall and F1 per class and macro-averaged; confusion matrix.",
            citation="",
            inputs_description="predictions and references: class positions; classes: how many classes there are.",
            features=datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}),
        )

    def _compute(self, predictions, references, classes: int) -> dict:
        return score_classes(np.asarray(predictions), np.asarray(references), classes)


def score_classes(predictions: np.ndarray, references: np.ndarray, classes: int) -> dict:
    """Return accuracy, precision, recall, F1 and confusion matrix of class positions (N,); -1 is a wrong answer."""
    answered = predictions >= 0
    cells = np.bincount(classes * references[answered] + predictions[answered], minlength=classes**2)
    confusion = cells.reshape(classes, classes)
    right, predicted = confusion.diagonal(), confusion.sum(axis=0)
    actual = np.bincount(references, minlength=classes)
    per_class = {
        "precision": right / np.maximum(predicted, 1),
        "recall": right / np.maximum(actual, 1),
        "f1": 2 * right / np.maximum(predicted + actual, 1),
    }
    return {
        "accuracy": float(np.mean(predictions == references)),
        **{f"{name}_macro": float(values.mean()) for name, values in per_class.items()},
        **{f"{name}_per_class": values.tolist() for name, values in per_class.items()},
        "confusion": confusion.tolist(),
    }


def classification_scores(predictions: np.ndarray, references: np.ndarray, classes: int) -> dict:
    """Compute `Classification` of class positions (N,) among `classes` classes."""
    metric = Classification(keep_in_memory=True)
    return metric.compute(predictions=predictions, references=references, classes=classes)


def score_probabilities(probabilities: np.ndarray, references: np.ndarray) -> dict[str, float | list[float] | None]:
    """Return AUROC and average precision, per class and macro, Brier score and expected calibration error.

    Args:
        probabilities: float64 (N, C); NaN in the row of an unanswered image.
        references: int64 (N,), class positions.

    Returns:
        The scores; None for a class that no image or every image belongs to, which is left out of the means, and None
        for all scores if no image has an answer.
    """
    true = np.eye(probabilities.shape[1])[references]
    answered = ~np.isnan(probabilities).any(axis=1)
    answers = probabilities[answered]
    return _ranking(true, probabilities) | {
        "brier": float(np.square(answers - true[answered]).sum(axis=1).mean()) if len(answers) else None,
        "ece": calibration_error(answers, references[answered]) if len(answers) else None,
    }


def score_findings(probabilities: np.ndarray, targets: np.ndarray) -> dict[str, float | list[float] | None]:
    """Return AUROC and average precision, per class and macro, where an image may show several classes.

    Args:
        probabilities: float64 (N, C), one for each class by itself; NaN in the row of an unanswered image.
        targets: (N, C), 1 for each class that an image shows.

    Returns:
        The scores, None as in `score_probabilities`; and images_per_class, how many images show each class.
    """
    return _ranking(targets, probabilities) | {"images_per_class": targets.sum(axis=0).astype(int).tolist()}


def _ranking(true: np.ndarray, probabilities: np.ndarray) -> dict[str, float | list[float] | None]:
    ranked, true = np.nan_to_num(probabilities), true.astype(bool)
    both = true.any(axis=0) & ~true.all(axis=0)
    scores = {}
    for name, metric in (("auroc", auroc), ("average_precision", average_precision)):
        per_class = [metric(ranked[:, i], true[:, i]) if both[i] else None for i in range(len(both))]
        values = [value for value in per_class if value is not None]
        scores |= {f"{name}_macro": float(np.mean(values)) if values else None, f"{name}_per_class": per_class}
    return scores


def auroc(scores: np.ndarray, true: np.ndarray) -> float:
    """Return the share of pairs of a true and a false image in which the true one scores higher (Mann-Whitney U).

    Ties count half. The value is scikit-learn's, computed many times faster, which a thousand bootstrap samples need;
    the same holds for `average_precision`.

    Args:
        scores: float (N,).
        true: bool (N,), with both True and False.
    """
    positive = int(true.sum())
    above = rankdata(scores)[true].sum() - positive * (positive + 1) / 2
    return float(above / (positive * (len(true) - positive)))


def average_precision(scores: np.ndarray, true: np.ndarray) -> float:
    """Return the mean precision at each score, weighted by the recall that it adds; arguments are those of `auroc`."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(true[order])
    last = np.flatnonzero(np.append(np.diff(scores[order]) != 0, True))  # of each run of equal scores
    added = np.diff(hits[last], prepend=0)
    return float((added * hits[last] / (last + 1)).sum() / hits[-1])


def calibration_error(probabilities: np.ndarray, references: np.ndarray) -> float:
    """Return the expected calibration error of the most probable class (Nguyen and O'Connor 2015).

    The bins of `hub_models.cards.curves.reliability` hold equally many images.

    Args:
        probabilities: float64 (N, C), N at least 1.
        references: int64 (N,).
    """
    confidence, accuracy, images = reliability(probabilities, references).T
    return float((np.abs(confidence - accuracy) * images).sum() / images.sum())


def mcnemar(right: np.ndarray, others: np.ndarray) -> dict[str, int | float]:
    """Test whether two classifiers err equally often on the same images: McNemar's test, exact.

    Args:
        right: bool (N,), the images on which the first classifier is right.
        others: bool (N,), those on which the second is right.

    Returns:
        only_first, only_second: numbers of images on which only the first or only the second is right; p: two-sided
        probability of such a difference if both erred equally often.
    """
    only_first, only_second = int((right & ~others).sum()), int((~right & others).sum())
    differing = only_first + only_second
    p = binomtest(only_first, differing).pvalue if differing else 1.0
    return {"only_first": only_first, "only_second": only_second, "p": float(p)}
