"""The recorded figures of the checkpoints in use, side by side, as the tables and curves that the page draws.

Nothing is measured here: the scores come from each checkpoint's metrics.json, the curves from its predictions.csv.
"""

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from hub_models.cards.facts import FACTS_FILE, CardFacts
from hub_models.cards.scores import AVERAGES, OVERLAPS, number, with_interval
from hub_models.checkpoints.folder import Checkpoint
from hub_models.checkpoints.roles import of_family

CLASSES = {
    "accuracy": "Accuracy",
    "recall_macro": "Balanced accuracy",
    "f1_macro": "F1, macro",
    "auroc_macro": "AUROC, macro",
    "average_precision_macro": "AP, macro",
    "ece": "Calibration error",
    "brier": "Brier score",
    "set_coverage": "Sets that hold the class",
    "set_size_mean": "Classes in a set",
}
"""Score -> column of the table of classifiers."""

CONTROLS = {"accuracy": "Accuracy", "AUROC": "AUROC, macro"}


def recorded(checkpoints: Mapping[str, Checkpoint]) -> dict[str, CardFacts]:
    """Role -> facts of its card; a checkpoint without recorded figures is missing.

    Raises:
        ValueError: if recorded figures are damaged.
    """
    return {
        role: CardFacts.load(checkpoint.folder)
        for role, checkpoint in checkpoints.items()
        if (checkpoint.folder / FACTS_FILE).is_file()
    }


def class_scores(facts: Mapping[str, CardFacts]) -> pd.DataFrame:
    """The scores of the classifiers, a row each, 95 % intervals in brackets."""
    rows = [
        {"Model": role, "Images": card_facts.results["images"]}
        | {column: with_interval(card_facts.results, score) for score, column in CLASSES.items()}
        for role, card_facts in classifiers(facts)
    ]
    return pd.DataFrame(rows, columns=["Model", "Images", *CLASSES.values()])


def outline_scores(facts: Mapping[str, CardFacts]) -> pd.DataFrame:
    """The overlaps of the UNet's masks with drawn ones, a row for each mask and way to average."""
    columns = ["Mask", "Averaged", "Images", *OVERLAPS.values()]
    if "unet" not in facts:
        return pd.DataFrame(columns=columns)
    unet = facts["unet"]
    rows = [
        [mask, words, scores["images_all" if "all_images" in average else "images"]]
        + [with_interval(scores, f"{score}_{average}") for score in OVERLAPS]
        for mask in unet.labels
        if (scores := unet.results.get(mask))
        for average, words in AVERAGES.items()
        if f"iou_{average}" in scores
    ]
    return pd.DataFrame(rows, columns=columns)


def control_scores(facts: Mapping[str, CardFacts]) -> pd.DataFrame:
    """Scores of each classifier under the controls, such as hidden lungs; a row each."""
    rows = [
        {"Model": role, "Control": name, "Images": scores["images"]}
        | {column: number(scores.get(key)) for key, column in CONTROLS.items()}
        for role, card_facts in classifiers(facts)
        for name, scores in card_facts.results.get("controls", {}).items()
    ]
    return pd.DataFrame(rows, columns=["Model", "Control", "Images", *CONTROLS.values()])


def confusion(facts: CardFacts) -> pd.DataFrame:
    """Numbers of images by true class (rows) and answered class (columns); empty where none were recorded."""
    cells = facts.results.get("confusion", np.zeros((0, len(facts.labels)), int))
    table = pd.DataFrame(cells, columns=[f"called {label}" for label in facts.labels])
    table.insert(0, "True class", facts.labels[: len(table)])
    return table


def classifiers(facts: Mapping[str, CardFacts]) -> Iterator[tuple[str, CardFacts]]:
    """The roles and facts of all classifiers."""
    return ((role, card_facts) for role, card_facts in facts.items() if role not in of_family("unet"))
