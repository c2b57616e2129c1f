"""Rows of an X-ray data set: their columns, and their images and masks as arrays."""

import logging
from collections.abc import Callable

import datasets
import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F

from hub_models.models.labels import HEALTHY
from hub_models.xray.geometry import keep_detail, to_square
from hub_models.xray.images import read_image
from hub_models.xray.mask_pictures import read_mask, source
from hub_models.xray.masks import MASKS

logger = logging.getLogger(__name__)

IMAGE_COLUMNS = ("image", "lung_mask", "infection_mask")
TEXT_COLUMNS = ("file", "patient", "source", "finding", "caption", "doubt", "view", "sex", "age")
MASK_COLUMNS = dict(zip(MASKS, ("lung_mask", "infection_mask"), strict=True))
BOX_COLUMNS = dict(zip(MASKS, ("lung_boxes", "infection_boxes"), strict=True))
COLUMNS = (*IMAGE_COLUMNS, *BOX_COLUMNS.values(), "label", *TEXT_COLUMNS)
FEATURES = (
    {name: datasets.Image(decode=False) for name in IMAGE_COLUMNS}
    | {name: datasets.List(datasets.List(datasets.Value("float32"))) for name in BOX_COLUMNS.values()}
    | {name: datasets.Value("string") for name in TEXT_COLUMNS}
)
"""The type of every column but `label`; images stay as their files, for the one reader of training and page."""
# Pillow's readers raise these on damaged files; `ImageRefused` is a ValueError.
DAMAGE = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)


def undecoded(rows: datasets.Dataset) -> datasets.Dataset:
    """Return the rows with every image as `{"path", "bytes"}` or None, so that a loop over them decodes nothing."""
    for name in IMAGE_COLUMNS:
        rows = rows.cast_column(name, datasets.Image(decode=False))
    return rows


def read_picture(image: dict | Image.Image) -> np.ndarray:
    """Read an X-ray, decoded or not, as the page does: float32 (H, W) in 0..1."""
    return read_image(source(image) if isinstance(image, dict) else image)


def has_mask(row: dict) -> bool:
    """Return whether anybody drew a mask on this row."""
    return any(row[column] is not None for column in MASK_COLUMNS.values())


def has_boxes(row: dict) -> bool:
    """Return whether anybody drew a mask or boxes on this row."""
    return has_mask(row) or any(row[column] is not None for column in BOX_COLUMNS.values())


def has_known_mask(row: dict) -> bool:
    """Return whether a mask of this row is known: somebody drew one, or its class, a name, is the healthy one."""
    return has_mask(row) or row["label"] == HEALTHY


def is_scored(row: dict) -> bool:
    """Return whether outlines of this row can be scored: by a known mask, or by boxes around its infection."""
    return has_known_mask(row) or bool(row[BOX_COLUMNS["infection"]])


def positions(rows: datasets.Dataset, keep: Callable[[dict], bool]) -> list[int]:
    """Return the positions of the rows for which `keep` is true; it gets undecoded images, and the class as a name."""
    names = rows.features["label"].names
    return [i for i, row in enumerate(undecoded(rows)) if keep({**row, "label": names[row["label"]]})]


def class_names(rows: datasets.Dataset) -> list[str]:
    """Return the classes to learn: those of `targets`, of which an image may have several, or else of `label`."""
    targets = rows.features.get("targets")
    return (rows.features["label"] if targets is None else targets.feature).names


def true_classes(rows: datasets.Dataset | dict[str, list], classes: int | None = None) -> np.ndarray:
    """Return the true classes of rows, or of a batch of them.

    Args:
        rows: a data set or a batch with `targets` or `label`.
        classes: number of classes; needed for a batch with `targets`, which does not know its features.

    Returns:
        int64 (N,), class positions; for rows with `targets` float32 (N, C), 1 for each class that an image shows.
    """
    if "targets" not in (rows.column_names if isinstance(rows, datasets.Dataset) else rows):
        return np.array(rows["label"][:])
    targets = np.zeros((len(rows["targets"]), classes or len(class_names(rows))), np.float32)
    for target, positions_of_image in zip(targets, rows["targets"], strict=True):
        target[positions_of_image] = 1
    return targets


def drop_unreadable(rows: datasets.Dataset, strict: bool) -> datasets.Dataset:
    """Leave out the rows whose image and masks cannot all be read, or differ in size; logs their names and number.

    Raises:
        ValueError: with `strict`, at the first such row.
    """
    bad = []
    for position, row in enumerate(undecoded(rows)):
        reason = _unreadable(row)
        if reason and strict:
            raise ValueError(f"{reason} Mend or remove it, or run without --strict to skip it.")
        if reason:
            logger.warning("Skipped: %s", reason)
            bad.append(position)
    if not bad:
        return rows
    logger.warning("Skipped %d of %d images of the split %s.", len(bad), len(rows), rows.split)
    return rows.select(sorted(set(range(len(rows))) - set(bad)))


def _unreadable(row: dict) -> str | None:
    shape = None
    for name in IMAGE_COLUMNS:
        if row[name] is None:
            continue
        title = f"The {name.replace('_', ' ')} of {row['file']}"
        try:
            pixels = read_picture(row[name]) if name == "image" else read_mask(row[name])
        except DAMAGE as error:
            return f"{title} cannot be read: {error}"
        shape = shape or pixels.shape
        if pixels.shape != shape:
            return f"{title} is {pixels.shape[1]} x {pixels.shape[0]} pixels, but its image {shape[1]} x {shape[0]}."
    return None


def image_tensor(image: np.ndarray, size: int, detail: int | None = None) -> torch.Tensor:
    """Return an X-ray, float32 (H, W) in 0..1, as float32 (1, size, size): the square that models see, resized.

    `detail` is as in `keep_detail`.
    """
    grey = torch.from_numpy(keep_detail(to_square(image), detail))[None, None]
    return F.interpolate(grey, (size, size), mode="bilinear", antialias=True, align_corners=False)[0].clamp(0, 1)


def mask_tensor(mask: dict | Image.Image | None, size: int) -> torch.Tensor:
    """Return a mask as int8 (1, size, size): 1 inside, 0 outside; -1 everywhere if nobody drew it."""
    if mask is None:
        return torch.full((1, size, size), -1, dtype=torch.int8)
    values = torch.from_numpy(read_mask(mask)).float()[None, None]
    return (F.interpolate(values, (size, size), mode="area")[0] >= 0.5).to(torch.int8)
