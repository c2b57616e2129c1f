"""The views of an X-ray that classifiers may see: the usual ones, and controls."""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import numpy as np
from PIL import Image
from scipy import ndimage

from hub_models.xray.geometry import SIDE, area_means, keep_detail, mask_to_square, to_square

View = Literal["soft_lungs", "lungs", "crop", "full", "lungs_hidden", "box_hidden", "shape", "thumbnail"]
VIEWS: tuple[str, ...] = get_args(View)
"""soft_lungs: cropped to the lungs, which fade into black at their outline; lungs: cropped to the lungs, everything
else black; crop: cropped to the lungs; full: the whole image.

A sharp outline changes by pixels when the same X-ray is stored otherwise, and networks see it. `soft_lungs` changes by
as little as the outline does: it has no edge, and its square follows from areas, not from the outermost pixels.

The others are controls; they measure how much of a score comes from outside the lungs. lungs_hidden: the whole
image with the lungs black; box_hidden: with the box around the lungs black; shape: the outline of the lungs alone,
white on black, cropped like `lungs`; thumbnail: the whole image in `THUMBNAIL` x `THUMBNAIL` pixels."""

CROPPED = ("soft_lungs", "lungs", "crop", "shape")
"""The views that show a square around the lungs."""

FADE = 2.0
"""Standard deviation of the blur over the outline of `soft_lungs`, in pixels of an X-ray of SIDE x SIDE."""

TAIL, STRETCH = 0.02, 1.12
"""Share of the lungs' area beyond each side of the box whose size, times `STRETCH`, is that of the box around them (the
median of 77 outlines)."""

MARGIN = 0.04
"""Room left around the lungs by a crop, as a share of its side."""

THUMBNAIL = 32
"""Side of the view `thumbnail`, in pixels."""


class NoLungs(ValueError):
    """A view needs lungs, and none were outlined."""


def apply_view(image: np.ndarray, lungs: np.ndarray | None, view: View) -> np.ndarray:
    """Make a view of an X-ray.

    Args:
        image: float32 (H, W) in 0..1.
        lungs: bool (H, W), the lungs' outline; unused by `full` and `thumbnail`.
        view: one of `VIEWS`.

    Returns:
        float32 in 0..1: (H, W) for `full` and where something is hidden, a small square for `thumbnail`, and for the
        others a square around the lungs (of SIDE pixels for `soft_lungs`, else as large as it is in the image), black
        where it reaches beyond the image, so that the lungs keep their proportions.

    Raises:
        NoLungs: if the view needs lungs and the mask is missing or empty.
        ValueError: if the view is not one of `VIEWS` or the mask's shape is not the image's.
    """
    if view not in VIEWS:
        raise ValueError(f"{view!r} is not a view; choose one of {', '.join(VIEWS)}.")
    if view == "full":
        return image
    if view == "thumbnail":
        return area_means(image, THUMBNAIL)
    if lungs is None or not lungs.any():
        raise NoLungs(f"No lungs were outlined, and the view {view!r} needs them.")
    if lungs.shape != image.shape:
        raise ValueError(f"The mask is {lungs.shape} and the image {image.shape}; they must have one shape.")
    return _OF_LUNGS[view](image, lungs)


def make_views(
    image: np.ndarray,
    lungs: np.ndarray | None,
    view: View,
    detail: int | None = None,
    widened_by: Sequence[int] = (0,),
) -> list[np.ndarray]:
    """Make the views of an X-ray of any size whose answers a classifier averages, each as `look` makes it.

    Args:
        image: float32 (H, W) in 0..1.
        lungs: their outline, bool of any size, too; None for a view that needs none.
        view: one of `VIEWS`.
        detail: as in `keep_detail`.
        widened_by: pixels by which the outline is widened in each view.
    """
    square = keep_detail(to_square(image), detail)
    outline = None if lungs is None else mask_to_square(lungs)
    return [look(square, outline, view, pixels) for pixels in widened_by]


