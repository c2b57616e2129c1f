"""Weights of a network while it learns: their order in memory, and their running average."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def running_average(network: nn.Module, decay: float) -> AveragedModel | None:
    """Make a running average of a network's weights and normalisation means, to be updated each step.

    After Polyak and Juditsky (1992).

    Args:
        network: the network; it is copied and not changed.
        decay: share of the average that stays in a step, 0..1; for 0 None is returned.
    """
    if not decay:
        return None
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    return average.requires_grad_(False)


def use_channels_last(task: nn.Module) -> None:
    """Put a network's weights in channels-last order, in which it trains about twice as fast on a CPU.

    Its state dict still gives ordinary, contiguous tensors, which is what safetensors writes.
    """
    task.to(memory_format=torch.channels_last)
    task.register_state_dict_post_hook(_make_contiguous)


def _make_contiguous(module: nn.Module, state: dict, *_) -> None:
    for name in list(state):
        state[name] = state[name].contiguous()
