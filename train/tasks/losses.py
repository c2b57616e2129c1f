"""Losses of a UNet's answer to one mask: where the mask was drawn, and where only boxes were drawn."""

from collections.abc import Callable

import torch
from segmentation_models_pytorch.losses import DiceLoss, FocalLoss, TverskyLoss
from torch import nn
from torch.nn import functional as F

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

LOSSES: dict[str, Callable[[], tuple[Loss, ...]]] = {
    "dice_bce": lambda: (DiceLoss("binary"), F.binary_cross_entropy_with_logits),
    "tversky_bce": lambda: (TverskyLoss("binary", alpha=0.3, beta=0.7), F.binary_cross_entropy_with_logits),
    "dice_focal": lambda: (DiceLoss("binary"), FocalLoss("binary", gamma=2.0)),
    "bce": lambda: (F.binary_cross_entropy_with_logits,),
}
"""Name -> losses that are added up: an overlap loss over the batch and a loss per pixel. Dice: Milletari et al. 2016;
Tversky, which here punishes a missed pixel more than a surplus one: Salehi et al. 2017; focal: Lin et al. 2017."""

ALIKE_DIFFERENCE = 0.04
"""Two pixels whose brightness, 0..1, differs by less than this are expected to be both inside or both outside."""


class OutlineLoss(nn.Module):
    """One of `LOSSES`, of logits against masks that somebody drew."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.losses = LOSSES[name]()

    def forward(self, logits: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Return a scalar of logits float32 (N, S, S) and masks float32 (N, S, S) of 0 and 1."""
        return sum(loss(logits[:, None], masks[:, None]) for loss in self.losses)


class BoxLoss(nn.Module):
    """Loss of logits against a mask of which only the boxes around its components are known. It adds up four terms:

    - nothing is inside the mask outside the boxes (cross-entropy);
    - the prediction in a box, projected onto either axis by its maximum, fills the box: the box is tight. Projection as
      in BoxInst (Tian et al., CVPR 2021) and, as "mask to box", in WeakPolyp (Wei et al., MICCAI 2023);
    - a component takes between a least and a greatest share of its box (size constraint: Kervadec et al., MIDL 2020);
    - neighbours of like brightness are on the same side of the outline (pairwise affinity: BoxInst).

    Args:
        fill: least and greatest share of its box that a component is expected to take.
    """

    def __init__(self, fill: tuple[float, float]) -> None:
        super().__init__()
        self.fill = fill

    def forward(self, logits: torch.Tensor, boxes: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
        """Return a scalar, the mean over the images.

        Args:
            logits: float32 (N, S, S).
            boxes: float32 (N, K, 4), each x0, y0, x1, y1 in pixels; an empty box does not count.
            images: float32 (N, S, S) in -1..1.
        """
        return torch.stack([self._image_loss(*image) for image in zip(logits, boxes, images, strict=True)]).mean()

    def _image_loss(self, logits: torch.Tensor, boxes: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        windows = box_windows(boxes, len(logits))
        inside = torch.zeros_like(logits, dtype=torch.bool)
        loss = logits.sum() * 0
        for window in windows:
            inside[window] = True
            probability = logits[window].sigmoid()
            tight = [_not_filled(probability.amax(dim=axis)) for axis in (0, 1)]
            share = probability.mean()
            size = F.relu(self.fill[0] - share) + F.relu(share - self.fill[1])
            loss = loss + (sum(tight) + 4 * size + _unlike(logits[window], image[window])) / len(windows)
        if not inside.all():
            loss = loss + F.softplus(logits[~inside]).mean()
        return loss


def box_windows(boxes: torch.Tensor, size: int) -> list[tuple[slice, slice]]:
    """Return rows and columns of the boxes, float32 (K, 4), of at least 2 x 2 pixels in a square of `size` pixels."""
    edges = boxes.round().clamp(0, size).int().tolist()
    return [(slice(y0, y1), slice(x0, x1)) for x0, y0, x1, y1 in edges if x1 - x0 >= 2 and y1 - y0 >= 2]


def box_masks(boxes: torch.Tensor, size: int) -> torch.Tensor:
    """Return masks int8 (C, size, size) that are 1 inside the boxes float32 (C, K, 4)."""
    masks = torch.zeros(len(boxes), size, size, dtype=torch.int8)
    for mask, boxes_of_mask in zip(masks, boxes, strict=True):
        for window in box_windows(boxes_of_mask, size):
            mask[window] = 1
    return masks


def _not_filled(projection: torch.Tensor) -> torch.Tensor:
    """Return the Dice loss of a projection, float32 (L,) in 0..1, against ones."""
    return 1 - 2 * projection.sum() / (projection.square().sum() + len(projection))


def _unlike(logits: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Return the mean of minus the log-probability that alike pixels, two apart, are both inside or both outside."""
    inside, outside = F.logsigmoid(logits), F.logsigmoid(-logits)
    loss, pairs = logits.sum() * 0, 0
    for rows, columns in ((2, 0), (0, 2)):
        if min(logits.shape[0] - rows, logits.shape[1] - columns) < 1:
            continue
        here, there = (slice(rows, None), slice(columns, None)), (slice(-rows or None), slice(-columns or None))
        alike = (image[here] - image[there]).abs() < 2 * ALIKE_DIFFERENCE  # the image is in -1..1
        together = torch.logaddexp(inside[here] + inside[there], outside[here] + outside[there])
        loss, pairs = loss - together[alike].sum(), pairs + int(alike.sum())
    return loss / max(pairs, 1)
