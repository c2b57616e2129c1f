"""UNet decoders that convolve at the smaller size, before they enlarge: the same numbers from fewer multiplications."""

import copy

import segmentation_models_pytorch as smp
import torch
from torch import nn
from torch.nn import functional as F

from hub_models.engines.pytorch.networks import UnetNetwork


class UpConvolution(nn.Module):
    """A decoder block of an `smp.Unet` whose first convolution and enlargement are one transposed convolution.

    Nine weights at each pixel of the enlarged map see only four different pixels of the smaller one, so that four sums
    of weights do (the sub-pixel convolution of Shi et al. 2016, https://arxiv.org/abs/1609.07009). The skip connection,
    which is not enlarged, has a convolution of its own. `UpConvolution.replaces` says of which blocks this is true.
    """

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    @staticmethod
    def replaces(block: nn.Module) -> bool:
        """Whether a block doubles by nearest neighbours, and then convolves 3 x 3 and normalises, and nothing more."""
        first = block.conv1
        return (
            block.interpolation_mode == "nearest"
            and isinstance(block.attention1.attention, nn.Identity)
            and isinstance(first[1], nn.BatchNorm2d)
            and first[0].bias is None
        )

    def forward(
        self,
        feature_map: torch.Tensor,
        target_height: int,
        target_width: int,
        skip_connection: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Enlarge maps (N, C, H, W) to (N, D, 2 H, 2 W), with a skip connection (N, S, 2 H, 2 W)."""
        convolution, normalisation, activation = self.block.conv1
        scale = normalisation.weight * torch.rsqrt(normalisation.running_var + normalisation.eps)
        weights, bias = convolution.weight * scale[:, None, None, None], normalisation.bias
        bias = bias - normalisation.running_mean * scale
        enlarged, skipped = weights.split([feature_map.shape[1], weights.shape[1] - feature_map.shape[1]], dim=1)
        maps = F.conv_transpose2d(feature_map, doubling_kernel(enlarged), bias, stride=2, padding=1)
        if skip_connection is not None:
            maps = maps + F.conv2d(skip_connection, skipped, padding=1)
        return self.block.attention2(self.block.conv2(activation(maps)))


def doubling_kernel(weights: torch.Tensor) -> torch.Tensor:
    """Return the weights of a transposed convolution of stride 2 and padding 1, (I, O, 4, 4).

    It does what doubling by nearest neighbours and a convolution with `weights`, (O, I, 3, 3), do.
    """
    for axis in (2, 3):
        first, second, third = weights.unbind(axis)
        weights = torch.stack([third, second + third, first + second, first], axis)
    return weights.transpose(0, 1)


def as_exported(module: nn.Module) -> nn.Module:
    """Return a network as it is exported: of an `smp.Unet` a copy with `UpConvolution` for each block it replaces."""
    if not (isinstance(module, UnetNetwork) and isinstance(module.network, smp.Unet)):
        return module
    module = copy.deepcopy(module)
    blocks = module.network.decoder.blocks
    for position, block in enumerate(blocks):
        if UpConvolution.replaces(block):
            blocks[position] = UpConvolution(block)
    return module
