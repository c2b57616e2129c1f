"""The surface that all classifiers share, and the value that stands for an answer that one of them cannot give."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hub_models.models.calibration import Calibration
from hub_models.models.features import Encoder, SharedFeatures
from hub_models.models.gradcam import Explanation, explain
from hub_models.models.labels import Prompts
from hub_models.models.network_model import NetworkModel
from hub_models.models.views import NoLungs, View, make_views
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
        model: its config holds the classes, the view and the calibration; see `NetworkModel.model`.
        network_names: names of its networks, known before there is a model; empty where all networks are another's.
        multi_label: whether an X-ray may have several of the labels, each with a probability of its own.
        problem: why it cannot answer about any X-ray, in one sentence; None if it can.
    """

    model: Any
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
    def widened_by(self) -> tuple[int, ...]:
        """Pixels, of an X-ray of SIDE x SIDE, by which the lungs' outline is widened in each of its looks.

        Its vector of an X-ray, and so the logits of its answer, are the means over the looks.
        """
        return tuple(getattr(self.model.config, "widened_by", None) or (0,))

    @property
    def calibration(self) -> Calibration:
        """The temperature and the prediction sets that were fitted to its answers on the validation split."""
        return Calibration.of(self.model.config)

    @property
    def networks(self) -> dict[str, Any]:
        """Its own networks as PyTorch modules, which its engine runs, by the names of their files."""
        return {}

    @property
    @abstractmethod
    def encoders(self) -> tuple[Encoder, ...]:
        """The networks whose vectors `answer` takes.

        Raises:
            ValueError: if it has a `problem`.
        """

    @abstractmethod
    def answer(self, *vectors: np.ndarray, prompts: Prompts | None = None) -> list[dict[str, float]]:
        """Classify N X-rays by their vectors, float32 (N, D), one array for each of `encoders`.

        Prompts, results and errors are those of `classify`.
        """

    @abstractmethod
    def pixel_values(self, images: list[np.ndarray]) -> np.ndarray:
        """Network input, float32 (N, 3, S, S), of views float32 (H, W) in 0..1."""

    @abstractmethod
    def divide_logits(self, temperature: float) -> None:
        """Make all logits smaller by a factor, in the weights of its PyTorch module."""

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

    def answer_features(
        self, features: SharedFeatures, prompts: Prompts | None = None
    ) -> tuple[dict[int, dict[str, float]], dict[int, str]]:
        """Classify those X-rays that it can answer about; prompts and errors are those of `classify`.

        Returns:
            Position of an X-ray -> class -> probability; of each other X-ray the reason in one sentence.
        """
        reasons = self.refusals(features)
        positions = [position for position in range(len(features.images)) if position not in reasons]
        if not positions:
            return {}, reasons
        vectors = (features.stacked(encoder, positions) for encoder in self.encoders)
        return dict(zip(positions, self.answer(*vectors, prompts=prompts), strict=True)), reasons

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
        features = SharedFeatures(images, lungs)
        if reasons := [reason for encoder in self.encoders for reason in features.refusals(encoder).values()]:
            raise NoLungs(reasons[0])
        vectors = [features.stacked(encoder, range(len(images))) for encoder in self.encoders]
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


class NetworkClassifier(NetworkModel, Classifier):
    """A classifier with networks of its own, one of which makes a vector of what it sees."""

    @property
    def encoders(self) -> tuple["NetworkClassifier"]:
        """The classifier itself."""
        return (self,)

    @abstractmethod
    def outputs(self, pixel_values: np.ndarray) -> tuple[np.ndarray, ...]:
        """Run the network that looks, by the engine.

        Args:
            pixel_values: float32 (N, 3, S, S).

        Returns:
            Vectors, float32 (N, D); of a network that ends in maps also these, float32 (N, F, h, w).
        """

    @abstractmethod
    def score_class(
        self, vectors: np.ndarray, maps: np.ndarray, label: str | None, prompts: Prompts | None
    ) -> tuple[str, np.ndarray | None]:
        """Find how the logit of a class depends on the means of the last maps.

        Args:
            vectors: float32 (1, D), of one X-ray.
            maps: float32 (1, F, h, w), of the same.
            label: the class; the most probable one if not given.
            prompts: as in `classify`.

        Returns:
            The class; the gradient of its logit in the maps' means, float32 (F,), or None where the vectors do not
            follow from these means.
        """

    @abstractmethod
    def embed_classes(
        self, prompts: Prompts | None = None, near: np.ndarray | None = None
    ) -> tuple[list[str], np.ndarray | None]:
        """The classes, and the vectors, float32 (C, D), that they are compared by; None of a plain classifier.

        Args:
            prompts: as in `classify`.
            near: the vector, float32 (D,), of an image to which they may be fitted.
        """

    def embed(self, pixel_values: np.ndarray) -> np.ndarray:
        """Vectors, float32 (N, D), of network input, float32 (N, 3, S, S), by the engine."""
        return self.outputs(pixel_values)[0]

    def pixel_values(self, images: list[np.ndarray]) -> np.ndarray:
        """Network input, float32 (N, 3, S, S), of views float32 (H, W) in 0..1, which may differ in size."""
        return self.preprocessing(images, channels=3)

    def network_input(self, image: np.ndarray, lungs: np.ndarray | None) -> np.ndarray:
        """Network input, float32 (K, 3, S, S), of one X-ray, float32 (H, W) in 0..1, and its lungs, bool (H, W).

        K is the number of looks.
        """
        return self.pixel_values(make_views(image, lungs, self.view, self.detail, self.widened_by))

    def explain(
        self, image: np.ndarray, lungs: np.ndarray, label: str | None = None, prompts: Prompts | None = None
    ) -> Explanation:
        """Explain the score of a class on one X-ray of any size, as `hub_models.models.gradcam.explain` does.

        The heat is float32 (SIDE, SIDE): it lies over the X-ray as the model sees it, with the outline as it is.
        """
        if label is None and len(self.widened_by) > 1:
            answer = self(image, lungs, prompts)
            label = max(answer, key=answer.__getitem__)
        return explain(self, keep_detail(to_square(image), self.detail), mask_to_square(lungs), label, prompts)
