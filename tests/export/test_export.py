"""The command that writes ONNX files. On drawn X-rays random weights are worth little, in int8 as before."""

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from safetensors import safe_open

import hub_models
from hub_models.checkpoints.folder import weights_digest
from hub_models.checkpoints.resolve import Checkpoint, variable
from hub_models.engines.engine import graph_file, open_engine
from hub_models.export import __main__ as export
from hub_models.export import float32, int8, onnx_graph
from hub_models.pipeline import load_model
from tests.support import tiny_models
from tests.support.datasets import rectangle
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
    """What the command says, in one sentence, before it exits with code 1."""
    with pytest.raises(SystemExit) as error:
        export.main(list(map(str, arguments)))
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

            def shown(self, count):
                drawn = [tiny_models.draw_xray(seed, size=64) for seed in range(3)]
                return [(one.image.astype(np.float32) / 255, rectangle(64)) for one in drawn]

            def measure(self, model) -> dict[str, float]:
                return {"accuracy": next(self.left)}

        monkeypatch.setattr(quality, "Quality", Said)

    return say


@pytest.mark.parametrize("role", FILES)
def test_an_export_adds_a_file_a_part_that_says_what_it_is(exported, checkpoints, role):
    folder = exported(role)
    before, after = contents(checkpoints[role]), contents(folder)
    assert after.keys() - before.keys() - {"README.md", "metrics.json"} == {*FILES[role].values()}
    assert {name: after[name] for name in before if name != "README.md"} == {
        name: content for name, content in before.items() if name != "README.md"
    }
    for part, name in FILES[role].items():
        told = metadata(folder / name)
        measured, processor = json.loads(told.pop("measured")), json.loads(told.pop("processor"))
        assert told == {
            "source_sha256": weights_digest(checkpoints[role]),
            "role": role,
            "part": part,
            "precision": "float32",
        }
        assert 0 <= max(measured.values()) < 1e-5
        side = 64 if role == "unet" else 32
        assert processor["size"] == {"height": side, "width": side}
        assert ("thresholds" in processor) == (role == "unet")


@pytest.mark.parametrize("role", FILES)
def test_weights_are_not_kept_twice(exported, role):
    folder = exported(role)
    weights = folder / "model.safetensors"
    for name in FILES[role].values():
        network = onnx.load(folder / name, load_external_data=False)
        outside = [array for array in network.graph.initializer if array.data_location == onnx.TensorProto.EXTERNAL]
        assert {entry.value for array in outside for entry in array.external_data if entry.key == "location"} == {
            weights.name
        }
        if role != "clip-finetuned":  # the towers of a tiny one are small
            assert (folder / name).stat().st_size < 0.02 * weights.stat().st_size


@pytest.mark.parametrize("role", FILES)
def test_a_file_does_not_tell_where_it_was_made(exported, role):
    for name in FILES[role].values():
        content = (exported(role) / name).read_bytes()
        assert str(Path(hub_models.__file__).parents[1]).encode() not in content
        assert b"site-packages" not in content


def test_the_parts_that_are_named_are_exported_alone(checkpoints, tmp_path, capsys):
    folder = tiny_models.write_release(
        "clip-finetuned", checkpoints["clip-finetuned"], tiny_models.facts(), tmp_path / "clip"
    )
    (one,) = export.main([str(folder), "--parts", "image"])
    assert [path.name for path in folder.glob("*.onnx")] == ["image.onnx"]
    assert (one.file, one.measured.keys()) == (folder / "image.onnx", {"embeddings"})
    assert f"{folder / 'image.onnx'}, " in capsys.readouterr().out


@pytest.mark.parametrize("change", [np.flipud, lambda weights: weights * np.float32(np.nan)], ids=["other", "nan"])
def test_outputs_that_are_not_pytorchs_are_refused_and_earlier_files_stay(folder, monkeypatch, change):
    ready, before = folder / "image.onnx", contents(folder)

    def write_others(module, example, file, _) -> None:
        network = onnx.load(ready)
        weights = max(network.graph.initializer, key=lambda tensor: len(tensor.raw_data))
        others = change(onnx.numpy_helper.to_array(weights))
        weights.CopyFrom(onnx.numpy_helper.from_array(others, weights.name))
        onnx.save(network, file)

    monkeypatch.setattr(onnx_graph, "export", write_others)
    message = refusal(folder, "--parts", "image")
    assert message.startswith("Nothing was exported: ONNX differs from PyTorch in image embeddings by ")
    assert message.endswith(" of the largest value, and 0.001 is the most.")
    assert contents(folder) == before


def test_an_export_that_is_interrupted_leaves_nothing(checkpoints, tmp_path, monkeypatch):
    folder = tiny_models.write_release(
        "clip-finetuned", checkpoints["clip-finetuned"], tiny_models.facts(), tmp_path / "clip"
    )
    before = contents(folder)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(float32, "parity", interrupt)
    with pytest.raises(KeyboardInterrupt):
        export.main([str(folder), "--parts", "image"])
    assert contents(folder) == before


