"""ResNet and CLIP joined: the ResNet's features change the CLIP's image embedding before it meets the prompts."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedConfig, PreTrainedModel

from hub_models.engines.device import best_device, device_of
from hub_models.models import weights
from hub_models.models.classifier import Classifier
from hub_models.models.features import Encoder
from hub_models.models.labels import Prompts


class DualEncoder(Encoder, Protocol):
    """An encoder whose vectors are compared with those of sentences: the CLIP."""

    model: PreTrainedModel
    labels: list[str]

    def embed_classes(self, prompts: Prompts | None = None) -> tuple[list[str], torch.Tensor]:
        """Classes, its own without prompts, and their unit vectors float32 (C, D)."""


class NotJoined(ValueError):
    """A fusion has no parts, or others than it was trained with; the message is one sentence."""


class FusionConfig(PreTrainedConfig):
    """Sizes of both vectors, the CLIP's view, and the joined checkpoints: role -> SHA-256 of its weights."""

    model_type = "xray-fusion"

    def __init__(self, feature_size: int = 512, embedding_size: int = 256, parts: dict | None = None, **others) -> None:
        super().__init__(**others)
        self.feature_size, self.embedding_size, self.parts = feature_size, embedding_size, parts or {}


class ConditionedEmbedding(PreTrainedModel):
    """A CLIP's image embedding, scaled and shifted by a ResNet's features (feature-wise linear modulation, FiLM).

    After Perez et al. (AAAI 2018). Untrained, it leaves the embedding as it is.
    """

    config_class = FusionConfig

    def __init__(self, config: FusionConfig) -> None:
        super().__init__(config)
        self.normalise = nn.LayerNorm(config.feature_size)
        self.scale = nn.Linear(config.feature_size, config.embedding_size)
        self.shift = nn.Linear(config.feature_size, config.embedding_size)
        self.logit_scale = nn.Parameter(torch.zeros(()))  # logarithm of a factor on CLIP's own temperature
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)

    def forward(self, features: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        """Unit vectors float32 (N, D), of features float32 (N, F) and unit vectors float32 (N, D)."""
        features = self.normalise(features)
        return F.normalize(embeddings * (1 + self.scale(features)) + self.shift(features), dim=-1)


class FusionClassifier(Classifier):
    """A `ConditionedEmbedding` that combines a ResNet and a CLIP, which are checkpoints of their own.

    Its folder names the weights that it was trained with; it answers with no others.
    """

    def __init__(self, model: ConditionedEmbedding) -> None:
        self.model = model.eval()
        self._parts: tuple[Encoder, DualEncoder] | None = None
        self.problem = "The fusion is not joined to the ResNet and the CLIP that it was trained with."

    @classmethod
    def new(cls, resnet: Encoder, clip: DualEncoder, parts: dict[str, str], feature_size: int) -> "FusionClassifier":
        """Make an untrained fusion of two classifiers of the same classes, which answers as the CLIP does.

        Args:
            resnet: gives the features.
            clip: gives the embedding, the classes and the prompts.
            parts: role -> SHA-256 of its weights.
            feature_size: number of the ResNet's features.
        """
        config = FusionConfig(feature_size, clip.embed_classes()[1].shape[1], parts)
        config.label2id = {label: i for i, label in enumerate(clip.labels)}
        config.id2label = dict(enumerate(clip.labels))
        config.view = clip.view
        fusion = cls(ConditionedEmbedding(config))
        fusion.join(resnet, clip, parts)
        return fusion

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "FusionClassifier":
        """Load a saved folder strictly; it answers once it is joined to its parts.

        Raises:
            ValueError: if a tensor is missing, left over or of another shape.
        """
        return cls(weights.load_strictly(ConditionedEmbedding, folder).to(best_device()))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json and model.safetensors (float16)."""
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

    def pixel_values(self, images: list[np.ndarray]) -> torch.Tensor:
        """Input of its CLIP, float32 (N, 3, S, S), of views float32 (H, W) in 0..1."""
        return self.encoders[1].pixel_values(images)

    @torch.no_grad()
    def divide_logits(self, temperature: float) -> None:
        """Make all logits smaller by a factor, in its own weights; the CLIP's stay as they are."""
        self.model.logit_scale -= float(np.log(temperature))

    @torch.inference_mode()
    def answer(
        self, features: torch.Tensor, embeddings: torch.Tensor, prompts: Prompts | None = None
    ) -> list[dict[str, float]]:
        """Probability of each class, of N X-rays; prompts and errors as in `classify`.

        Args:
            features: float32 (N, F), the ResNet's.
            embeddings: unit vectors, float32 (N, D), the CLIP's.
            prompts: sentences of each class; the CLIP's own if not given.
        """
        _, clip = self.encoders
        classes, texts = clip.embed_classes(prompts)
        device = device_of(self.model)
        joined = self.model(features.to(device), embeddings.to(device)).cpu()
        logits = (clip.model.logit_scale.cpu() + self.model.logit_scale.cpu()).exp() * joined @ texts.T
        return [dict(zip(classes, row, strict=True)) for row in logits.double().softmax(dim=1).tolist()]
