"""The device that PyTorch computes on: a graphics card if there is one, else the processor."""

import torch
from torch import nn


def best_device() -> torch.device:
    """The first CUDA device, also one that ZeroGPU lends for the length of a call; else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def device_of(module: nn.Module) -> torch.device:
    """The device of a module's weights."""
    return next(module.parameters()).device