def look(square: np.ndarray, lungs: np.ndarray | None, view: View, widened_by: int) -> np.ndarray:
    """Make a view of an X-ray, the outline of its lungs a bit wider; returns and raises what `apply_view` does.

    Where an outline runs differs by a pixel or two when the same X-ray is stored otherwise; the mean of the answers to
    several such views differs less.

    Args:
        square: float32 (SIDE, SIDE) in 0..1.
        lungs: bool (SIDE, SIDE), or None for a view that needs none.
        view: one of `VIEWS`.
        widened_by: pixels by which the outline is widened.
    """
    wider = lungs if lungs is None or not widened_by else ndimage.binary_dilation(lungs, iterations=widened_by)
    return apply_view(square, wider, view)


def crop_box(lungs: np.ndarray) -> tuple[int, int, int]:
    """Find the smallest square around the lungs, bool (H, W), plus a margin of `MARGIN` on each side.

    Returns:
        Top row, left column and side in pixels; it may reach beyond the image.
    """
    top, bottom, left, right = _bounds(lungs)
    side = max(bottom - top, right - left)
    side += 2 * round(MARGIN * side)
    return (top + bottom - side) // 2, (left + right - side) // 2, side


def soft_crop_box(surely: np.ndarray) -> tuple[float, float, float]:
    """Find the square that `soft_lungs` shows of lungs, float32 (H, W) in 0..1, some of it above 0.

    Returns:
        Top, left and side in pixels, and parts of pixels.
    """
    (top, bottom), (left, right) = (_middle(surely.sum(axis=axis)) for axis in (1, 0))
    side = (1 + 2 * MARGIN) * STRETCH * max(bottom - top, right - left)
    return (top + bottom - side) / 2, (left + right - side) / 2, side


def _middle(areas: np.ndarray) -> tuple[float, float]:
    """The two places, in pixels, beyond which `TAIL` of the areas of some rows or columns lies."""
    shares = np.cumsum(np.concatenate([[0], areas])) / areas.sum()
    start, end = np.interp([TAIL, 1 - TAIL], shares, np.arange(len(shares)))
    return float(start), float(end)


def view_box(lungs: np.ndarray, view: View, shape: tuple[int, int]) -> tuple[float, float, float, float]:
    """Top, left, bottom and right of a view in an X-ray of a shape (H, W); the box may reach beyond it."""
    if view not in CROPPED:
        return 0, 0, *shape
    top, left, side = soft_crop_box(_faded(lungs)) if view == "soft_lungs" else crop_box(lungs)
    return top, left, top + side, left + side


def _faded(lungs: np.ndarray) -> np.ndarray:
    """Lungs, bool (H, W), as float32 (H, W) in 0..1 that fade at their outline."""
    return ndimage.gaussian_filter(lungs.astype(np.float32), FADE)


def _soft_lungs(image: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    surely = _faded(lungs)
    top, left, side = soft_crop_box(surely)
    beyond = max(0, -top, -left, top + side - image.shape[0], left + side - image.shape[1])
    margin = int(np.ceil(beyond))
    wide = Image.fromarray(np.pad(image * surely, margin))
    box = left + margin, top + margin, left + side + margin, top + side + margin
    return np.asarray(wide.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box)).clip(0, 1)


def _bounds(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _crop(image: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    top, left, side = crop_box(lungs)
    square = np.zeros((side, side), np.float32)
    inside = image[max(top, 0) : top + side, max(left, 0) : left + side]
    square[max(-top, 0) :, max(-left, 0) :][: inside.shape[0], : inside.shape[1]] = inside
    return square


def _hide_box(image: np.ndarray, lungs: np.ndarray) -> np.ndarray:
    top, bottom, left, right = _bounds(lungs)
    hidden = image.copy()
    hidden[top:bottom, left:right] = 0
    return hidden


_OF_LUNGS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "soft_lungs": _soft_lungs,
    "lungs": lambda image, lungs: _crop(image * lungs, lungs),
    "crop": _crop,
    "lungs_hidden": lambda image, lungs: image * ~lungs,
    "box_hidden": _hide_box,
    "shape": lambda image, lungs: _crop(lungs, lungs),
}
