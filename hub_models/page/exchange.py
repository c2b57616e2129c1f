"""The exchange of a checkpoint for everyone who has the page open: off unless the owner of the page allows it."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hub_models.cards import comparison
from hub_models.cards.curves import reliability_curves, roc_curves
from hub_models.cards.facts import CARD_FILE
from hub_models.checkpoints.download import Progress
from hub_models.checkpoints.folder import Checkpoint, CheckpointError
from hub_models.checkpoints.resolve import resolve
from hub_models.page import texts
from hub_models.page.results import card_html, control_text
from hub_models.xray.images import read_image
from hub_models.xray.phantom import draw_phantom

if TYPE_CHECKING:  # a page that opens before the models must not wait for them
    from hub_models.pipeline import XrayPipeline

VARIABLE = "XRAY_EXCHANGE"
MAX_BYTES = 500_000_000
"""Of a checkpoint from the Hub that the owner has not named."""
MAX_CARD_BYTES = 1_000_000


@dataclass(frozen=True)
class Exchange:
    """The checkpoints that visitors may put in place of others.

    Attributes:
        named: folders and Hub ids that the owner named; if there are none, any Hub id of at most `MAX_BYTES` will do.
    """

    named: tuple[str, ...] = ()

    @classmethod
    def from_environment(cls, named: Sequence[str] | None = None) -> "Exchange | None":
        """Return what the command line, or else `XRAY_EXCHANGE`, allows; None if nobody asked for an exchange.

        Args:
            named: what followed `--exchange`; None without it. `XRAY_EXCHANGE` is "1", or a list with commas.
        """
        if named is not None:
            return cls(tuple(named))
        value = os.environ.get(VARIABLE, "").strip()
        if value in ("", "0"):
            return None
        return cls(() if value == "1" else tuple(filter(None, map(str.strip, value.split(",")))))

    def find(self, role: str, wish: str, progress: Progress) -> Checkpoint:
        """Find a checkpoint for a role, and read all that the page tells of it.

        Raises:
            CheckpointError: it is not allowed, cannot be had, is too large, or its card or record is damaged.
        """
        if wish == "embedded" or wish in self.named:
            checkpoint = resolve(role, wish, progress)
        elif self.named:
            allowed = ", ".join(("embedded", *self.named))
            raise CheckpointError(texts.NOT_ON_THE_LIST.format(allowed))
        else:
            checkpoint = resolve(role, wish, progress, hub_only=True, max_bytes=MAX_BYTES)
        read_record(checkpoint)
        return checkpoint

    @staticmethod
    def put_in_place(pipeline: "XrayPipeline", checkpoint: Checkpoint) -> None:
        """Use a checkpoint from now on, once it has answered to a drawn X-ray.

        Raises:
            CheckpointError: it does not load or does not answer; everything then is as it was.
        """
        put_back = pipeline.use(checkpoint)
        try:
            pipeline(read_image(draw_phantom(seed=3, opacities=2).image))
        except Exception as error:  # every kind: whatever a strange network does, the page must go on
            put_back()
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}".rstrip(".")
            raise CheckpointError(texts.NO_ANSWER.format(checkpoint.name, reason)) from error


def read_record(checkpoint: Checkpoint) -> None:
    """Read a checkpoint's card and recorded figures as *Models* and *Compare models* do.

    Raises:
        CheckpointError: one of them is damaged.
    """
    one: Mapping[str, Checkpoint] = {checkpoint.role: checkpoint}
    card = checkpoint.folder / CARD_FILE
    try:
        if card.is_file() and card.stat().st_size > MAX_CARD_BYTES:
            raise ValueError(texts.CARD_TOO_LARGE.format(MAX_CARD_BYTES / 1e6))
        card_html(checkpoint)
        control_text(checkpoint)
        facts = comparison.recorded(one)
        comparison.class_scores(facts)
        comparison.control_scores(facts)
        comparison.outline_scores(facts)
        reliability_curves(facts, one)
        for recorded in facts.values():
            comparison.confusion(recorded)
            for label in recorded.labels:
                roc_curves(facts, one, label)
    except (ValueError, TypeError, KeyError, LookupError, AttributeError, OSError) as error:
        reason = " ".join(str(error).replace(str(checkpoint.folder), checkpoint.name).split()).rstrip(".")
        raise CheckpointError(texts.CARD_DAMAGED.format(checkpoint.name, reason)) from error
