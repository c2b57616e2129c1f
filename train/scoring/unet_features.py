"""The features by which a UNet tells X-rays from other pictures, of many images."""

from collections.abc import Iterable, Iterator
from itertools import islice

import datasets
import numpy as np
from tqdm.auto import tqdm

from hub_models.models.unet import Segmenter
from train.data.lungs import BATCH_IMAGES
from train.data.rows import read_picture


def features_of(segmenter: Segmenter, images: Iterable[np.ndarray], count: int, title: str) -> np.ndarray:
    """Look at images, float32 (H, W) in 0..1 each; returns features float32 (count, D)."""
    left = iter(images)
    steps = tqdm(range(-(-count // BATCH_IMAGES)), desc=title)
    return np.concatenate([segmenter.probabilities_and_features(list(islice(left, BATCH_IMAGES)))[1] for _ in steps])


def opened(rows: datasets.Dataset) -> Iterator[np.ndarray]:
    """The images of rows, float32 (H, W) in 0..1 each."""
    return (read_picture(row["image"]) for row in rows)
