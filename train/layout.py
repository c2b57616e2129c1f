"""The order of a network's weights in memory."""

import torch
from torch import nn


def use_channels_last(task: nn.Module) -> None:
    """Put a network's weights in channels-last order, in which it trains about twice as fast on a CPU.

    Its state dict still gives ordinary, contiguous tensors, which is what safetensors writes.
    """
    task.to(memory_format=torch.channels_last)
    task.register_state_dict_post_hook(_make_contiguous)


def _make_contiguous(module: nn.Module, state: dict, *_) -> None:
    for name in list(state):
        state[name] = state[name].contiguous()
