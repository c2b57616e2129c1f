"""ResNet and CLIP joined: a logarithmic opinion pool of what both say of the same X-ray."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np
from scipy.special import softmax

from hub_models.models.classifier import Classifier
from hub_models.models.features import Encoder
from hub_models.models.labels import Prompts
from hub_models.models.network_model import array_of
from hub_models.models.saved import SavedModel

LEAST_DIFFERENCE = 1e-4
"""Share of the greatest difference between classes' vectors below which two do not differ; float32 has seven digits."""

LEAST_PROBABILITY = np.finfo(np.float32).tiny
"""The least probability that has a logarithm here."""


class Scorer(Encoder, Protocol):
    """An encoder whose vectors say how probable each of its own classes is: the ResNet."""

    labels: list[str]
    multi_label: bool

    def answer(self, features: np.ndarray) -> list[dict[str, float]]:
        """Probability of each class, of N vectors, float32 (N, F)."""


class DualEncoder(Encoder, Protocol):
    """An encoder whose vectors are compared with those of sentences: the CLIP."""

    labels: list[str]
    scale: float

    def embed_classes(self, prompts: Prompts | None = None) -> tuple[list[str], np.ndarray]:
        """Classes, its own without prompts, and their vectors, float32 (C, D)."""

    def class_similarities(
        self, embeddings: np.ndarray, prompts: Prompts | None = None
    ) -> tuple[list[str], np.ndarray]:
        """The same classes, and the similarities, float64 (N, C), of N unit vectors, float32 (N, D), to them."""


class NotJoined(ValueError):
    """A fusion has no parts, or others than it was trained with; the message is one sentence."""


def directions(texts: np.ndarray) -> np.ndarray:
    """Find the directions in which an image's vector has to move to come closer to one class than to the others.

    Args:
        texts: the classes' vectors, float32 (C, D).

    Returns:
        float32 (C, D): opinions (N, C) times these, times the classes' vectors, are the opinions again, up to a number
        that all classes of an image share. They are the pseudo-inverse (Penrose 1955) of the vectors less their mean.
    """
    return np.linalg.pinv(texts - texts.mean(axis=0), rcond=LEAST_DIFFERENCE).T


