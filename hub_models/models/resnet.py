"""The ResNet that classifies a segmented chest X-ray."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from transformers import (
    AutoImageProcessor,
    AutoModelForImageClassification,
    BaseImageProcessor,
    ResNetConfig,
    ResNetForImageClassification,
    ViTImageProcessor,
)

from hub_models.engines.device import best_device, device_of
from hub_models.engines.engine import Engine
from hub_models.models import weights
from hub_models.models.classifier import NetworkClassifier
from hub_models.models.labels import Prompts
from hub_models.models.networks import ResnetBackbone
from hub_models.models.views import View
from hub_models.xray.geometry import DETAIL

DEPTHS = {
    10: ("basic", (1, 1, 1, 1)),
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
}
"""Layer type and blocks a stage, by depth (He et al. 2016, table 1; 10 is one block a stage)."""


class ResnetClassifier(NetworkClassifier):
    """A `ResNetForImageClassification` and its processor; the view that it sees stands in its config as `view`."""

    network_names = ("network",)

    def __init__(self, model: ResNetForImageClassification, processor: BaseImageProcessor) -> None:
        self.model = model.eval()
        self.processor = processor
        self.engine = Engine()

    @classmethod
    def new(cls, depth: int, labels: Sequence[str], view: View, image_size: int) -> "ResnetClassifier":
        """Make a ResNet with untrained weights.

        Args:
            depth: one of `DEPTHS`.
            labels: classes in logits order.
            view: the part of the X-ray that it sees, one of `hub_models.models.views.VIEWS`.
            image_size: side of the network input, in pixels.

        Raises:
            ValueError: if there is no ResNet of this depth.
        """
        if depth not in DEPTHS:
            raise ValueError(f"There is no ResNet of depth {depth}; choose one of {', '.join(map(str, DEPTHS))}.")
        layer_type, blocks = DEPTHS[depth]
        widths = [64, 128, 256, 512] if layer_type == "basic" else [256, 512, 1024, 2048]
        config = ResNetConfig(
            layer_type=layer_type,
            depths=list(blocks),
            hidden_sizes=widths,
            id2label=dict(enumerate(labels)),
            label2id={label: i for i, label in enumerate(labels)},
            view=view,
            detail=DETAIL,
        )
        processor = ViTImageProcessor(
            size={"height": image_size, "width": image_size},
            image_mean=[0.5] * 3,
            image_std=[0.5] * 3,
            do_convert_rgb=True,
        )
        return cls(ResNetForImageClassification(config), processor)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> "ResnetClassifier":
        """Load a saved folder strictly.

        Raises:
            ValueError: if a tensor is missing, left over or of another shape.
        """
        model = weights.load_strictly(AutoModelForImageClassification, folder)
        return cls(model.to(best_device()), AutoImageProcessor.from_pretrained(folder))

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json, model.safetensors (float16) and preprocessor_config.json."""
        weights.save_pretrained(self.model, folder)
        self.processor.save_pretrained(folder)

    @property
    def networks(self) -> dict[str, nn.Module]:
        """The network that `engine` runs, by the name of its file."""
        return {"network": ResnetBackbone(self.model)}

    @property
    def multi_label(self) -> bool:
        """Whether an X-ray may have several of the labels, each with a probability of its own."""
        return self.model.config.problem_type == "multi_label_classification"

    @torch.no_grad()
    def divide_logits(self, temperature: float) -> None:
        """Make all logits smaller by a factor, in the weights of the last layer."""
        for parameter in self.model.classifier[-1].parameters():
            parameter /= temperature

    def embed(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Features, float32 (N, F), from which the last layer makes logits, by the engine."""
        return self.engine.run("network", self.networks["network"], pixel_values)[0]

    def class_logits(
        self, pixel_values: torch.Tensor, prompts: Prompts | None = None
    ) -> tuple[list[str], torch.Tensor]:
        """The labels, and their logits, float32 (N, C), by PyTorch; prompts and errors as in `answer`."""
        _refuse_prompts(prompts)
        return self.labels, self.model(pixel_values).logits

    @torch.inference_mode()
    def answer(self, features: torch.Tensor, prompts: Prompts | None = None) -> list[dict[str, float]]:
        """Probability of each label, of each of N feature vectors, float32 (N, F).

        Raises:
            ValueError: if there are prompts; the labels are fixed in the weights.
        """
        _refuse_prompts(prompts)
        logits = self.model.classifier(features.to(device_of(self.model))).double()
        probabilities = logits.sigmoid() if self.multi_label else logits.softmax(dim=1)
        return [dict(zip(self.labels, row, strict=True)) for row in probabilities.tolist()]


def _refuse_prompts(prompts: Prompts | None) -> None:
    if prompts is not None:
        raise ValueError("A ResNet knows its own labels only; give sentences to a CLIP.")
