"""What the saved models say of the rows of a data set; every figure that is reported is made from these answers."""

import logging
from collections.abc import Sequence
from functools import partial

import datasets
import numpy as np
from tqdm.auto import tqdm

from hub_models.models.loading import Classifier
from hub_models.models.views import NoLungs
from hub_models.pipeline import XrayPipeline
from hub_models.xray.images import read_image
from train.data.rows import read_mask
from train.scoring.class_metrics import classification_scores, score_probabilities

logger = logging.getLogger(__name__)


def comparable(pipeline: XrayPipeline, labels: list[str]) -> dict[str, Classifier]:
    """The classifiers that score exactly these classes; others, and a fusion without parts, are named and left out."""
    fitting = {}
    for role, classifier in pipeline.classifiers.items():
        if classifier.problem:
            logger.warning("Left out %s: %s", role, classifier.problem)
        elif sorted(classifier.labels) == sorted(labels) and not classifier.multi_label:
            fitting[role] = classifier
        else:
            scored, given = ", ".join(classifier.labels), ", ".join(labels)
            logger.warning("Left out %s: it scores %s, and the data's classes are %s.", role, scored, given)
    return fitting


def class_probabilities(
    classifier: Classifier | partial, rows: datasets.Dataset, description: str, labels: Sequence[str] | None = None
) -> np.ndarray:
    """What a classifier says of rows made by `outline_lungs`.

    Args:
        classifier: any, perhaps with prompts of its own; the labels must then be given.
        rows: N rows.
        description: of the progress bar.
        labels: its classes in the order of the columns; in its own order if not given.

    Returns:
        float64 (N, C): probabilities; NaN on a row where its view needs lungs and none were found.
    """
    labels = classifier.labels if labels is None else labels
    answers = np.full((len(rows), len(labels)), np.nan)
    for position, row in enumerate(tqdm(rows, desc=description)):
        try:
            answer = classifier(read_image(row["image"]), read_mask(row["lungs"]))
            answers[position] = [answer[label] for label in labels]
        except NoLungs:
            logger.warning("%s: no lungs found on %s; that counts as a wrong answer.", description, row["file"])
    return answers


def classification_results(probabilities: np.ndarray, references: Sequence[int]) -> dict:
    """Scores of the most probable classes against the true ones, and of the probabilities.

    Args:
        probabilities: float64 (N, C); a row of NaN is no answer.
        references: N class positions.
    """
    predictions = best_classes(probabilities)
    scores = classification_scores(predictions, references, probabilities.shape[1])
    ranked = score_probabilities(probabilities, np.asarray(references))
    return scores | ranked | {"no_answer": int((predictions < 0).sum())}


def best_classes(probabilities: np.ndarray) -> np.ndarray:
    """Position of the most probable class of each row, int64 (N,), of float64 (N, C); -1 for a row of NaN."""
    unanswered = np.isnan(probabilities).any(axis=1)
    return np.where(unanswered, -1, np.nan_to_num(probabilities).argmax(axis=1))
