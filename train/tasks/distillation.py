"""Distillation: learning from the answers of finished classifiers beside the true classes (Hinton et al. 2015)."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from hub_models.checkpoints.resolve import resolve
from hub_models.engines.pytorch.device import device_of
from hub_models.engines.pytorch.networks import embed_images
from hub_models.models.clip import ClipClassifier
from hub_models.models.views import View


class Teacher:
    """Fine-tuned CLIPs that teach the mean of their probabilities.

    Args:
        checkpoints: folders or Hub ids of the CLIPs.
        labels: the pupil's classes in logits order.
        view: the view that the pupil is shown.

    Raises:
        ValueError: a CLIP scores other classes or is shown another view.
    """

    SHARE = 0.7
    """Share of the teacher in the loss, 0..1."""

    def __init__(self, checkpoints: Sequence[str], labels: list[str], view: View) -> None:
        folders = [resolve("clip-finetuned", checkpoint).folder for checkpoint in checkpoints]
        self.classifiers = [ClipClassifier.from_pretrained(folder, engine_name="torch") for folder in folders]
        for classifier in self.classifiers:
            if sorted(classifier.labels) != sorted(labels) or classifier.view != view:
                raise ValueError(
                    f"The teacher scores {', '.join(classifier.labels)} in the view {classifier.view}; its pupil "
                    f"{', '.join(labels)} in the view {view}."
                )
        self.labels = labels

    @torch.no_grad()
    def __call__(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return the mean probabilities, float32 (N, C), for a batch normalised like the teachers' own pixels."""
        return torch.stack([self._probabilities(classifier, pixel_values) for classifier in self.classifiers]).mean(
            dim=0
        )

    def _probabilities(self, classifier: ClipClassifier, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return the probabilities of one CLIP, float32 (N, C), for the batch resized to its own input."""
        size = classifier.pixel_values([np.zeros((8, 8), np.float32)]).shape[-2:]
        pixels = F.interpolate(pixel_values, size, mode="bilinear", antialias=True)
        images = embed_images(classifier.model, pixels.to(device_of(classifier.model)))
        texts = torch.from_numpy(classifier.embed_classes()[1]).to(images.device)
        logits = classifier.model.logit_scale.exp() * images @ texts.T
        order = [classifier.labels.index(label) for label in self.labels]
        return logits.softmax(dim=-1)[:, order].to(pixel_values.device)


def cross_entropy(
    task: nn.Module, pixel_values: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor, smoothing: float = 0.0
) -> torch.Tensor:
    """Return the loss of logits (N, C) against class positions (N,), in training also against a teacher's answers.

    Args:
        task: the task that learns; its `teacher` is a `Teacher` or None.
        pixel_values: pixels of the batch, float32 (N, 3, S, S).
        logits: the task's answers.
        labels: the true classes.
        smoothing: share of the target spread over all classes.
    """
    loss = F.cross_entropy(logits, labels, label_smoothing=smoothing)
    if task.teacher is None or not task.training:
        return loss
    teacher_loss = F.cross_entropy(logits, task.teacher(pixel_values))
    return (1 - Teacher.SHARE) * loss + Teacher.SHARE * teacher_loss
