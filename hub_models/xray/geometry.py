"""One geometry for training, measuring and answering: every X-ray is brought to one size before a model sees it."""

from functools import lru_cache

import numpy as np
from PIL import Image

SIDE = 256
"""Side of the square that models, masks and shares are made in, in pixels."""

DETAIL = 192
"""Side of the square whose detail newly trained models see, in pixels. Finer detail is the first to change when the
same X-ray is stored in another size or compressed, and a model that sees it then answers otherwise. A checkpoint holds
the `detail` that it was trained with; one that holds none sees the whole square."""

INSIDE = 128
"""The value from which a pixel is inside, of how surely it is, 0..255."""


def to_square(image: np.ndarray) -> np.ndarray:
    """Bring an X-ray to the models' size.

    Args:
        image: float32 (H, W) in 0..1, of any size.

    Returns:
        float32 (SIDE, SIDE) in 0..1, bicubic and antialiased; an image of that size is returned as it is. The whole
        picture is kept, its proportions are not.
    """
    return _resized(image, SIDE)


def keep_detail(square: np.ndarray, detail: int | None) -> np.ndarray:
    """Take out of a square, float32 (SIDE, SIDE) in 0..1, the detail that `detail` x `detail` pixels do not hold.

    Returns:
        float32 (SIDE, SIDE) in 0..1; the square itself without a `detail`.
    """
    return square if detail is None else _resized(_resized(square, detail), SIDE)


def _resized(image: np.ndarray, side: int) -> np.ndarray:
    if image.shape == (side, side):
        return image
    picture = Image.fromarray(np.ascontiguousarray(image, np.float32))
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC, reducing_gap=3.0)).clip(0, 1)


def mask_to_square(mask: np.ndarray) -> np.ndarray:
    """Bring a mask, bool (H, W), to the models' size, bool (SIDE, SIDE): what is covered at least by half is inside."""
    return mask_to_shape(mask, (SIDE, SIDE))


def mask_to_shape(mask: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Bring a mask to another shape.

    Args:
        mask: bool (H, W), or how surely a pixel is inside, uint8 (H, W), where `INSIDE` and more is inside.
        shape: (h, w).

    Returns:
        bool (h, w), from values between the pixels (bilinear), or their mean where the mask is made smaller.
    """
    surely = mask.astype(np.uint8) * 255 if mask.dtype == bool else mask
    if mask.shape != shape:
        surely = np.asarray(Image.fromarray(surely).resize(shape[::-1], Image.Resampling.BILINEAR))
    return surely >= INSIDE


def area_means(image: np.ndarray, side: int) -> np.ndarray:
    """Reduce a picture, float32 (H, W), to float32 (side, side): each value is the mean of the pixels that it meets."""
    rows, columns = (_meets(length, side) for length in image.shape)
    return rows @ image @ columns.T


@lru_cache(maxsize=16)
def _meets(length: int, cells: int) -> np.ndarray:
    """Matrix, float32 (cells, length), whose rows average the pixels that each cell meets."""
    edges = np.arange(cells + 1) * length
    first, last = edges[:-1] // cells, -(-edges[1:] // cells)
    inside = (np.arange(length) >= first[:, None]) & (np.arange(length) < last[:, None])
    return np.float32(inside / inside.sum(axis=1, keepdims=True))
