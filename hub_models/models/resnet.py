"""The ResNet that classifies a segmented chest X-ray."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
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
from hub_models.models.calibration import Calibration
from hub_models.models.networks import ResnetPart
from hub_models.models.views import View, apply_view, classifier_pixels

DEPTHS = {
    10: ("basic", (1, 1, 1, 1)),
    18: ("basic", (2, 2, 2, 2)),
    34: ("basic", (3, 4, 6, 3)),
    50: ("bottleneck", (3, 4, 6, 3)),
    101: ("bottleneck", (3, 4, 23, 3)),
}
"""Layer type and blocks a stage, by depth (He et al. 2016, table 1; 10 is one block a stage)."""


class ResnetClassifier:
    """A `ResNetForImageClassification` and its processor; the view it is shown stands in its config as `view`."""

    network_names = ("network",)
    """Names of `networks`, known before there is a model."""

    def __init__(self, model: ResNetForImageClassification, processor: BaseImageProcessor) -> None:
        self.model = model.eval()
        self.processor = processor
        self.engine = Engine()

    @classmethod
    def new(cls, depth: int, labels: Sequence[str], view: View, image_size: int) -> "ResnetClassifier":
        """A ResNet with untrained weights.

        Args:
            depth: one of `DEPTHS`.
            labels: classes in logits order.
            view: what of the X-ray it is shown, see `hub_models.models.views`.
            image_size: side of its input, in pixels.

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
        """What `engine` runs, by the names of its files."""
        return {"network": ResnetPart(self.model)}

    @property
    def labels(self) -> list[str]:
        """Classes in logits order."""
        return [self.model.config.id2label[i] for i in range(self.model.config.num_labels)]

    @property
    def multi_label(self) -> bool:
        """Whether an X-ray may have several of the labels, each with a probability of its own."""
        return self.model.config.problem_type == "multi_label_classification"

    @property
    def view(self) -> View:
        """What of the X-ray the model is shown; the whole image for a model that does not say."""
        return getattr(self.model.config, "view", "full")

    @property
    def calibration(self) -> Calibration:
        """What was fitted to its answers on the validation split."""
        return Calibration.of(self.model.config)

    @torch.no_grad()
    def divide_logits(self, temperature: float) -> None:
        """Make all logits smaller by a factor, in the weights of the last layer."""
        for parameter in self.model.classifier[-1].parameters():
            parameter /= temperature

    @property
    def pixel_processor(self) -> BaseImageProcessor:
        """What makes its input of a view."""
        return self.processor

    @property
    def eyes(self) -> tuple["ResnetClassifier"]:
        """Whose vectors `answer` takes."""
        return (self,)

    def pixel_values(self, images: list[np.ndarray]) -> torch.Tensor:
        """Network input, float32 (N, 3, S, S), of views float32 (H, W) in 0..1."""
        return classifier_pixels(self.processor, images)

    def embed(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Features, float32 (N, F), which its last layer makes logits of, by the engine."""
        return self.engine.run("network", self.networks["network"], pixel_values)[0]

    @torch.inference_mode()
    def answer(self, features: torch.Tensor) -> list[dict[str, float]]:
        """Probability of each label, of each of N feature vectors, float32 (N, F); as a call gives them."""
        logits = self.model.classifier(features.to(device_of(self.model))).double()
        found = logits.sigmoid() if self.multi_label else logits.softmax(dim=1)
        return [dict(zip(self.labels, one, strict=True)) for one in found.tolist()]

    def __call__(self, image: np.ndarray, lungs: np.ndarray | None = None) -> dict[str, float]:
        """Classify one X-ray.

        Args:
            image: float32 (H, W) in 0..1, as `hub_models.xray.images.read_image` gives it.
            lungs: bool (H, W), the lungs' outline.

        Returns:
            Probability of each label; they sum to 1 unless an X-ray may have several (`multi_label`).

        Raises:
            NoLungs: if the model's view needs lungs and there are none.
        """
        return self.answer(self.embed(self.pixel_values([apply_view(image, lungs, self.view)])))[0]
