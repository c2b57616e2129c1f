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
from train.data.storage import StorageChanges
from train.scoring.class_metrics import classification_scores, score_findings
from train.scoring.evaluation import best_classes
from train.tasks.balance import check_balance
from train.tasks.distillation import Teacher


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
    """A transform of rows of `segment_splits` into `pixel_values` and `labels`, in the classifier's view.

    Args:
        classifier: the classifier.
        augmentation: changes the images at random; None for none.
        teacher: also gets `teacher_pixel_values`: its own view of the same image, moved alike and not stored otherwise.
    """

    def __init__(
        self, classifier: Classifier, augmentation: Augmentation | None = None, teacher: Teacher | None = None
    ) -> None:
        self.classifier, self.augmentation, self.teacher = classifier, augmentation, teacher

    def __call__(self, batch: dict[str, list]) -> dict[str, list]:
        """Return one item a row: pixels float32 (3, S, S), and the row's `true_classes`."""
        views = [self._views(image, lungs) for image, lungs in zip(batch["image"], batch["lungs"], strict=True)]
        items = {
            "pixel_values": list(torch.from_numpy(self.classifier.pixel_values([own for own, _ in views]))),
            "labels": list(true_classes(batch, len(self.classifier.labels))),
        }
        if self.teacher is not None:
            items["teacher_pixel_values"] = list(torch.from_numpy(self.teacher.pixel_values([its for _, its in views])))
        return items

    def _views(self, image: dict, lungs: dict) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the classifier's view of an image, and the teacher's."""
        shown = keep_detail(to_square(read_picture(image)), self.classifier.detail), mask_to_square(read_mask(lungs))
        if self.augmentation is not None:
            shown = moved(*shown, self.augmentation)
        taught = None if self.teacher is None else apply_view(*shown, self.teacher.view)
        if self.augmentation is not None:
            shown = stored_otherwise(*shown, self.augmentation.storage)
        return apply_view(*shown, self.classifier.view), taught


def moved(image: np.ndarray, lungs: np.ndarray, augmentation: Augmentation) -> tuple[np.ndarray, np.ndarray]:
    """Move and expose an image, float32 (H, W) in 0..1, and its lungs, bool (H, W), alike at random; they stay as they
    are where small lungs would be moved out of the image."""
    pixels, region = augmentation.move(torch.from_numpy(image)[None], torch.from_numpy(lungs)[None].to(torch.int8))
    return (pixels[0].numpy(), region[0].numpy() > 0) if region.any() else (image, lungs)


def stored_otherwise(image: np.ndarray, lungs: np.ndarray, storage: StorageChanges) -> tuple[np.ndarray, np.ndarray]:
    """Change an image, float32 (H, W) in 0..1, at random as if it were stored otherwise, and the outline of its lungs,
    bool (H, W), as a UNet then does."""
    pixels = storage(torch.from_numpy(image)[None])[0].numpy()
    return pixels, outlined_otherwise(lungs) if torch.rand(()) < storage.strength else lungs


def changed(image: np.ndarray, lungs: np.ndarray, augmentation: Augmentation) -> tuple[np.ndarray, np.ndarray]:
    """Change an image, float32 (H, W) in 0..1, and its lungs, bool (H, W), in both ways."""
    return stored_otherwise(*moved(image, lungs, augmentation), augmentation.storage)


def accuracy(prediction: EvalPrediction) -> dict[str, float]:
    """Return accuracy and macro F1 of logits (N, C), or macro AUROC where an image may show several classes."""
    logits = np.asarray(prediction.predictions)
    if prediction.label_ids.ndim == 2:
        return {"auroc_macro": score_findings(logits, prediction.label_ids)["auroc_macro"] or 0.0}
    scores = classification_scores(best_classes(logits), prediction.label_ids, logits.shape[1])
    return {"accuracy": scores["accuracy"], "f1_macro": scores["f1_macro"]}
