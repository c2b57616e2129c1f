"""Small data sets drawn in memory, and a segmenter whose answers are known."""

from collections.abc import Callable, Sequence

import datasets
import numpy as np
from PIL import Image

from hub_models.models.labels import LABELS
from hub_models.models.unet import Masks
from hub_models.xray.masks import MASKS
from tests.support import tiny_models
from train.data.rows import COLUMNS, FEATURES, MASK_COLUMNS


def dataset(*rows: dict, classes: Sequence[str] = LABELS) -> datasets.Dataset:
    """Rows of a test split: of each what is given, `label` as a name, masks as bool (H, W); `side` draws the image."""
    features = datasets.Features(FEATURES | {"label": datasets.ClassLabel(names=list(classes))})
    whole = []
    for number, row in enumerate(rows):
        image = Image.fromarray(tiny_models.draw_xray(number, row["side"]).image)
        masks = {name: Image.fromarray(row[name]) for name in MASK_COLUMNS.values() if row.get(name) is not None}
        whole.append({**dict.fromkeys(COLUMNS), "file": f"{number}.png", **row, "image": image, **masks})
    columns = {name: [row[name] for row in whole] for name in COLUMNS}
    return datasets.Dataset.from_dict(columns, features=features, split="test")


def rectangle(side: int, columns: slice = slice(None), rows: slice = slice(None)) -> np.ndarray:
    """A mask, bool (side, side), that is True there."""
    mask = np.zeros((side, side), bool)
    mask[rows, columns] = True
    return mask


class Known:
    """A stand-in for `Segmenter`, whose probabilities are what `answer` gives for the shape of an image.

    Its masks are the pixels from the thresholds up; nothing is mended.
    """

    def __init__(self, answer: Callable[[tuple[int, int]], np.ndarray]) -> None:
        self.answer = answer
        self.thresholds = dict.fromkeys(MASKS, 0.5)

    def probability_maps(self, images: list[np.ndarray]) -> list[np.ndarray]:
        return [self.answer(image.shape).astype(np.float32) for image in images]

    def masks(self, maps: np.ndarray, thresholds: dict[str, float] | None = None) -> Masks:
        thresholds = thresholds or self.thresholds
        return Masks(*(found >= thresholds[name] for found, name in zip(maps, MASKS, strict=True)))


def halves(blind: int | None = None) -> Known:
    """Lungs on the left half, infection on the top quarter; nothing at images `blind` pixels high."""

    def answer(shape: tuple[int, int]) -> np.ndarray:
        maps = np.zeros((2, *shape))
        if shape[0] != blind:
            maps[0, :, : shape[1] // 2] = maps[1, : shape[0] // 4] = 1
        return maps

    return Known(answer)
