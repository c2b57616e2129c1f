"""Everything that the models say of one X-ray, and the types of its parts."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from hub_models.models.conclusion import Conclusion
from hub_models.xray.masks import Involvement, Masks

Outlines = tuple[Masks, Involvement]
"""The masks of an X-ray, and the infected share of each lung."""
Answers = dict[str, dict[str, float]]
"""Role -> class -> probability."""
Classified = tuple[Answers, list[str]]
"""The answers about an X-ray, and its notes."""
Sentences = list[dict[str, str | float]]
Headers = Sequence[Sequence[str]]
"""Of each X-ray, the reasons against it in its file's header, as `Xray.reasons` holds them."""


@dataclass(frozen=True)
class Report:
    """Everything about one X-ray.

    Attributes:
        image: float32 (H, W) in 0..1.
        masks: the outlines, at the size that models see.
        involvement: infected share of each lung.
        classifiers: role -> class -> probability; a role that could not answer is missing.
        notes: one sentence for each role that could not answer, in plain words.
        engines: role -> the engine that ran its networks, in words.
        reasons: why the picture is refused as a frontal chest X-ray, each in a sentence; empty if it may be read. A
            picture that is refused has no shares and no classes, unless they were asked for anyway.
        conclusion: what the classifiers say together; None where none that can take part in it answered.
    """

    image: np.ndarray
    masks: Masks
    involvement: Involvement
    classifiers: dict[str, dict[str, float]]
    notes: list[str]
    engines: dict[str, str] = field(default_factory=dict)
    reasons: tuple[str, ...] = ()
    conclusion: Conclusion | None = None

    @property
    def refused(self) -> bool:
        """Whether the picture is refused as a frontal chest X-ray."""
        return bool(self.reasons)

    @property
    def strangeness(self) -> float | None:
        """How unlike X-rays the picture is, refused from 1 up; None if the UNet was not taught to tell."""
        return self.masks.strangeness
