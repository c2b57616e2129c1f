"""The command that writes int8 files. On drawn X-rays random weights are worth little, in int8 as before."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from hub_models.checkpoints.choices import variable
from hub_models.checkpoints.folder import Checkpoint, weights_digest
from hub_models.engines.engine import graph_file, open_engine
from hub_models.models.loading import load_model
from tests.support import tiny_models
from tests.support.datasets import rectangle
from train import quantize
from train.scoring import quality

FILES = {
    "unet": {"network": "network.onnx"},
    "resnet": {"network": "network.onnx"},
    "clip-finetuned": {"image": "image.onnx", "text": "text.onnx"},
}


@pytest.fixture
def folder(exported, tmp_path) -> Path:
    """A CLIP with its ONNX files, to be changed."""
    return shutil.copytree(exported("clip-finetuned"), tmp_path / "clip")


def metadata(file: Path) -> dict[str, str]:
    return {entry.key: entry.value for entry in onnx.load(file).metadata_props}


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refusal(*arguments: str | Path) -> str:
    """Return the sentence that the command prints before it exits with code 1."""
    with pytest.raises(SystemExit) as error:
        quantize.main(list(map(str, arguments)))
    message = error.value.code
    assert isinstance(message, str)
    assert message.endswith(".")
    assert "\n" not in message
    return message


@pytest.fixture
def worth(monkeypatch):
    """Makes the validation images say what a model is worth: these figures, one a measurement."""

    def say(*figures: float) -> None:
        class Said:
            images = 200

            def __init__(self, dataset, model) -> None:
                self.left = iter(figures)

            def training_images(self, count):
                drawn = [tiny_models.draw_xray(seed, size=64) for seed in range(3)]
                return [(xray.image.astype(np.float32) / 255, rectangle(64)) for xray in drawn]

            def measure(self, model) -> dict[str, float]:
                return {"accuracy": next(self.left)}

        monkeypatch.setattr(quantize, "Quality", Said)

    return say


@pytest.mark.parametrize("role", FILES)
def test_int8_is_measured_on_the_data_set_and_kept_where_it_loses_little(
    role, exported, checkpoints, covid_qu_ex, tmp_path, monkeypatch
):
    monkeypatch.setenv(variable("unet"), str(checkpoints["unet"]))
    folder = shutil.copytree(exported(role), tmp_path / role)
    monkeypatch.setattr(
        quantize, "MAX_LOSSES", {"accuracy": 0.5, "agreement": 0.5, "dice": 0.01}
    )  # of six images one is 0.17
    monkeypatch.setattr(quantize, "write_float32", lambda *_: [])  # they are there
    written = quantize.main([str(folder), "--dataset", str(covid_qu_ex), "--reduce_range", "always"])

    assert [export.file for export in written] == [graph_file(folder, part, "int8") for part in FILES[role]]
    measured = written[0].measured
    model = load_model(Checkpoint(role, folder, "folder", "tiny"))
    assert str(model.engine) == "openvino, int8"
    assert model.engine.networks.keys() == FILES[role].keys()
    again = quality.Quality(str(covid_qu_ex), model)
    assert measured["int8"] == again.measure(model)
    model.engine = open_engine(folder, (), "torch")
    assert measured["float32"] == again.measure(model)
    assert (measured["split"], measured["images"], measured["reduce_range"]) == ("validation", again.images, True)
    for part in FILES[role]:
        small = graph_file(folder, part, "int8")
        if role != "clip-finetuned":  # the towers of a tiny one are small
            assert small.stat().st_size < 0.6 * (folder / "model.safetensors").stat().st_size
        properties = metadata(small)
        assert json.loads(properties["measured"]) == measured
        assert (properties["precision"], properties["part"], properties["role"]) == ("int8", part, role)
        assert properties["source_sha256"] == weights_digest(folder)
        assert 32 < largest_weight(small) <= 64  # of 7 bits


def largest_weight(file: Path) -> int:
    """The largest magnitude of the int8 weights in a file."""
    arrays = [onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(file).graph.initializer]
    return max(int(abs(array.astype(int)).max()) for array in arrays if array.dtype == np.int8)


def test_int8_that_loses_too_much_is_not_kept(folder, worth, monkeypatch):
    monkeypatch.setattr(quantize, "SPARED_LAYERS", (0, 1))
    monkeypatch.setattr(quantize, "write_float32", lambda *_: [])
    worth(0.9, 0.5, 0.6, 0.894, 0.89)
    before = contents(folder)
    assert refusal(folder, "--dataset", "DATA") == (
        "No int8 file was kept: accuracy 0.9000 -> 0.8940, and not more than 0.005 of accuracy, 0.02 of agreement, "
        "0.01 of dice may be lost."
    )
    assert contents(folder) == before


def test_layers_stay_float32_until_int8_loses_little_enough(folder, worth, monkeypatch, capsys):
    monkeypatch.setattr(quantize, "SPARED_LAYERS", (0, 1, 2))
    monkeypatch.setattr(quantize, "write_float32", lambda *_: [])
    worth(0.9, 0.5, 0.6, 0.894, 0.895)
    (exported,) = quantize.main([str(folder), "--parts", "image", "--dataset", "DATA"])
    assert (exported.measured["spared"], exported.measured["reach"]) == (1, "means")
    assert exported.measured["int8"] == {"accuracy": 0.895}
    assert exported.measured["images"] == 200
    assert (
        "int8 with 1 layers in float32, activations by their means: accuracy 0.9000 -> 0.8950"
        in capsys.readouterr().out
    )
    assert [path.name for path in folder.glob("*.int8.onnx")] == ["image.int8.onnx"]


def test_a_text_tower_has_no_layers_to_spare_and_is_tried_once(folder, worth, monkeypatch):
    monkeypatch.setattr(quantize, "write_float32", lambda *_: [])
    worth(0.9, 0.5)
    assert "accuracy 0.9000 -> 0.5000" in refusal(folder, "--parts", "text", "--dataset", "DATA")


@pytest.mark.parametrize(
    ("before", "after", "refused"),
    [
        ({"accuracy": 0.900}, {"accuracy": 0.895}, False),
        ({"accuracy": 0.900}, {"accuracy": 0.894}, True),
        ({"accuracy": 0.900}, {"accuracy": 0.950}, False),
        ({"accuracy": 0.900}, {"accuracy": np.nan}, True),
        ({"accuracy": 0.900, "agreement": 1.0}, {"accuracy": 0.900, "agreement": 0.98}, False),
        ({"accuracy": 0.900, "agreement": 1.0}, {"accuracy": 0.900, "agreement": 0.97}, True),
        ({"lungs dice": 0.95, "infection dice": 0.50}, {"lungs dice": 0.94, "infection dice": 0.49}, False),
        ({"lungs dice": 0.95, "infection dice": 0.50}, {"lungs dice": 0.95, "infection dice": 0.48}, True),
    ],
)
def test_half_a_point_of_accuracy_two_of_agreement_and_a_hundredth_of_dice_may_be_lost(before, after, refused):
    assert (quantize.worst_loss(before, after) > 1) is refused


def test_int8_needs_a_data_set_to_be_measured_on(exported, capsys):
    with pytest.raises(SystemExit) as error:
        quantize.main([str(exported("resnet"))])
    assert error.value.code == 2
    assert "the following arguments are required: --dataset" in capsys.readouterr().err


def test_a_data_set_that_is_not_there_is_told(folder, monkeypatch):
    monkeypatch.setattr(quantize, "write_float32", lambda *_: [])
    assert refusal(folder, "--dataset", "nowhere").startswith("There is no folder nowhere;")


def test_a_package_that_is_missing_is_named_with_what_to_install(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.delitem(sys.modules, "hub_models.export.quantization", raising=False)
    monkeypatch.delattr("hub_models.export.quantization", raising=False)
    monkeypatch.delitem(sys.modules, "hub_models.export.onnx_graph", raising=False)
    before = contents(folder)
    assert refusal(folder, "--dataset", "DATA") == ("This needs the package onnx: pip install -r requirements.txt.")
    assert contents(folder) == before
