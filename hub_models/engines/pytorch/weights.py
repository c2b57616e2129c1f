"""Weights on disk: float16 safetensors that load strictly, as float32."""

import copy
import json
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedModel


def to_float16(model: nn.Module) -> nn.Module:
    """Copy a model with float16 weights.

    Raises:
        ValueError: if a weight is too large for float16 (over 65504).
    """
    half = copy.deepcopy(model).half().to(memory_format=torch.contiguous_format)
    for name, tensor in half.state_dict().items():
        if not torch.isfinite(tensor).all():
            raise ValueError(f"{name} has a value that is infinite, not a number, or too large for float16.")
    return half


def save_pretrained(model: PreTrainedModel, folder: str | Path) -> None:
    """Write a transformers model as float16 safetensors whose config asks every loader for float32."""
    to_float16(model).save_pretrained(folder)
    path = Path(folder, "config.json")
    config = json.loads(path.read_text(encoding="utf-8"), object_hook=_without_origin)
    config["dtype"] = "float32"
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _without_origin(config: dict) -> dict:
    """Leave out of a config the folder on this machine that its model was loaded from."""
    return {name: value for name, value in config.items() if name != "_name_or_path"}


def load_strictly(auto_class: type, folder: str | Path, pickled: bool = False, **options) -> PreTrainedModel:
    """Load a transformers model in evaluation mode, as float32, from safetensors.

    Args:
        auto_class: an Auto class or model class with `from_pretrained`.
        folder: local folder or Hub id.
        pickled: read a pickle's tensors, and nothing else in it, instead.

    Raises:
        ValueError: if a tensor is missing, left over or of another shape.
    """
    model, info = auto_class.from_pretrained(
        folder,
        dtype=torch.float32,
        use_safetensors=not pickled,
        weights_only=True,
        ignore_mismatched_sizes=True,  # refused below, by name
        output_loading_info=True,
        **options,
    )
    for problem in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        if info[problem]:
            names = ", ".join(sorted(map(str, info[problem]))[:3])
            raise ValueError(f"The weights in {folder} do not fit their config: {problem.replace('_', ' ')} {names}.")
    return model.eval()
