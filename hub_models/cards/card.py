"""The model card of a checkpoint, made of the facts that its training run recorded."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from hub_models.cards.left_out import columns, left_out_rows
from hub_models.cards.scores import GROUP_FIGURES, HEADLINE, bootstrap, group_rows, headline, measured, number
from hub_models.checkpoints.hub_id import is_hub_id
from hub_models.checkpoints.roles import ROLES

if TYPE_CHECKING:  # the facts are saved with their card
    from hub_models.cards.facts import CardFacts
    from hub_models.cards.links import Links

TEMPLATE = Path(__file__).with_name("card_template.md")


def render_card(facts: "CardFacts", links: "Links | None" = None) -> str:
    """Write the model card of a checkpoint, metadata first; every figure in it comes from `facts`.

    Args:
        facts: what its training recorded.
        links: the addresses of a published checkpoint, for the section on use; None for a folder.
    """
    role, left_out = ROLES[facts.role], facts.results.get("left_out")
    data = ModelCardData(
        license=facts.data["license"],
        library_name=role.library,
        pipeline_tag=role.pipeline_tag,
        inference=False,  # the Hub's widget would show it the whole picture
        base_model=_hub_id(facts.base_model),
        datasets=_hub_id(facts.data["name"]),
        tags=tags(facts),
        metrics=list(dict.fromkeys(row.metric for row in measured(facts))),
        model_name=role.card_title,
        eval_results=eval_results(facts),
    )
    card = ModelCard.from_template(
        data,
        template_path=str(TEMPLATE),
        title=role.card_title,
        facts=facts,
        role=role,
        roles=ROLES,
        links=links,
        headline=headline(facts),
        headline_columns=list(HEADLINE.values()),
        measured=measured(facts),
        group_columns=list(GROUP_FIGURES.values()),
        group_rows=group_rows(facts.results),
        left_out_columns=columns(facts.labels),
        left_out_rows=left_out_rows(left_out, facts.labels) if left_out else [],
        bootstrap=bootstrap(facts),
        number=number,
        duration=duration,
    )
    return re.sub(r"\n{3,}", "\n\n", card.content).rstrip() + "\n"


def tags(facts: "CardFacts") -> list[str]:
    """Return the tags of a card; "covid-19" is one where a class of the data is named so."""
    classes = {label for counts in facts.data["images"].values() for label in counts}
    topic = ["covid-19"] if any("covid" in label.lower() for label in classes) else []
    return ["chest-x-ray", "medical-imaging", *topic, ROLES[facts.role].tag]


def eval_results(facts: "CardFacts") -> list[EvalResult]:
    """The measured figures in the form that the Hub shows beside a model."""
    name = facts.data["name"]
    return [
        EvalResult(
            task_type=ROLES[facts.role].task,
            dataset_type=_hub_id(name) or re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-"),
            dataset_name=name,
            dataset_split=facts.results["split"],
            dataset_args={"fingerprint": facts.data["fingerprint"], "images": facts.results["images"]},
            metric_type=row.metric,
            metric_name=row.name,
            metric_value=row.value,
        )
        for row in measured(facts)
        if row.value is not None
    ]


def duration(seconds: float) -> str:
    """Format a wall-clock time in the unit that reads best."""
    for unit, length in (("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} seconds"


def _hub_id(name: str | None) -> str | None:
    """Return a name that is written like a Hub id; None for any other."""
    return name if is_hub_id(name) else None
