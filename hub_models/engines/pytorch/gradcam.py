"""Grad-CAM of any network, by torchcam, with gradients: also of towers that do not end in the mean of their maps."""

from collections.abc import Callable
from math import isqrt

import numpy as np
import torch
from torch import nn
from torchcam.methods import GradCAM

from hub_models.engines.pytorch.device import device_of
from hub_models.engines.pytorch.networks import embed_images

NO_MAP = "This model's image tower has neither a feature map nor a row of patches; there is no place to show heat at."


@torch.inference_mode(False)
@torch.enable_grad()
def class_map(
    model: nn.Module, pixel_values: np.ndarray, texts: np.ndarray | None = None, position: int | None = None
) -> tuple[int, np.ndarray]:
    """Compute the Grad-CAM of a class on one network input.

    Args:
        model: a classifier, or a dual encoder; it stays as it is.
        pixel_values: float32 (1, 3, S, S).
        texts: vectors of a dual encoder's classes, float32 (C, D); None for a classifier.
        position: position of the class; the most probable one if not given.

    Returns:
        Position of the class; the map, float32 (h, w), 0 or more.

    Raises:
        ValueError: if the model has no map to show heat on.
    """
    # A gradient on the input, not on the weights: a network whose weights are frozen is explained like any other.
    pixels = torch.from_numpy(pixel_values).to(device_of(model)).requires_grad_()
    layer, as_map = _target(model, pixels)
    with GradCAM(model, layer, reshape_transform=as_map) as cam:
        if texts is None:
            scores = model(pixels).logits
        else:
            images = embed_images(model, pixels)
            scores = model.logit_scale.exp() * images @ torch.from_numpy(texts).to(images).T
        position = int(scores[0].argmax()) if position is None else position
        (heat,) = cam(position, scores, normalized=False)
    return position, heat[0].cpu().numpy()


def _target(model: nn.Module, pixels: torch.Tensor) -> tuple[nn.Module, Callable[[torch.Tensor], torch.Tensor]]:
    """The layer whose output Grad-CAM weights, and what makes a map of this output.

    In a vision transformer that is the first LayerNorm of the last block (the modules that hold two), before the last
    attention: behind it the score may depend on the class token alone, and no gradient reaches the patches
    (https://jacobgil.github.io/pytorch-gradcam-book/vision_transformers.html). Else it is the last layer that runs
    whose output is a map of more than one place.
    """
    tower = getattr(model, "vision_model", model)
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
