"""UNet decoders that convolve before they enlarge."""

import numpy as np
import onnx
import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn
from torch.nn import functional as F

from hub_models.engines.engine import Engine
from hub_models.engines.pytorch.networks import UnetNetwork
from hub_models.engines.pytorch.upsampling import UpConvolution, as_exported, doubling_kernel
from hub_models.engines.runtimes import RUNTIMES
from hub_models.export import onnx_graph

PIXELS = np.random.default_rng(0).uniform(-1, 1, (2, 1, 64, 96)).astype(np.float32)


def unet(**settings: str) -> UnetNetwork:
    """A small UNet whose normalisations do something."""
    torch.manual_seed(0)
    network = smp.Unet("resnet18", encoder_weights=None, in_channels=1, classes=2, **settings)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.running_mean, module.running_var, module.weight, module.bias):
                nn.init.uniform_(values, 0.5, 1.5)
    return UnetNetwork(network.eval())


def test_a_transposed_convolution_doubles_and_convolves_also_at_the_border():
    torch.manual_seed(0)
    maps, weights = torch.randn(2, 3, 5, 7), torch.randn(4, 3, 3, 3)
    wanted = F.conv2d(F.interpolate(maps, scale_factor=2.0, mode="nearest"), weights, padding=1)
    found = F.conv_transpose2d(maps, doubling_kernel(weights), stride=2, padding=1)
    torch.testing.assert_close(found, wanted, rtol=0, atol=1e-5)


def test_an_exported_unet_gives_the_same_numbers_and_leaves_the_trained_one_as_it_is():
    module = unet()
    wanted = Engine().run("network", module, PIXELS)
    exported = as_exported(module)
    assert [type(block) for block in exported.network.decoder.blocks] == [UpConvolution] * 5
    assert not any(isinstance(block, UpConvolution) for block in module.network.decoder.blocks)
    for found, slow in zip(Engine().run("network", exported, PIXELS), wanted, strict=True):
        np.testing.assert_allclose(found, slow, rtol=0, atol=1e-4 * np.abs(slow).max())


@pytest.mark.parametrize(
    "settings",
    [{"decoder_attention_type": "scse"}, {"decoder_interpolation": "bilinear"}, {"decoder_use_norm": "identity"}],
    ids=["attention", "bilinear", "no normalisation"],
)
def test_a_decoder_that_does_something_else_is_left_as_it_is(settings):
    exported = as_exported(unet(**settings))
    kept = [block for block in exported.network.decoder.blocks if not isinstance(block, UpConvolution)]
    assert len(kept) == 5
    assert Engine().run("network", exported, PIXELS)[0].shape == (2, 2, 64, 96)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_its_onnx_file_holds_no_number_twice(runtime, tmp_path):
    module, file = unet(), tmp_path / "network.onnx"
    onnx_graph.export(as_exported(module), (PIXELS,), file)
    stored = sum(np.prod(array.dims) for array in onnx.load(file).graph.initializer)
    own = sum(weights.numel() for weights in module.parameters())
    assert stored < 1.01 * own  # kernels of 4 x 4 are computed when the file is opened
    found, wanted = RUNTIMES[runtime](file)(PIXELS)[0], Engine().run("network", module, PIXELS)[0]
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-4 * np.abs(wanted).max())
