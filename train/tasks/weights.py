"""Weights of a network while it learns: their order in memory, and their running average."""

from collections.abc import Iterator
from itertools import chain

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


class KeptStart:
    """The weights from which a training starts, a share of which is kept.

    A network that went on learning elsewhere so keeps more of what it knew (WiSE-FT: Wortsman et al., CVPR 2022).

    Args:
        network: the network before its training.
        share: share of the start in the average, 0..1.

    Raises:
        ValueError: the share is not in 0..1.
    """

    def __init__(self, network: nn.Module, share: float) -> None:
        if not 0 <= share <= 1:
            raise ValueError(f"--keep_start is {share}; it takes 0 to 1.")
        self.share = share
        self.weights = {name: tensor.detach().clone() for name, tensor in _tensors(network)} if share else {}

    @torch.no_grad()
    def mix_into(self, network: nn.Module) -> None:
        """Average the weights and normalisation means of the trained network with those that it started from."""
        now = dict(_tensors(network))
        for name, before in self.weights.items():
            if before.is_floating_point():
                now[name].lerp_(before.to(now[name]), self.share)


def _tensors(network: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """The weights and buffers themselves; a state dict may hold copies."""
    return chain(network.named_parameters(), network.named_buffers())


def use_channels_last(task: nn.Module) -> None:
    """Put a network's weights in channels-last order, in which it trains about twice as fast on a CPU.

    Its state dict still gives ordinary, contiguous tensors, which is what safetensors writes.
    """
    task.to(memory_format=torch.channels_last)
    task.register_state_dict_post_hook(_make_contiguous)


def _make_contiguous(module: nn.Module, state: dict, *_) -> None:
    for name in list(state):
        state[name] = state[name].contiguous()
