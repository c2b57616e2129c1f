"""ResNet and CLIP joined: the ResNet's features bend CLIP's image embedding before it meets the prompts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedConfig, PreTrainedModel

from hub_models.engines.device import best_device, device_of
from hub_models.models import weights
from hub_models.models.calibration import Calibration
from hub_models.models.features import Eye
from hub_models.models.views import View, apply_view

Prompts = Mapping[str, Sequence[str]]


class DualEncoder(Eye, Protocol):
    """An eye whose vectors are compared with those of sentences: the CLIP."""

    model: PreTrainedModel
    labels: list[str]

    def embed_classes(self, prompts: Prompts | None = None) -> tuple[list[str], torch.Tensor]:
        """Its own classes or others, and their unit vectors float32 (C, D)."""


class NotJoined(ValueError):
    """A fusion has no parts, or others than it was trained between; the message is one sentence."""


class FusionConfig(PreTrainedConfig):
    """Sizes of both feature vectors, CLIP's view, and which checkpoints are joined: role -> SHA-256 of its weights."""

    model_type = "xray-fusion"

    def __init__(self, feature_size: int = 512, embedding_size: int = 256, parts: dict | None = None, **others) -> None:
        super().__init__(**others)
        self.feature_size, self.embedding_size, self.parts = feature_size, embedding_size, parts or {}


class ConditionedEmbedding(PreTrainedModel):
    """CLIP's image embedding, scaled and shifted by what the ResNet saw (feature-wise linear modulation, FiLM).

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


class FusionClassifier:
    """A `ConditionedEmbedding` between a ResNet and a CLIP, which are checkpoints of their own.

    Its folder names the weights that it was trained between; it answers with no others.
    """

    def __init__(self, model: ConditionedEmbedding) -> None:
        self.model = model.eval()
        self.parts: tuple[Eye, DualEncoder] | None = None
        self.problem = "The fusion is not joined to the ResNet and the CLIP that it was trained with."

    @classmethod
    def new(cls, resnet: Eye, clip: DualEncoder, parts: dict[str, str], feature_size: int) -> "FusionClassifier":
        """An untrained one between two classifiers of the same classes, which answers as the CLIP does.

        Args:
            resnet: gives the features.
            clip: gives the embedding, the classes and the prompts.
            parts: role -> SHA-256 of its weights.
            feature_size: of the ResNet's features.
        """
        config = FusionConfig(feature_size, clip.embed_classes()[1].shape[1], parts)
        config.label2id = {label: i for i, label in enumerate(clip.labels)}
        config.id2label = dict(enumerate(clip.labels))
        config.view = clip.view
        fusion = cls(ConditionedEmbedding(config))
        fusion.parts = resnet, clip
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

    def join(self, resnet: Eye, clip: DualEncoder, parts: Mapping[str, str]) -> None:
        """Put it between its parts.

        Args:
            resnet: gives the features.
            clip: gives the embedding and the prompts.
            parts: role -> SHA-256 of its weights.

        Raises:
            NotJoined: if it was trained between others; it then answers no more.
        """
        self.parts = None
        if strange := [role for role, wanted in self.model.config.parts.items() if parts.get(role) != wanted]:
            others = " and another ".join(sorted(strange))
            self.problem = (
                f"The fusion was trained with another {others} than the one in use; use that, or train it anew."
            )
            raise NotJoined(self.problem)
        self.parts = resnet, clip

    @property
    def labels(self) -> list[str]:
        """Classes in the order of the probabilities."""
        return [self.model.config.id2label[i] for i in range(self.model.config.num_labels)]

    @property
    def view(self) -> View:
        """What of the X-ray its CLIP is shown."""
        return getattr(self.model.config, "view", "full")

    def pixel_values(self, images: list[np.ndarray]) -> torch.Tensor:
        """Input of its CLIP, float32 (N, 3, S, S), of views float32 (H, W) in 0..1."""
        return self.parts[1].pixel_values(images)

    @property
    def calibration(self) -> Calibration:
        """What was fitted to its answers on the validation split."""
        return Calibration.of(self.model.config)

    @torch.no_grad()
    def divide_logits(self, temperature: float) -> None:
        """Make all logits smaller by a factor, in its own weights; CLIP's stay as they are."""
        self.model.logit_scale -= float(np.log(temperature))

    @property
    def eyes(self) -> "tuple[Eye, DualEncoder]":
        """Whose vectors `answer` takes.

        Raises:
            NotJoined: if it is not joined to its parts.
        """
        if self.parts is None:
            raise NotJoined(self.problem)
        return self.parts

    @torch.inference_mode()
    def answer(
        self, features: torch.Tensor, embeddings: torch.Tensor, prompts: Prompts | None = None
    ) -> list[dict[str, float]]:
        """Probability of each class, of what both parts see of N X-rays; prompts and errors as of a call.

        Args:
            features: float32 (N, F), of the ResNet.
            embeddings: unit vectors, float32 (N, D), of the CLIP.
            prompts: sentences of each class; the CLIP's own if not given.
        """
        _, clip = self.eyes
        classes, texts = clip.embed_classes(prompts)
        device = device_of(self.model)
        bent = self.model(features.to(device), embeddings.to(device)).cpu()
        scale = (clip.model.logit_scale.cpu() + self.model.logit_scale.cpu()).exp()
        return [dict(zip(classes, one, strict=True)) for one in (scale * bent @ texts.T).double().softmax(1).tolist()]

    def __call__(
        self, image: np.ndarray, lungs: np.ndarray | None = None, prompts: Prompts | None = None
    ) -> dict[str, float]:
        """Classify one X-ray, as `ClipClassifier` does.

        Raises:
            NoLungs: if the view of a part needs lungs and there are none.
            NotJoined: if it is not joined to its parts.
            ValueError: if a class has no prompt.
        """
        seen = (eye.embed(eye.pixel_values([apply_view(image, lungs, eye.view)])) for eye in self.eyes)
        return self.answer(*seen, prompts=prompts)[0]
