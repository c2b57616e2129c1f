"""The metrics, as `evaluate.Metric` classes that need no network.

Segmentation is counted per image (true positive, false positive, false negative pixels), so that pooled and per-image
figures come from the same counts: IoU = TP / (TP + FP + FN), Dice = 2 TP / (2 TP + FP + FN).
"""

import datasets
import evaluate
import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support


def pixel_counts(prediction: np.ndarray, truth: np.ndarray) -> tuple[int, int, int]:
    """True positive, false positive and false negative pixels of two bool masks of one shape."""
    true_positive = int((prediction & truth).sum())
    return true_positive, int(prediction.sum()) - true_positive, int(truth.sum()) - true_positive


class Segmentation(evaluate.Metric):
    """IoU and Dice of one mask over images whose true mask is not blank, from per-image pixel counts."""

    def _info(self) -> evaluate.MetricInfo:
        columns = ("true_positive", "false_positive", "false_negative")
        return evaluate.MetricInfo(
            description="Pooled IoU; IoU and Dice averaged over images. Images with a blank true mask take no part.",
            citation="",
            inputs_description="Pixels an image: true_positive, false_positive, false_negative.",
            features=datasets.Features({column: datasets.Value("int64") for column in columns}),
        )

    def _compute(self, true_positive, false_positive, false_negative) -> dict[str, float | int]:
        return score_pixels(np.stack([true_positive, false_positive, false_negative], axis=1))


class Classification(evaluate.Metric):
    """Accuracy, precision, recall and F1 (per class and macro) and the confusion matrix of single-label predictions."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description="Accuracy; precision, recall and F1 per class and macro-averaged; confusion matrix.",
            citation="",
            inputs_description="predictions and references: class positions; classes: how many classes there are.",
            features=datasets.Features({"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}),
        )

    def _compute(self, predictions, references, classes: int) -> dict:
        return score_classes(np.asarray(predictions), np.asarray(references), classes)


def score_pixels(counts: np.ndarray) -> dict[str, float | int]:
    """IoU and Dice of int counts (N, 3): true positive, false positive, false negative pixels an image."""
    tp, fp, fn = counts[(counts[:, [0, 2]] > 0).any(axis=1)].T
    if tp.size == 0:
        return {"images": 0, "iou_pooled": None, "iou_mean_per_image": None, "dice_mean_per_image": None}
    return {
        "images": int(tp.size),
        "iou_pooled": float(tp.sum() / (tp + fp + fn).sum()),
        "iou_mean_per_image": float((tp / (tp + fp + fn)).mean()),
        "dice_mean_per_image": float((2 * tp / (2 * tp + fp + fn)).mean()),
    }


def score_classes(predictions: np.ndarray, references: np.ndarray, classes: int) -> dict:
    """Accuracy, precision, recall, F1 and confusion matrix of class positions (N,); a prediction of -1 is wrong."""
    every = list(range(classes))
    per_class = precision_recall_fscore_support(references, predictions, labels=every, zero_division=0)[:3]
    names = ("precision", "recall", "f1")
    return {
        "accuracy": float(np.mean(predictions == references)),
        **{f"{name}_macro": float(values.mean()) for name, values in zip(names, per_class, strict=True)},
        **{f"{name}_per_class": values.tolist() for name, values in zip(names, per_class, strict=True)},
        "confusion": confusion_matrix(references, predictions, labels=every).tolist(),
    }


def segmentation_scores(counts: np.ndarray) -> dict[str, float | int]:
    """`Segmentation` of int counts (N, 3): true positive, false positive, false negative pixels an image."""
    tp, fp, fn = np.asarray(counts, np.int64).reshape(-1, 3).T
    return _run(Segmentation, true_positive=tp, false_positive=fp, false_negative=fn)


def classification_scores(predictions: np.ndarray, references: np.ndarray, classes: int) -> dict:
    """`Classification` of class positions (N,) among `classes` classes."""
    return _run(Classification, predictions=predictions, references=references, classes=classes)


def _run(metric: type[evaluate.Metric], **values) -> dict:
    return metric(keep_in_memory=True).compute(**values)
