"""The UNet of other projects: its shape, its folder, and the arguments of its recipe."""

import json
from dataclasses import fields

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from hub_models.models.unet import Segmenter, new_processor
from hub_models.xray.geometry import SIDE
from hub_models.xray.masks import MASKS
from tests.support import tiny_models
from train.data.arguments import DataArguments
from train.networks.baseline_unet import NAME, RECIPE, OriginalUnet, load_segmenter, new_segmenter
from train.script.arguments import XrayTrainingArguments, parse_arguments
from train.unet import RECIPES, UnetArguments


@pytest.fixture
def small() -> Segmenter:
    """One of the same build with few channels, for 64 pixels."""
    torch.manual_seed(0)
    return Segmenter(OriginalUnet((4, 8)), new_processor(64))


def test_it_has_as_many_weights_and_layers_as_the_one_that_other_projects_train():
    network = OriginalUnet()
    assert sum(weights.numel() for weights in network.parameters()) == 8_556_418
    assert not list(network.buffers())  # nothing is normalised
    kinds = [type(module) for module in network.modules()]
    assert [kinds.count(kind) for kind in (nn.Conv2d, nn.ConvTranspose2d, nn.ReLU)] == [15, 3, 14]


@pytest.mark.parametrize(("rows", "columns"), [(32, 32), (40, 72)])
def test_it_answers_every_pixel_once_a_mask(rows, columns):
    with torch.inference_mode():
        assert OriginalUnet()(torch.zeros(3, 1, rows, columns)).shape == (3, len(MASKS), rows, columns)


def test_the_first_level_reaches_the_answer_when_nothing_comes_from_below():
    torch.manual_seed(0)
    network = OriginalUnet((4, 8, 16))
    for widen in network.widen:
        nn.init.zeros_(widen.weight)
    first, second = network(torch.rand(2, 1, 16, 16))
    assert (first - second).abs().max() > 1e-4


def test_a_new_one_is_told_its_size_and_answers_with_probabilities():
    segmenter = new_segmenter(32)
    assert segmenter.image_size == 32
    assert segmenter.thresholds == {"lungs": 0.5, "infection": 0.5}
    (maps,) = segmenter.probability_maps([tiny_models.draw_xray(1, 48).image.astype(np.float32) / 255])
    assert maps.shape == (2, SIDE, SIDE)
    assert (maps > 0).all()
    assert (maps < 1).all()


def test_a_saved_one_loads_with_its_weights_thresholds_and_answers(small, tmp_path):
    small.processor.thresholds = {"lungs": 0.25, "infection": 0.75}
    small.save_pretrained(tmp_path)
    loaded = load_segmenter(tmp_path)
    assert type(loaded.network) is OriginalUnet
    assert not loaded.network.training
    assert (loaded.image_size, loaded.thresholds) == (64, {"lungs": 0.25, "infection": 0.75})
    saved = small.network.state_dict()
    assert loaded.network.state_dict().keys() == saved.keys()
    for name, tensor in loaded.network.state_dict().items():
        assert torch.equal(tensor, saved[name].half().float()), name
    image = tiny_models.draw_xray(1, 64).image.astype(np.float32) / 255
    np.testing.assert_allclose(loaded.probabilities([image]), small.probabilities([image]), rtol=0, atol=2e-3)


def test_a_unet_of_the_library_loads_as_itself(checkpoints):
    loaded = load_segmenter(checkpoints["unet"])
    image = tiny_models.draw_xray(1, 64).image.astype(np.float32) / 255
    expected = Segmenter.from_pretrained(checkpoints["unet"]).probabilities([image])
    assert np.array_equal(loaded.probabilities([image]), expected)


@pytest.mark.parametrize("change", ["removed", "extra"])
def test_a_tensor_that_is_missing_or_left_over_is_refused_by_name(small, tmp_path, change):
    small.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    name = "head.weight" if change == "removed" else "spare.weight"
    if tensors.pop(name, None) is None:
        tensors[name] = torch.zeros(1)
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(RuntimeError, match=name):
        load_segmenter(tmp_path)


def test_a_folder_says_how_many_channels_the_network_has(small, tmp_path):
    small.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text()) == {"channels": [4, 8], "outputs": 2}


def test_every_setting_of_the_recipe_is_an_argument_of_the_script_and_is_what_it_gets():
    groups = (DataArguments, UnetArguments, XrayTrainingArguments)
    names = [{field.name for field in fields(group) if field.init} for group in groups]
    assert [name for name in RECIPE if sum(name in group for group in names) != 1] == []
    words = ["--dataset", "somewhere", "--output_dir", "runs/x", "--recipe", NAME]
    _, unet, training = parse_arguments(UnetArguments, words, recipes=RECIPES, learning_rate=1e-3, num_train_epochs=30)
    assert {name: getattr(unet if hasattr(unet, name) else training, name) for name in RECIPE} == RECIPE
