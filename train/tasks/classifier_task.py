"""Inputs and validation scores of every classifier's training: segmented X-rays, augmented, as pixels of the model."""

from dataclasses import dataclass, field

import numpy as np
import torch
from transformers import EvalPrediction

from hub_models.models.loading import Classifier
from hub_models.models.views import apply_view
from hub_models.xray.geometry import keep_detail, mask_to_square, to_square
from train.data.arguments import ClassifierArguments, DataArguments
from train.data.augment import Augmentation
from train.data.outline_changes import outlined_otherwise
from train.data.rows import read_mask, read_picture, true_classes
from train.scoring.class_metrics import classification_scores, score_findings
from train.scoring.evaluation import best_classes
from train.tasks.balance import check_balance


@dataclass(kw_only=True)
class ChangesArguments(ClassifierArguments):
    """How the X-rays are drawn and changed, beside the view that a classifier is shown."""

    balance: float | None = field(
        default=None,
        metadata={
            "help": "Draw every class equally often, and the sources of a class as they are (0), alike (1) or between."
        },
    )
    storage: float = field(
        default=0.0, metadata={"help": "Strength of the changes that hide how an image was stored, 0 to 1."}
    )

    def __post_init__(self) -> None:
        """Refuse a balance that is none, before anything starts.

        Raises:
            ValueError: it is not in 0..1.
        """
        check_balance(self.balance)


@dataclass(kw_only=True)
class PupilArguments(ChangesArguments):
    """Teachers, beside what a classifier is shown."""

    teacher: list[str] = field(
        default_factory=list,
        metadata={"help": "Fine-tuned CLIPs (folders or Hub ids) whose mean probabilities it learns, too."},
    )
    keep_start: float = field(
        default=0.0,
        metadata={"help": "Share of the weights that training started from in those that are saved, 0 to 1."},
    )


def one_class_an_image(data_args: DataArguments) -> None:
    """Refuse data whose images may have several classes, for a model whose class probabilities add up to 1.

    Raises:
        ValueError: the arguments choose such data.
    """
    if data_args.multi_label:
        raise ValueError("A CLIP shares one probability among the classes; train.resnet is what takes --multi_label.")


class ViewRows:
    """A transform of rows of `segment_splits` into `pixel_values` and `labels`, in the classifier's view."""

    def __init__(self, classifier: Classifier, augmentation: Augmentation | None = None) -> None:
        self.classifier, self.augmentation = classifier, augmentation

    def __call__(self, batch: dict[str, list]) -> dict[str, list]:
        """Return one item a row: pixels float32 (3, S, S), and the row's `true_classes`."""
        views = [self._view(image, lungs) for image, lungs in zip(batch["image"], batch["lungs"], strict=True)]
        return {
            "pixel_values": list(torch.from_numpy(self.classifier.pixel_values(views))),
            "labels": list(true_classes(batch, len(self.classifier.labels))),
        }

    def _view(self, image, lungs) -> np.ndarray:
        grey = keep_detail(to_square(read_picture(image)), self.classifier.detail)
        mask = mask_to_square(read_mask(lungs))
        if self.augmentation is not None:
            grey, mask = changed(grey, mask, self.augmentation)
            if torch.rand(()) < self.augmentation.storage.strength:
                mask = outlined_otherwise(mask)
        return apply_view(grey, mask, self.classifier.view)


def changed(image: np.ndarray, lungs: np.ndarray, augmentation: Augmentation) -> tuple[np.ndarray, np.ndarray]:
    """Change an image, float32 (H, W) in 0..1, and its lungs, bool (H, W), alike at random; they stay as they are where
    small lungs would be moved out of the image."""
    pixels, moved = augmentation(torch.from_numpy(image)[None], torch.from_numpy(lungs)[None].to(torch.int8))
    return (pixels[0].numpy(), moved[0].numpy() > 0) if moved.any() else (image, lungs)


def accuracy(prediction: EvalPrediction) -> dict[str, float]:
    """Return accuracy and macro F1 of logits (N, C), or macro AUROC where an image may show several classes."""
    logits = np.asarray(prediction.predictions)
    if prediction.label_ids.ndim == 2:
        return {"auroc_macro": score_findings(logits, prediction.label_ids)["auroc_macro"] or 0.0}
    scores = classification_scores(best_classes(logits), prediction.label_ids, logits.shape[1])
    return {"accuracy": scores["accuracy"], "f1_macro": scores["f1_macro"]}
