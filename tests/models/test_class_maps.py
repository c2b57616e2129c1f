"""Heat maps without gradients: where a network ends in the mean of its maps, they are torchcam's."""

from pathlib import Path

import numpy as np
import pytest
from torch import nn

from hub_models.checkpoints.folder import WEIGHTS_FILE, weights_digest
from hub_models.engines.engine import SOURCE
from hub_models.export import onnx_graph
from hub_models.export.float32 import examples
from hub_models.models import gradcam
from hub_models.models.clip import ClipClassifier
from hub_models.models.gradcam import explain
from hub_models.models.labels import LABELS
from hub_models.models.resnet import ResnetClassifier
from hub_models.xray.phantom import draw_phantom
from tests.models.test_gradcam import lite, processor, resnet
from tests.support import tiny_models

PHANTOM = draw_phantom(1, size=128)
IMAGE, LUNGS = PHANTOM.image.astype(np.float32) / 255, PHANTOM.lungs


def lively() -> ClipClassifier:
    """An EfficientNet whose random weights keep the size of their inputs; the library's make nearly nothing of them."""
    classifier = lite()
    for layer in classifier.model.vision_model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return classifier


BUILDS = {"resnet": (resnet, ResnetClassifier), "efficientnet": (lively, ClipClassifier)}


def exported(classifier, folder: Path) -> Path:
    """A checkpoint's folder with its ONNX files."""
    classifier.save_pretrained(folder)
    for name, network in classifier.networks.items():
        file = folder / f"{name}.onnx"
        onnx_graph.export(network, examples(classifier, name)[-1], file, folder / WEIGHTS_FILE)
        onnx_graph.write_metadata(file, {SOURCE: weights_digest(folder)})
    return folder


@pytest.mark.parametrize("name", BUILDS)
def test_heat_is_that_of_torchcam_for_every_class(name, tmp_path, monkeypatch):
    build, model_class = BUILDS[name]
    folder = exported(build(), tmp_path)
    slow, fast = (model_class.from_pretrained(folder, engine_name=engine) for engine in ("torch", "onnxruntime"))
    wanted = {label: explain(slow, IMAGE, LUNGS, label) for label in [None, *LABELS]}
    monkeypatch.setattr(gradcam, "_class_map_by_gradients", None)  # not asked
    assert any(explanation.heat.any() for explanation in wanted.values())
    for label, explanation in wanted.items():
        found = explain(fast, IMAGE, LUNGS, label)
        assert found.label == explanation.label
        np.testing.assert_allclose(found.heat, explanation.heat, rtol=0, atol=1e-3)
        assert found.inside_lungs == pytest.approx(explanation.inside_lungs, abs=1e-3)


def test_a_tower_that_does_not_end_in_maps_is_explained_by_pytorch_or_says_what_is_needed(tmp_path, monkeypatch):
    clip = tiny_models.clip()
    clip.processor.image_processor = processor(32)
    folder = exported(clip, tmp_path)
    slow, fast = (ClipClassifier.from_pretrained(folder, engine_name=name) for name in ("torch", "onnxruntime"))
    wanted, found = (explain(classifier, IMAGE, LUNGS, "Normal") for classifier in (slow, fast))
    np.testing.assert_allclose(found.heat, wanted.heat, rtol=0, atol=1e-3)
    monkeypatch.setattr("hub_models.models.network_model.pytorch_is_installed", lambda: False)
    without = ClipClassifier.from_pretrained(folder, engine_name="onnxruntime")
    with pytest.raises(ValueError, match=r"PyTorch is not installed; run `pip install -r requirements\.txt"):
        explain(without, IMAGE, LUNGS)
