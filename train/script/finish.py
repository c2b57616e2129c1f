"""The end of a classifier's training: calibration, saving, measurement on the test split, and the card."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import datasets
import numpy as np
from transformers import PreTrainedModel

from hub_models.cards.scores import number
from hub_models.models.loading import Classifier
from train.data.rows import class_names, true_classes
from train.scoring.calibration import fit_calibration, with_temperature
from train.scoring.class_metrics import score_findings
from train.scoring.evaluation import class_probabilities, classification_results
from train.scoring.predictions import classes_record, classes_scores, save_record
from train.script.release import Training, count_parameters, procedure, release_folder, save_card

SCORED = ("validation", "test")


@dataclass(kw_only=True)
class ClassifierTraining(Training):
    """A classifier's finished training.

    Attributes:
        classifier: the trained classifier; `release` moves it to the CPU and calibrates it.
        load: loads the saved folder; None for the class's own `from_pretrained`.
    """

    classifier: Classifier
    load: Callable[[Path], Classifier] | None = None


def release(training: ClassifierTraining) -> dict:
    """Calibrate a trained classifier, save what the page loads, load it back, measure it and write its card.

    Returns:
        Scores on the test split.
    """
    folder, classifier = release_folder(training.trainer.args), training.classifier
    classifier.model.cpu().eval()
    classifier.model.config.calibration = None  # of what the training started from
    results = finish(classifier, training.splits, folder, training.load or type(classifier).from_pretrained)
    save_card(
        folder,
        training,
        architecture=_architecture(classifier.model),
        parameters=count_parameters(classifier.model),
        labels=classifier.labels,
        image_size=classifier.pixel_values([np.zeros((64, 64), np.float32)]).shape[-1],
        view=classifier.view,
        detail=classifier.detail,
        procedure=procedure(training.model_args, training.trainer),
        results=results,
    )
    return results


def finish(
    classifier: Classifier, splits: datasets.DatasetDict, folder: Path, load: Callable[[Path], Classifier]
) -> dict:
    """Calibrate a classifier, save it, load it back and measure the test split.

    Args:
        classifier: the classifier, which the calibration changes.
        splits: "validation" and "test", as `segment_splits` returns them.
        folder: the folder that gets config, weights and predictions.csv.
        load: loads the saved folder.

    Returns:
        The results for the classifier's card.
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

    A classifier that was calibrated before records the product of both temperatures, and keeps the bound that holds
    elsewhere. Where an image may show several classes, nothing is fitted.
    """
    answers = class_probabilities(classifier, rows, "Calibrating", class_names(rows))
    if "targets" in rows.column_names:
        return score_findings(answers, true_classes(rows))
    calibration = fit_calibration(answers, rows["label"])
    classifier.divide_logits(calibration.temperature)
    before = classifier.calibration
    product = calibration.temperature * before.temperature
    replace(calibration, temperature=product, least_elsewhere=before.least_elsewhere).write(classifier.model.config)
    return classification_results(with_temperature(answers, calibration.temperature), rows["label"])


def _architecture(model: PreTrainedModel) -> str:
    config = model.config
    if hasattr(config, "vision_config"):
        towers = (getattr(part, "architecture", part.model_type) for part in (config.vision_config, config.text_config))
        return f"{type(model).__name__} of {' and '.join(towers)}"
    if hasattr(config, "parts"):
        return f"{type(model).__name__} of two classifiers"
    return f"{type(model).__name__}, {config.layer_type} blocks {'-'.join(map(str, config.depths))}"
