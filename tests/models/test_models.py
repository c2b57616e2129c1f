"""The contract that the three models share, and what the two classifiers share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import pipeline

from hub_models.models.clip import ClipClassifier
from hub_models.models.labels import LABELS
from hub_models.models.resnet import ResnetClassifier
from hub_models.models.unet import Segmenter
from hub_models.models.views import NoLungs, make_views
from hub_models.xray.geometry import DETAIL
from hub_models.xray.phantom import draw_phantom
from tests.support import tiny_models

PHANTOM = draw_phantom(1, size=128)
IMAGE = PHANTOM.image.astype(np.float32) / 255
UNSORTED = ("Normal", "Other", "COVID-19")


@dataclass(frozen=True)
class Kind:
    """How the contract meets one of the models."""

    build: Callable[[], Segmenter | ResnetClassifier | ClipClassifier]
    network: str
    files: set[str]


WEIGHTS = {"config.json", "model.safetensors"}
KINDS = {
    "unet": Kind(tiny_models.unet, "network", {*WEIGHTS, "preprocessor_config.json", "README.md"}),
    "resnet": Kind(tiny_models.resnet, "model", {*WEIGHTS, "preprocessor_config.json"}),
    "clip": Kind(
        tiny_models.clip, "model", {*WEIGHTS, "processor_config.json", "tokenizer.json", "tokenizer_config.json"}
    ),
}


def answer(model: Segmenter | ResnetClassifier | ClipClassifier) -> np.ndarray:
    """The probabilities that a model gives for one X-ray."""
    if isinstance(model, Segmenter):
        return model.probabilities([IMAGE])
    return np.array(list(model(IMAGE, PHANTOM.lungs).values()))


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
class TestContract:
    @pytest.fixture
    def model(self, kind: Kind) -> Segmenter | ResnetClassifier | ClipClassifier:
        return kind.build()

    @pytest.fixture
    def own(self, kind: Kind, model) -> nn.Module:
        """The model's network."""
        return getattr(model, kind.network)

    @pytest.fixture
    def folder(self, model, tmp_path: Path) -> Path:
        model.save_pretrained(tmp_path / "saved")
        return tmp_path / "saved"

    def test_a_saved_folder_holds_exactly_these_files(self, kind, folder):
        assert {path.name for path in folder.iterdir()} == kind.files

    def test_saved_weights_are_float16_and_whole_numbers_stay_whole(self, own, folder):
        saved = load_file(folder / "model.safetensors")
        halved = {
            name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in own.state_dict().items()
        }
        assert saved.keys() == halved.keys()
        for name, tensor in halved.items():
            assert saved[name].dtype == tensor.dtype, name
            assert torch.equal(saved[name], tensor), name

    def test_saving_leaves_the_models_own_weights_float32_and_unchanged(self, model, own, tmp_path):
        before = {name: tensor.clone() for name, tensor in own.state_dict().items()}
        model.save_pretrained(tmp_path)
        assert {tensor.dtype for tensor in own.parameters()} == {torch.float32}
        for name, tensor in own.state_dict().items():
            assert torch.equal(tensor, before[name]), name

    def test_loaded_weights_are_the_saved_ones_as_float32(self, kind, model, folder):
        network = getattr(type(model).from_pretrained(folder), kind.network)
        saved = load_file(folder / "model.safetensors")
        assert network.state_dict().keys() == saved.keys()
        assert {tensor.dtype for tensor in network.parameters()} == {torch.float32}
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, saved[name].to(tensor.dtype)), name
        assert not any(module.training for module in network.modules())

    def test_a_loaded_model_answers_as_the_saved_one_did(self, model, folder):
        np.testing.assert_allclose(answer(type(model).from_pretrained(folder)), answer(model), rtol=0, atol=2e-3)

    @pytest.mark.parametrize("change", ["removed", "extra"])
    def test_a_tensor_that_is_missing_or_left_over_is_refused_by_name(self, model, folder, change):
        tensors = load_file(folder / "model.safetensors")
        name = next(name for name in tensors if name.endswith("weight")) if change == "removed" else "spare.weight"
        if tensors.pop(name, None) is None:
            tensors[name] = torch.zeros(1)
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises((ValueError, RuntimeError), match=name):
            type(model).from_pretrained(folder)


@pytest.mark.parametrize("build", [tiny_models.resnet, tiny_models.clip])
class TestClassifiers:
    def test_classes_keep_their_order_and_the_view_its_name_in_a_saved_folder(self, build, tmp_path):
        model = build(UNSORTED)
        model.save_pretrained(tmp_path)
        loaded = type(model).from_pretrained(tmp_path)
        assert loaded.labels == list(loaded(IMAGE, PHANTOM.lungs)) == list(UNSORTED)
        assert loaded.view == "lungs"
        np.testing.assert_allclose(answer(loaded), answer(model), rtol=0, atol=2e-3)

    def test_probabilities_add_up_to_one_and_are_those_of_the_view(self, build):
        model = build()
        answered = model(IMAGE, PHANTOM.lungs)
        assert sum(answered.values()) == pytest.approx(1)
        model.model.config.view = "full"
        (expected,) = model.answer(model.embed(model.pixel_values(make_views(IMAGE, PHANTOM.lungs, "lungs", DETAIL))))
        assert answered == expected
        assert model(IMAGE) != answered

    @pytest.mark.parametrize("lungs", [None, np.zeros_like(PHANTOM.lungs)], ids=["no mask", "empty mask"])
    def test_a_view_of_lungs_has_no_answer_without_them(self, build, lungs):
        with pytest.raises(NoLungs, match="No lungs were outlined"):
            build()(IMAGE, lungs)


def test_a_resnet_folder_loads_with_a_plain_transformers_pipeline(tmp_path):
    model = ResnetClassifier.new(10, UNSORTED, "full", 32)
    model.save_pretrained(tmp_path)
    drawn = draw_phantom(2, size=32).image  # the model's own size: a PIL image would be resized by other rules
    plain = pipeline("image-classification", model=str(tmp_path), device="cpu")(Image.fromarray(drawn))
    loaded = ResnetClassifier.from_pretrained(tmp_path)
    (ours,) = loaded.answer(loaded.embed(loaded.pixel_values([drawn.astype(np.float32) / 255])))
    assert {one["label"]: one["score"] for one in plain} == pytest.approx(ours, abs=1e-5)


def test_a_resnet_depth_there_is_not_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match=r"no ResNet of depth 20; choose one of 10, 18, 34, 50, 101\.$"):
        ResnetClassifier.new(20, LABELS, "full", 32)
