"""Recipes measured on sources that they did not learn from."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from hub_models.cards.facts import CardFacts
from hub_models.checkpoints.folder import weights_digest
from hub_models.models.calibration import Calibration
from tests.support import tiny_models
from tests.train.test_controls import run_here
from train import calibrate, sources
from train.scoring.predictions import load_record


@pytest.fixture
def two_sources(covid_qu_ex, tmp_path) -> Path:
    """The drawn data, half of whose images are of another source."""
    folder = shutil.copytree(covid_qu_ex, tmp_path / "data")
    metadata = pd.read_csv(folder / "metadata.csv", dtype=str)
    names = ["north" if i % 2 else "south" for i in metadata.groupby(["split", "label"]).cumcount()]
    metadata.assign(source=names).to_csv(folder / "metadata.csv", index=False)
    return folder


@pytest.fixture
def tiny_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """One small recipe."""
    monkeypatch.setattr(sources, "train_once", run_here)
    monkeypatch.setattr(
        sources, "RECIPES", {"resnet": ["train.resnet", "--depth=10", "--image_size=32", "--use_cpu=True"]}
    )


@pytest.mark.usefixtures("tiny_recipe", "chosen_checkpoints")
def test_each_source_is_left_out_once_and_told_in_a_table_and_the_card(two_sources, tmp_path, monkeypatch, capsys):
    words = ["--dataset", str(two_sources), "--max_steps", "1", "--output_dir", str(tmp_path / "out")]
    chosen = sources.main([*words, "--arguments", "--image_size=64"])["resnet"]
    assert CardFacts.load(tmp_path / "out" / "resnet" / "north" / "release").image_size == 64
    assert capsys.readouterr().out.count("Training: ") == 2
    assert set(chosen["sources"]) == {"north", "south"}
    everything = pd.read_csv(two_sources / "metadata.csv", dtype=str)
    for name, scores in chosen["sources"].items():
        of_source = everything[everything["source"] == name]
        assert scores["images"] == (of_source["split"] != "Test").sum()
    text = (tmp_path / "out" / "sources.md").read_text()
    mean = chosen["means"]["balanced_accuracy"]
    tested = sum(scores["images"] for scores in chosen["sources"].values())
    assert f"| mean | {tested} | {mean:.3f} |" in text
    assert json.loads((tmp_path / "out" / "sources.json").read_text())["resnet"] == chosen
    assert "Training: " not in [sources.main(words), capsys.readouterr().out][1]  # both were done before

    in_use = tmp_path / "out" / "resnet" / "north" / "release"
    monkeypatch.setenv("XRAY_RESNET", str(in_use))
    assert "left_out" not in CardFacts.load(in_use).results
    final = sources.main([*words[:-1], str(tmp_path / "final"), "--final", "--cards"])["resnet"]
    for name, scores in final["sources"].items():
        assert scores["images"] == (everything["source"] == name).sum()
    assert CardFacts.load(in_use).results["left_out"] == final
    card = (in_use / "README.md").read_text(encoding="utf-8")
    assert "### Hospitals that were not learned from" in card
    assert f"| mean | {len(everything)} | {final['means']['balanced_accuracy']:.3f} |" in card
    assert "these trainings took 1 steps" in card
    calibration = Calibration(**json.loads((in_use / "config.json").read_text())["calibration"])
    assert calibration.least_elsewhere == final["set_least"]


@pytest.mark.usefixtures("tiny_recipe", "chosen_checkpoints")
def test_a_training_without_a_source_can_be_calibrated_afterwards(two_sources, tmp_path):
    words = ["--dataset", str(two_sources), "--max_steps", "1", "--output_dir", str(tmp_path / "out")]
    before = sources.main(words)["resnet"]["sources"]
    release = tmp_path / "out" / "resnet" / "north" / "release"
    own = ["--dataset", str(two_sources), "--role", "resnet", "--checkpoint", str(release), "--detail", "16"]
    results = calibrate.main([*own, "--leave_source_out", "north", "--keep_test"])
    after = sources.main(words)["resnet"]["sources"]
    assert results["images"] == before["north"]["images"] == after["north"]["images"]
    assert CardFacts.load(release).detail == 16
    assert len(load_record(release)) == results["images"]
    assert after["north"]["set_coverage"] == results["set_coverage"]
    assert after["south"]["balanced_accuracy"] == before["south"]["balanced_accuracy"]


@pytest.mark.usefixtures("chosen_checkpoints")
def test_a_fusion_joins_what_left_out_the_same_source(two_sources, checkpoints, tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "train_once", run_here)
    words = ["--dataset", str(two_sources), "--output_dir", str(tmp_path), "--recipes"]
    for source in ("north", "south"):
        clip = tmp_path / "clip-finetuned" / source / "release"
        tiny_models.write_release("clip-finetuned", checkpoints["clip-finetuned"], tiny_models.facts(), clip)
    resnet = ["--depth=10", "--image_size=32", "--use_cpu=True", "--learning_rate=1e-3"]
    sources.main([*words, "resnet", "--max_steps", "1", "--arguments", *resnet, "--data_name={source}"])
    both = sources.main([*words, "fusion", "--max_steps", "1"])
    assert list(both) == ["resnet", "fusion"]
    for source in ("north", "south"):
        trained = tmp_path / "resnet" / source / "release"
        assert CardFacts.load(trained).data["name"] == source
        parts = json.loads((tmp_path / "fusion" / source / "release" / "config.json").read_text())["parts"]
        assert parts["resnet"] == weights_digest(trained)
    assert "## fusion" in (text := (tmp_path / "sources.md").read_text())
    assert "## resnet" in text
    assert list(sources.main([*words[:-1], "--final", "--recipes", "fusion"])) == ["fusion"]


def test_one_source_cannot_be_left_out(covid_qu_ex, tmp_path):
    with pytest.raises(ValueError, match=r"^Leaving a source out needs images of two sources at least"):
        sources.main(["--dataset", str(covid_qu_ex), "--output_dir", str(tmp_path)])
