"""Which way a picture has to be turned, inverted or mirrored to look like a frontal chest X-ray."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hub_models.xray.geometry import to_square
from hub_models.xray.placement import Placement

if TYPE_CHECKING:
    from hub_models.models.unet import Segmenter

TURNS = (0, 90, 180, 270)
"""Degrees counter-clockwise."""

CORRECTIONS = tuple((turn, invert) for invert in (False, True) for turn in TURNS)
"""Turn in degrees and whether the greys are inverted; the first leaves the picture as it is."""

LYING = {
    0: "",
    90: "on its side (with the head to the right)",
    180: "upside down",
    270: "on its side (with the head to the left)",
}
"""Turn that puts a picture upright -> how the picture lies."""

TURNED = {
    0: "",
    90: "turned by 90 degrees counter-clockwise",
    180: "turned by 180 degrees",
    270: "turned by 90 degrees clockwise",
}
"""Turn -> what was done, in words."""

NEGATIVE = "a negative, with bones black and air white"
MIRRORED = """The heart seems to be on the wrong side: this may be a mirror image, or the patient's heart lies on the
right (dextrocardia). "Right" and "left" would then be exchanged."""


@dataclass(frozen=True)
class Suggestion:
    """A change to a picture after which it would look like a frontal chest X-ray.

    Attributes:
        turn_degrees: how far to turn it counter-clockwise, one of `TURNS`.
        invert: whether to exchange dark and light.
        mirror: whether to exchange left and right.
        sentence: the reason, for the visitor.
    """

    turn_degrees: int
    invert: bool
    mirror: bool
    sentence: str

    def apply(self, image: np.ndarray) -> np.ndarray:
        """Change a picture, float32 (H, W) in 0..1; a turn by 90 or 270 degrees exchanges H and W."""
        changed = correct(image, self.turn_degrees, self.invert)
        return np.ascontiguousarray(changed[:, ::-1]) if self.mirror else changed

    @property
    def placement(self) -> Placement:
        """How the changed picture lies beside the one before."""
        return Placement.of(self.turn_degrees, self.mirror)

    @property
    def note(self) -> str:
        """The sentence that stands beside every answer about the changed picture."""
        inverted = "inverted (dark and light exchanged)" if self.invert else ""
        mirrored = "mirrored (left and right exchanged)" if self.mirror else ""
        done = " and ".join(filter(None, (TURNED[self.turn_degrees], inverted, mirrored)))
        return f"The picture was {done} before it was read, as the visitor asked."


def correct(image: np.ndarray, turn_degrees: int, invert: bool) -> np.ndarray:
    """Turn a picture, float32 (H, W) in 0..1, counter-clockwise, and exchange dark and light if `invert`."""
    turned = np.rot90(image, turn_degrees // 90)
    return np.ascontiguousarray(1 - turned if invert else turned, np.float32)


def best_correction(strangeness: Sequence[float]) -> int | None:
    """Choose one of `CORRECTIONS` by the strangeness of the picture after each of them.

    Returns:
        The position of the one that leads to the least strangeness; None if the picture is accepted as it is, or if
        it is refused after each.
    """
    best = int(np.argmin(strangeness))
    return best if strangeness[0] >= 1 > strangeness[best] else None


def suggest(segmenter: "Segmenter", image: np.ndarray) -> Suggestion | None:
    """Suggest how to change a picture, float32 (H, W) in 0..1, so that it looks like a frontal chest X-ray.

    A picture that the UNet refuses is tried in the seven other positions of `CORRECTIONS`, which costs as many passes
    of the network; one that it accepts costs one pass and can only be found mirrored.

    Returns:
        None if no change is needed, none helps, or the UNet was not taught to tell.
    """
    plausibility = segmenter.plausibility
    if plausibility is None:
        return None
    image = to_square(image)  # a large picture is reduced once, and not in every position
    features = segmenter.probabilities_and_features([image])[1][0]
    if (first := plausibility.strangeness(features)) < 1:
        mirrored = plausibility.mirrored is not None and plausibility.mirrored(plausibility.whiten(features)) >= 1
        return Suggestion(0, False, True, " ".join(MIRRORED.split())) if mirrored else None
    others = segmenter.probabilities_and_features([correct(image, *change) for change in CORRECTIONS[1:]])[1]
    best = best_correction([first, *map(plausibility.strangeness, others)])
    return None if best is None else Suggestion(*CORRECTIONS[best], False, _sentence(*CORRECTIONS[best]))


def _sentence(turn_degrees: int, invert: bool) -> str:
    """Say how a picture lies that a correction puts right."""
    how = [words for words in (LYING[turn_degrees], NEGATIVE if invert else "") if words]
    return f"The picture seems to be {' and '.join(how)}."
