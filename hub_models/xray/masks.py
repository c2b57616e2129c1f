"""The masks of a chest X-ray: cleaned, the lungs split into right and left, the infected shares measured."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy import ndimage

from hub_models.xray.geometry import INSIDE, mask_to_shape

SMALLEST_PART = 0.1
"""A part of a lung mask smaller than this share of the largest part is taken for a speck and dropped."""


SPECK = 0.002
"""A part or a hole of an infection mask smaller than this share of the lungs' area is taken for a speck."""


@dataclass(frozen=True)
class Masks:
    """The outlines of the UNet on one X-ray.

    Attributes:
        lungs: bool (H, W).
        infection: bool (H, W).
        strangeness: how unlike a frontal chest X-ray the picture is, refused from 1 up
            (`hub_models.models.plausibility`); None if the UNet was not taught to tell.
        smooth: uint8 (2, H, W), how surely a pixel belongs to each of `MASKS`, inside from 128 up, from which `at`
            draws smooth outlines; None where only the masks are known.
    """

    lungs: np.ndarray
    infection: np.ndarray
    strangeness: float | None = None
    smooth: np.ndarray | None = None

    @classmethod
    def of(cls, probabilities: np.ndarray, thresholds: dict[str, float], smooth: bool = True) -> "Masks":
        """Make masks of a UNet's probabilities, mended.

        Args:
            probabilities: float32 (2, H, W) in 0..1, of each of `MASKS`.
            thresholds: the probability from which a pixel belongs to a mask, in 0..1, for each of `MASKS`.
            smooth: whether to keep what smooth outlines are drawn from.
        """
        lungs, infection = (channel >= thresholds[name] for channel, name in zip(probabilities, MASKS, strict=True))
        lungs = clean_lungs(lungs)
        infection = clean_infection(infection, lungs)
        return cls(lungs, infection, smooth=_certainty(probabilities, thresholds, lungs, infection) if smooth else None)

    def at(self, shape: tuple[int, int]) -> "Masks":
        """Draw the masks at another size (h, w)."""
        if shape == self.lungs.shape:
            return self
        surely = (self.lungs, self.infection) if self.smooth is None else self.smooth
        return Masks(*(mask_to_shape(mask, shape) for mask in surely), self.strangeness)

    @property
    def strange(self) -> bool:
        """Whether the picture is said to be no frontal chest X-ray."""
        return self.strangeness is not None and self.strangeness >= 1


def _certainty(
    probabilities: np.ndarray, thresholds: dict[str, float], lungs: np.ndarray, infection: np.ndarray
) -> np.ndarray:
    """Say how surely each pixel is inside, as in `Masks.smooth`: half at its threshold, on the side where it is."""
    bounds = np.float32([thresholds[name] for name in MASKS])[:, None, None]
    below, above = probabilities / bounds, 1 + (probabilities - bounds) / np.maximum(1 - bounds, 1e-6)
    smooth = (INSIDE * np.where(probabilities < bounds, below, above)).clip(0, 255).astype(np.uint8)
    inside = np.stack([lungs, infection])
    return np.where(inside, np.maximum(smooth, INSIDE), np.minimum(smooth, INSIDE - 1))


SIDES = ("right", "left", "both")


@dataclass(frozen=True)
class Involvement:
    """Infected share, 0..1, of the patient's right lung, left lung and both; None where no such lung was found.

    Attributes:
        ranges: side -> lowest and highest share on several views of the same X-ray, that of the X-ray itself among
            them; empty where it was measured once.
    """

    right: float | None
    left: float | None
    both: float | None
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def shares(self) -> dict[str, float | None]:
        """Side -> share."""
        return {side: getattr(self, side) for side in SIDES}

    def with_views(self, views: Sequence["Involvement"]) -> "Involvement":
        """Add the ranges over this and other views; a side that is not found on a view is left out of it."""
        several = {side: [getattr(each, side) for each in (self, *views)] for side in SIDES}
        found = {side: [share for share in shares if share is not None] for side, shares in several.items()}
        ranges = {side: (min(shares), max(shares)) for side, shares in found.items() if getattr(self, side) is not None}
        return replace(self, ranges=ranges)


NOT_MEASURED = Involvement(None, None, None)


def clean_lungs(mask: np.ndarray) -> np.ndarray:
    """Fill the holes of a lung mask and drop its specks.

    Args:
        mask: bool (H, W).

    Returns:
        bool (H, W): holes filled; parts under `SMALLEST_PART` of the largest part removed.
    """
    parts, count = ndimage.label(_without_holes(mask))
    if count == 0:
        return np.zeros_like(mask)
    areas = np.bincount(parts.ravel())
    areas[0] = 0
    return np.take(areas >= max(1, SMALLEST_PART * areas.max()), parts)


