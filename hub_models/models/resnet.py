"""The ResNet that classifies a segmented chest X-ray."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.special import expit, softmax

from hub_models.models.classifier import NetworkClassifier
from hub_models.models.gradcam import position_of
from hub_models.models.labels import Prompts
from hub_models.models.saved import SavedModel
from hub_models.models.views import View
from hub_models.xray.geometry import DETAIL

HEAD = "classifier.1.weight", "classifier.1.bias"
"""Names of the last layer's weights in a `ResNetForImageClassification`."""


class ResnetClassifier(NetworkClassifier):
    """A `ResNetForImageClassification` and its processor; the view that it sees stands in its config as `view`."""

    family = "resnet"
    network_names = ("network",)

    @classmethod
    def new(cls, depth: int, labels: Sequence[str], view: View, image_size: int) -> "ResnetClassifier":
        """Make a ResNet with untrained weights; this needs PyTorch.

        Args:
            depth: 10, 18, 34, 50 or 101.
            labels: classes in logits order.
            view: the part of the X-ray that it sees, one of `hub_models.models.views.VIEWS`.
            image_size: side of the network input, in pixels.

        Raises:
            ValueError: if there is no ResNet of this depth.
        """
        from hub_models.engines.pytorch.new import new_resnet

        model, processor = new_resnet(depth, labels, image_size, {"view": view, "detail": DETAIL})
        return cls(model, processor)

    @classmethod
    def from_pretrained(cls, folder: str | Path, engine_name: str | None = None) -> "ResnetClassifier":
        """Load a saved folder strictly, with the fastest engine or one of `ENGINES`.

        Raises:
            ValueError: if a tensor is missing, left over or of another shape, or PyTorch is needed and not installed.
        """
        classifier = cls(*cls._open(folder, engine_name=engine_name))
        model = classifier.model
        if isinstance(model, SavedModel) and (rows := len(model.array(HEAD[0]))) != len(classifier.labels):
            raise ValueError(f"The weights in {folder} give {rows} classes, and their config {len(classifier.labels)}.")
        return classifier

    def save_pretrained(self, folder: str | Path) -> None:
        """Write config.json, model.safetensors (float16) and preprocessor_config.json, of a PyTorch module."""
        from hub_models.engines.pytorch import weights

        weights.save_pretrained(self.model, folder)
        self.processor.save_pretrained(folder)

    @property
    def multi_label(self) -> bool:
        """Whether an X-ray may have several of the labels, each with a probability of its own."""
        return self.model.config.problem_type == "multi_label_classification"

    def divide_logits(self, temperature: float) -> None:
        """Make all logits smaller by a factor, in the weights of the last layer of its PyTorch module."""
        for parameter in self.model.classifier[-1].parameters():
            parameter.data /= temperature

    def outputs(self, pixel_values: np.ndarray) -> tuple[np.ndarray, ...]:
        """Features, float32 (N, F), from which the last layer makes logits, and the maps whose means they are."""
        return self.run("network", pixel_values)

    def embed_classes(self, prompts: Prompts | None = None, near: np.ndarray | None = None) -> tuple[list[str], None]:
        """The labels; errors as in `answer`."""
        _refuse_prompts(prompts)
        return self.labels, None

    def score_class(
        self, vectors: np.ndarray, maps: np.ndarray, label: str | None, prompts: Prompts | None
    ) -> tuple[str, np.ndarray | None]:
        """The class and the last layer's weights of it; None where the features are not the maps' means."""
        _refuse_prompts(prompts)
        position = int(self._logits(vectors)[0].argmax()) if label is None else position_of(label, self.labels)
        means = np.allclose(vectors[0], maps[0].mean(axis=(1, 2)), rtol=1e-3, atol=1e-3)
        return self.labels[position], self.array(HEAD[0])[position] if means else None

    def answer(self, features: np.ndarray, prompts: Prompts | None = None) -> list[dict[str, float]]:
        """Probability of each label, of each of N feature vectors, float32 (N, F).

        Raises:
            ValueError: if there are prompts; the labels are fixed in the weights.
        """
        _refuse_prompts(prompts)
        logits = self._logits(features).astype(np.float64)
        probabilities = expit(logits) if self.multi_label else softmax(logits, axis=1)
        return [dict(zip(self.labels, row, strict=True)) for row in probabilities.tolist()]

    def _logits(self, features: np.ndarray) -> np.ndarray:
        weight, bias = map(self.array, HEAD)
        return features @ weight.T + bias


def _refuse_prompts(prompts: Prompts | None) -> None:
    if prompts is not None:
        raise ValueError("A ResNet knows its own labels only; give sentences to a CLIP.")
