"""A running average of a network's weights, which generalises better than the last ones."""

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def running_average(network: nn.Module, decay: float) -> AveragedModel | None:
    """A copy of a network to be updated each step (Polyak and Juditsky 1992), its normalisation's means too.

    Args:
        network: stays as it is.
        decay: how much of the average a step keeps, 0..1; for 0 there is none.
    """
    if not decay:
        return None
    average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    return average.requires_grad_(False)
