"""The operations of a network, and a matrix product whose operations are known, which a benchmark compares."""

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode


def count_flops(module: nn.Module, inputs: Sequence[np.ndarray]) -> int:
    """Count the operations in the convolutions, matrix products and attentions of a module with these inputs.

    PyTorch does not count a processor's fused attention, so here attention runs as two matrix products.
    """
    tensors = map(torch.from_numpy, inputs)
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(*tensors)
    return counter.get_total_flops()


def matrix_product(side: int) -> Callable[[], torch.Tensor]:
    """Make a float32 product of two matrices of side x side numbers, in place."""
    left, right = (torch.rand(side, side, generator=torch.Generator().manual_seed(seed)) for seed in range(2))
    return partial(torch.mm, left, right, out=torch.empty(side, side))
