"""What the saved models say of the rows of a data set; every figure that is reported is made from these answers."""

import io

import datasets
import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from hub_models.images import read_image
from hub_models.labels import MASKS
from hub_models.unet import Segmenter
from train.metrics import classification_scores, pixel_counts, segmentation_scores
from train.rows import read_mask

MASK_COLUMNS = dict(zip(MASKS, ("lung_mask", "infection_mask"), strict=True))
BATCH = 16


def outline_lungs(rows: datasets.Dataset, segmenter: Segmenter) -> datasets.Dataset:
    """The rows with a column `lungs`: the lungs as the UNet outlines them (blank where it finds none)."""

    def outline(batch: dict) -> dict:
        images = [read_image(image) for image in batch["image"]]
        found = zip(segmenter.probabilities(images), images, strict=True)
        return {"lungs": [_png(segmenter.masks(probabilities, image.shape).lungs) for probabilities, image in found]}

    features = datasets.Features({**rows.features, "lungs": datasets.Image()})
    return rows.map(outline, batched=True, batch_size=BATCH, features=features, desc="Outlining the lungs")


def has_lungs(row: dict) -> bool:
    """Whether the UNet found lungs in a row made by `outline_lungs`."""
    return bool(read_mask(row["lungs"]).any())


def segmentation_counts(segmenter: Segmenter, rows: datasets.Dataset) -> np.ndarray:
    """Pixel counts of every mask on every row, at the images' own size.

    Returns:
        int64 (N, 2, 3): true positive, false positive and false negative pixels for each of `MASKS`; -1 where the row has no
        such mask.
    """
    counts = np.full((len(rows), len(MASKS), 3), -1, np.int64)
    for position, row in enumerate(tqdm(rows, desc="Segmenting")):
        drawn = {name: read_mask(row[column]) for name, column in MASK_COLUMNS.items() if row[column] is not None}
        if drawn:
            masks = segmenter(read_image(row["image"]))
            for name, truth in drawn.items():
                counts[position, MASKS.index(name)] = pixel_counts(getattr(masks, name), truth)
    return counts


def segmentation_results(counts: np.ndarray) -> dict[str, dict]:
    """Scores of each of `MASKS` from what `segmentation_counts` gives; rows without the mask take no part."""
    return {name: segmentation_scores(counts[counts[:, i, 0] >= 0, i]) for i, name in enumerate(MASKS)}


def class_probabilities(classifier, rows: datasets.Dataset, description: str = "Classifying") -> np.ndarray:
    """Probabilities, float64 (N, C), that a classifier gives for rows made by `outline_lungs`.

    Raises:
        NoLungs: if the classifier's view needs lungs and a row has none.
    """
    answers = [classifier(read_image(row["image"]), read_mask(row["lungs"])) for row in tqdm(rows, desc=description)]
    return np.array([[answer[label] for label in classifier.labels] for answer in answers])


def classification_results(probabilities: np.ndarray, references: list[int]) -> dict:
    """Scores of the most probable classes against the true ones."""
    return classification_scores(probabilities.argmax(axis=1), references, probabilities.shape[1])


def _png(mask: np.ndarray) -> dict:
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}
