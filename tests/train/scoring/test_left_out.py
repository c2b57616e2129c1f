"""Figures of a source that was not learned from."""

from types import SimpleNamespace

import pandas as pd
import pytest

from hub_models.models.labels import LABELS
from train.scoring.left_out import fit_elsewhere, left_out_scores, means, sources_report

FACTS = SimpleNamespace(
    labels=LABELS,
    results={"temperature": 1.0, "set_least": 0.3, "set_level": 0.9, "validation": {"accuracy": 0.8}},
)


def record(*rows: tuple[str, float, float, float]) -> pd.DataFrame:
    """Answers: the true class, and the probability of each class; each image is of another patient."""
    columns = ["label", *(f"p {label}" for label in LABELS)]
    return pd.DataFrame(list(rows), columns=columns).assign(patient=range(len(rows)))


BOTH = record(
    ("Normal", 0.1, 0.2, 0.7),
    ("Normal", 0.6, 0.3, 0.1),
    ("Normal", 0.2, 0.35, 0.45),
    ("Normal", 0.1, 0.8, 0.1),
    ("Non-COVID", 0.1, 0.9, 0.0),
    ("Non-COVID", 0.5, 0.4, 0.1),
)


def test_only_the_classes_that_a_source_has_count():
    scores = left_out_scores(BOTH, FACTS)
    assert scores["images_per_class"] == [0, 2, 4]
    assert scores["recall_per_class"] == [None, 0.5, 0.5]
    assert scores["balanced_accuracy"] == 0.5
    assert scores["healthy_called"] == {"COVID-19": 0.25, "Non-COVID": 0.25, "Normal": 0.5}
    # sets: {Normal}, {COVID-19, Non-COVID}, {Non-COVID, Normal}, {Non-COVID}, {Non-COVID}, {COVID-19, Non-COVID}
    assert scores["set_coverage"] == pytest.approx(4 / 6)
    assert scores["set_size_mean"] == pytest.approx(9 / 6)
    low, high = scores["intervals"]["healthy_called Normal"]
    assert 0 <= low < 0.5 < high <= 1


def test_where_there_is_one_class_its_recall_counts():
    scores = left_out_scores(record(("COVID-19", 0.9, 0.1, 0.0), ("COVID-19", 0.2, 0.5, 0.3)), FACTS)
    assert scores["balanced_accuracy"] == 0.5
    assert set(scores["healthy_called"].values()) == {None}


def test_an_image_without_an_answer_is_wrong():
    nothing = float("nan")
    scores = left_out_scores(record(("Normal", nothing, nothing, nothing), ("Normal", 0.0, 0.0, 1.0)), FACTS)
    assert scores["balanced_accuracy"] == 0.5
    assert scores["healthy_called"] == {"COVID-19": 0.0, "Non-COVID": 0.0, "Normal": 0.5}


def test_means_are_over_the_sources_that_have_the_figure_and_stand_last_in_the_report():
    one = left_out_scores(record(("COVID-19", 0.9, 0.1, 0.0)), FACTS)
    sources = {"first": left_out_scores(BOTH, FACTS), "second": one}
    assert means(sources)["balanced_accuracy"] == 0.75
    assert means(sources)["healthy_called"]["Normal"] == 0.5
    lines = sources_report({"clip-finetuned": sources}, final=False).splitlines()
    assert "without those of the test split" in " ".join(lines)
    cells = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    assert cells[0][:3] == ["Left out", "Images", "Balanced accuracy"]
    assert cells[3][:6] == ["second", "1", "1.000", "-", "-", "-"]
    assert cells[-1][0] == "mean"
    assert cells[-1][2] == "0.750"
    assert "without those of the test split" not in " ".join(sources_report({"a": sources}, final=True).split("\n"))


def test_the_bound_elsewhere_weighs_every_source_alike_and_is_tested_on_the_one_that_did_not_set_it():
    many = record(*[("COVID-19", 0.9, 0.1, 0.0)] * 8)
    few = record(("Normal", 0.7, 0.1, 0.2), ("Normal", 0.4, 0.0, 0.6))
    bound, tested = fit_elsewhere({"many": many, "few": few}, list(LABELS), 0.75)
    assert bound == 0.6  # half the weight is at 0.9, a quarter at 0.6, a quarter at 0.2
    assert tested["few"] == {"widened_coverage": 0.5, "widened_size": 1.0}  # by 0.9, so the first class alone
    assert tested["many"] == {"widened_coverage": 1.0, "widened_size": 1.0}  # by 0.2
    assert fit_elsewhere({"many": many, "few": few}, list(LABELS), 0.9)[0] == 0.2


def test_an_image_without_an_answer_has_no_chance_to_be_held():
    nothing = float("nan")
    some = record(("Normal", nothing, nothing, nothing), ("Normal", 0.0, 0.0, 1.0))
    assert fit_elsewhere({"a": some, "b": some}, list(LABELS), 0.5)[0] == 1.0
    assert fit_elsewhere({"a": some, "b": some}, list(LABELS), 0.9)[0] == 0.0
