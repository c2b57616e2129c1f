"""Answers of saved models to the rows of a data set; every reported figure is made from these answers."""

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import datasets
import numpy as np
from tqdm.auto import tqdm

from hub_models.models.loading import Classifier
from hub_models.models.views import NoLungs
from hub_models.pipeline import XrayPipeline
from train.data.rows import read_mask, read_picture
from train.scoring.class_metrics import classification_scores, score_probabilities

logger = logging.getLogger(__name__)


def comparable(pipeline: XrayPipeline, labels: list[str]) -> dict[str, Classifier]:
    """Return the classifiers that score exactly these classes; logs the others, and a fusion without its parts."""
    chosen = {}
    for role, classifier in pipeline.classifiers.items():
        if classifier.problem:
            logger.warning("Left out %s: %s", role, classifier.problem)
        elif sorted(classifier.labels) == sorted(labels) and not classifier.multi_label:
            chosen[role] = classifier
        else:
            scored, classes = ", ".join(classifier.labels), ", ".join(labels)
            logger.warning("Left out %s: it scores %s, and the data's classes are %s.", role, scored, classes)
    return chosen


def check_same_classes(name: str | Path, classifier: Classifier, names: Sequence[str]) -> None:
    """Refuse data of other classes than a classifier's, before anything long starts.

    Args:
        name: what the classifier is called in the sentence.
        classifier: the classifier.
        names: the data's classes, in any order.

    Raises:
        ValueError: it scores others.
    """
    if sorted(classifier.labels) != sorted(names):
        scored, classes = ", ".join(classifier.labels), ", ".join(names)
        raise ValueError(f"{name} scores {scored}, and the data's classes are {classes}.")


def class_probabilities(
    classifier: Classifier | partial, rows: datasets.Dataset, description: str, labels: Sequence[str] | None = None
) -> np.ndarray:
    """Return a classifier's probabilities for rows made by `outline_lungs`.

    Args:
        classifier: the classifier, or a partial call of it with other prompts, for which labels are needed.
        rows: N rows.
        description: text of the progress bar.
        labels: the classes in the order of the columns; the classifier's own order if None.

    Returns:
        float64 (N, C): probabilities; NaN on a row where the classifier's view needs lungs and there are none.
    """
    labels = classifier.labels if labels is None else labels
    answers = np.full((len(rows), len(labels)), np.nan)
    for position, row in enumerate(tqdm(rows, desc=description)):
        try:
            answer = classifier(read_picture(row["image"]), read_mask(row["lungs"]))
            answers[position] = [answer[label] for label in labels]
        except NoLungs:
            logger.warning("%s: no lungs found on %s; that counts as a wrong answer.", description, row["file"])
    return answers


def classification_results(probabilities: np.ndarray, references: Sequence[int]) -> dict:
    """Score the most probable classes against the true ones, and the probabilities.

    Args:
        probabilities: float64 (N, C); NaN in the row of an unanswered image.
        references: N class positions.
    """
    predictions = best_classes(probabilities)
    scores = classification_scores(predictions, references, probabilities.shape[1])
    ranked = score_probabilities(probabilities, np.asarray(references))
    return scores | ranked | {"no_answer": int((predictions < 0).sum())}


def best_classes(probabilities: np.ndarray) -> np.ndarray:
    """Return each row's most probable class, int64 (N,), of probabilities float64 (N, C); -1 for a row of NaN."""
    unanswered = np.isnan(probabilities).any(axis=1)
    return np.where(unanswered, -1, np.nan_to_num(probabilities).argmax(axis=1))
