"""Figures of a model on the validation split, before and after it was made faster."""

from collections.abc import Iterator

import numpy as np

from hub_models.models.loading import Classifier
from hub_models.models.unet import Segmenter
from hub_models.xray.masks import MASKS
from train.data.arguments import ClassifierArguments, DataArguments
from train.data.dataset import load_splits
from train.data.lungs import segment_splits
from train.data.rows import has_mask, read_mask, read_picture, true_classes
from train.scoring.class_metrics import score_classes
from train.scoring.evaluation import best_classes, class_probabilities
from train.scoring.predictions import outlines_record, outlines_scores


class Quality:
    """The validation images that a model is measured on, and the training images beside them.

    Args:
        dataset: the data set, as the training scripts take it; for a UNet its validation images without a mask are
            left out.
        model: the model to be measured.

    Attributes:
        images: number of validation images.

    Raises:
        ValueError: the data has other classes than the model, or cannot be used to measure it.
    """

    def __init__(self, dataset: str, model: Segmenter | Classifier) -> None:
        keep = {"validation": has_mask} if isinstance(model, Segmenter) else None
        splits = load_splits(DataArguments(dataset), ["train", "validation"], keep)
        if not isinstance(model, Segmenter):
            _check_classes(dataset, splits["validation"].features["label"].names, model)
            splits = segment_splits(splits, ClassifierArguments(), seed=0)
        self.training, self.validation = splits["train"], splits["validation"]
        self.images = len(self.validation)
        self._first: np.ndarray | None = None

    def training_images(self, count: int) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Yield random training images, float32 (H, W), each with its lungs, bool (H, W), or None without outlines."""
        order = np.random.default_rng(0).permutation(len(self.training))[:count]
        for row in self.training.select(order):
            yield read_picture(row["image"]), read_mask(row["lungs"]) if "lungs" in row else None

    def measure(self, model: Segmenter | Classifier) -> dict[str, float]:
        """Measure a model as it is now.

        Returns:
            For a UNet the mean Dice of each mask, "MASK dice"; for a classifier its "accuracy", and its "agreement":
            the share of the images to which it answers the same class as in the first measurement.

        Raises:
            ValueError: no validation image has a mask that is not blank.
        """
        if isinstance(model, Segmenter):
            scores = outlines_scores(outlines_record(self.validation, model))
            masks = [mask for mask in MASKS if scores[mask]["images"]]
            if not masks:
                raise ValueError("No validation image has a mask that is not blank; there is no Dice to be measured.")
            return {f"{mask} dice": scores[mask]["dice_mean_per_image"] for mask in masks}
        answers = class_probabilities(model, self.validation, "Measuring")
        order = [model.labels.index(name) for name in self.validation.features["label"].names]
        predictions = best_classes(answers[:, order])
        self._first = predictions if self._first is None else self._first
        accuracy = score_classes(predictions, true_classes(self.validation), len(order))["accuracy"]
        return {"accuracy": accuracy, "agreement": float((predictions == self._first).mean())}


def _check_classes(dataset: str, names: list[str], model: Classifier) -> None:
    if model.multi_label:
        raise ValueError("An X-ray may have several of this model's classes; it has no accuracy to be measured.")
    if sorted(names) != sorted(model.labels):
        classes, scored = ", ".join(names), ", ".join(model.labels)
        raise ValueError(f"{dataset} has the classes {classes}; this model scores {scored}: give data of these.")
