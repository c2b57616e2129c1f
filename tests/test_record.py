"""The record of a checkpoint's answers, and that every figure of the embedded cards follows from theirs."""

import datasets
import numpy as np
import pytest

from hub_models.cards import CardFacts
from hub_models.checkpoints import EMBEDDED, ROLES
from train.record import (
    classes_record,
    classes_scores,
    intervals,
    load_record,
    outlines_record,
    outlines_scores,
    save_record,
)


def rows(patients: list[str | None], labels: list[int]) -> datasets.Dataset:
    files = [f"{i}.png" for i in range(len(patients))]
    return datasets.Dataset.from_dict({"file": files, "patient": patients, "label": labels})


@pytest.mark.parametrize("role", ROLES)
def test_the_figures_of_an_embedded_card_follow_from_its_record(role):
    facts, record = CardFacts.load(EMBEDDED / role), load_record(EMBEDDED / role)
    scores = outlines_scores(record) if role == "unet" else classes_scores(record, facts.labels)
    assert len(record) == facts.results["images"]
    for name, value in scores.items():
        for key, again in value.items() if isinstance(value, dict) else [(None, value)]:
            recorded = facts.results[name] if key is None else facts.results[name][key]
            assert again == (pytest.approx(recorded, rel=1e-9) if isinstance(recorded, float) else recorded), (
                name,
                key,
            )


def test_no_patient_of_the_record_is_told_by_name():
    patients = rows(["anna", "bert", "anna", None, None], [0, 1, 0, 1, 1])
    record = classes_record(patients, np.eye(2)[[0] * 5], ["a", "b"])
    assert record["patient"].tolist() == [0, 1, 0, 2, 3]  # unknown ones are patients of their own
    assert record["label"].tolist() == ["a", "b", "a", "b", "b"]
    assert record["p a"].tolist() == [1.0] * 5


def test_an_image_without_an_answer_stays_without_one_and_counts_as_wrong(tmp_path):
    probabilities = np.array([[0.9, 0.1], [np.nan, np.nan], [0.2, 0.8]])
    record = save_record(classes_record(rows(["a", "b", "c"], [0, 0, 1]), probabilities, ["x", "y"]), tmp_path)
    assert record["p x"].isna().tolist() == [False, True, False]
    scores = classes_scores(record, ["x", "y"])
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["no_answer"] == 1


def test_masks_that_nobody_drew_or_that_are_blank_take_no_part(tmp_path):
    counts = np.array([[[8, 1, 1], [-1, -1, -1]], [[4, 4, 0], [0, 7, 0]], [[6, 0, 2], [3, 1, 0]]])
    record = save_record(outlines_record(rows(["a", "b", "c"], [0, 0, 0]), counts), tmp_path)
    scores = outlines_scores(record)
    assert scores["lungs"]["images"] == 3
    assert scores["lungs"]["iou_pooled"] == pytest.approx(18 / 26)
    assert scores["infection"] == {
        "images": 1,
        "iou_pooled": 0.75,
        "iou_mean_per_image": 0.75,
        "dice_mean_per_image": pytest.approx(6 / 7),
    }  # of one patient there is no interval
    assert scores["lungs"]["bootstrap"]["patients"] == 3


def test_intervals_are_those_of_patients_not_of_images():
    right = np.array([1] * 50 + [0] * 50)  # two patients: one always right, one always wrong
    result = intervals(lambda chosen: {"accuracy": float(right[chosen].mean())}, np.array([7] * 50 + [9] * 50))
    assert result["intervals"] == {"accuracy": [0.0, 1.0]}
    assert result["bootstrap"] == {"patients": 2, "resamples": 1000, "level": 0.95}


def test_the_interval_of_a_mean_is_that_of_the_normal_distribution():
    values = np.random.default_rng(1).normal(size=400)
    low, high = intervals(lambda chosen: {"mean": float(values[chosen].mean())}, np.arange(400))["intervals"]["mean"]
    error = 1.96 * values.std() / 20
    assert low == pytest.approx(values.mean() - error, abs=0.01)
    assert high == pytest.approx(values.mean() + error, abs=0.01)
