"""What the arithmetic of a network takes at least: its operations over this machine's rate of multiplying matrices."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

SIDE = 1024
PRODUCT = 2 * SIDE**3
"""Operations in `matrix_product`; a multiplication and an addition are two."""


def count_flops(module: nn.Module, inputs: Sequence[torch.Tensor]) -> int:
    """Operations in the convolutions, matrix products and attentions of a module with these inputs.

    PyTorch counts no fused attention of a processor; here attention is two products, as it is written.
    """
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(*inputs)
    return counter.get_total_flops()


def matrix_product() -> Callable[[], torch.Tensor]:
    """What measures the rate: a float32 product of `PRODUCT` operations, in place."""
    left, right = (torch.rand(SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) for seed in range(2))
    return partial(torch.mm, left, right, out=torch.empty(SIDE, SIDE))