@pytest.mark.parametrize("role", FILES)
def test_int8_is_measured_on_the_data_set_and_kept_where_it_loses_little(
    role, exported, checkpoints, covid_qu_ex, tmp_path, monkeypatch
):
    monkeypatch.setenv(variable("unet"), str(checkpoints["unet"]))
    folder = shutil.copytree(exported(role), tmp_path / role)
    monkeypatch.setattr(int8, "LOSSES", {"accuracy": 0.5, "agreement": 0.5, "dice": 0.01})  # of six images one is 0.17
    monkeypatch.setattr(export, "write_float32", lambda *_: [])  # they are there
    written = export.main([str(folder), "--int8", "--calibrate", str(covid_qu_ex), "--reduce_range", "always"])

    assert [one.file for one in written] == [graph_file(folder, part, "int8") for part in FILES[role]]
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
        told = metadata(small)
        assert json.loads(told["measured"]) == measured
        assert (told["precision"], told["part"], told["role"]) == ("int8", part, role)
        assert told["source_sha256"] == weights_digest(folder)
        assert 32 < largest_weight(small) <= 64  # of 7 bits


def largest_weight(file: Path) -> int:
    """The largest magnitude of the int8 weights in a file."""
    arrays = [onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(file).graph.initializer]
    return max(int(abs(array.astype(int)).max()) for array in arrays if array.dtype == np.int8)


def test_int8_that_loses_too_much_is_not_kept(folder, worth, monkeypatch):
    monkeypatch.setattr(int8, "SPARED", (0, 1))
    monkeypatch.setattr(export, "write_float32", lambda *_: [])
    worth(0.9, 0.5, 0.6, 0.894, 0.89)
    before = contents(folder)
    assert refusal(folder, "--int8", "--calibrate", "DATA") == (
        "No int8 file was kept: accuracy 0.9000 -> 0.8940, and not more than 0.005 of accuracy, 0.02 of agreement, "
        "0.01 of dice may be lost."
    )
    assert contents(folder) == before


def test_layers_stay_float32_until_int8_loses_little_enough(folder, worth, monkeypatch, capsys):
    monkeypatch.setattr(int8, "SPARED", (0, 1, 2))
    monkeypatch.setattr(export, "write_float32", lambda *_: [])
    worth(0.9, 0.5, 0.6, 0.894, 0.895)
    (one,) = export.main([str(folder), "--parts", "image", "--int8", "--calibrate", "DATA"])
    assert (one.measured["spared"], one.measured["reach"]) == (1, "means")
    assert one.measured["int8"] == {"accuracy": 0.895}
    assert one.measured["images"] == 200
    assert (
        "int8 with 1 layers in float32, activations by their means: accuracy 0.9000 -> 0.8950"
        in capsys.readouterr().out
    )
    assert [path.name for path in folder.glob("*.int8.onnx")] == ["image.int8.onnx"]


def test_a_text_tower_has_no_layers_to_spare_and_is_tried_once(folder, worth, monkeypatch):
    monkeypatch.setattr(export, "write_float32", lambda *_: [])
    worth(0.9, 0.5)
    assert "accuracy 0.9000 -> 0.5000" in refusal(folder, "--parts", "text", "--int8", "--calibrate", "DATA")


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
    assert (int8.worst_loss(before, after) > 1) is refused


def test_int8_needs_a_data_set_to_be_measured_on(exported, capsys):
    for arguments in (["--int8"], ["--calibrate", "DATA"]):
        with pytest.raises(SystemExit) as error:
            export.main([str(exported("resnet")), *arguments])
        assert error.value.code == 2
        assert "--int8 and --calibrate DATASET go together" in capsys.readouterr().err


def test_a_data_set_that_is_not_there_is_told(folder, monkeypatch):
    monkeypatch.setattr(export, "write_float32", lambda *_: [])
    assert refusal(folder, "--int8", "--calibrate", "nowhere").startswith("There is no folder nowhere;")


def test_a_part_that_the_model_does_not_have_is_answered_with_those_it_has(folder):
    assert refusal(folder, "--parts", "image", "tail") == "clip-finetuned has no part tail; it has image, text."


def test_a_folder_that_does_not_say_what_it_is_is_refused(checkpoints, tmp_path):
    for folder in (checkpoints["resnet"], tmp_path / "nothing"):
        assert refusal(folder) == f"There is no {folder / 'metrics.json'}, which says what the checkpoint is."


def test_a_fusion_has_nothing_to_export(checkpoints, tmp_path):
    folder = tiny_models.write_release("fusion", checkpoints["fusion"], tiny_models.facts(), tmp_path / "fusion")
    assert refusal(folder).startswith("A fusion has no network to export: it is one small layer between")
    assert not [*folder.glob("*.onnx")]


def test_weights_in_several_files_are_refused(folder):
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    with (folder / "model.safetensors.index.json").open("w") as stream:
        names = load_names(folder / "model-00001-of-00001.safetensors")
        json.dump({"metadata": {}, "weight_map": dict.fromkeys(names, "model-00001-of-00001.safetensors")}, stream)
    assert refusal(folder).startswith(f"There is no {folder / 'model.safetensors'}; weights in several files")


def load_names(file: Path) -> list[str]:
    with safe_open(file, "np") as tensors:
        return list(tensors.keys())


@pytest.mark.parametrize("name", ["onnx", "onnxruntime"])
def test_a_package_that_is_missing_is_named_with_what_to_install(folder, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "hub_models.export.onnx_graph")
    monkeypatch.delattr("hub_models.export.onnx_graph")
    before = contents(folder)
    assert refusal(folder, "--parts", "image") == (
        f"This needs the package {name}: pip install -r hub_models/requirements-engines.txt, and for --int8 -r "
        "train/requirements.txt."
    )
    assert contents(folder) == before
