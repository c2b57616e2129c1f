"""The networks in each model as they are run and exported: tensors in, tensors out, nothing around them."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from transformers import PreTrainedModel, ResNetForImageClassification

from hub_models.engines.pytorch.device import device_of


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

    inputs, outputs = ("pixel_values",), ("features", "maps")

    def __init__(self, model: ResNetForImageClassification) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (N, F) of pixels (N, 3, S, S), and the maps (N, F, h, w) whose means they are.

        The last layer makes logits of the features.
        """
        output = self.model.resnet(pixel_values)
        return output.pooler_output.flatten(1), output.last_hidden_state


class ImageTower(nn.Module):
    """A dual encoder's image tower."""

    inputs, outputs = ("pixel_values",), ("embeddings", "maps")

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Unit vectors (N, D) of pixels (N, 3, S, S); of a tower that ends in maps these, too, (N, F, h, w)."""
        output = self.model.get_image_features(pixel_values=pixel_values)
        embeddings, maps = F.normalize(output.pooler_output, dim=-1), output.last_hidden_state
        return (embeddings, maps) if maps is not None and maps.ndim == 4 else (embeddings,)


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


NETWORKS = {
    "unet": {"network": UnetNetwork},
    "resnet": {"network": ResnetBackbone},
    "clip": {"image": ImageTower, "text": TextTower},
}
"""Family of a model -> name of a network -> its class, which is made of the model."""


def networks_of(family: str, model: nn.Module) -> dict[str, nn.Module]:
    """The networks of a model by the names of their files."""
    return {name: network(model) for name, network in NETWORKS[family].items()}


def run(module: nn.Module, *inputs: np.ndarray) -> tuple[np.ndarray, ...]:
    """Run a module on its device: arrays in, arrays out; it remembers nothing for gradients."""
    device = device_of(module)
    with torch.inference_mode():
        outputs = module(*(torch.from_numpy(np.ascontiguousarray(array)).to(device) for array in inputs))
    return tuple(output.cpu().numpy() for output in outputs)


def array_of(model: nn.Module, name: str) -> np.ndarray:
    """A weight of a model by its name, float32.

    Raises:
        AttributeError: if it has no such weight.
    """
    return model.get_parameter(name).detach().float().cpu().numpy()


def embed_images(model: PreTrainedModel, pixel_values: torch.Tensor) -> torch.Tensor:
    """Unit vectors, float32 (N, D), of a dual encoder's network input, with gradients."""
    return ImageTower(model)(pixel_values)[0]


def embed_texts(model: PreTrainedModel, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
    """Unit vectors, float32 (N, D), of sentences' tokens and their mask, int64 (N, L) each, with gradients."""
    return TextTower(model)(input_ids, attention_mask)[0]
