"""The facts that a training run recorded of its checkpoint."""

import json
import math
import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hub_models.cards.card import render_card
from hub_models.checkpoints.folder import FACTS_FILE
from hub_models.checkpoints.roles import ROLES

LICENSE = r"[a-z0-9][a-z0-9.-]*"
"""How the Hub writes the id of a licence."""
RECORD_FILE, CARD_FILE = "predictions.csv", "README.md"


@dataclass
class CardFacts:
    """The facts that a model card is made from, as a training run recorded them.

    Attributes:
        role: one of `ROLES`.
        architecture: One line.
        base_model: The start of the training (Hub id, or words); None for random weights.
        parameters: Number of weights.
        labels: Classes in logits order, or the names of the masks for a UNet.
        image_size: Side of the square input, in pixels.
        view: The part of the X-ray that the classifier sees ("soft_lungs", "lungs", "crop", "full"); None for a UNet.
        data: "name", "fingerprint", "license" (a licence id of the Hub; None if nobody stated it), "images" {split:
            {label: n}}, "masks" {split: {"lungs": n, "infection drawn": n, "infection blank": n}} and, where somebody
            stated them, "citations", a list of texts.
        procedure: Hyper-parameters, name -> value.
        seconds: Wall clock of training.
        hardware: The machine that it ran on.
        results: "split", "images" (number of images) and the figures that `train.compare` writes for the role;
            "validation" (name -> figure) and "controls" (name -> figure, or name -> {name: figure}) when they were
            measured; beside the figures "intervals" (name -> [low, high]) and "bootstrap" (patients, resamples,
            level); of a UNet "boxes", "by_class" and "by_source", if the test images have boxes, classes and sources to
            score it by; "invariance", if `train.invariance` measured it: "split", "images", "patients" and "changes"
            (name of a harmless change of the file -> figures); "left_out", if `train.sources` measured it:
            "sources" (source -> figures), "means" over them, and "steps" of shortened trainings, else None. A figure
            that is not finite counts as not measured.
        notes: Plain sentences to read beside the figures.
        detail: Side of the square whose detail the model sees, in pixels; None for all.
    """

    role: str
    architecture: str
    base_model: str | None
    parameters: int
    labels: list[str]
    image_size: int
    view: str | None
    data: dict[str, Any]
    procedure: dict[str, str | int | float]
    seconds: float
    hardware: str
    results: dict[str, Any]
    notes: list[str] = field(default_factory=list)
    detail: int | None = None

    def __post_init__(self) -> None:
        """Turn NumPy numbers into plain ones and figures that are not finite into None.

        Raises:
            ValueError: The role has no card, or the licence is not written as the Hub writes it.
        """
        if self.role not in ROLES:
            raise ValueError(f"There is no card for the role {self.role!r}; the roles are {', '.join(ROLES)}.")
        if self.data["license"] is not None and not re.fullmatch(LICENSE, self.data["license"]):
            raise ValueError(
                f"The licence is {self.data['license']!r}; write the Hub's id of it, like cc-by-nc-sa-4.0."
            )
        for name, value in vars(self).items():
            setattr(self, name, _plain(value))

    def save(self, folder: str | Path) -> None:
        """Write the facts (metrics.json) and the card made from them (README.md) into a checkpoint folder."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=2, ensure_ascii=False, allow_nan=False)
        (folder / FACTS_FILE).write_text(text + "\n", encoding="utf-8")
        (folder / CARD_FILE).write_text(render_card(self), encoding="utf-8")

    @classmethod
    def load(cls, folder: str | Path) -> "CardFacts":
        """Read the facts back from a checkpoint folder.

        Raises:
            FileNotFoundError: The folder has no metrics.json.
            ValueError: It is not JSON, or does not hold the fields of a card.
        """
        path = Path(folder) / FACTS_FILE
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} does not hold the facts of a card: {str(error).rstrip('.')}.") from error


def _plain(value: Any) -> Any:
    """Turn a value into JSON types: NumPy scalars into numbers, NaN and infinities into None."""
    match value:
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case None | bool() | str():
            return value
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return float(value) if isinstance(value, float) else value
