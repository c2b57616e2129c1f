"""Probabilities that mean something: how a classifier was calibrated, and which classes it cannot tell apart."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

from transformers import PreTrainedConfig


@dataclass(frozen=True)
class Calibration:
    """What was fitted to a classifier's answers on the validation split; it stands in the config as `calibration`.

    Attributes:
        temperature: its logits were divided by this (Guo et al., ICML 2017). The division is part of the weights, so
            every library that loads them gives calibrated probabilities.
        least: probability from which a class belongs to the prediction set; None if none was fitted.
        level: share of images whose set is meant to hold the true class.
    """

    temperature: float = 1.0
    least: float | None = None
    level: float = 0.9

    @classmethod
    def of(cls, config: PreTrainedConfig) -> "Calibration":
        """The calibration that a model's config tells; one that was never calibrated has temperature 1 and no sets."""
        return cls(**(getattr(config, "calibration", None) or {}))

    def write(self, config: PreTrainedConfig) -> None:
        """Note it in a model's config."""
        config.calibration = asdict(self)

    def likely(self, probabilities: Mapping[str, float]) -> list[str]:
        """The prediction set: the classes that the true one is among in about `level` of all images.

        Split conformal prediction with the score 1 - p (Sadinle, Lei and Wasserman, JASA 2019); the most probable class
        always belongs to it.

        Args:
            probabilities: class -> probability, of one image, from the model that was calibrated.

        Returns:
            Classes, the most probable first; that one alone if no sets were fitted.
        """
        ranked = sorted(probabilities, key=lambda label: -probabilities[label])
        if self.least is None:
            return ranked[:1]
        return [label for i, label in enumerate(ranked) if i == 0 or probabilities[label] >= self.least]
