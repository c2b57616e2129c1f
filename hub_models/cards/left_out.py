"""How a classifier's recipe fares in hospitals that it did not learn from, as rows of a table and in one sentence."""

from collections.abc import Mapping

from hub_models.cards.scores import with_interval

FIGURES = {
    "set_coverage": "Sets hold the class",
    "set_size_mean": "Classes a set",
    "widened_coverage": "Widened sets hold it",
    "widened_size": "Classes a widened set",
    "validation": "At home",
}
"""Score of a source -> column, after those of its classes."""

Scores = Mapping[str, object]


def columns(labels: list[str]) -> list[str]:
    """Return the heads of the columns of `left_out_rows` for a classifier of these classes."""
    called = [f"Healthy called {label}" for label in labels]
    return ["Left out", "Images", "Balanced accuracy", *called, *FIGURES.values()]


def left_out_rows(measured: Mapping[str, Scores], labels: list[str]) -> list[list[str]]:
    """Return a row of a table for each source that was left out, and one of the means over them.

    Args:
        measured: "sources": source -> its scores, and "means": those over the sources, as `train.sources` records them.
        labels: the classes.
    """
    images = sum(scores["images"] for scores in measured["sources"].values())
    rows = {**measured["sources"], "mean": {**measured["means"], "images": images}}
    return [_row(name, scores, labels) for name, scores in rows.items()]


def by_name(scores: Scores) -> dict[str, object]:
    """Return the scores of a source, and the shares of its healthy X-rays each under a name: "healthy_called CLASS"."""
    return {**scores, **{f"healthy_called {label}": share for label, share in scores["healthy_called"].items()}}


def _row(name: str, scores: Scores, labels: list[str]) -> list[str]:
    flat = by_name(scores)
    figures = ("balanced_accuracy", *(f"healthy_called {label}" for label in labels), *FIGURES)
    return [name, str(scores["images"])] + [
        "-" if flat.get(figure) is None else with_interval(flat, figure) for figure in figures
    ]


def span(measured: Mapping[str, Scores]) -> tuple[float, float, float]:
    """Return the mean, the least and the greatest balanced accuracy over the sources that were left out, each 0..1."""
    reached = [scores["balanced_accuracy"] for scores in measured["sources"].values()]
    return measured["means"]["balanced_accuracy"], min(reached), max(reached)
