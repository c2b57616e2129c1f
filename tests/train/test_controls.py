"""Controls: the same training with the lungs hidden, and finished checkpoints shown something else."""

import importlib
import json
from pathlib import Path

import datasets
import numpy as np
import pytest

from hub_models.cards.facts import CardFacts
from hub_models.models.labels import LABELS
from train import controls
from train.data.lungs import permuted


def run_here(module: str, words: list[str], output: Path) -> CardFacts:
    """Train as `train_once` does, but in this process: another one takes seconds to start."""
    if not (output / "release").is_dir():
        print(f"Training: {output.name}")
        importlib.import_module(module).main([*words, f"--output_dir={output}"])
    return CardFacts.load(output / "release")


@pytest.fixture
def tiny_recipe(monkeypatch: pytest.MonkeyPatch, checkpoints) -> None:
    """One recipe of one step, two trainings, and tiny checkpoints in use."""
    monkeypatch.setattr(controls, "train_once", run_here)
    words = ["train.resnet", "--depth=10", "--image_size=32", "--use_cpu=True"]
    monkeypatch.setattr(controls, "RECIPES", {"resnet": words})
    monkeypatch.setattr(controls, "QUICK", [*controls.QUICK, "--max_steps=1"])
    trainings = {"lungs only": ["--view=lungs"], "permuted classes": ["--view=lungs", "--permute_labels=True"]}
    monkeypatch.setattr(controls, "TRAININGS", trainings)
    for role, folder in checkpoints.items():
        monkeypatch.setenv(f"XRAY_{role.upper().replace('-', '_')}", str(folder))


@pytest.mark.usefixtures("tiny_recipe")
def test_controls_are_trained_once_on_lungs_outlined_once_and_told_in_tables(covid_qu_ex, tmp_path, capsys):
    words = ["--dataset", str(covid_qu_ex), "--quick", "--output_dir", str(tmp_path)]
    controls.main(words)
    assert capsys.readouterr().out.count("Training: ") == 2

    returned = controls.main(words)
    assert "Training: " not in capsys.readouterr().out  # both were done before
    assert json.loads((tmp_path / "controls.json").read_text()) == returned
    assert set(returned["trained"]["resnet"]) == {"lungs only", "permuted classes"}
    assert returned["trained"]["resnet"]["lungs only"]["images"] == 6
    for scores in returned["shipped"].values():
        assert list(scores) == ["its own view", "lungs hidden", "box around the lungs hidden", "shape of the lungs"]
    text = (tmp_path / "controls.md").read_text()
    accuracy = returned["shipped"]["resnet"]["lungs hidden"]
    low, high = accuracy["intervals"]["accuracy"]
    assert f"| lungs hidden | 6 | {accuracy['accuracy']:.3f} ({low:.2f}-{high:.2f}) |" in text
    assert "These are short trainings" in text


@pytest.mark.usefixtures("tiny_recipe")
def test_without_a_recipe_only_finished_checkpoints_are_shown_something_else(covid_qu_ex, tmp_path):
    words = ["--dataset", str(covid_qu_ex), "--output_dir", str(tmp_path)]
    alone = controls.main([*words, "--recipes"])
    assert alone["trained"] == {}
    assert [path.name for path in (tmp_path / "outlined").iterdir() if path.is_dir()] == ["test"]
    again = controls.main([*words, "--quick"])  # outlines the other splits, too
    assert again["shipped"] == alone["shipped"]
    with pytest.raises(ValueError, match="outlined holds other data, or the lungs of another UNet; name another"):
        controls.main([*words, "--recipes", "--unet", "elsewhere"])


def test_controls_stand_in_the_card_of_the_checkpoint_that_they_are_of(folder):
    scores = {"accuracy": 0.3125, "auroc_macro": 0.5625, "images": 48}
    controls.add_to_card(folder, {"lungs hidden": scores}, {"shape of the lungs": scores | {"accuracy": 0.4375}})
    text = (folder / "README.md").read_text()
    assert "- shown lungs hidden: accuracy 0.312, AUROC 0.562, images 48\n" in text
    assert "- trained and tested on shape of the lungs: accuracy 0.438, AUROC 0.562, images 48\n" in text
    assert "They are not measured yet" not in text


def test_permuted_classes_are_as_many_as_before_and_no_longer_of_their_images():
    features = datasets.Features({"file": datasets.Value("string"), "label": datasets.ClassLabel(names=list(LABELS))})
    rows = datasets.Dataset.from_dict({"file": [str(i) for i in range(90)], "label": [0, 1, 2] * 30}, features)
    dealt = permuted(rows, seed=1)
    assert dealt["file"][:] == rows["file"][:]
    assert np.bincount(dealt["label"]).tolist() == [30, 30, 30]
    assert 15 <= (np.array(dealt["label"]) == np.array(rows["label"])).sum() <= 45
    assert dealt["label"][:] == permuted(rows, seed=1)["label"][:] != permuted(rows, seed=2)["label"][:]
