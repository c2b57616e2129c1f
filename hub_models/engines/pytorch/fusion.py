"""The layer between a ResNet and a CLIP as a PyTorch module, which training changes and saves."""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedConfig, PreTrainedModel


class FusionConfig(PreTrainedConfig):
    """Sizes of both vectors, the CLIP's view, and the joined checkpoints: role -> SHA-256 of its weights."""

    model_type = "xray-fusion"

    def __init__(self, feature_size: int = 512, embedding_size: int = 256, parts: dict | None = None, **others) -> None:
        super().__init__(**others)
        self.feature_size, self.embedding_size, self.parts = feature_size, embedding_size, parts or {}


class ConditionedEmbedding(PreTrainedModel):
    """A CLIP's image embedding, scaled and shifted by a ResNet's features (feature-wise linear modulation, FiLM).

    After Perez et al. (AAAI 2018). Untrained, it leaves the embedding as it is.
    `hub_models.models.fusion.condition` computes the same of arrays.
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
