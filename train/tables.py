"""Markdown tables."""

from hub_models.cards import number


def table(head: list[str], rows: list[list]) -> str:
    """A Markdown table, its values as model cards write them."""
    texts = [[number(value) for value in row] for row in rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *texts))


def with_interval(scores: dict, name: str) -> str:
    """A score with its interval behind it: "0.912 (0.89-0.93)"."""
    if scores[name] is None or name not in scores.get("intervals", {}):
        return number(scores[name])
    low, high = scores["intervals"][name]
    return f"{scores[name]:.3f} ({low:.2f}-{high:.2f})"
