"""The surface that all classifiers share, and the value that stands for an answer that one of them cannot give."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from transformers import BaseImageProcessor, PreTrainedModel

from hub_models.engines.engine import Engine
from hub_models.models.calibration import Calibration
from hub_models.models.features import Encoder, SharedFeatures
from hub_models.models.gradcam import Explanation, explain
from hub_models.models.labels import Prompts
from hub_models.models.views import View, classifier_pixels, make_view
from hub_models.xray.geometry import keep_detail, mask_to_square, to_square


@dataclass(frozen=True)
class Refused:
    """A role that cannot answer about an X-ray, and the reason in one sentence."""

    role: str
    reason: str

    def __str__(self) -> str:
        """Say so in one sentence."""
        return f"{self.role} gave no answer: {self.reason}"


class Classifier(ABC):
    """A model that gives each of its classes a probability, for an X-ray whose lungs are outlined.

    Attributes:
        model: the transformers model; its config holds the classes, the view and the calibration.
        network_names: names of `networks`, known before there is a model; empty where all networks are another's.
        multi_label: whether an X-ray may have several of the labels, each with a probability of its own.
        problem: why it cannot answer about any X-ray, in one sentence; None if it can.
    """

    model: PreTrainedModel
    network_names: ClassVar[tuple[str, ...]] = ()
    multi_label: bool = False
    problem: str | None = None

    @property
    def labels(self) -> list[str]:
        """Classes in the order of the probabilities."""
        return [self.model.config.id2label[i] for i in range(self.model.config.num_labels)]

    @property
    def view(self) -> View:
        """The part of the X-ray that the model sees; the whole image for a model that does not say."""
        return getattr(self.model.config, "view", "full")

    @property
    def detail(self) -> int | None:
        """Side of the square whose detail the model sees, in pixels; None for all."""
        return getattr(self.model.config, "detail", None)

    @property
    def calibration(self) -> Calibration:
        """The temperature and the prediction sets that were fitted to its answers on the validation split."""
        return Calibration.of(self.model.config)

    @property
    def networks(self) -> dict[str, nn.Module]:
        """Its own networks, which its engine runs, by the names of their files."""
        return {}

    @property
    @abstractmethod
    def encoders(self) -> tuple[Encoder, ...]:
        """The networks whose vectors `answer` takes.

        Raises:
            ValueError: if it has a `problem`.
        """

    @abstractmethod
    def answer(self, *vectors: torch.Tensor, prompts: Prompts | None = None) -> list[dict[str, float]]:
        """Classify N X-rays by their vectors, float32 (N, D), one tensor for each of `encoders`.

        Prompts, results and errors are those of `classify`.
        """

    @abstractmethod
    def pixel_values(self, images: list[np.ndarray]) -> torch.Tensor:
        """Network input, float32 (N, 3, S, S), of views float32 (H, W) in 0..1."""

    @abstractmethod
    def divide_logits(self, temperature: float) -> None:
        """Make all logits smaller by a factor, in the weights."""

    def refusals(self, features: SharedFeatures) -> dict[int, str]:
        """Find the X-rays that it cannot answer about.

        Returns:
            Position of such an X-ray -> the reason in one sentence.
        """
        if self.problem:
            return dict.fromkeys(range(len(features.images)), self.problem)
        reasons: dict[int, str] = {}
        for encoder in self.encoders:
            reasons = features.refusals(encoder) | reasons
        return reasons

    def classify(
        self, images: Sequence[np.ndarray], lungs: Sequence[np.ndarray | None], prompts: Prompts | None = None
    ) -> list[dict[str, float]]:
        """Classify X-rays in one pass of each network.

        Args:
            images: N X-rays, float32 (H, W) in 0..1, as `hub_models.xray.images.read_image` gives them.
            lungs: their lungs' outlines, bool (H, W).
            prompts: sentences of each class, any classes and any words; the classifier's own if not given.

        Returns:
            Probability of each class, of each X-ray; they sum to 1 unless an X-ray may have several (`multi_label`).

        Raises:
            NoLungs: if a view needs lungs and there are none.
            ValueError: if a class has no prompt, the classifier takes none, or it has a `problem`.
        """
        vectors = []
        for encoder in self.encoders:
            shown = encoder.view, encoder.detail
            views = [make_view(image, outline, *shown) for image, outline in zip(images, lungs, strict=True)]
            vectors.append(encoder.embed(encoder.pixel_values(views)))
        return self.answer(*vectors, prompts=prompts)

    def __call__(
        self, image: np.ndarray, lungs: np.ndarray | None = None, prompts: Prompts | None = None
    ) -> dict[str, float]:
        """Classify one X-ray, float32 (H, W) in 0..1, as `classify` does several."""
        return self.classify([image], [lungs], prompts)[0]

    def explain(
        self, image: np.ndarray, lungs: np.ndarray, label: str | None = None, prompts: Prompts | None = None
    ) -> Explanation | None:
        """Explain the score of a class on one X-ray, as `hub_models.models.gradcam.explain` does.

        Returns:
            The explanation; None from a classifier that has no networks of its own to look into.
        """
        return None


class NetworkClassifier(Classifier):
    """A classifier with networks of its own, one of which makes a vector of what it sees.

    Attributes:
        processor: the processor that is saved with the model.
        engine: runs `networks`; PyTorch, until another is put in its place.
    """

    processor: BaseImageProcessor
    engine: Engine

    @property
    def pixel_processor(self) -> BaseImageProcessor:
        """The image processor, which turns a view into network input."""
        return self.processor

    @property
    def encoders(self) -> tuple["NetworkClassifier"]:
        """The classifier itself."""
        return (self,)

    @abstractmethod
    def embed(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Vectors, float32 (N, D), of network input, float32 (N, 3, S, S), by the engine."""

    @abstractmethod
    def class_logits(
        self, pixel_values: torch.Tensor, prompts: Prompts | None = None
    ) -> tuple[list[str], torch.Tensor]:
        """The classes, and their logits, float32 (N, C), by PyTorch, with gradients back to the network input."""

    def pixel_values(self, images: list[np.ndarray]) -> torch.Tensor:
        """Network input, float32 (N, 3, S, S), of views float32 (H, W) in 0..1."""
        return classifier_pixels(self.pixel_processor, images)

    def network_input(self, image: np.ndarray, lungs: np.ndarray | None) -> torch.Tensor:
        """Network input, float32 (1, 3, S, S), of one X-ray, float32 (H, W) in 0..1, and its lungs, bool (H, W)."""
        return self.pixel_values([make_view(image, lungs, self.view, self.detail)])

    def explain(
        self, image: np.ndarray, lungs: np.ndarray, label: str | None = None, prompts: Prompts | None = None
    ) -> Explanation:
        """Explain the score of a class on one X-ray of any size, as `hub_models.models.gradcam.explain` does.

        The heat is float32 (SIDE, SIDE): it lies over the X-ray as the model sees it.
        """
        return explain(self, keep_detail(to_square(image), self.detail), mask_to_square(lungs), label, prompts)
