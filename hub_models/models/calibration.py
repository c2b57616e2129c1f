"""The calibration of a classifier's probabilities, and the prediction sets that follow from it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from hub_models.checkpoints.roles import ZERO_SHOT

if TYPE_CHECKING:  # a page that opens before the models must not wait for torch
    from transformers import PreTrainedConfig

    from hub_models.models.classifier import Classifier
    from hub_models.models.labels import Prompts


@dataclass(frozen=True)
class Calibration:
    """The numbers fitted to a classifier's answers on the validation split; the config holds them as `calibration`.

    Attributes:
        temperature: the divisor of its logits (Guo et al., ICML 2017). The division is part of the weights, so every
            library that loads them gives calibrated probabilities.
        least: probability from which a class belongs to the prediction set; None if none was fitted.
        level: intended share of images whose set holds the true class.
        least_elsewhere: the same as `least` for hospitals that were not learned from, fitted on sources that were left
            out of trainings; None if none were.
    """

    temperature: float = 1.0
    least: float | None = None
    level: float = 0.9
    least_elsewhere: float | None = None

    @classmethod
    def of(cls, config: "PreTrainedConfig") -> "Calibration":
        """Read the calibration of a model's config; a model without one has temperature 1 and no sets."""
        return cls(**(getattr(config, "calibration", None) or {}))

    def write(self, config: "PreTrainedConfig") -> None:
        """Write it into a model's config."""
        config.calibration = asdict(self)

    def likely(self, probabilities: Mapping[str, float]) -> list[str]:
        """The prediction set: a list of classes that holds the true one in about `level` of all images.

        Nobody knows which hospital a visitor's X-ray is from, so the bound for other hospitals is taken if there is
        one. Split conformal prediction with the score 1 - p (Sadinle, Lei and Wasserman, JASA 2019); the most probable
        class always belongs to it.

        Args:
            probabilities: class -> probability of one image, from the calibrated model.

        Returns:
            Classes, the most probable first; only that one if no sets were fitted.
        """
        ranked = sorted(probabilities, key=lambda label: -probabilities[label])
        if self.least is None:
            return ranked[:1]
        bound = min(self.least, 1.0 if self.least_elsewhere is None else self.least_elsewhere)
        return [label for i, label in enumerate(ranked) if i == 0 or probabilities[label] >= bound]


def fitting_calibrations(
    classifiers: "Mapping[str, Classifier]", prompts: "Prompts | None" = None
) -> "dict[str, Calibration]":
    """Calibrations that hold for answers to these prompts; the zero-shot CLIP's holds for its own prompts only."""
    return {
        role: classifier.calibration
        for role, classifier in classifiers.items()
        if classifier.calibration.least is not None
        and not (role in ZERO_SHOT and prompts is not None and prompts != classifier.prompts)
    }
