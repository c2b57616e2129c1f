"""The UNet that projects on this data set start from, to be measured beside the shipped one.

Four levels of two 3 x 3 convolutions with ReLU (64, 128, 256 and 512 channels), halved by max pooling and doubled by
3 x 3 transposed convolutions, without normalisation: 8.56 million weights. It is trained from scratch on 128 x 128
pixels with binary cross-entropy and Adam at 1e-4 for 20 epochs. After Ronneberger et al. (MICCAI 2015).
"""

import json
from pathlib import Path

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import nn
from transformers import AutoImageProcessor

from hub_models.models.unet import Segmenter, new_processor
from hub_models.xray.masks import MASKS

NAME = "original"
RECIPE = {
    "encoder": NAME,
    "encoder_weights": "none",
    "image_size": 128,
    "loss": "bce",
    "augmentation": 0.0,
    "average_decay": 0.0,
    "repeat_infected": 1,
    "healthy": 0,
    "learning_rate": 1e-4,
    "weight_decay": 0.0,
    "lr_scheduler_type": "constant",
    "warmup_steps": 0,
    "num_train_epochs": 20,
    "early_stopping_patience": 0,
}
"""The arguments of `train.unet --recipe original`. AdamW without weight decay is Adam."""


class OriginalUnet(nn.Module, PyTorchModelHubMixin):
    """The network: logits float32 (N, 2, S, S) of pixels float32 (N, 1, S, S); S is a multiple of 8."""

    def __init__(self, channels: tuple[int, ...] = (64, 128, 256, 512), outputs: int = len(MASKS)) -> None:
        super().__init__()
        self.down = nn.ModuleList(_two_convolutions(*pair) for pair in zip((1, *channels[:-1]), channels, strict=True))
        pairs = list(zip(channels[:0:-1], channels[-2::-1], strict=True))
        self.widen = nn.ModuleList(nn.ConvTranspose2d(*pair, 3, 2, padding=1, output_padding=1) for pair in pairs)
        self.up = nn.ModuleList(_two_convolutions(*pair) for pair in pairs)
        self.head = nn.Conv2d(channels[0], outputs, 1)

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Return the logits, as the class says."""
        features, levels = pixel_values, []
        for level in self.down:
            features = level(nn.functional.max_pool2d(features, 2) if levels else features)
            levels.append(features)
        for widen, level, skip in zip(self.widen, self.up, levels[-2::-1], strict=True):
            features = level(torch.cat([widen(features), skip], dim=1))
        return self.head(features)


def new_segmenter(image_size: int) -> Segmenter:
    """Make an untrained segmenter with this network; image_size is the side of its input in pixels."""
    return Segmenter(OriginalUnet(), new_processor(image_size))


def load_segmenter(folder: str | Path) -> Segmenter:
    """Load a UNet of either kind from a folder, strictly.

    Raises:
        ValueError, RuntimeError: as `Segmenter.from_pretrained`.
    """
    config = json.loads(Path(folder, "config.json").read_text(encoding="utf-8"))
    if "_model_class" in config:  # one of segmentation_models_pytorch
        return Segmenter.from_pretrained(folder)
    return Segmenter(OriginalUnet.from_pretrained(folder, strict=True), AutoImageProcessor.from_pretrained(folder))


def _two_convolutions(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.Conv2d(outputs, outputs, 3, padding=1), nn.ReLU()
    )
