"""ResNet and CLIP joined: the ResNet's features change the CLIP's image embedding before it meets the prompts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from scipy.special import softmax

from hub_models.models.classifier import Classifier
from hub_models.models.features import Encoder
from hub_models.models.labels import Prompts
from hub_models.models.network_model import array_of
from hub_models.models.saved import SavedModel

EPSILON = 1e-5
"""The number that PyTorch's `nn.LayerNorm` adds to a variance."""


class DualEncoder(Encoder, Protocol):
    """An encoder whose vectors are compared with those of sentences: the CLIP."""

    labels: list[str]
    scale: float

    def embed_classes(self, prompts: Prompts | None = None) -> tuple[list[str], np.ndarray]:
        """Classes, its own without prompts, and their unit vectors float32 (C, D)."""


class NotJoined(ValueError):
    """A fusion has no parts, or others than it was trained with; the message is one sentence."""


def shapes_of(features: int, embeddings: int) -> dict[str, tuple[int, ...]]:
    """Name -> shape of the weights of a fusion, by the lengths of the vectors that it joins."""
    layers = {f"{name}.weight": (embeddings, features) for name in ("scale", "shift")}
    layers |= {f"{name}.bias": (embeddings,) for name in ("scale", "shift")}
    return layers | {"normalise.weight": (features,), "normalise.bias": (features,), "logit_scale": ()}


def condition(weights: Mapping[str, np.ndarray], features: np.ndarray, embeddings: np.ndarray) -> np.ndarray:
    """Scale and shift a CLIP's image embeddings by a ResNet's features, as `ConditionedEmbedding` does.

    Args:
        weights: name -> float32, with the names of `shapes_of`.
        features: float32 (N, F).
        embeddings: unit vectors, float32 (N, D).

    Returns:
        Unit vectors, float32 (N, D).
    """
    centred = features - features.mean(axis=1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(axis=1, keepdims=True) + EPSILON)
    normal = normal * weights["normalise.weight"] + weights["normalise.bias"]
    scale, shift = (normal @ weights[f"{name}.weight"].T + weights[f"{name}.bias"] for name in ("scale", "shift"))
    joined = embeddings * (1 + scale) + shift
    return joined / np.linalg.norm(joined, axis=1, keepdims=True)


class FusionClassifier(Classifier):
    """A small layer that combines a ResNet and a CLIP, which are checkpoints of their own.

    Its folder names the weights that it was trained with; it answers with no others. It is computed with NumPy; its
    `model` is a `SavedModel`, or the PyTorch module `ConditionedEmbedding` while it is trained.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._parts: tuple[Encoder, DualEncoder] | None = None
        self.problem = "The fusion is not joined to the ResNet and the CLIP that it was trained with."

    @classmethod
    def new(cls, resnet: Encoder, clip: DualEncoder, parts: dict[str, str], feature_size: int) -> "FusionClassifier":
        """Make an untrained fusion of two classifiers of the same classes, which answers as the CLIP does.

        This needs PyTorch.

        Args:
            resnet: gives the features.
            clip: gives the embedding, the classes and the prompts.
            parts: role -> SHA-256 of its weights.
            feature_size: number of the ResNet's features.
        """
        from hub_models.engines.pytorch.new import new_fusion

        fusion = cls(new_fusion(feature_size, clip.embed_classes()[1].shape[1], parts, clip.labels, clip.view))
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
        model.check(shapes_of(model.config.feature_size, model.config.embedding_size))
        return cls(model)

    @property
    def pytorch_model(self) -> Any:
        """The layer as a PyTorch module; this needs PyTorch."""
        if isinstance(self.model, SavedModel):
            return type(self).from_pretrained(self.model.folder, "torch").model
        return self.model

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors (float16), of its PyTorch module."""
        from hub_models.engines.pytorch import weights

        weights.save_pretrained(self.model, folder)

    def join(self, resnet: Encoder, clip: DualEncoder, parts: Mapping[str, str]) -> None:
        """Join it to its parts.

        Args:
            resnet: gives the features.
            clip: gives the embedding and the prompts.
            parts: role -> SHA-256 of its weights.

        Raises:
            NotJoined: if it was trained with others; until it is joined to those, it does not answer.
        """
        self._parts = None
        if strange := [role for role, digest in self.model.config.parts.items() if parts.get(role) != digest]:
            others = " and another ".join(sorted(strange))
            self.problem = (
                f"The fusion was trained with another {others} than the one in use; use that, or train it again."
            )
            raise NotJoined(self.problem)
        self._parts, self.problem = (resnet, clip), None

    @property
    def labels(self) -> list[str]:
        """Classes in the order of the probabilities: those of its CLIP, once it is joined to it."""
        return super().labels if self._parts is None else self._parts[1].labels

    @property
    def encoders(self) -> tuple[Encoder, DualEncoder]:
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
        """Make all logits smaller by a factor, in its own PyTorch module; the CLIP's weights stay as they are."""
        self.model.logit_scale.data -= float(np.log(temperature))

    def answer(
        self, features: np.ndarray, embeddings: np.ndarray, prompts: Prompts | None = None
    ) -> list[dict[str, float]]:
        """Probability of each class, of N X-rays; prompts and errors as in `classify`.

        Args:
            features: float32 (N, F), the ResNet's.
            embeddings: unit vectors, float32 (N, D), the CLIP's.
            prompts: sentences of each class; the CLIP's own if not given.
        """
        _, clip = self.encoders
        classes, texts = clip.embed_classes(prompts)
        config = self.model.config
        weights = {name: array_of(self.model, name) for name in shapes_of(config.feature_size, config.embedding_size)}
        joined = condition(weights, features, embeddings)
        logits = np.float64(clip.scale * np.exp(weights["logit_scale"]) * joined @ texts.T)
        return [dict(zip(classes, row, strict=True)) for row in softmax(logits, axis=1).tolist()]
