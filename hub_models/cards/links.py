"""Addresses in the model card of a published checkpoint: its own, those of the others, and of the project."""

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from huggingface_hub import constants

from hub_models.cards.card import render_card
from hub_models.checkpoints.roles import ROLES

if TYPE_CHECKING:  # the facts are saved with their card
    from hub_models.cards.facts import CardFacts

THUMBNAIL_FILE = "thumbnail.png"
SECTION = re.compile(r"^## How to use it\n.*?(?=^## )", re.MULTILINE | re.DOTALL)
"""The part of a card that addresses change, beside its metadata."""


@dataclass(frozen=True)
class Links:
    """Where a published checkpoint is, and what belongs to it.

    Attributes:
        repo_id: its Hub id.
        others: role -> Hub id of the checkpoints that were published with it.
        project: the address that the project is cloned from; None if nobody gave it.
        space: the Hub id of the Space with the page; None if nobody gave it.
    """

    repo_id: str
    others: dict[str, str] = field(default_factory=dict)
    project: str | None = None
    space: str | None = None

    @property
    def thumbnail(self) -> str:
        """The address of the picture that the Hub shows with the checkpoint."""
        return f"{constants.ENDPOINT}/{self.repo_id}/resolve/main/{THUMBNAIL_FILE}"

    def address(self, hub_id: str) -> str:
        """Return the address of the page of a Hub id."""
        return f"{constants.ENDPOINT}/{hub_id}"


def with_links(card: str, facts: "CardFacts", links: Links) -> str:
    """Return a card with its addresses: in its section on use, and in its metadata. Other words stay as they are."""
    used = SECTION.search(render_card(facts, links))[0]
    card = SECTION.sub(lambda _: used, card, count=1)
    metadata = [f"thumbnail: {links.thumbnail}"]
    parts = [links.others[part] for part in ROLES[facts.role].parts if part in links.others]
    if parts:
        metadata += ["base_model:", *(f"- {part}" for part in parts)]
    return card.replace("---\n", "\n".join(["---", *metadata, ""]), 1)
