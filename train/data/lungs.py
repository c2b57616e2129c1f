"""The lungs of a data set's X-rays, as a UNet outlines them."""

import io
import logging

import datasets
import numpy as np
from datasets.fingerprint import generate_random_fingerprint
from PIL import Image

from hub_models.checkpoints.resolve import resolve
from hub_models.models.unet import Segmenter
from hub_models.xray.images import read_image
from train.data.arguments import ClassifierArguments
from train.data.rows import read_mask

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


def png(mask: np.ndarray) -> dict:
    """A mask, bool (H, W), as an image column stores it."""
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def segment_splits(splits: datasets.DatasetDict, arguments: ClassifierArguments, seed: int) -> datasets.DatasetDict:
    """The splits as a classifier learns from them: with the lungs as the UNet outlines them, where they have none yet.

    Rows without lungs stay in "test" only, where they count as wrong.

    Args:
        seed: of the permutation, where the training labels are to be permuted.
    """
    if not all("lungs" in rows.column_names for rows in splits.values()):
        segmenter = Segmenter.from_pretrained(resolve("unet", arguments.unet).folder)
        splits = {name: outline_lungs(rows, segmenter) for name, rows in splits.items()}
    splits = datasets.DatasetDict(
        {name: rows if name == "test" else drop_without_lungs(rows) for name, rows in splits.items()}
    )
    if arguments.permute_labels:
        splits["train"] = permuted(splits["train"], seed)
    return splits


def permuted(rows: datasets.Dataset, seed: int) -> datasets.Dataset:
    """The same rows, their classes dealt out anew at random, each as often as before."""
    dealt = np.random.default_rng(seed).permutation(rows["label"])
    return rows.remove_columns("label").add_column("label", dealt.tolist(), feature=rows.features["label"])
