"""Scores as figures: a line for the 95 % interval and a dot for the score, of each classifier."""

from collections.abc import Mapping

import pandas as pd

from hub_models.cards.comparison import CLASSES, classifiers
from hub_models.cards.facts import CardFacts
from hub_models.page import texts
from hub_models.page.results import plain_html

SCORES = ("accuracy", "recall_macro", "f1_macro", "auroc_macro")
"""Those of `CLASSES` that are drawn."""


def scores_html(facts: Mapping[str, CardFacts]) -> str:
    """Draw the `SCORES`, each from 0 to 1; a classifier that lacks one is left out there.

    Args:
        facts: role -> facts of its card.
    """
    figures = []
    for score in SCORES:
        lines = "".join(
            _line(texts.TITLES.get(role, role), card_facts.results[score], card_facts.results["intervals"][score])
            for role, card_facts in classifiers(facts)
            if score in card_facts.results and score in card_facts.results.get("intervals", {})
        )
        if lines:
            figures.append(f"<figure><figcaption>{CLASSES[score]}</figcaption>{lines}</figure>")
    return f"<div class='scores'>{''.join(figures)}</div>" if figures else ""


def _line(title: str, score: float, interval: tuple[float, float]) -> str:
    low, high = interval
    place = f"--low: {low:.4f}; --high: {high:.4f}; --at: {score:.4f}"
    written = f"{score:.3f} ({low:.2f}-{high:.2f})"
    line = f"<span class='line' style='{place}' aria-hidden='true'><i></i><b></b></span>"
    return f"<div class='score'><span>{plain_html(title)}</span>{line}<span>{written}</span></div>"


def with_titles(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with the titles of the models in place of their roles."""
    return table.assign(Model=[texts.TITLES.get(role, role) for role in table["Model"]])
