"""Boxes drawn around infection against the outline of a UNet: how many of them are hit."""

import numpy as np

from train.data.boxes import Boxes, component_boxes

HIT_IOU = 0.3
"""IoU from which the box around a connected part of the outline hits a drawn box; one of the thresholds at which Wang
et al. (ChestX-ray8, 2017) compare the boxes of a heat map with those of radiologists."""


def count_hits(outline: np.ndarray, boxes: Boxes, shape: tuple[int, int]) -> int:
    """Count the drawn boxes that an outline hits.

    A box is hit if its centre lies inside the outline, or if it overlaps the box around a connected part of the outline
    (one of `component_boxes`, which leaves out specks) with an IoU of at least `HIT_IOU`.

    Args:
        outline: bool (h, w), the outlined infection.
        boxes: the drawn boxes, x0, y0, x1, y1 in pixels of the image.
        shape: height and width of the image in pixels; the outline shows the whole image at its own size.
    """
    if not boxes or not outline.any():
        return 0
    drawn = np.array(boxes, np.float64) * np.tile([outline.shape[1] / shape[1], outline.shape[0] / shape[0]], 2)
    centres = np.floor((drawn[:, :2] + drawn[:, 2:]) / 2).astype(int)
    inside = ((centres >= 0) & (centres < outline.shape[::-1])).all(axis=1)
    inside[inside] = outline[centres[inside, 1], centres[inside, 0]]
    overlapping = box_iou(drawn, np.array(component_boxes(outline))).max(axis=1) >= HIT_IOU
    return int((inside | overlapping).sum())


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the IoU of every box of one array with every box of another.

    Args:
        first: float (N, 4), x0, y0, x1, y1.
        second: float (M, 4), each with an area above 0.

    Returns:
        float64 (N, M) in 0..1.
    """
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = (high - low).clip(min=0).prod(axis=-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).clip(min=0).prod(axis=-1) for boxes in (first, second)]
    return shared / (areas[0][:, None] + areas[1][None] - shared)


def score_boxes(hits: np.ndarray, boxes: np.ndarray) -> dict[str, float | int]:
    """Return the share of the drawn boxes that are hit, all images together.

    Args:
        hits: int (N,), boxes hit on each image.
        boxes: int (N,), boxes drawn on each image, at least one.

    Returns:
        images, boxes and share_hit.
    """
    return {"images": len(boxes), "boxes": int(boxes.sum()), "share_hit": float(hits.sum() / boxes.sum())}
