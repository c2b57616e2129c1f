"""What the page says of a result and of the checkpoints in use, as HTML or Markdown."""

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from hub_models.cards.facts import FACTS_FILE, CardFacts
from hub_models.checkpoints.folder import Checkpoint
from hub_models.reports.sentences import GRADE, SIDES, percent
from hub_models.xray.masks import Involvement, Masks, grade_extent, split_lungs

if TYPE_CHECKING:  # a page that opens before the models must not wait for torch
    from hub_models.engines.engine import Engine
    from hub_models.models.gradcam import Explanation

SHARE = "Share of the lung's area in the picture that is outlined as infected, with the pixels that it is made of."
NO_LUNGS = "<b>No lungs found.</b> This may be no frontal chest X-ray, or one too dark or too light to outline."


STRANGE = """<div class='problem' role='alert'><b>This does not look like a frontal chest X-ray.</b> To the UNet it is
{:.1f} times as far from the X-rays that it was tried on as the farthest that it accepts; a photograph, another part of
the body or a view from the side may be the reason. What the models say of such a picture means nothing.</div>"""


def strange_html(masks: Masks) -> str:
    """Write why a picture is refused."""
    return STRANGE.format(masks.strangeness)


def shares_html(masks: Masks, involvement: Involvement) -> str:
    """Write the infected share of each lung for the visitor, or that there are no lungs."""
    if not masks.lungs.any():
        return f"<p role='status'>{NO_LUNGS}</p>"
    names = {"right": "patient's right lung", "left": "patient's left lung", "both": "both lungs"}
    areas = dict(zip(names, (*split_lungs(masks.lungs), masks.lungs), strict=True))
    cells = []
    for side, share in asdict(involvement).items():
        marked, area = int((areas[side] & masks.infection).sum()), int(areas[side].sum())
        graded = "" if share is None or side == "both" else f"grade {grade_extent(share)} of 4, "
        cells.append(
            f"<div><b>{percent(share)}</b>{names[side]}<small>{graded}{marked:,} of {area:,} pixels</small></div>"
        )
    return f"<div class='shares'>{''.join(cells)}</div><p>{SHARE} {SIDES} {GRADE}</p>"


def likely_text(likely: Sequence[str], level: float) -> str:
    """Write a prediction set: the classes that a classifier does not tell apart."""
    return f"**{' or '.join(likely)}**: sets like this one held the true class of {level:.0%} of X-rays like its own."


def control_text(checkpoint: Checkpoint | None) -> str:
    """Write how much of a classifier's score needs the lungs, as its card tells; nothing where no figures come with it.

    Raises:
        ValueError: if the figures are damaged.
    """
    if checkpoint is None or not (checkpoint.folder / FACTS_FILE).is_file():
        return ""
    results = CardFacts.load(checkpoint.folder).results
    shown = results.get("controls", {})
    if not {"shown its own view", "shown lungs hidden"} <= shown.keys():
        return "How much of its score needs the lungs is not measured."
    own, hidden = (shown[f"shown {what}"] for what in ("its own view", "lungs hidden"))
    return (
        f"It named the right class on {own['accuracy']:.0%} of {own['images']} test images, and on "
        f"{hidden['accuracy']:.0%} of them with the lungs hidden."
    )


def heat_text(explanation: "Explanation | None") -> str:
    """Write what a heat map explains and how much of it lies in the lungs."""
    if explanation is None:
        return "No lungs found, so nothing was classified."
    if explanation.inside_lungs is None:
        return f"Nothing in the picture speaks for {explanation.label}."
    return (
        f"What speaks for **{explanation.label}**: {percent(explanation.inside_lungs)} of the heat lies in the lungs."
    )


def problems_html(checkpoints: Mapping[str, Checkpoint]) -> str:
    """Write which embedded checkpoints stand in for those that were asked for, and why."""
    return "".join(
        f"<div class='problem' role='status'><b>{role}: the embedded checkpoint stands in.</b> "
        f"{html.escape(checkpoint.problem)}</div>"
        for role, checkpoint in checkpoints.items()
        if checkpoint.problem
    )


def checkpoints_table(checkpoints: Mapping[str, Checkpoint], engines: "Mapping[str, Engine]") -> str:
    """Write the checkpoints in use, and what runs them, as a Markdown table; below, why it is nothing faster."""
    rows = [
        f"| {c.role} | `{c.name}`{' (stand-in)' if c.problem else ''} | {c.origin} | `{c.revision or '-'}` "
        f"| {engines.get(c.role, '-')} |"
        for c in checkpoints.values()
    ]
    slow = [f"\n{role} runs in PyTorch: {engine.problem}" for role, engine in engines.items() if engine.problem]
    return "\n".join(["| Role | Checkpoint | Origin | Revision | Runs in |", "|---|---|---|---|---|", *rows, *slow])


def card_text(checkpoint: Checkpoint) -> str:
    """Return the Markdown of a checkpoint's model card without its YAML front matter."""
    card = checkpoint.folder / "README.md"
    if not card.is_file():
        return "This checkpoint has no model card."
    return re.sub(r"\A---\s*\n.*?\n---\s*\n", "", card.read_text(encoding="utf-8"), flags=re.DOTALL)
