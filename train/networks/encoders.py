"""Pretrained weights for a UNet's encoder: from the Hub, a pip package, a file, or the image tower of a CLIP."""

from pathlib import Path
from pickle import UnpicklingError

import segmentation_models_pytorch as smp
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from train.networks.pip_weights import LITES, lite_weights

ENCODER = "encoder.model."  # where a UNet of this project keeps the same network
TOWER = "vision_model.timm_model."  # where a CLIP checkpoint of this project keeps its image tower


def load_encoder(network: smp.Unet, encoder: str, weights: str) -> str | None:
    """Fill a UNet's encoder with pretrained weights; colour weights are summed over the channels to fit one.

    Args:
        network: the UNet.
        encoder: the encoder's name in segmentation_models_pytorch.
        weights: "imagenet", one of `LITES`, "none", a file (.safetensors, or .pth of tensors only) of the encoder's
            tensors, or the folder of a CLIP checkpoint whose image tower is the same network.

    Returns:
        The start of the training in words; None for random weights.

    Raises:
        ValueError: the tensors do not fit the encoder, or the Hub does not give them.
    """
    if weights == "none":
        return None
    pretrained, description = _pretrained(encoder, weights)
    state = network.encoder.state_dict()
    if missing := sorted(state.keys() - pretrained.keys()):
        raise ValueError(
            f"{weights} does not fit the encoder {encoder}: it lacks {len(missing)} tensors, first {missing[0]}."
        )
    fitted = {name: _to_one_channel(pretrained[name], tensor) for name, tensor in state.items()}
    if unfit := [name for name, tensor in state.items() if fitted[name].shape != tensor.shape]:
        raise ValueError(f"{weights} does not fit the encoder {encoder}: {unfit[0]} has another shape.")
    network.encoder.load_state_dict(fitted)
    return description


def load_tower(tower: nn.Module, folder: Path) -> None:
    """Fill a CLIP's image tower with the encoder of a UNet, all but the tower's last convolution, which that lacks.

    The differences between the three colour channels of the first layer stay; their sum becomes the encoder's weights.

    Args:
        tower: timm's network inside the CLIP.
        folder: the folder of the UNet's checkpoint.

    Raises:
        ValueError: the folder holds no such UNet, or the tower is another network than the encoder.
    """
    tensors = load_file(folder / "model.safetensors")
    encoder = {n.removeprefix(ENCODER): t.float() for n, t in tensors.items() if n.startswith(ENCODER)}
    state = tower.state_dict()
    if not encoder:
        raise ValueError(f"{folder} holds no UNet whose encoder could be an image tower; name another.")
    if unfit := [name for name, tensor in encoder.items() if not _fits(tensor, state.get(name))]:
        raise ValueError(f"The encoder of {folder} is another network than the image tower: {unfit[0]} has no place.")
    for name, tensor in encoder.items():
        if state[name].shape == tensor.shape:
            state[name] = tensor
        else:
            state[name] += (tensor - _to_one_channel(state[name], tensor)) / state[name].shape[1]
    tower.load_state_dict(state)


def _fits(tensor: torch.Tensor, place: torch.Tensor | None) -> bool:
    return place is not None and _to_one_channel(place, tensor).shape == tensor.shape


def _pretrained(encoder: str, weights: str) -> tuple[dict[str, torch.Tensor], str]:
    """Return the encoder's tensors by name, and a description of them in words."""
    path = Path(weights)
    if weights == "imagenet":
        return _imagenet(encoder), f"ImageNet weights of {encoder}"
    if weights in LITES:
        state = {f"model.{name}": tensor for name, tensor in lite_weights(weights).items()}
        return state, f"ImageNet weights of EfficientNet-{weights.capitalize()}"
    if path.is_dir():
        tensors = load_file(path / "model.safetensors")
        state = {f"model.{n.removeprefix(TOWER)}": t.float() for n, t in tensors.items() if n.startswith(TOWER)}
        return state, f"image tower of a CLIP checkpoint ({path.parent.name if path.name == 'release' else path.name})"
    if path.is_file():
        return _from_file(path), f"encoder weights from {path.name}"
    raise ValueError(
        f"There are no encoder weights {path}; choose imagenet, {', '.join(LITES)}, none, a file, or a CLIP checkpoint."
    )


def _imagenet(encoder: str) -> dict[str, torch.Tensor]:
    try:
        return smp.encoders.get_encoder(encoder, in_channels=3, weights="imagenet").state_dict()
    except OSError as error:
        raise ValueError(
            f"The Hub gives no ImageNet weights for {encoder} ({error}); use --encoder_weights lite0, none, or a file."
        ) from error


def _from_file(path: Path) -> dict[str, torch.Tensor]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        return torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, UnpicklingError, RuntimeError, EOFError) as error:
        reason = str(error).split("\n")[0].rstrip(".") or "it is empty"
        raise ValueError(f"{path} holds no tensors that can be read safely: {reason}.") from error


def _to_one_channel(tensor: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    is_stem = tensor.ndim == 4 and tensor.shape[1] == 3 and target.shape[1] == 1
    return tensor.sum(dim=1, keepdim=True) if is_stem else tensor