def _without_holes(mask: np.ndarray) -> np.ndarray:
    """Fill holes as scipy.ndimage.binary_fill_holes does, several times sooner: all that the border does not reach."""
    parts, count = ndimage.label(~mask)
    outside = np.zeros(count + 1, bool)
    for edge in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        outside[edge] = True
    outside[0] = False  # the mask itself
    return ~np.take(outside, parts)


def clean_infection(mask: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    """Take the part of an infection mask that lies in the lungs, drop its specks and fill its small holes.

    Args:
        mask: bool (H, W).
        lungs: bool (H, W), cleaned.

    Returns:
        bool (H, W), nowhere outside the lungs: parts, and then holes, under `SPECK` of the lungs' area are gone.
    """
    smallest, inside = SPECK * np.count_nonzero(lungs), mask & lungs
    if not inside.any():
        return inside
    whole = _without_small_parts(inside, smallest)
    return ~_without_small_parts(~whole, smallest) & lungs


def _without_small_parts(mask: np.ndarray, smallest: float) -> np.ndarray:
    parts, _ = ndimage.label(mask)
    areas = np.bincount(parts.ravel())
    return mask & np.take(areas >= smallest, parts)


@dataclass(frozen=True)
class Agreement:
    """How far a mask agrees with another one: `dice` and `iou`, 0..1, both 1 if both are blank."""

    dice: float
    iou: float

    @classmethod
    def of(cls, one: np.ndarray, other: np.ndarray) -> "Agreement":
        """Compare two masks, bool (H, W)."""
        both, either = np.count_nonzero(one & other), np.count_nonzero(one | other)
        return cls(2 * both / (both + either), both / either) if either else cls(1.0, 1.0)


def grade_extent(share: float | None) -> int | None:
    """Grade the infected share of one lung, 0..1, from 0 to 4; None for a lung that was not found.

    The extent score of Wong et al. (Radiology 296, 2020; after the RALE score of Warren et al., Thorax 73, 2018): 0 for
    none, 1 for under 25 %, 2 for 25 to 50 %, 3 for 50 to 75 %, 4 for more. A reader grades what they see; here it is
    the share of the outlined pixels.
    """
    if share is None:
        return None
    return 0 if share == 0 else 1 + sum(share >= bound for bound in (0.25, 0.5, 0.75))


def split_lungs(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split a lung mask into the patient's right and left lung.

    A frontal X-ray is read face to face: the patient's right lung is on the image's left. Each part of the mask goes to
    the side its centre lies on, seen from the middle of the mask's extent; a part that reaches across the middle by
    more than a tenth of its area on both sides (lungs that touch) is cut in the column where it is lowest, in the
    middle third of the extent and as close to the middle as can be. A single part that lies in one half of the image is
    one lung.

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
    if count > 1 or 0.1 <= np.count_nonzero(mask[:, :middle]) / np.count_nonzero(mask) <= 0.9:
        middle = (columns[0] + columns[-1] + 1) // 2
    for part in range(1, count + 1):
        here = parts == part
        share = np.count_nonzero(here[:, :middle]) / np.count_nonzero(here)
        if share > 0.9:
            right |= here
        elif share >= 0.1:
            cut = _waist(here, columns[0], columns[-1] + 1)
            right[:, :cut] |= here[:, :cut]
    return right, mask & ~right


def _waist(part: np.ndarray, start: int, end: int) -> int:
    """Column in the middle third of start..end where the part is lowest; of several, the one closest to the middle."""
    middle, third = (start + end) // 2, max(1, (end - start) // 6)
    near = sorted(range(middle - third, middle + third + 1), key=lambda column: abs(column - middle))
    heights = part[:, near].sum(axis=0)
    return near[int(heights.argmin())]


def measure_involvement(lungs: np.ndarray, infection: np.ndarray) -> Involvement:
    """Share of each lung's area that the infection mask covers; infection outside the lungs does not count.

    Args:
        lungs: bool (H, W).
        infection: bool (H, W).
    """

    def share(lung: np.ndarray) -> float | None:
        area = np.count_nonzero(lung)
        return float(np.count_nonzero(infection & lung) / area) if area else None

    right, left = split_lungs(lungs)
    return Involvement(share(right), share(left), share(lungs))


MASKS = ("lungs", "infection")
"""Output channels of the UNet, in order."""
