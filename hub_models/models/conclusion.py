"""The one conclusion that the classifiers come to about an X-ray together, or that they are undecided."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hub_models.checkpoints.roles import ANSWERING, ZERO_SHOT
from hub_models.models.calibration import Calibration, fitting_calibrations

if TYPE_CHECKING:  # the rule needs numbers only, and torch takes seconds to import
    from hub_models.models.classifier import Classifier
    from hub_models.models.labels import Prompts

UNLIKE_FROM = 0.8
"""The strangeness (`hub_models.models.plausibility`) from which nothing is decided; from 1 up a picture is refused
altogether. Of the 308 validation images 9 lie between, and 9 are refused. By the whole rule 52 % of the 308 are
decided, and the class is right on 95 % of those; the first class named of the others is right on 71 %, and the classes
named hold the true one on 95 % of all that are answered."""


@dataclass(frozen=True)
class Conclusion:
    """The classes that an X-ray may belong to by all classifiers together, and whether that decides for one.

    Attributes:
        classes: classes that are not told apart, the answering classifier's most probable one first; at least one.
        agree: number of classifiers whose most probable class is the first of `classes`.
        of: number of classifiers that take part.
        unlike: whether the picture's strangeness is at least `UNLIKE_FROM`.
    """

    classes: tuple[str, ...]
    agree: int
    of: int
    unlike: bool = False

    @property
    def decided(self) -> bool:
        """Whether one class is left, and the picture is like those that the models learned from."""
        return len(self.classes) == 1 and not self.unlike

    def describe(self) -> dict:
        """Describe it, ready for JSON: "classes", "decided", "agree", "of" and "unlike"."""
        counts = {"agree": self.agree, "of": self.of}
        return {"classes": list(self.classes), "decided": self.decided, **counts, "unlike": self.unlike}


def conclude(
    answers: Mapping[str, Mapping[str, float]],
    classifiers: "Mapping[str, Classifier]",
    prompts: "Prompts | None" = None,
    strangeness: float | None = None,
) -> Conclusion | None:
    """Conclude from the answers of all classifiers about one X-ray.

    The answering classifier is the first of `ANSWERING` that answered, and its prediction set is the start: the classes
    that it does not tell apart, in hospitals that were not learned from where that was fitted. A set has one class
    where none was fitted to the answer. The most probable class of each other classifier that was trained on these
    classes is added. So the X-ray is undecided if the set has several classes, if a trained classifier adds a class
    outside it, or if the picture is unlike those that the models learned from. A zero-shot classifier's answer is
    counted, and adds no class. Classifiers of other classes take no part, nor do those that may give an X-ray several
    labels at once.

    Args:
        answers: role -> class -> probability, of the classifiers that answered.
        classifiers: role -> classifier; those that answered are among them.
        prompts: the sentences that the zero-shot classifiers were asked; None for their own.
        strangeness: how unlike X-rays the picture is, from 0 up; None if the UNet was not taught to tell.

    Returns:
        The conclusion; None if no classifier answered that can take part.
    """
    exclusive = {role: answer for role, answer in answers.items() if not classifiers[role].multi_label}
    answering = next((role for role in ANSWERING if role in exclusive), None)
    if answering is None:
        return None
    answer = exclusive[answering]
    calibrations = fitting_calibrations(classifiers, prompts)
    likely = calibrations.get(answering, Calibration()).likely(answer)
    alike = {role: other for role, other in exclusive.items() if other.keys() == answer.keys()}
    preferred = {role: max(other, key=other.get) for role, other in alike.items()}
    trained = [label for role, label in preferred.items() if role not in ZERO_SHOT]
    agree = sum(label == likely[0] for label in preferred.values())
    unlike = strangeness is not None and strangeness >= UNLIKE_FROM
    return Conclusion(tuple(dict.fromkeys([*likely, *trained])), agree, len(preferred), unlike)
