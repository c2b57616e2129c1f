"""Lungs of a data set's X-rays, as a UNet outlines them."""

import io
import logging
from pathlib import Path

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

BATCH_IMAGES = 16


def outline_lungs(rows: datasets.Dataset, segmenter: Segmenter) -> datasets.Dataset:
    """Return the rows with a column `lungs`: the lungs as the UNet outlines them, blank where it finds none."""

    def outline(batch: dict) -> dict:
        probabilities = segmenter.probability_maps([read_image(image) for image in batch["image"]])
        return {"lungs": [png(segmenter.masks(maps).lungs) for maps in probabilities]}

    features = datasets.Features({**rows.features, "lungs": datasets.Image()})
    fingerprint = generate_random_fingerprint()  # a network has no hash by which its outlines could be cached
    return rows.map(
        outline,
        batched=True,
        batch_size=BATCH_IMAGES,
        features=features,
        new_fingerprint=fingerprint,
        desc="Outlining the lungs",
    )


def drop_without_lungs(rows: datasets.Dataset) -> datasets.Dataset:
    """Leave out the rows of `outline_lungs` that have no lungs; logs how many those are."""
    with_lungs = [position for position, lungs in enumerate(rows["lungs"]) if read_mask(lungs).any()]
    if len(with_lungs) < len(rows):
        logger.warning("No lungs found on %d of %d images of %s.", len(rows) - len(with_lungs), len(rows), rows.split)
    return rows.select(with_lungs)


def png(mask: np.ndarray) -> dict:
    """Encode a mask, bool (H, W), as an image column stores it."""
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def segment_splits(splits: datasets.DatasetDict, arguments: ClassifierArguments, seed: int) -> datasets.DatasetDict:
    """Outline the lungs of splits that have none yet, and leave out the rows without lungs.

    Rows without lungs stay in "test", where they count as wrong.

    Args:
        splits: the data set.
        arguments: the UNet, and whether to permute the classes of the training rows.
        seed: the seed of that permutation.
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


def save_outlined(dataset: datasets.DatasetDict, unet: str | None, folder: Path) -> Path:
    """Save a data set with its lungs outlined in `folder/outlined`, unless it is there; returns that folder."""
    saved = folder / "outlined"
    if not (saved / "dataset_dict.json").is_file() or not all((saved / split).is_dir() for split in dataset):
        segmenter = Segmenter.from_pretrained(resolve("unet", unet).folder)
        outlined = {split: outline_lungs(rows, segmenter) for split, rows in dataset.items()}
        datasets.DatasetDict(outlined).save_to_disk(saved)
    return saved


def permuted(rows: datasets.Dataset, seed: int) -> datasets.Dataset:
    """Permute the classes of the rows at random, so that each is as frequent as before."""
    labels = np.random.default_rng(seed).permutation(rows["label"])
    return rows.remove_columns("label").add_column("label", labels.tolist(), feature=rows.features["label"])
