"""The form of the outlined lungs as numbers: two lungs beside a midline, or something else."""

import numpy as np
from PIL import Image

from hub_models.xray.geometry import area_means

GRID = 16
"""Side of the grid that the lungs are drawn into, whatever their place and size."""

FORM = GRID * GRID + 6
"""Length of `lung_form`."""

_COARSE = 64  # finer detail is left out, so that the numbers do not depend on the network's size


def lung_form(lungs: np.ndarray) -> np.ndarray:
    """Describe the lungs of a picture by their form, place and size, and by the gap between them.

    Args:
        lungs: float32 (S, S), the probability of lungs.

    Returns:
        float32 (FORM,): the smallest box around the lungs as GRID x GRID probabilities, row by row; the box's centre
        (y, x), height and width as shares of the picture, and half the width over the height; and `gap`. All 0 where
        there are no lungs.
    """
    coarse = area_means(lungs, _COARSE)
    rows, columns = (np.flatnonzero((coarse > 0.5).any(axis=axis)) for axis in (1, 0))
    if not rows.size:
        return np.zeros(FORM, np.float32)
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    box = Image.fromarray(np.ascontiguousarray(coarse[top:bottom, left:right]))
    grid = np.asarray(box.resize((GRID, GRID), Image.Resampling.BILINEAR))
    height, width = bottom - top, right - left
    place = [(top + bottom) / 2, (left + right) / 2, height, width]
    return np.float32([*grid.ravel(), *np.divide(place, _COARSE), width / height / 2, gap(grid)])


def gap(grid: np.ndarray) -> float:
    """Measure how clearly two lungs are apart, 0..1: the mean over the rows, float32 (GRID, GRID) of probabilities.

    A row counts by how much higher the lungs are on both sides than at the lowest point of the middle. A frontal
    view has about 0.75; a view from the side, where the lungs lie over each other, and one lung alone are near 0.
    """
    third = GRID // 3
    left, middle, right = grid[:, :third], grid[:, third:-third], grid[:, -third:]
    both = np.minimum(left.max(axis=1), right.max(axis=1))
    return float(np.clip(both - middle.min(axis=1), 0, None).mean())
