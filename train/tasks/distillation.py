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

SHARE = 0.7
"""Share of a teacher in the loss of an image on which it is right, 0..1."""


class Teacher:
    """Fine-tuned CLIPs that teach the mean of their probabilities, from the view that they know themselves.

    Args:
        checkpoints: folders or Hub ids of the CLIPs.
        labels: the pupil's classes in logits order.

    Raises:
        ValueError: a CLIP scores other classes, or they are not all shown the same view.
    """

    def __init__(self, checkpoints: Sequence[str], labels: list[str]) -> None:
        folders = [resolve("clip-finetuned", checkpoint).folder for checkpoint in checkpoints]
        self.classifiers = [ClipClassifier.from_pretrained(folder, engine_name="torch") for folder in folders]
        self.view: View = self.classifiers[0].view
        for classifier in self.classifiers:
            if sorted(classifier.labels) != sorted(labels):
                raise ValueError(f"The teacher scores {', '.join(classifier.labels)}; its pupil {', '.join(labels)}.")
            if classifier.view != self.view:
                raise ValueError(f"Teachers are shown {self.view} and {classifier.view}; name those of one view.")
        self.labels = labels

    def pixel_values(self, views: list[np.ndarray]) -> np.ndarray:
        """Return what the teachers see, float32 (N, 3, S, S), of images in their view, float32 (H, W) in 0..1 each."""
        return self.classifiers[0].pixel_values(views)

    @torch.no_grad()
    def __call__(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return the mean probabilities, float32 (N, C), for a batch of `pixel_values`."""
        return torch.stack([self._probabilities(classifier, pixel_values) for classifier in self.classifiers]).mean(
            dim=0
        )

    def _probabilities(self, classifier: ClipClassifier, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return the probabilities of one CLIP, float32 (N, C), for the batch resized to its own input."""
        size = classifier.pixel_values([np.zeros((8, 8), np.float32)]).shape[-2:]
        pixels = F.interpolate(pixel_values, size, mode="bilinear", antialias=True)
        images = embed_images(classifier.model, pixels.to(device_of(classifier.model)))
        answers = classifier.answer(images.float().cpu().numpy())
        rows = [[answer[label] for label in self.labels] for answer in answers]
        return torch.tensor(rows, dtype=torch.float32, device=pixel_values.device)


def cross_entropy(
    task: nn.Module,
    logits: torch.Tensor,
    labels: torch.Tensor,
    teacher_pixel_values: torch.Tensor | None,
    smoothing: float = 0.0,
) -> torch.Tensor:
    """Return the loss of logits (N, C) against class positions (N,), in training also against a teacher's answers.

    The teacher is shown each image as it was before the changes that hide how it was stored, so that its pupil learns
    to answer alike however an X-ray is stored. It is heard where it names the true class.

    Args:
        task: the task that learns; its `teacher` is a `Teacher` or None.
        logits: the task's answers.
        labels: the true classes.
        teacher_pixel_values: what the teacher sees of the batch; None without a teacher, or in evaluation.
        smoothing: share of the target spread over all classes.
    """
    losses = F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
    if task.teacher is None or not task.training:
        return losses.mean()
    answers = task.teacher(teacher_pixel_values)
    share = SHARE * (answers.argmax(dim=-1) == labels).float()
    return ((1 - share) * losses + share * F.cross_entropy(logits, answers, reduction="none")).mean()
