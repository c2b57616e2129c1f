import json

import pytest

from hub_models.cards.facts import CardFacts
from tests.support import tiny_models
from train import resnet
from train.data.arguments import DataArguments
from train.data.dataset import load_splits
from train.script import repeats
from train.script.repeats import flat, is_repeated, without

WORDS = ["--dataset", "XRAYS", "--learning_rate=0.1"]


def test_every_patient_is_tested_once_over_the_folds_and_no_patient_is_on_two_sides(covid_qu_ex):
    tested = []
    for number in range(1, 5):
        splits = load_splits(DataArguments(str(covid_qu_ex), fold=f"{number}/4"))
        patients = [set(rows["patient"]) for rows in splits.values()]
        assert sum(map(len, patients)) == len(set.union(*patients)) == 24
        assert [len(rows) for rows in splits.values()] == [12, 6, 6]
        assert all(set(rows["label"]) == {0, 1, 2} for rows in splits.values())
        tested += splits["test"]["patient"][:]
    assert len(tested) == len(set(tested)) == 24


@pytest.mark.parametrize("fold", ["0/4", "5/4", "2", "1/2", "a/b", "1/99"])
def test_a_fold_that_is_none_is_refused(covid_qu_ex, fold):
    with pytest.raises(ValueError, match=f"--fold is {fold}"):
        load_splits(DataArguments(str(covid_qu_ex), fold=fold))


def test_trainings_of_each_seed_and_fold_are_run_and_their_scores_averaged(tmp_path, monkeypatch, capsys):
    run = []

    def train_once(module: str, arguments: list[str], output) -> CardFacts:
        run.append((module, arguments, output.name))
        facts = tiny_models.facts()
        facts.results["accuracy"] = [0.5, 0.75, 1.0][len(run) % 3]
        return facts

    monkeypatch.setattr(repeats, "train_once", train_once)
    scores = resnet.main([*WORDS, "--output_dir", str(tmp_path), "--folds", "3", "--seeds=2", "--seed", "7"])
    shared = [*WORDS, "--seed", "7"]
    assert run[0] == ("train.resnet", [*shared, "--seed=7", "--fold=1/3"], "seed-7-fold-1")
    assert run[-1] == ("train.resnet", [*shared, "--seed=8", "--fold=3/3"], "seed-8-fold-3")
    assert len(run) == 6
    assert scores["accuracy"] == {
        "mean": 0.75, "deviation": pytest.approx(0.2236, abs=1e-4), "least": 0.5, "greatest": 1.0,
        "values": [0.75, 1.0, 0.5] * 2,
    }  # fmt: skip
    assert json.loads((tmp_path / "repeats.json").read_text()) == scores
    assert "| accuracy | 0.750 | 0.224 | 0.500 | 1.000 |" in (tmp_path / "repeats.md").read_text()
    assert "| accuracy | 0.750 |" in capsys.readouterr().out


def test_one_fold_or_a_release_of_several_is_refused(tmp_path):
    with pytest.raises(ValueError, match="--folds is 2; it takes 3 or more"):
        resnet.main([*WORDS, "--output_dir", str(tmp_path), "--folds", "2"])
    assert not is_repeated(DataArguments("XRAYS"), resnet.XrayTrainingArguments(output_dir=str(tmp_path)))


def test_arguments_of_all_trainings_are_taken_out_and_scores_of_groups_are_named():
    assert without(["--folds", "3", "--x=1", "--seeds=2", "--y", "z"], ("--folds", "--seeds")) == ["--x=1", "--y", "z"]
    results = {"images": 4, "lungs": {"dice": 0.5, "intervals": {"dice": [0.1, 0.2]}}, "accuracy": 0.25}
    assert flat(results) == {"lungs: dice": 0.5, "accuracy": 0.25}
