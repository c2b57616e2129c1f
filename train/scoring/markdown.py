"""Markdown tables."""

from hub_models.cards.scores import number


def table(head: list[str], rows: list[list]) -> str:
    """Write a Markdown table, its values as model cards write them."""
    texts = [[number(value) for value in row] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *texts))
