"""What the processes of one training compute together, so that a step is the same as that of one process.

A process alone runs none of it.
"""

from typing import Any

import torch
from torch.distributed.nn import functional as together
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from train.data.processes import started_together


def gathered(tensor: torch.Tensor) -> torch.Tensor:
    """Return the rows of all processes, as many of each, in their order; gradients go back to where the rows are from.

    A loss over all rows is the same in each process. Its gradient in each is `world size` times this process's part of
    the whole, and their mean, which DistributedDataParallel takes, is the whole.
    """
    return torch.cat(together.all_gather(tensor.contiguous())) if started_together() else tensor


def total(tensor: torch.Tensor) -> torch.Tensor:
    """Return the sum over all processes."""
    return together.all_reduce(tensor.clone()) if started_together() else tensor


class JointBatchNorm(TorchFunctionMode):
    """A context in which batch normalisation sees the images of all processes, on any device.

    PyTorch's SyncBatchNorm does so on graphics cards only, and not for layers with another function inside.
    """

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        """Call a function, or compute what it would give for all images."""
        if function is F.batch_norm:
            return _batch_norm(*args, **(kwargs or {}))
        return function(*args, **(kwargs or {}))


def _batch_norm(
    values: torch.Tensor,
    running_mean: torch.Tensor | None,
    running_var: torch.Tensor | None,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> torch.Tensor:
    """Normalise values (N, C, ...) as `torch.nn.functional.batch_norm` does, in training by all processes' values."""
    if not training:
        return F.batch_norm(values, running_mean, running_var, weight, bias, training, momentum, eps)
    shape, others = (1, -1, *[1] * (values.ndim - 2)), [0, *range(2, values.ndim)]
    count = total(torch.tensor(values.numel() / values.shape[1], device=values.device))
    mean = total(values.sum(others)) / count
    centred = values - mean.view(shape)
    variance = total(centred.square().sum(others)) / count
    if running_mean is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean), momentum)
            running_var.lerp_((variance * count / (count - 1)).to(running_var), momentum)
    normalised = centred * torch.rsqrt(variance + eps).view(shape)
    if weight is None:
        return normalised
    return normalised * weight.view(shape) + bias.view(shape)
