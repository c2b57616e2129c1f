"""The two weights between a ResNet and a CLIP as a PyTorch module, which training changes and saves."""

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel


class FusionConfig(PreTrainedConfig):
    """The CLIP's classes and view, and the joined checkpoints: role -> SHA-256 of its weights."""

    model_type = "xray-fusion"

    def __init__(self, parts: dict | None = None, **others) -> None:
        super().__init__(**others)
        self.parts = parts or {}


class LogOpinionPool(PreTrainedModel):
    """The logits of a ResNet and of a CLIP, added with a weight for each: a logarithmic opinion pool.

    After Genest and Zidek (Statistical Science 1986) and Heskes (NIPS 1997). Untrained, both count by half: the
    probabilities are the geometric means of both answers, normalised. `hub_models.models.fusion` computes the same of
    arrays.
    """

    config_class = FusionConfig

    def __init__(self, config: FusionConfig) -> None:
        super().__init__(config)
        self.resnet_weight = nn.Parameter(torch.tensor(0.5))
        self.clip_weight = nn.Parameter(torch.tensor(0.5))
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Leave the two weights at a half."""

    def forward(self, resnet_logits: torch.Tensor, clip_logits: torch.Tensor) -> torch.Tensor:
        """Logits, float32 (N, C), of the logits of both parts, float32 (N, C), in the same order of the classes."""
        return self.resnet_weight * resnet_logits + self.clip_weight * clip_logits
