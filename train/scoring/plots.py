"""Plots of the answers of classifiers, as PNG files."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay, PrecisionRecallDisplay, RocCurveDisplay

from hub_models.cards.curves import reliability


def save_confusion(confusion: list[list[int]], labels: list[str], title: str, path: Path) -> None:
    """Draw a confusion matrix of counts, true classes down and predicted ones across."""
    figure = Figure(figsize=(5.2, 4.4), layout="tight")
    axes = figure.subplots()
    ConfusionMatrixDisplay(np.array(confusion), display_labels=labels).plot(ax=axes, cmap="Blues", colorbar=False)
    axes.set_title(title)
    figure.savefig(path, dpi=120)


def save_curves(
    answers: dict[str, np.ndarray], references: np.ndarray, labels: list[str], title: str, folder: Path
) -> None:
    """Draw the ROC (roc.png) and precision-recall curves (pr.png) of each class against the others, a panel a class.

    Args:
        answers: classifier -> probabilities float64 (N, C); NaN in the row of an unanswered image, which ranks last.
        references: int64 (N,), class positions.
        labels: names of the C classes.
        title: title of both figures.
        folder: the folder that gets both files.
    """
    for name, display in (("roc", RocCurveDisplay), ("pr", PrecisionRecallDisplay)):
        figure = Figure(figsize=(4.2 * len(labels), 4.4), layout="tight")
        figure.suptitle(title)
        for i, (label, axes) in enumerate(zip(labels, np.atleast_1d(figure.subplots(1, len(labels))), strict=True)):
            axes.set_title(label)
            if len(set(references == i)) < 2:
                axes.text(0.5, 0.5, "no such image, or no other", ha="center")
                continue
            for role, probabilities in answers.items():
                display.from_predictions(references == i, np.nan_to_num(probabilities[:, i]), name=role, ax=axes)
        figure.savefig(folder / f"{name}.png", dpi=120)


def save_reliability(answers: dict[str, np.ndarray], references: np.ndarray, title: str, path: Path) -> None:
    """Draw how often each classifier's most probable class is right, against its probability.

    Args:
        answers: classifier -> probabilities float64 (N, C); rows of NaN take no part.
        references: int64 (N,), class positions.
        title: title of the figure.
        path: the PNG file to write.
    """
    figure = Figure(figsize=(5.2, 4.8), layout="tight")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], "k:", label="as often as said")
    for role, probabilities in answers.items():
        answered = ~np.isnan(probabilities).any(axis=1)
        if answered.any():
            bins = reliability(probabilities[answered], references[answered])
            axes.plot(bins[:, 0], bins[:, 1], "o-", label=role)
    axes.set(xlabel="probability of the most probable class", ylabel="share of images that are of it", title=title)
    axes.legend()
    figure.savefig(path, dpi=120)
