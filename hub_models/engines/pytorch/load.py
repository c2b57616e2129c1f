"""A checkpoint's folder -> its model as a PyTorch module, and its processor; strictly, and from safetensors."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import nn
from transformers import (
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageClassification,
    AutoProcessor,
    BaseImageProcessor,
    ProcessorMixin,
)

from hub_models.engines.device import threads
from hub_models.engines.pytorch.device import best_device
from hub_models.engines.pytorch.fusion import LogOpinionPool
from hub_models.engines.pytorch.weights import load_strictly

Loaded = tuple[nn.Module, BaseImageProcessor | ProcessorMixin | None]
"""A model in evaluation mode, float32, on the best device, and its processor; a fusion has none."""


def load(family: str, folder: str | Path, pickled: bool = False) -> Loaded:
    """Load the model of a family ("unet", "resnet", "clip" or "fusion") from its folder.

    Args:
        family: the family.
        folder: the checkpoint's folder.
        pickled: read a pickle's tensors, and nothing else in it, instead of safetensors; of a CLIP only.

    Raises:
        ValueError: if the folder holds another kind of model, or a tensor is missing, left over or of another shape.
        RuntimeError: if a tensor of a UNet is missing or left over.
    """
    torch.set_num_threads(threads())
    model, processor = _LOADERS[family](folder, **({"pickled": True} if pickled else {}))
    return model.to(best_device()).eval(), processor


UNET_OUTPUTS = 2
"""Number of a UNet's outputs: lungs and infection."""


def _load_unet(folder: str | Path) -> Loaded:
    try:
        network = smp.from_pretrained(str(folder))
    except KeyError as error:
        raise ValueError(f"{folder} holds no network of segmentation_models_pytorch ({error}).") from error
    outputs = network.segmentation_head[0].out_channels
    if not isinstance(network, smp.Unet) or outputs != UNET_OUTPUTS:
        network_class = type(network).__name__
        raise ValueError(f"{folder} holds a {network_class} with {outputs} outputs; wanted is a Unet with 2.")
    return network, AutoImageProcessor.from_pretrained(folder)


def _load_resnet(folder: str | Path) -> Loaded:
    return load_strictly(AutoModelForImageClassification, folder), AutoImageProcessor.from_pretrained(folder)


def _load_clip(folder: str | Path, pickled: bool = False) -> Loaded:
    model = load_strictly(AutoModel, folder, pickled)
    if not hasattr(model, "get_image_features") or not hasattr(model, "get_text_features"):
        raise ValueError(
            f"{folder} holds a {type(model).__name__}, which is not a CLIP: it has no image and text towers."
        )
    return model, AutoProcessor.from_pretrained(folder)


def _load_fusion(folder: str | Path) -> Loaded:
    return load_strictly(LogOpinionPool, folder), None


_LOADERS: dict[str, Callable[..., Any]] = {
    "unet": _load_unet,
    "resnet": _load_resnet,
    "clip": _load_clip,
    "fusion": _load_fusion,
}
