"""Grad-CAM: the places of an X-ray that speak for a class, as heat over the image.

The channels of the last feature map are added up, each weighted by the class score's mean gradient in it; what is below
zero then speaks against the class and is cut off (Selvaraju et al. 2017, https://arxiv.org/abs/1610.02391).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torchcam.methods import GradCAM

from hub_models.engines.device import device_of
from hub_models.models.labels import Prompts
from hub_models.models.views import apply_view, view_box

if TYPE_CHECKING:  # the classifiers import this module
    from hub_models.models.classifier import NetworkClassifier

NO_MAP = "This model's image tower has neither a feature map nor a row of patches; there is no place to show heat at."


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
            map to show heat on.
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


@torch.inference_mode(False)
@torch.enable_grad()
def _class_map(
    classifier: "NetworkClassifier", view: np.ndarray, label: str | None, prompts: Prompts | None
) -> tuple[str, np.ndarray]:
    """The label, and the Grad-CAM of its class on the network's input, float32 (h, w), 0 or more."""
    # A gradient on the input, not on the weights: a network whose weights are frozen is explained like any other.
    pixels = classifier.pixel_values([view]).to(device_of(classifier.model)).requires_grad_()
    layer, as_map = _target(classifier, pixels)
    with GradCAM(classifier.model, layer, reshape_transform=as_map) as cam:
        labels, scores = classifier.class_logits(pixels, prompts)
        if label is None:
            label = labels[int(scores[0].argmax())]
        elif label not in labels:
            raise ValueError(f"{label!r} is not a class of this model; choose one of {', '.join(labels)}.")
        (class_map,) = cam(labels.index(label), scores, normalized=False)
    return label, class_map[0].cpu().numpy()


def _target(
    classifier: "NetworkClassifier", pixels: torch.Tensor
) -> tuple[nn.Module, Callable[[torch.Tensor], torch.Tensor]]:
    """The layer whose output Grad-CAM weights, and what makes a map of this output.

    In a vision transformer that is the first LayerNorm of the last block (the modules that hold two), before the last
    attention: behind it the score may depend on the class token alone, and no gradient reaches the patches
    (https://jacobgil.github.io/pytorch-gradcam-book/vision_transformers.html). Else it is the last layer that runs
    whose output is a map of more than one place.
    """
    tower = getattr(classifier.model, "vision_model", classifier.model)
    norms = ([child for child in layer.children() if isinstance(child, nn.LayerNorm)] for layer in tower.modules())
    if blocks := [pair for pair in norms if len(pair) == 2]:
        return blocks[-1][0], _patches
    maps = []

    def note(layer: nn.Module, _: tuple, output: object) -> None:
        if isinstance(output, torch.Tensor) and output.ndim == 4 and output.shape[2:].numel() > 1:
            maps.append(layer)

    hooks = [layer.register_forward_hook(note) for layer in tower.modules()]
    try:
        with torch.no_grad():
            tower(pixels)
    finally:
        for hook in hooks:
            hook.remove()
    if not maps:
        raise ValueError(NO_MAP)
    return maps[-1], nn.Identity()


def _patches(tokens: torch.Tensor) -> torch.Tensor:
    """The square map (1, D, h, h) of tokens (1, T, D): the last h x h of them, which class tokens precede."""
    if tokens.ndim != 3:
        raise ValueError(NO_MAP)
    side = isqrt(tokens.shape[1])
    return tokens[:, -side * side :].mT.unflatten(2, (side, side))


def _input_spans(classifier: "NetworkClassifier", shape: tuple[int, int]) -> np.ndarray:
    """First and last edge of the network's input along a view's rows and its columns, float64 (2, 2), as shares.

    They are 0 and 1 where the processor stretches the view, but many, CLIP's among them, keep the middle only. So they
    are measured on ramps from 0 to 1 that are sent through the processor, in a small picture of the view's proportions.
    """
    height, width = (round(512 * length / max(shape)) for length in shape)
    y, x = (np.indices((height, width), np.float32) + 0.5) / np.float32([[[height]], [[width]]])
    inputs = classifier.pixel_values([y, x, np.zeros_like(y), np.ones_like(y)])[:, 0].double().numpy()
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
