"""The views of a segmented X-ray that a classifier may be shown."""

from typing import Literal, get_args

import numpy as np

View = Literal["lungs", "crop", "full"]
VIEWS: tuple[str, ...] = get_args(View)
"""lungs: cropped to the lungs, everything else black; crop: cropped to the lungs; full: the whole image."""

MARGIN = 0.04
"""Room left around the lungs by a crop, as a share of its side."""


class NoLungs(ValueError):
    """The view needs lungs, and none were outlined."""


def apply_view(image: np.ndarray, lungs: np.ndarray | None, view: View) -> np.ndarray:
    """Show an X-ray as a classifier sees it.

    Args:
        image: float32 (H, W) in 0..1.
        lungs: bool (H, W), the lungs' outline; unused by `full`.
        view: one of `VIEWS`.

    Returns:
        float32: (H, W) for `full`, else the smallest square (S, S) around the lungs plus a margin of `MARGIN` on each
        side, black where it reaches beyond the image, so that the lungs keep their proportions.

    Raises:
        NoLungs: if the view needs lungs and the mask is missing or empty.
        ValueError: if the view is not one of `VIEWS` or the mask's shape is not the image's.
    """
    if view not in VIEWS:
        raise ValueError(f"{view!r} is not a view; choose one of {', '.join(VIEWS)}.")
    if view == "full":
        return image
    if lungs is None or not lungs.any():
        raise NoLungs(f"No lungs were outlined, and the view {view!r} shows the lungs only.")
    if lungs.shape != image.shape:
        raise ValueError(f"The mask is {lungs.shape} and the image {image.shape}; they must have one shape.")
    return _crop_square(image * lungs if view == "lungs" else image, lungs)


def _crop_square(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    side = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
    side += 2 * round(MARGIN * side)
    top, left = (rows[0] + rows[-1] + 1 - side) // 2, (columns[0] + columns[-1] + 1 - side) // 2
    square = np.zeros((side, side), np.float32)
    inside = image[max(top, 0) : top + side, max(left, 0) : left + side]
    square[max(-top, 0) :, max(-left, 0) :][: inside.shape[0], : inside.shape[1]] = inside
    return square
