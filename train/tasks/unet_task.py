"""The task of a UNet: labelled rows as tensors, the loss, and the validation score."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import EvalPrediction

from hub_models.models.unet import Segmenter
from hub_models.xray.masks import MASKS
from train.data.augment import Augmentation
from train.data.boxes import box_tensor
from train.data.rows import BOX_COLUMNS, MASK_COLUMNS, image_tensor, mask_tensor, read_picture
from train.scoring.mask_metrics import segmentation_scores
from train.tasks.losses import BoxLoss, OutlineLoss, box_masks
from train.tasks.together import gathered
from train.tasks.weights import running_average, use_channels_last

UNKNOWN, OUTLINE, BOXED = 0, 1, 2
"""The kinds of label of a mask: none, its outline, or the boxes around its components."""

FILL = {"lungs": (0.6, 0.8), "infection": (0.4, 0.65)}
"""Mask -> least and greatest share of its box that a component is expected to take: about the middle four fifths of
the outlines in the validation split of the data that the embedded checkpoint learned from."""

SMALLER_SCALE = 0.8
"""Scale of the smaller copy of an image with boxes, on which the answer shall be the same."""


class Rows:
    """A transform of the data set's rows into the task's inputs.

    Args:
        segmenter: the segmenter that prepares the pixels.
        augmentation: random changes of an image and its masks; None for none.
        upright: random changes that do not rotate, for rows with boxes; None for none.
    """

    def __init__(
        self, segmenter: Segmenter, augmentation: Augmentation | None = None, upright: Augmentation | None = None
    ) -> None:
        self.segmenter, self.augmentation, self.upright = segmenter, augmentation, upright

    def __call__(self, batch: dict[str, list]) -> dict[str, list]:
        """Return one item a row.

        Returns:
            pixel_values float32 (1, S, S), masks int8 (2, S, S), boxes float32 (2, K, 4) and kinds int64 (2,).
        """
        rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
        images, masks, boxes, kinds = zip(*map(self._tensors, rows), strict=True)
        pixels = torch.from_numpy(self.segmenter.pixel_values([image[0].numpy() for image in images]))
        return {"pixel_values": list(pixels), "masks": list(masks), "boxes": list(boxes), "kinds": list(kinds)}

    def _tensors(self, row: dict) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
        size, picture = self.segmenter.image_size, read_picture(row["image"])
        shape, image = picture.shape, image_tensor(picture, size, self.segmenter.detail)
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
    """The network with a loss for each mask, over the images on which that mask has a label.

    In training, a running average of the weights is updated; the average answers in evaluation.

    Args:
        network: a network with one output for each of `MASKS`.
        losses: for each mask the name of one of `train.tasks.losses.LOSSES`.
        average_decay: decay a step of the running average; 0 for none.
        teacher: a network whose infection probabilities are learned on the images where infection has no label; it
            sees the same pixels, changed at random (distillation: Hinton et al. 2015).
    """

    def __init__(
        self,
        network: nn.Module,
        losses: tuple[str, str] = ("dice_bce", "dice_bce"),
        average_decay: float = 0.0,
        teacher: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self._teacher = [] if teacher is None else [teacher.eval().requires_grad_(False)]  # no part of what is saved
        self.network = network
        self.outline_losses = nn.ModuleList(map(OutlineLoss, losses))
        self.box_losses = nn.ModuleList(BoxLoss(FILL[name]) for name in MASKS)
        use_channels_last(self)
        self.average = running_average(network, average_decay)

    @property
    def result(self) -> nn.Module:
        """The network that answers in evaluation and is saved."""
        return self.network if self.average is None else self.average.module

    def forward(
        self, pixel_values: torch.Tensor, masks: torch.Tensor, boxes: torch.Tensor, kinds: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return the loss, and the pixel counts at probability 0.5.

        Args:
            pixel_values: float32 (N, 1, S, S), normalised.
            masks: int8 (N, 2, S, S) of 0 and 1; any values where the label is `UNKNOWN`.
            boxes: float32 (N, 2, K, 4), in pixels.
            kinds: int64 (N, 2): `UNKNOWN`, `OUTLINE` or `BOXED`.

        Returns:
            loss: float32 scalar; counts: int64 (N, 2, 3), true positive, false positive, false negative pixels.
        """
        if self.training and self.average is not None:
            self.average.update_parameters(self.network)
        logits = (self.network if self.training else self.result)(pixel_values).float()
        predicted, true = logits > 0, masks > 0
        counts = torch.stack([predicted & true, predicted & ~true, ~predicted & true], dim=-1).sum(dim=(2, 3))
        inputs = (pixel_values, logits, masks, boxes, kinds)
        return {"loss": self._loss(*(map(gathered, inputs) if self.training else inputs)), "counts": counts}

    def _loss(
        self,
        pixel_values: torch.Tensor,
        logits: torch.Tensor,
        masks: torch.Tensor,
        boxes: torch.Tensor,
        kinds: torch.Tensor,
    ) -> torch.Tensor:
        """Return the loss of all images in a step, of which each process may have another share of the labels."""
        loss = logits.sum() * 0
        for i in range(len(MASKS)):
            outlined, boxed = kinds[:, i] == OUTLINE, kinds[:, i] == BOXED
            if outlined.any():
                loss = loss + self.outline_losses[i](logits[outlined, i], masks[outlined, i].float())
            if boxed.any():
                loss = loss + self.box_losses[i](logits[boxed, i], boxes[boxed, i], pixel_values[boxed, 0])
        if self.training and (kinds == BOXED).any():
            loss = loss + self._disagreement(pixel_values, logits, masks, kinds) + _infection_outside(logits, kinds)
        taught = kinds[:, 1] == UNKNOWN
        if self.training and self._teacher and taught.any():
            with torch.no_grad():
                answers = self._teacher[0](pixel_values[taught])[:, 1].float().sigmoid()
            loss = loss + F.binary_cross_entropy_with_logits(logits[taught, 1], answers)
        return loss

    def _disagreement(
        self, pixel_values: torch.Tensor, logits: torch.Tensor, masks: torch.Tensor, kinds: torch.Tensor
    ) -> torch.Tensor:
        """Return the mean difference, in the boxes, between the answers to an image and to a smaller copy of it."""
        boxed = kinds == BOXED
        rows = boxed.any(dim=1)
        size = max(32, int(SMALLER_SCALE * logits.shape[-1] / 32) * 32)
        smaller = F.interpolate(pixel_values[rows], (size, size), mode="bilinear", antialias=True)
        again = F.interpolate(self.network(smaller).float().sigmoid(), logits.shape[2:], mode="bilinear")
        inside = (masks[rows] > 0) & boxed[rows][..., None, None]
        difference = (logits[rows].sigmoid() - again).abs() * inside
        return difference.sum() / inside.sum().clamp(min=1)


def _infection_outside(logits: torch.Tensor, kinds: torch.Tensor) -> torch.Tensor:
    """Return 10 times the mean by which infection is more probable than lungs, on images with boxes of infection.

    Infection lies inside lungs only, which narrows down where in its box it is.
    """
    lungs, infection = (logits[kinds[:, 1] == BOXED, i].sigmoid() for i in (0, 1))
    return 10 * F.relu(infection - lungs.detach()).mean() if len(lungs) else logits.sum() * 0


def validation_dice(prediction: EvalPrediction) -> dict[str, float]:
    """Return each mask's mean Dice over the images with an outline that is not blank, and the mean of the masks."""
    counts, labelled = prediction.predictions, prediction.label_ids == OUTLINE
    scores = {
        f"dice_{name}": segmentation_scores(counts[labelled[:, i], i])["dice_mean_per_image"]
        for i, name in enumerate(MASKS)
    }
    measured = [score for score in scores.values() if score is not None]
    return {name: score for name, score in scores.items() if score is not None} | {
        "dice": float(np.mean(measured or [0.0]))
    }
