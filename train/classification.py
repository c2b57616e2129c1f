"""What the training of every classifier shares: the segmented X-rays, augmented, as the model's pixels."""

from typing import Any

import datasets
import numpy as np
import torch
from transformers import EvalPrediction, PreTrainedModel, Trainer

from hub_models.checkpoints import resolve
from hub_models.images import read_image
from hub_models.pipeline import Classifier
from hub_models.unet import Segmenter
from hub_models.views import NoLungs, apply_view
from train.arguments import DataArguments
from train.augment import Augmentation
from train.evaluation import class_probabilities, classification_results, drop_without_lungs, outline_lungs
from train.record import classes_record, classes_scores, save_record
from train.release import count_parameters, procedure, release_folder, save_card
from train.rows import read_mask

SCORED = ("validation", "test")


def segment_splits(splits: datasets.DatasetDict, unet: str | None) -> datasets.DatasetDict:
    """The splits with lungs as the UNet outlines them; rows without lungs stay in "test" only and count as wrong.

    Args:
        unet: folder or Hub id of the UNet; the environment's or the embedded one if None.
    """
    segmenter = Segmenter.from_pretrained(resolve("unet", unet).folder)
    outlined = {name: outline_lungs(rows, segmenter) for name, rows in splits.items()}
    return datasets.DatasetDict(
        {name: rows if name == "test" else drop_without_lungs(rows) for name, rows in outlined.items()}
    )


class ViewRows:
    """Rows of `segment_splits` as `pixel_values` and `labels` of a classifier, in the view that it is shown."""

    def __init__(self, classifier: Classifier, augmentation: Augmentation | None = None) -> None:
        self.classifier, self.augmentation = classifier, augmentation

    def __call__(self, batch: dict[str, list]) -> dict[str, list]:
        """Pixels float32 (3, S, S) and class positions, one a row."""
        views = [self._view(image, lungs) for image, lungs in zip(batch["image"], batch["lungs"], strict=True)]
        return {"pixel_values": list(self.classifier.pixel_values(views)), "labels": batch["label"]}

    def _view(self, image, lungs) -> np.ndarray:
        grey, mask = read_image(image), read_mask(lungs)
        if self.augmentation is None:
            return apply_view(grey, mask, self.classifier.view)
        pixels, moved = self.augmentation(torch.from_numpy(grey)[None], torch.from_numpy(mask)[None].to(torch.int8))
        try:
            return apply_view(pixels[0].numpy(), moved[0].numpy() > 0, self.classifier.view)
        except NoLungs:  # a small lung was moved out of the image
            return apply_view(grey, mask, self.classifier.view)


def accuracy(prediction: EvalPrediction) -> dict[str, float]:
    """Accuracy and macro F1 of logits (N, C)."""
    scores = classification_results(np.asarray(prediction.predictions), prediction.label_ids)
    return {"accuracy": scores["accuracy"], "f1_macro": scores["f1_macro"]}


def release(
    role: str,
    classifier: Classifier,
    splits: datasets.DatasetDict,
    trainer: Trainer,
    data_args: DataArguments,
    model_args: Any,
    base_model: str | None,
    notes: list[str],
) -> dict:
    """The end of a classifier's training: save what the page loads, load it back, measure it, write its card.

    Returns:
        Scores on the test split.
    """
    folder = release_folder(trainer.args)
    classifier.model.cpu()
    classifier.save_pretrained(folder)
    classifier = type(classifier).from_pretrained(folder)
    labels = splits["test"].features["label"].names
    answers = {split: class_probabilities(classifier, splits[split], f"{role} on {split}") for split in SCORED}
    validation = classification_results(answers["validation"], splits["validation"]["label"])
    scores = classes_scores(save_record(classes_record(splits["test"], answers["test"], labels), folder), labels)
    for split, measured in zip(SCORED, (validation, scores), strict=True):
        print(f"{split} accuracy {measured['accuracy']:.3f} ({len(splits[split])} images)")
    save_card(
        folder,
        trainer,
        data_args,
        splits,
        notes,
        role=role,
        architecture=_architecture(classifier.model),
        base_model=base_model,
        parameters=count_parameters(classifier.model),
        labels=classifier.labels,
        image_size=classifier.pixel_values([np.zeros((64, 64), np.float32)]).shape[-1],
        view=classifier.view,
        procedure=procedure(model_args, trainer),
        results={
            "split": "test",
            "images": len(splits["test"]),
            "validation": {"accuracy": validation["accuracy"]},
            **scores,
        },
    )
    return scores


def _architecture(model: PreTrainedModel) -> str:
    config = model.config
    if hasattr(config, "vision_config"):
        towers = (getattr(part, "architecture", part.model_type) for part in (config.vision_config, config.text_config))
        return f"{type(model).__name__} of {' and '.join(towers)}"
    return f"{type(model).__name__}, {config.layer_type} blocks {'-'.join(map(str, config.depths))}"
