"""The command that measures what each checkpoint is worth in each engine."""

import json

import pytest

from hub_models.benchmark.quality import Quality, files_digest
from hub_models.checkpoints.choices import variable
from hub_models.checkpoints.folder import Checkpoint
from hub_models.checkpoints.roles import ROLES
from hub_models.engines.engine import Engine
from hub_models.models.loading import load_model
from train.scoring import __main__ as scoring
from train.scoring import quality


@pytest.fixture
def chosen(checkpoints, exported, monkeypatch):
    """Role -> folder of the tiny checkpoint in use; only the ResNet has an ONNX file."""
    folders = checkpoints | {"resnet": exported("resnet")}
    for role in ROLES:
        monkeypatch.setenv(variable(role), str(folders[role]))
    return folders


def test_every_model_with_networks_is_measured_in_every_engine_and_written(chosen, covid_qu_ex, tmp_path, capsys):
    file = tmp_path / "made" / "quality.json"
    figures = scoring.main(["--dataset", str(covid_qu_ex), "--output_file", str(file)])
    out = capsys.readouterr().out
    assert Quality.load(file) == figures
    assert json.loads(file.read_text())["dataset"] == str(covid_qu_ex)
    assert list(figures.measured) == ["unet", "resnet", "clip-zero-shot", "clip-finetuned"]
    assert figures.files == {role: files_digest(chosen[role]) for role in figures.measured}
    assert list(figures.measured["resnet"]) == ["torch, float32", "onnxruntime, float32", "openvino, float32"]
    assert list(figures.measured["unet"]) == ["torch, float32"]
    for engine in figures.measured["resnet"].values():
        assert set(engine) == {"accuracy", "agreement", "images"}
    model = load_model(Checkpoint("resnet", chosen["resnet"], "folder", "tiny"))
    model.engine = Engine()
    again = quality.Quality(str(covid_qu_ex), model)
    assert figures.measured["resnet"]["torch, float32"] == again.measure(model) | {"images": again.images}
    assert "unet has no network.onnx and no network.int8.onnx" in out
    assert out.endswith(f"Wrote {file}; python -m hub_models.benchmark --quality {file} tells it\n")


def test_each_engine_is_measured_on_the_data_set_and_the_models_own_stays(checkpoints, monkeypatch):
    model, engines = (
        load_model(Checkpoint("resnet", checkpoints["resnet"], "folder", "tiny")),
        [Engine(), Engine("openvino", "int8")],
    )
    used = model.engine

    class Said:
        images = 6

        def __init__(self, dataset: str, measured: object) -> None:
            assert (dataset, measured) == ("DATA", model)

        def measure(self, measured) -> dict[str, float]:
            return {"accuracy": 0.75 if measured.engine is engines[0] else 0.5}

    monkeypatch.setattr(quality, "Quality", Said)
    assert scoring.measure(model, engines, "DATA") == {
        "torch, float32": {"accuracy": 0.75, "images": 6},
        "openvino, int8": {"accuracy": 0.5, "images": 6},
    }
    assert model.engine is used


def test_a_data_set_that_is_not_there_or_does_not_fit_is_told(checkpoints, covid_qu_ex, monkeypatch):
    model = load_model(Checkpoint("resnet", checkpoints["resnet"], "folder", "tiny"))
    with pytest.raises(FileNotFoundError, match="There is no folder nowhere"):
        scoring.measure(model, [Engine()], "nowhere")
    monkeypatch.setattr(model.model.config, "id2label", dict(enumerate(["Cat", "Dog"])))
    with pytest.raises(ValueError, match="this model scores Cat, Dog"):
        scoring.measure(model, [Engine()], str(covid_qu_ex))
