"""The anatomy of a lung mask: cleaned, split into right and left, and measured."""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

SMALLEST_PART = 0.1
"""A part of a lung mask smaller than this share of the largest part is taken for a speck and dropped."""


@dataclass(frozen=True)
class Involvement:
    """Infected share, 0..1, of the patient's right lung, left lung and both; None where no such lung was found."""

    right: float | None
    left: float | None
    both: float | None


def clean_lungs(mask: np.ndarray) -> np.ndarray:
    """Fill the holes of a lung mask and drop its specks.

    Args:
        mask: bool (H, W).

    Returns:
        bool (H, W): holes filled; parts under `SMALLEST_PART` of the largest part removed.
    """
    parts, count = ndimage.label(ndimage.binary_fill_holes(mask))
    if count == 0:
        return np.zeros_like(mask)
    areas = np.bincount(parts.ravel())
    areas[0] = 0
    return np.isin(parts, np.flatnonzero(areas >= max(1, SMALLEST_PART * areas.max())))


def split_lungs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split a lung mask into the patient's right and left lung.

    A frontal X-ray is read face to face: the patient's right lung is on the image's left. Each part of the mask goes to
    the side its centre lies on, seen from the middle of the mask's extent; a part that reaches across the middle by
    more than a tenth of its area on both sides (lungs that touch) is cut there. A single part that lies in one half of
    the image is one lung.

    Args:
        mask: bool (H, W).

    Returns:
        (right, left), each bool (H, W).
    """
    columns = np.flatnonzero(mask.any(axis=0))
    right = np.zeros_like(mask)
    if columns.size == 0:
        return right, right.copy()
    parts, count = ndimage.label(mask)
    middle = mask.shape[1] // 2
    if count > 1 or 0.1 <= mask[:, :middle].sum() / mask.sum() <= 0.9:
        middle = (columns[0] + columns[-1] + 1) // 2
    for part in range(1, count + 1):
        here = parts == part
        share = here[:, :middle].sum() / here.sum()
        if share > 0.9:
            right |= here
        elif share >= 0.1:
            right[:, :middle] |= here[:, :middle]
    return right, mask & ~right


def measure_involvement(lungs: np.ndarray, infection: np.ndarray) -> Involvement:
    """Share of each lung's area that the infection mask covers; infection outside the lungs does not count.

    Args:
        lungs: bool (H, W).
        infection: bool (H, W).
    """

    def share(lung: np.ndarray) -> float | None:
        area = int(lung.sum())
        return float((infection & lung).sum() / area) if area else None

    right, left = split_lungs(lungs)
    return Involvement(share(right), share(left), share(lungs))
