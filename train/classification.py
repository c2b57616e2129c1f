"""What the training of every classifier shares: the segmented X-rays, augmented, as the model's pixels."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from transformers import EvalPrediction, PreTrainedModel, Trainer

from hub_models.cards.card import number
from hub_models.checkpoints.resolve import resolve
from hub_models.models.unet import Segmenter
from hub_models.models.views import NoLungs, View, apply_view
from hub_models.pipeline import Classifier
from hub_models.xray.images import read_image
from train.arguments import DataArguments
from train.augment import Augmentation
from train.calibration import cooled, fit_calibration
from train.class_metrics import classification_scores, score_findings
from train.evaluation import (
    best_classes,
    class_probabilities,
    classification_results,
    drop_without_lungs,
    outline_lungs,
)
from train.record import classes_record, classes_scores, save_record
from train.release import count_parameters, procedure, release_folder, save_card
from train.rows import class_names, read_mask, true_classes

SCORED = ("validation", "test")


@dataclass(kw_only=True)
class ClassifierArguments:
    """What a classifier is shown, and of whom it learns."""

    view: View = field(
        default="lungs", metadata={"help": "What of the X-ray the model is shown (see hub_models/models/views.py)."}
    )
    unet: str | None = field(default=None, metadata={"help": "UNet that outlines the lungs: a folder or Hub id."})
    permute_labels: bool = field(
        default=False,
        metadata={"help": "Deal the classes of the training images out at random: a control that must reach chance."},
    )


@dataclass(kw_only=True)
class PupilArguments(ClassifierArguments):
    """Of whom else a classifier learns."""

    teacher: list[str] = field(
        default_factory=list,
        metadata={"help": "Fine-tuned CLIPs (folders or Hub ids) whose mean probabilities it learns, too."},
    )


def one_class_an_image(data_args: DataArguments) -> None:
    """Refuse data whose images may have several classes, for a model whose classes share one probability.

    Raises:
        ValueError: if that is what the arguments ask for.
    """
    if data_args.multi_label:
        raise ValueError("A CLIP shares one probability among the classes; train.resnet is what takes --multi_label.")


def segment_splits(splits: datasets.DatasetDict, arguments: ClassifierArguments, seed: int) -> datasets.DatasetDict:
    """The splits as a classifier learns from them: with the lungs as the UNet outlines them, where they have none yet.

    Rows without lungs stay in "test" only, where they count as wrong.

    Args:
        seed: of the permutation, where the training labels are to be permuted.
    """
    if not all("lungs" in rows.column_names for rows in splits.values()):
        segmenter = Segmenter.from_pretrained(resolve("unet", arguments.unet).folder)
        splits = {name: outline_lungs(rows, segmenter) for name, rows in splits.items()}
    splits = datasets.DatasetDict(
        {name: rows if name == "test" else drop_without_lungs(rows) for name, rows in splits.items()}
    )
    if arguments.permute_labels:
        splits["train"] = permuted(splits["train"], seed)
    return splits


def permuted(rows: datasets.Dataset, seed: int) -> datasets.Dataset:
    """The same rows, their classes dealt out anew at random, each as often as before."""
    dealt = np.random.default_rng(seed).permutation(rows["label"])
    return rows.remove_columns("label").add_column("label", dealt.tolist(), feature=rows.features["label"])


class ViewRows:
    """Rows of `segment_splits` as `pixel_values` and `labels` of a classifier, in the view that it is shown."""

    def __init__(self, classifier: Classifier, augmentation: Augmentation | None = None) -> None:
        self.classifier, self.augmentation = classifier, augmentation

    def __call__(self, batch: dict[str, list]) -> dict[str, list]:
        """Pixels float32 (3, S, S) and what `true_classes` says, one a row."""
        views = [self._view(image, lungs) for image, lungs in zip(batch["image"], batch["lungs"], strict=True)]
        return {
            "pixel_values": list(self.classifier.pixel_values(views)),
            "labels": list(true_classes(batch, len(self.classifier.labels))),
        }

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
    """Accuracy and macro F1 of logits (N, C), or macro AUROC where an image may show several classes."""
    logits = np.asarray(prediction.predictions)
    if prediction.label_ids.ndim == 2:
        return {"auroc_macro": score_findings(logits, prediction.label_ids)["auroc_macro"] or 0.0}
    scores = classification_scores(best_classes(logits), prediction.label_ids, logits.shape[1])
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
    load: Callable[[Path], Classifier] | None = None,
) -> dict:
    """The end of a classifier's training: calibrate, save what the page loads, load it back, measure, write the card.

    Args:
        load: how the saved folder is loaded; by the class's own `from_pretrained` if None.

    Returns:
        Scores on the test split.
    """
    folder = release_folder(trainer.args)
    classifier.model.cpu().eval()
    classifier.model.config.calibration = None  # of what the training started from
    results = finish(classifier, splits, folder, load or type(classifier).from_pretrained)
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
        results=results,
    )
    return results


def finish(
    classifier: Classifier, splits: datasets.DatasetDict, folder: Path, load: Callable[[Path], Classifier]
) -> dict:
    """Calibrate a classifier, save it, load it back and measure the test split.

    Args:
        classifier: is changed by the calibration.
        splits: of `segment_splits`, "validation" and "test".
        folder: gets its config, weights and predictions.csv.
        load: how the saved folder is loaded.

    Returns:
        The results of its card.
    """
    labels = class_names(splits["test"])
    validation = calibrate(classifier, splits["validation"])
    classifier.save_pretrained(folder)
    saved = load(folder)
    answers = class_probabilities(saved, splits["test"], "Testing", labels)
    scores = classes_scores(
        save_record(classes_record(splits["test"], answers, labels), folder), labels, saved.calibration
    )
    headline = "accuracy" if "accuracy" in scores else "auroc_macro"
    for split, measured in zip(SCORED, (validation, scores), strict=True):
        print(f"{split} {headline} {number(measured[headline])} ({len(splits[split])} images)")
    validated = {headline: validation[headline]}
    return {"split": "test", "images": len(splits["test"]), "validation": validated, **scores}


def calibrate(classifier: Classifier, rows: datasets.Dataset) -> dict:
    """Fit a classifier's temperature and prediction sets to the validation rows; returns its scores there.

    The temperature that it tells afterwards is that of all its calibrations together. Where an image may show several
    classes there is nothing to fit.
    """
    answers = class_probabilities(classifier, rows, "Calibrating", class_names(rows))
    if "targets" in rows.column_names:
        return score_findings(answers, true_classes(rows))
    calibration = fit_calibration(answers, rows["label"])
    classifier.divide_logits(calibration.temperature)
    whole = calibration.temperature * classifier.calibration.temperature
    replace(calibration, temperature=whole).write(classifier.model.config)
    return classification_results(cooled(answers, calibration.temperature), rows["label"])


def _architecture(model: PreTrainedModel) -> str:
    config = model.config
    if hasattr(config, "vision_config"):
        towers = (getattr(part, "architecture", part.model_type) for part in (config.vision_config, config.text_config))
        return f"{type(model).__name__} of {' and '.join(towers)}"
    if hasattr(config, "parts"):
        return f"{type(model).__name__} of {config.feature_size} features and {config.embedding_size} dimensions"
    return f"{type(model).__name__}, {config.layer_type} blocks {'-'.join(map(str, config.depths))}"
