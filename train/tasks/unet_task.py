"""What the training of a UNet is made of: labelled rows as tensors, the loss, and the validation score."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import EvalPrediction

from hub_models.models.unet import Segmenter
from hub_models.xray.masks import MASKS
from train.data.augment import Augmentation
from train.data.boxes import box_tensor
from train.data.rows import BOX_COLUMNS, MASK_COLUMNS, image_tensor, mask_tensor
from train.scoring.mask_metrics import segmentation_scores
from train.tasks.losses import BoxLoss, OutlineLoss, box_masks
from train.tasks.weights import running_average, use_channels_last

UNKNOWN, OUTLINE, BOXED = 0, 1, 2
"""What is known of a mask: nothing, its outline, or the boxes around its parts."""

FILL = {"lungs": (0.6, 0.8), "infection": (0.4, 0.65)}
"""Least and greatest share of its box that a part of a mask is expected to take: about the middle four fifths of the
outlines in the validation split of the data that the embedded checkpoint learned from."""

SMALLER = 0.8
"""At which share of its size an image with boxes is looked at once more."""


class Rows:
    """Rows of the data set as the task's inputs.

    Args:
        segmenter: whose pixels they become.
        augmentation: changes an image and what was drawn on it; None for none.
        upright: does so where a box was drawn, without turning it.
    """

    def __init__(
        self, segmenter: Segmenter, augmentation: Augmentation | None = None, upright: Augmentation | None = None
    ) -> None:
        self.segmenter, self.augmentation, self.upright = segmenter, augmentation, upright

    def __call__(self, batch: dict[str, list]) -> dict[str, list]:
        """One a row: pixels float32 (1, S, S), masks int8 (2, S, S), boxes float32 (2, K, 4), kinds int64 (2,)."""
        rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        images, masks, boxes, kinds = zip(*map(self._one, rows), strict=True)
        pixels = self.segmenter.pixel_values(list(images))
        return {"pixel_values": list(pixels), "masks": list(masks), "boxes": list(boxes), "kinds": list(kinds)}

    def _one(self, row: dict) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        size, shape = self.segmenter.image_size, row["image"].size[::-1]
        image = image_tensor(row["image"], size)
        masks = torch.cat([mask_tensor(row[column], size) for column in MASK_COLUMNS.values()])
        boxes = torch.stack([box_tensor(row[column], shape, size) for column in BOX_COLUMNS.values()])
        kinds = torch.tensor([_kind(row, name) for name in MASKS])
        boxed = kinds == BOXED
        augmentation = self.upright if boxed.any() else self.augmentation
        if augmentation is not None:
            image, masks, flat = augmentation(image, masks, boxes.flatten(0, 1))
            boxes = flat.unflatten(0, boxes.shape[:2])
        masks[boxed] = box_masks(boxes, size)[boxed]
        return image, masks, boxes, kinds


def _kind(row: dict, name: str) -> int:
    if row[MASK_COLUMNS[name]] is not None:
        return OUTLINE
    return UNKNOWN if row[BOX_COLUMNS[name]] is None else BOXED


def collate(rows: list[dict]) -> dict[str, torch.Tensor]:
    """Stack rows into a batch."""
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


class SegmentationTask(nn.Module):
    """The network with its loss of each mask, over the images on which something is known of it.

    Args:
        network: has one output for each of `MASKS`.
        losses: for each of them one of `train.tasks.losses.LOSSES`.
        average_decay: of the running average, a step; 0 keeps none.

    In training, a running average of the weights is kept; it is what answers in evaluation.
    """

    def __init__(
        self, network: nn.Module, losses: tuple[str, str] = ("dice_bce", "dice_bce"), average_decay: float = 0.0
    ) -> None:
        super().__init__()
        self.network = network
        self.outline_losses = nn.ModuleList(map(OutlineLoss, losses))
        self.box_losses = nn.ModuleList(BoxLoss(FILL[name]) for name in MASKS)
        use_channels_last(self)
        self.average = running_average(network, average_decay)

    @property
    def result(self) -> nn.Module:
        """The network that is saved and measured."""
        return self.network if self.average is None else self.average.module

    def forward(
        self, pixel_values: torch.Tensor, masks: torch.Tensor, boxes: torch.Tensor, kinds: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Loss, and pixel counts at probability 0.5.

        Args:
            pixel_values: float32 (N, 1, S, S), normalised.
            masks: int8 (N, 2, S, S) of 0 and 1; anything where nothing is known.
            boxes: float32 (N, 2, K, 4), in pixels.
            kinds: int64 (N, 2): `UNKNOWN`, `OUTLINE` or `BOXED`.

        Returns:
            loss: float32 scalar; counts: int64 (N, 2, 3), true positive, false positive, false negative pixels.
        """
        if self.training and self.average is not None:
            self.average.update_parameters(self.network)
        logits = (self.network if self.training else self.result)(pixel_values).float()
        loss = logits.sum() * 0
        for i in range(len(MASKS)):
            drawn, boxed = kinds[:, i] == OUTLINE, kinds[:, i] == BOXED
            if drawn.any():
                loss = loss + self.outline_losses[i](logits[drawn, i], masks[drawn, i].float())
            if boxed.any():
                loss = loss + self.box_losses[i](logits[boxed, i], boxes[boxed, i], pixel_values[boxed, 0])
        if self.training and (kinds == BOXED).any():
            loss = loss + self._disagreement(pixel_values, logits, masks, kinds) + _infection_outside(logits, kinds)
        found, drawn = logits > 0, masks > 0
        counts = torch.stack([(found & drawn), (found & ~drawn), (~found & drawn)], dim=-1).sum(dim=(2, 3))
        return {"loss": loss, "counts": counts}

    def _disagreement(
        self, pixel_values: torch.Tensor, logits: torch.Tensor, masks: torch.Tensor, kinds: torch.Tensor
    ) -> torch.Tensor:
        """Mean difference in the boxes between the answers to an image and to a smaller copy (scale consistency)."""
        boxed = kinds == BOXED
        rows = boxed.any(dim=1)
        size = max(32, int(SMALLER * logits.shape[-1] / 32) * 32)
        smaller = F.interpolate(pixel_values[rows], (size, size), mode="bilinear", antialias=True)
        again = F.interpolate(self.network(smaller).float().sigmoid(), logits.shape[2:], mode="bilinear")
        inside = (masks[rows] > 0) & boxed[rows][..., None, None]
        difference = (logits[rows].sigmoid() - again).abs() * inside
        return difference.sum() / inside.sum().clamp(min=1)


def _infection_outside(logits: torch.Tensor, kinds: torch.Tensor) -> torch.Tensor:
    """How much more probable infection is than lungs, the mean over the images with boxes of infection.

    Infection is outlined inside lungs only, which tells much of where in its box it is.
    """
    lungs, infection = (logits[kinds[:, 1] == BOXED, i].sigmoid() for i in (0, 1))
    return 10 * F.relu(infection - lungs.detach()).mean() if len(lungs) else logits.sum() * 0


def validation_dice(prediction: EvalPrediction) -> dict[str, float]:
    """Mean per-image Dice of each mask over the labelled images with a non-blank mask, and the mean of the two."""
    counts, labelled = prediction.predictions, prediction.label_ids == OUTLINE
    scores = {
        f"dice_{name}": segmentation_scores(counts[labelled[:, i], i])["dice_mean_per_image"]
        for i, name in enumerate(MASKS)
    }
    measured = [score for score in scores.values() if score is not None]
    return {name: score for name, score in scores.items() if score is not None} | {
        "dice": float(np.mean(measured or [0.0]))
    }
