"""How a recipe fares on the images of a source that it did not learn from."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd

from hub_models.cards.facts import CardFacts
from hub_models.cards.left_out import by_name, columns, left_out_rows
from hub_models.models.calibration import Calibration
from hub_models.models.labels import HEALTHY
from train.scoring.calibration import set_scores
from train.scoring.evaluation import best_classes
from train.scoring.markdown import table
from train.scoring.predictions import intervals

MEANS = ("balanced_accuracy", "set_coverage", "set_size_mean", "widened_coverage", "widened_size")
"""The figures whose mean over the sources is taken, beside those of healthy X-rays."""

EXPLANATION = """# Hospitals that were not learned from

Each row: the recipe trained without any image of the source, tested on the images of that source alone{split}. Balanced
accuracy is the mean recall of the classes that the source has; where it has one class, its recall. *Sets* are the
prediction sets at 90 %, fitted at home; *widened sets* have the bound that the other left-out sources set. In brackets:
95 % bootstrap intervals over patients. The last row of a table is the plain mean over the sources; *at home* is the
accuracy on the validation images of the sources that were learned from.
"""
CHOOSING = ", without those of the test split"


def left_out_scores(record: pd.DataFrame, facts: CardFacts) -> dict:
    """Score the answers to the images of one source.

    Args:
        record: a `classes_record` of the images.
        facts: the facts of the checkpoint that answered: its classes, calibration and validation score.

    Returns:
        images; images_per_class; balanced_accuracy: mean recall of the classes of the images; recall_per_class, None
        for a class without an image; healthy_called: class -> share of the healthy X-rays that are called so, None for
        all without such an X-ray; set_coverage, set_size_mean; validation: accuracy at home; and intervals.
    """
    labels = facts.labels
    probabilities = record[[f"p {label}" for label in labels]].to_numpy()
    true = np.array([labels.index(label) for label in record["label"]])
    calibration = Calibration(facts.results["temperature"], facts.results["set_least"], facts.results["set_level"])
    score = partial(_score, probabilities, true, labels, calibration)
    return {
        "images": len(record),
        "images_per_class": np.bincount(true, minlength=len(labels)).tolist(),
        "validation": facts.results["validation"]["accuracy"],
        **score(np.arange(len(record))),
        **intervals(lambda chosen: _figures(score(chosen)), record["patient"].to_numpy()),
    }


def _score(
    probabilities: np.ndarray, true: np.ndarray, labels: list[str], calibration: Calibration, chosen: np.ndarray
) -> dict:
    answers, classes = probabilities[chosen], true[chosen]
    called = best_classes(answers)
    recalls = [float((called[classes == i] == i).mean()) if (classes == i).any() else None for i in range(len(labels))]
    healthy = called[classes == labels.index(HEALTHY)] if HEALTHY in labels else called[:0]
    return {
        "balanced_accuracy": float(np.mean([recall for recall in recalls if recall is not None])),
        "recall_per_class": recalls,
        "healthy_called": {
            label: float((healthy == i).mean()) if len(healthy) else None for i, label in enumerate(labels)
        },
        **set_scores(answers, classes, calibration),
    }


def _figures(scores: dict) -> dict:
    """Return the scores that get an interval, healthy X-rays' by name."""
    return {name: value for name, value in by_name(scores).items() if isinstance(value, float)}


def fit_elsewhere(records: Mapping[str, pd.DataFrame], labels: list[str], level: float) -> tuple[float, dict]:
    """Fit the bound of prediction sets for hospitals that were not learned from.

    It is the greatest probability whose sets hold the true class in a share of `level` of the images, every source
    counting alike: conformal prediction over groups (Dunn, Wasserman and Ramdas, Journal of the American
    Statistical Association 2023), without its correction for few groups, which would put every class into every set.

    Args:
        records: source -> `classes_record` of its images, answered by a training without it; two sources at least.
        labels: the classes.
        level: share of the images, 0..1.

    Returns:
        The bound from all sources; and source -> "widened_coverage" and "widened_size", the share of its images whose
        set holds the true class, and the classes in a set, by the bound from the other sources.
    """
    answers = {name: record[[f"p {label}" for label in labels]].to_numpy() for name, record in records.items()}
    true = {name: np.array([labels.index(label) for label in record["label"]]) for name, record in records.items()}
    right = {name: np.nan_to_num(answers[name][np.arange(len(true[name])), true[name]]) for name in records}
    tested = {}
    for name in records:
        bound = _bound([values for other, values in right.items() if other != name], level)
        scores = set_scores(answers[name], true[name], Calibration(1.0, bound, level))
        tested[name] = {"widened_coverage": scores["set_coverage"], "widened_size": scores["set_size_mean"]}
    return _bound(list(right.values()), level), tested


def _bound(right: list[np.ndarray], level: float) -> float:
    """Return the greatest of the probabilities that a share of `level` reaches, each array, (N,), counting alike."""
    values = np.concatenate(right)
    order = np.argsort(-values)
    reached = np.cumsum(np.concatenate([np.full(len(one), 1 / len(one) / len(right)) for one in right])[order])
    return float(values[order][min(int(np.searchsorted(reached, level - 1e-9)), len(values) - 1)])


def means(sources: Mapping[str, dict]) -> dict:
    """Return the plain means over the sources of the `left_out_scores`, each over the sources that have the figure."""
    rows = list(sources.values())
    labels = list(rows[0]["healthy_called"])
    called = {label: _mean([row["healthy_called"][label] for row in rows]) for label in labels}
    return {name: _mean([row.get(name) for row in rows]) for name in (*MEANS, "validation")} | {
        "healthy_called": called
    }


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def sources_report(recipes: Mapping[str, Mapping[str, dict]], final: bool) -> str:
    """Write the figures of recipes as Markdown.

    Args:
        recipes: recipe -> source -> its `left_out_scores`.
        final: whether the images of the test split were among those tested.
    """
    sections = [EXPLANATION.format(split="" if final else CHOOSING)]
    for recipe, sources in recipes.items():
        labels = list(next(iter(sources.values()))["healthy_called"])
        rows = left_out_rows({"sources": sources, "means": means(sources)}, labels)
        sections += [f"## {recipe}", table(columns(labels), rows)]
    return "\n\n".join(sections) + "\n"
