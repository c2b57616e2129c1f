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
from hub_models.export import __main__ as export
from hub_models.export import float32, onnx_graph
from tests.support import tiny_models

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
    """The sentence that the command says before it exits with code 1."""
    with pytest.raises(SystemExit) as error:
        export.main(list(map(str, arguments)))
    message = error.value.code
    assert isinstance(message, str)
    assert message.endswith(".")
    assert "\n" not in message
    return message


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


def test_a_part_that_the_model_does_not_have_is_answered_with_those_it_has(folder):
    assert refusal(folder, "--parts", "image", "tail") == "clip-finetuned has no part tail; it has image, text."


def test_a_folder_that_does_not_say_what_it_is_is_refused(checkpoints, tmp_path):
    for folder in (checkpoints["resnet"], tmp_path / "nothing"):
        assert refusal(folder) == f"There is no {folder / 'metrics.json'}, which says what the checkpoint is."


def test_a_fusion_has_nothing_to_export(checkpoints, tmp_path):
    folder = tiny_models.write_release("fusion", checkpoints["fusion"], tiny_models.facts(), tmp_path / "fusion")
    assert refusal(folder).startswith("A fusion has no network to export: it is one small layer between")
    assert not [*folder.glob("*.onnx")]


def test_several_folders_are_exported_by_one_command_and_a_fusion_among_them_is_passed_over(
    checkpoints, tmp_path, monkeypatch
):
    roles = ("resnet", "fusion", "unet")
    folders = [
        tiny_models.write_release(role, checkpoints[role], tiny_models.facts(), tmp_path / role) for role in roles
    ]
    monkeypatch.setattr(export, "export", lambda folder, parts: [(folder.name, parts)])
    assert export.main([*map(str, folders)]) == [("resnet", None), ("unet", None)]


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
    assert refusal(folder, "--parts", "image") == (f"This needs the package {name}: pip install -r requirements.txt.")
    assert contents(folder) == before
