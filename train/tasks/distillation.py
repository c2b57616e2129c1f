"""Learning from what finished classifiers say, beside the true classes (distillation: Hinton et al. 2015)."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from hub_models.checkpoints.resolve import resolve
from hub_models.engines.device import device_of
from hub_models.models.clip import ClipClassifier
from hub_models.models.views import View


class Teacher:
    """Fine-tuned CLIPs; what they teach is the mean of their probabilities.

    Args:
        checkpoints: folders or Hub ids.
        labels: the classes in logits order.
        view: what their pupil is shown.

    Raises:
        ValueError: if one scores other classes or is shown another view.
    """

    SHARE = 0.7
    """Of the loss."""

    def __init__(self, checkpoints: Sequence[str], labels: list[str], view: View) -> None:
        folders = [resolve("clip-finetuned", wish).folder for wish in checkpoints]
        self.classifiers = [ClipClassifier.from_pretrained(folder) for folder in folders]
        for one in self.classifiers:
            if sorted(one.labels) != sorted(labels) or one.view != view:
                raise ValueError(
                    f"The teacher scores {', '.join(one.labels)} in the view {one.view}; its pupil "
                    f"{', '.join(labels)} in the view {view}."
                )
        self.labels = labels

    @torch.no_grad()
    def __call__(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Probabilities float32 (N, C) of a batch that is normalised like their own, resized to what they take."""
        return torch.stack([self._ask(one, pixel_values) for one in self.classifiers]).mean(dim=0)

    def _ask(self, classifier: ClipClassifier, pixel_values: torch.Tensor) -> torch.Tensor:
        size = classifier.pixel_values([np.zeros((8, 8), np.float32)]).shape[-2:]
        pixels = F.interpolate(pixel_values, size, mode="bilinear", antialias=True)
        images = classifier.embed_images(pixels.to(device_of(classifier.model)))
        logits = classifier.model.logit_scale.exp() * images @ classifier.embed_classes()[1].to(images.device).T
        order = [classifier.labels.index(label) for label in self.labels]
        return logits.softmax(dim=-1)[:, order].to(pixel_values.device)


def cross_entropy(
    task: nn.Module, pixel_values: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor, smoothing: float = 0.0
) -> torch.Tensor:
    """The loss of logits (N, C) against class positions (N,), while training also against what a teacher says.

    Args:
        task: what learns; its `teacher` is one, or None.
        pixel_values: of the batch, float32 (N, 3, S, S).
        logits: what it answered.
        labels: the true classes.
        smoothing: share of the target spread over all classes.
    """
    loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    if task.teacher is None or not task.training:
        return loss
    taught = F.cross_entropy(logits, task.teacher(pixel_values))
    return (1 - Teacher.SHARE) * loss + Teacher.SHARE * taught
