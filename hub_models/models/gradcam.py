"""Grad-CAM: the places of an X-ray that speak for a class, as heat over the image.

The channels of the last feature map are added up, each weighted by the class score's mean gradient in it; what is below
zero then speaks against the class and is cut off (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391). Networks
that end in the mean of their maps need no gradients for it: the weights follow from the last layer, as in the class
activation maps of Zhou et al. (CVPR 2016).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from hub_models.models.labels import Prompts
from hub_models.models.saved import SavedModel
from hub_models.models.views import apply_view, view_box

if TYPE_CHECKING:  # the classifiers import this module
    from hub_models.models.classifier import NetworkClassifier


@dataclass(frozen=True)
class Explanation:
    """The places that speak for one class.

    Attributes:
        heat: float32 (H, W) in 0..1, of the X-ray's size; the hottest pixel is 1, or all are 0 where nothing speaks for
            the class. Outside the square that a view crops it is 0.
        label: the class.
        inside_lungs: share 0..1 of the heat that lies in the lungs; None where there is no heat. It may be below 1 for
            a view that blackens everything else: the lungs' outline and the black around them speak, too.
    """

    heat: np.ndarray
    label: str
    inside_lungs: float | None


def explain(
    classifier: "NetworkClassifier",
    image: np.ndarray,
    lungs: np.ndarray,
    label: str | None = None,
    prompts: Prompts | None = None,
) -> Explanation:
    """Explain a classifier's score of one class, which is the class's logit.

    Args:
        classifier: a ResNet or a CLIP; it stays as it is.
        image: float32 (H, W) in 0..1, as the classifier sees it.
        lungs: bool (H, W), the lungs' outline.
        label: the class; the most probable one if not given.
        prompts: sentences of each class for a CLIP; its own if not given.

    Raises:
        NoLungs: if the model's view needs lungs and there are none.
        ValueError: if the label is not a class, a class has no prompt, a ResNet is given prompts, or the model has no
            map to show heat on, or needs PyTorch for one and it is not installed.
    """
    view = apply_view(image, lungs, classifier.view)
    label, class_map = _class_map(classifier, view, label, prompts)
    top, left, bottom, right = view_box(lungs, classifier.view, image.shape)
    rows, columns = _input_spans(classifier, view.shape)
    down = _spread(top + rows * (bottom - top), class_map.shape[0], image.shape[0])
    across = _spread(left + columns * (right - left), class_map.shape[1], image.shape[1])
    heat = down @ class_map @ across.T
    total = heat.sum()
    if total == 0:
        return Explanation(heat.astype(np.float32), label, None)
    return Explanation((heat / heat.max()).astype(np.float32), label, float(heat[lungs].sum() / total))


def _class_map(
    classifier: "NetworkClassifier", view: np.ndarray, label: str | None, prompts: Prompts | None
) -> tuple[str, np.ndarray]:
    """The label, and the Grad-CAM of its class on the network's input, float32 (h, w), 0 or more.

    Where an engine gives the last maps, and the model's vector follows from their means, the gradient is known without
    PyTorch: every place of a map has the same share in its mean.
    """
    pixels = classifier.pixel_values([view])
    if isinstance(classifier.model, SavedModel):
        vectors, *maps = classifier.outputs(pixels)
        if maps and maps[0].shape[-2] * maps[0].shape[-1] > 1:
            name, gradient = classifier.score_class(vectors, maps[0], label, prompts)
            if gradient is not None:
                return name, np.maximum(np.tensordot(gradient, maps[0][0], axes=1) / maps[0][0, 0].size, 0)
    return _class_map_by_gradients(classifier, pixels, label, prompts)


def _class_map_by_gradients(
    classifier: "NetworkClassifier", pixels: np.ndarray, label: str | None, prompts: Prompts | None
) -> tuple[str, np.ndarray]:
    """Do what `_class_map` does for any network, by PyTorch."""
    model = classifier.pytorch_model
    from hub_models.engines.pytorch.gradcam import class_map

    labels, texts = classifier.embed_classes(prompts)
    if texts is not None:
        texts = classifier.embed_classes(prompts, near=classifier.embed(pixels)[0])[1]
    position, heat = class_map(model, pixels, texts, None if label is None else position_of(label, labels))
    return labels[position], heat


def _input_spans(classifier: "NetworkClassifier", shape: tuple[int, int]) -> np.ndarray:
    """First and last edge of the network's input along a view's rows and its columns, float64 (2, 2), as shares.

    They are 0 and 1 where the processor stretches the view, but many, CLIP's among them, keep the middle only. So they
    are measured on ramps from 0 to 1 that are sent through the processor, in a small picture of the view's proportions.
    """
    height, width = (round(512 * length / max(shape)) for length in shape)
    y, x = (np.indices((height, width), np.float32) + 0.5) / np.float32([[[height]], [[width]]])
    inputs = np.float64(classifier.pixel_values([y, x, np.zeros_like(y), np.ones_like(y)])[:, 0])
    size = inputs.shape[-1]
    ramps, black, white = [inputs[0, :, size // 2], inputs[1, size // 2]], *inputs[2:, size // 2, size // 2]
    inner = np.arange(size // 4, size - size // 4)  # near the ends, resizing bends a ramp
    slope, start = np.polyfit(inner + 0.5, (np.transpose(ramps)[inner] - black) / (white - black), 1)
    return np.stack([start, start + slope * size], axis=1)


def _spread(span: np.ndarray, cells: int, length: int) -> np.ndarray:
    """Make the matrix that spreads even cells over the pixels of a span, float64 (length, cells).

    Linear between the centres of the cells, level beyond the outermost, 0 outside the span; the matrix of a resize.
    """
    share = (np.arange(length) + 0.5 - span[0]) / (span[1] - span[0])
    place = np.clip(share * cells - 0.5, 0, cells - 1)
    weights = np.maximum(1 - np.abs(place[:, None] - np.arange(cells)), 0)
    return weights * ((share >= 0) & (share <= 1))[:, None]


def position_of(label: str, labels: Sequence[str]) -> int:
    """Position of a class.

    Raises:
        ValueError: if it is not one of them.
    """
    if label not in labels:
        raise ValueError(f"{label!r} is not a class of this model; choose one of {', '.join(labels)}.")
    return list(labels).index(label)