class FusionClassifier(Classifier):
    """The answers of a ResNet and a CLIP, which are checkpoints of their own, weighed against each other.

    For the classes of both its logits are the sum of theirs, each times a weight. About sentences that only the CLIP
    can read, the ResNet's opinion counts as far as they differ as the sentences of its own classes do.

    Its folder names the weights that it was trained with; it answers with no others. It is computed with NumPy; its
    `model` is a `SavedModel`, or the PyTorch module `LogOpinionPool` while it is trained.
    """

    weight_shapes: ClassVar[dict[str, tuple[int, ...]]] = {"resnet_weight": (), "clip_weight": ()}

    def __init__(self, model: Any) -> None:
        self.model = model
        self._parts: tuple[Scorer, DualEncoder] | None = None
        self.problem = "The fusion is not joined to the ResNet and the CLIP that it was trained with."

    @classmethod
    def new(cls, resnet: Scorer, clip: DualEncoder, parts: dict[str, str]) -> "FusionClassifier":
        """Make an untrained fusion of two classifiers of the same classes, both of which count by half.

        This needs PyTorch.

        Args:
            resnet: gives its probabilities.
            clip: gives the embedding, the classes and the prompts.
            parts: role -> SHA-256 of its weights.

        Raises:
            NotJoined: if the two answer about different classes.
        """
        from hub_models.engines.pytorch.new import new_fusion

        fusion = cls(new_fusion(parts, clip.labels, clip.view))
        fusion.join(resnet, clip, parts)
        return fusion

    @classmethod
    def from_pretrained(cls, folder: str | Path, engine_name: str | None = None) -> "FusionClassifier":
        """Load a saved folder strictly; it answers once it is joined to its parts.

        Args:
            folder: the folder.
            engine_name: "torch" for a model that can be trained and saved; every engine computes the same.

        Raises:
            ValueError: if a tensor is missing, left over or of another shape.
        """
        if engine_name == "torch":
            from hub_models.engines.pytorch.load import load

            return cls(load("fusion", folder)[0])
        model = SavedModel(folder)
        model.check(cls.weight_shapes)
        return cls(model)

    @property
    def pytorch_model(self) -> Any:
        """The weights as a PyTorch module; this needs PyTorch."""
        if isinstance(self.model, SavedModel):
            return type(self).from_pretrained(self.model.folder, "torch").model
        return self.model

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors (float16), of its PyTorch module."""
        from hub_models.engines.pytorch import weights

        weights.save_pretrained(self.model, folder)

    def join(self, resnet: Scorer, clip: DualEncoder, parts: Mapping[str, str]) -> None:
        """Join it to its parts.

        Args:
            resnet: gives its probabilities.
            clip: gives the embedding and the prompts.
            parts: role -> SHA-256 of its weights.

        Raises:
            NotJoined: if it was trained with others, or they answer about different classes; until it is joined to
                its own, it does not answer.
        """
        self._parts = None
        if strange := [role for role, digest in self.model.config.parts.items() if parts.get(role) != digest]:
            others = " and another ".join(sorted(strange))
            self.problem = (
                f"The fusion was trained with another {others} than the one in use; use that, or train it again."
            )
            raise NotJoined(self.problem)
        if resnet.multi_label or sorted(resnet.labels) != sorted(clip.labels):
            several = ", of which an X-ray may have several" if resnet.multi_label else ""
            self.problem = (
                f"The ResNet scores {', '.join(resnet.labels)}{several}, and the CLIP {', '.join(clip.labels)}; a "
                "fusion joins two that choose among the same classes."
            )
            raise NotJoined(self.problem)
        self._parts, self.problem = (resnet, clip), None

    @property
    def labels(self) -> list[str]:
        """Classes in the order of the probabilities: those of its CLIP, once it is joined to it."""
        return super().labels if self._parts is None else self._parts[1].labels

    @property
    def encoders(self) -> tuple[Scorer, DualEncoder]:
        """The ResNet and the CLIP.

        Raises:
            NotJoined: if it is not joined to them.
        """
        if self._parts is None:
            raise NotJoined(self.problem)
        return self._parts

    def pixel_values(self, images: list[np.ndarray]) -> np.ndarray:
        """Input of its CLIP, float32 (N, 3, S, S), of views float32 (H, W) in 0..1."""
        return self.encoders[1].pixel_values(images)

    def divide_logits(self, temperature: float) -> None:
        """Make all logits smaller by a factor, in its own PyTorch module; those of its parts stay as they are."""
        for weight in self.model.parameters():
            weight.data /= temperature

    def part_logits(
        self, features: np.ndarray, embeddings: np.ndarray, prompts: Prompts | None = None
    ) -> tuple[list[str], np.ndarray, np.ndarray]:
        """Find what each part says of N X-rays; prompts and errors as in `classify`.

        Args:
            features: float32 (N, F), the ResNet's.
            embeddings: unit vectors, float32 (N, D), the CLIP's.
            prompts: sentences of each class; the CLIP's own if not given.

        Returns:
            The C classes; the logits of the ResNet and of the CLIP, float64 (N, C) each.
        """
        resnet, clip = self.encoders
        probabilities = [[answer[label] for label in clip.labels] for answer in resnet.answer(features)]
        opinions = np.log(np.maximum(probabilities, LEAST_PROBABILITY))
        opinions -= opinions.mean(axis=1, keepdims=True)
        classes, similarities = clip.class_similarities(embeddings, prompts)
        if prompts is not None:
            opinions = opinions @ directions(clip.embed_classes()[1]) @ clip.embed_classes(prompts)[1].T
        return classes, opinions, clip.scale * similarities

    def answer(
        self, features: np.ndarray, embeddings: np.ndarray, prompts: Prompts | None = None
    ) -> list[dict[str, float]]:
        """Probability of each class, of N X-rays, by what `part_logits` takes."""
        classes, *parts = self.part_logits(features, embeddings, prompts)
        weights = (array_of(self.model, name) for name in self.weight_shapes)
        logits = sum(weight * part for weight, part in zip(weights, parts, strict=True))
        return [dict(zip(classes, row, strict=True)) for row in softmax(logits, axis=1).tolist()]
