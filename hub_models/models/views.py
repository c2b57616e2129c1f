"""The views of an X-ray that classifiers may see: the usual ones, and controls."""

from collections.abc import Callable
from typing import Literal, get_args

import numpy as np

from hub_models.xray.geometry import area_means, keep_detail, mask_to_square, to_square

View = Literal["lungs", "crop", "full", "lungs_hidden", "box_hidden", "shape", "thumbnail"]
VIEWS: tuple[str, ...] = get_args(View)
"""lungs: cropped to the lungs, everything else black; crop: cropped to the lungs; full: the whole image.

The others are controls; they measure how much of a score comes from outside the lungs. lungs_hidden: the whole
image with the lungs black; box_hidden: with the box around the lungs black; shape: the outline of the lungs alone,
white on black, cropped like `lungs`; thumbnail: the whole image in `THUMBNAIL` x `THUMBNAIL` pixels."""

CROPPED = ("lungs", "crop", "shape")
"""The views that show a square around the lungs."""

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
        others the square of `crop_box`, black where it reaches beyond the image, so that the lungs keep their
        proportions.

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


def make_view(image: np.ndarray, lungs: np.ndarray | None, view: View, detail: int | None = None) -> np.ndarray:
    """Make a view of an X-ray of any size, float32 (H, W) in 0..1: `apply_view` at the size that all models see.

    The lungs may be of any size, too: bool, or None for a view that needs none. `detail` is as in `keep_detail`.
    Returns and raises what `apply_view` does.
    """
    square = keep_detail(to_square(image), detail)
    return apply_view(square, None if lungs is None else mask_to_square(lungs), view)


def crop_box(lungs: np.ndarray) -> tuple[int, int, int]:
    """Find the smallest square around the lungs, bool (H, W), plus a margin of `MARGIN` on each side.

    Returns:
        Top row, left column and side in pixels; it may reach beyond the image.
    """
    top, bottom, left, right = _bounds(lungs)
    side = max(bottom - top, right - left)
    side += 2 * round(MARGIN * side)
    return (top + bottom - side) // 2, (left + right - side) // 2, side


def view_box(lungs: np.ndarray, view: View, shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Top, left, bottom and right of a view in an X-ray of a shape (H, W); the box may reach beyond it."""
    if view not in CROPPED:
        return 0, 0, *shape
    top, left, side = crop_box(lungs)
    return top, left, top + side, left + side


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
    "lungs": lambda image, lungs: _crop(image * lungs, lungs),
    "crop": _crop,
    "lungs_hidden": lambda image, lungs: image * ~lungs,
    "box_hidden": _hide_box,
    "shape": lambda image, lungs: _crop(lungs, lungs),
}
