"""The networks in each model as they are run and exported: tensors in, tensors out, nothing around them."""

import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel, ResNetForImageClassification


class UnetNetwork(nn.Module):
    """A UNet of segmentation_models_pytorch with its encoder's features; another network has none (D is 0)."""

    inputs, outputs = ("pixel_values",), ("logits", "features")

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits (N, 2, S, S), and the means (N, D) of the encoder's last maps, of pixels (N, 1, S, S)."""
        if not hasattr(self.network, "encoder"):
            return self.network(pixel_values), pixel_values.new_empty(len(pixel_values), 0)
        levels = self.network.encoder(pixel_values)
        logits = self.network.segmentation_head(self.network.decoder(levels))
        return logits, levels[-1].mean(dim=(2, 3))


class ResnetBackbone(nn.Module):
    """A ResNet without its last layer, which is small, and which calibration changes."""

    inputs, outputs = ("pixel_values",), ("features",)

    def __init__(self, model: ResNetForImageClassification) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor]:
        """Features (N, F) of pixels (N, 3, S, S); the last layer makes logits of them."""
        return (self.model.resnet(pixel_values).pooler_output.flatten(1),)


class ImageTower(nn.Module):
    """A dual encoder's image tower."""

    inputs, outputs = ("pixel_values",), ("embeddings",)

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor]:
        """Unit vectors (N, D) of pixels (N, 3, S, S)."""
        return (F.normalize(self.model.get_image_features(pixel_values=pixel_values).pooler_output, dim=-1),)


class TextTower(nn.Module):
    """A dual encoder's text tower."""

    inputs, outputs = ("input_ids", "attention_mask"), ("embeddings",)

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor]:
        """Unit vectors (N, D) of tokens and their mask, int64 (N, L) each."""
        features = self.model.get_text_features(input_ids=input_ids, attention_mask=attention_mask)
        return (F.normalize(features.pooler_output, dim=-1),)
