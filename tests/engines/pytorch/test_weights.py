import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import AutoModelForImageClassification, ResNetForImageClassification

from hub_models.engines.pytorch import weights
from tests.support import tiny_models

BIAS = "classifier.1.bias"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A tiny ResNet, saved."""
    weights.save_pretrained(tiny_models.resnet().model, tmp_path)
    return tmp_path


def test_a_float16_copy_is_rounded_to_the_nearest_and_the_model_stays_as_it_was():
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1 + 2**-12, -65504.0]]))  # between 1 and 1 + 2**-10; the largest there is
    half = weights.to_float16(model)
    assert half.weight.dtype == torch.float16
    assert half.weight.tolist() == [[1.0, -65504.0]]
    assert model.weight.tolist() == [[1 + 2**-12, -65504.0]]


def test_counts_stay_whole_numbers():
    model = nn.BatchNorm2d(1)
    model.num_batches_tracked.fill_(70001)  # no float16 holds it
    assert weights.to_float16(model).num_batches_tracked.item() == 70001


@pytest.mark.parametrize("value", [65536.0, float("inf"), float("nan")])
def test_a_value_that_float16_does_not_hold_is_refused_by_the_tensors_name(value):
    model = nn.Sequential(nn.Linear(1, 1), nn.Linear(1, 1))
    nn.init.constant_(model[1].bias, value)
    with pytest.raises(ValueError, match=r"^1\.bias has a value that is infinite, not a number, or too large"):
        weights.to_float16(model)


def test_a_model_whose_weights_lie_channels_last_is_saved_with_the_same_values(folder, tmp_path):
    weights.save_pretrained(tiny_models.resnet().model.to(memory_format=torch.channels_last), tmp_path / "other")
    saved, other = (load_file(path / "model.safetensors") for path in (folder, tmp_path / "other"))
    assert saved.keys() == other.keys()
    assert all(torch.equal(saved[name], other[name]) for name in saved)


def test_every_loader_gives_float32_from_a_float16_file(folder):
    assert json.loads((folder / "config.json").read_text())["dtype"] == "float32"
    assert load_file(folder / "model.safetensors")[BIAS].dtype == torch.float16
    assert AutoModelForImageClassification.from_pretrained(folder).dtype == torch.float32


def test_a_model_is_loaded_for_evaluation_with_the_saved_values(folder):
    model = weights.load_strictly(AutoModelForImageClassification, folder)
    assert isinstance(model, ResNetForImageClassification)
    assert not any(module.training for module in model.modules())
    saved = load_file(folder / "model.safetensors")
    assert model.state_dict().keys() == saved.keys()
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, saved[name].to(tensor.dtype)), name


@pytest.mark.parametrize(
    ("kind", "name", "changed"),
    [
        ("missing keys", BIAS, None),
        ("unexpected keys", "spare", torch.zeros(1)),
        ("mismatched keys", BIAS, torch.zeros(7)),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(folder, kind, name, changed):
    tensors = load_file(folder / "model.safetensors")
    tensors.pop(name, None)
    if changed is not None:
        tensors[name] = changed
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=rf"do not fit their config: {kind} .*{name}"):
        weights.load_strictly(AutoModelForImageClassification, folder)


def test_a_pickle_is_never_loaded(folder):
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(OSError, match="safetensors"):
        weights.load_strictly(AutoModelForImageClassification, folder)


def test_a_saved_config_does_not_tell_where_on_the_machine_a_model_came_from(tmp_path):
    classifier = tiny_models.clip()
    classifier.model.config.text_config._name_or_path = "/home/somebody/models/text"
    weights.save_pretrained(classifier.model, tmp_path)
    assert "/home/somebody" not in (tmp_path / "config.json").read_text()
