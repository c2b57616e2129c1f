"""What the saved models say of the rows of a data set; every figure that is reported is made from these answers."""

import io
import logging
from collections.abc import Sequence
from functools import partial

import datasets
import numpy as np
from datasets.fingerprint import generate_random_fingerprint
from PIL import Image
from tqdm.auto import tqdm

from hub_models.models.fusion import FusionClassifier
from hub_models.models.unet import Segmenter
from hub_models.models.views import NoLungs
from hub_models.pipeline import Classifier, XrayPipeline
from hub_models.xray.images import read_image
from train.class_metrics import classification_scores, score_probabilities
from train.rows import read_mask

logger = logging.getLogger(__name__)

BATCH = 16


def outline_lungs(rows: datasets.Dataset, segmenter: Segmenter) -> datasets.Dataset:
    """The rows with a column `lungs`: the lungs as the UNet outlines them (blank where it finds none)."""

    def outline(batch: dict) -> dict:
        maps = segmenter.probability_maps([read_image(image) for image in batch["image"]])
        return {"lungs": [png(segmenter.masks(found).lungs) for found in maps]}

    features = datasets.Features({**rows.features, "lungs": datasets.Image()})
    anew = generate_random_fingerprint()  # a network cannot be hashed to tell whether its outlines are known
    options = {"batch_size": BATCH, "features": features, "new_fingerprint": anew, "desc": "Outlining the lungs"}
    return rows.map(outline, batched=True, **options)


def drop_without_lungs(rows: datasets.Dataset) -> datasets.Dataset:
    """The rows of `outline_lungs` on which lungs were found; how many were not is said."""
    found = [position for position, lungs in enumerate(rows["lungs"]) if read_mask(lungs).any()]
    if len(found) < len(rows):
        logger.warning("No lungs found on %d of %d images of %s.", len(rows) - len(found), len(rows), rows.split)
    return rows.select(found)


def comparable(pipeline: XrayPipeline, labels: list[str]) -> dict[str, Classifier]:
    """The classifiers that score exactly these classes; others, and a fusion without parts, are named and left out."""
    fitting = {}
    for role, classifier in pipeline.classifiers.items():
        if isinstance(classifier, FusionClassifier) and classifier.parts is None:
            logger.warning("Left out %s: %s", role, classifier.problem)
        elif sorted(classifier.labels) == sorted(labels) and not getattr(classifier, "multi_label", False):
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


def png(mask: np.ndarray) -> dict:
    """A mask, bool (H, W), as an image column stores it."""
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}
