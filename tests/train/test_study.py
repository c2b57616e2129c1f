"""Studies of the UNet's settings: trained once, told in one table, and a failure is said."""

import json

import pytest

from train import study

TINY = {
    "encoder": "resnet18",
    "encoder_weights": "none",
    "image_size": 32,
    "max_steps": 1,
    "save_strategy": "no",
    "eval_strategy": "no",
    "load_best_model_at_end": False,
    "early_stopping_patience": 0,
    "use_cpu": True,
}


@pytest.fixture
def two_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A study of two trainings of one step each."""
    monkeypatch.setattr(study, "SHORT", TINY)
    monkeypatch.setattr(study, "STUDIES", {"loss": ("validation", {"base": {}, "loss BCE": {"loss": "bce"}})})


@pytest.mark.usefixtures("two_trainings")
def test_a_study_is_trained_once_and_told_in_one_table(covid_qu_ex, tmp_path, capsys):
    words = ["loss", "--dataset", str(covid_qu_ex), "--output_dir", str(tmp_path)]
    trained = study.main(words)["loss"]
    assert capsys.readouterr().out.count("Training: ") == 2
    assert {name: facts.procedure["loss"] for name, facts in trained.items()} == {"base": "dice_bce", "loss BCE": "bce"}
    for facts in trained.values():
        assert (facts.results["split"], facts.results["lungs"]["images"]) == ("validation", 3)

    written = json.loads((tmp_path / "study.json").read_text())["studies"]["loss"]
    assert written["loss BCE"]["changed"] == {"loss": "bce"}
    text = (tmp_path / "study.md").read_text()
    lungs = written["base"]["results"]["lungs"]
    low, high = lungs["intervals"]["iou_pooled"]
    (row,) = [line.split(" | ") for line in text.splitlines() if line.startswith("| base")]
    assert row[2] == f"{lungs['iou_pooled']:.3f} ({low:.2f}-{high:.2f})"
    assert "Measured on the validation split (3 lungs, 2 infection, 2 healthy)." in text

    study.main(words)
    assert "Training: " not in capsys.readouterr().out
    assert (tmp_path / "study.md").read_text() == text


@pytest.mark.usefixtures("two_trainings")
def test_a_study_with_another_budget_says_so_and_keeps_its_trainings_apart(covid_qu_ex, tmp_path):
    words = ["loss", "--dataset", str(covid_qu_ex), "--image_size", "64", "--output_dir", str(tmp_path)]
    assert all(facts.image_size == 64 for facts in study.main(words)["loss"].values())
    assert {path.name for path in tmp_path.iterdir() if path.is_dir()} == {
        "image_size=64,validation",
        "image_size=64,loss=bce,validation",
    }
    assert "(1 steps of 16 images at 64 x 64 pixels unless" in (tmp_path / "study.md").read_text()
    assert json.loads((tmp_path / "study.json").read_text())["shared"]["image_size"] == 64


@pytest.mark.usefixtures("two_trainings")
def test_a_training_that_fails_ends_the_study_with_a_sentence(tmp_path):
    with pytest.raises(RuntimeError, match=r"^The training 'validation' failed; "):
        study.main(["loss", "--dataset", str(tmp_path / "nothing"), "--output_dir", str(tmp_path)])


def test_a_training_that_two_studies_share_is_kept_in_one_folder():
    _, seeds = study.STUDIES["seeds"]
    _, curve = study.STUDIES["curve"]
    _, boxes = study.STUDIES["boxes"]
    shared = {study.folder_name(changed, "test") for changed in (seeds["seed 42"], curve["100% of the masks"])}
    assert shared == {study.folder_name(boxes["outlines"], "test")} == {"healthy=150,test"}
    assert (
        study.folder_name({"loss": "bce", "encoder_weights": "a/b"}, "validation")
        == "encoder_weights=b,loss=bce,validation"
    )


def test_every_training_of_a_study_differs_from_the_others_and_from_what_is_shared():
    for _, trainings in study.STUDIES.values():
        settings = [study.SHORT | changed for changed in trainings.values()]
        assert all(setting not in settings[:i] for i, setting in enumerate(settings))


@pytest.mark.usefixtures("two_trainings")
def test_a_folder_with_trainings_on_other_data_is_refused(covid_qu_ex, tmp_path):
    words = ["loss", "--output_dir", str(tmp_path), "--dataset"]
    study.main([*words, str(covid_qu_ex)])
    with pytest.raises(ValueError, match=r"holds a training with --dataset=.*, and not with --dataset=elsewhere; name"):
        study.main([*words, "elsewhere"])
