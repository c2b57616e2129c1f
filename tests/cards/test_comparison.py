"""The figures that the page shows side by side: those of the cards, and curves worked out from the recorded answers."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from hub_models.cards import comparison
from hub_models.cards import curves as recorded_curves
from hub_models.cards.curves import BINS, CURVE_POINTS, reliability, roc
from hub_models.cards.facts import CardFacts
from hub_models.checkpoints.folder import Checkpoint
from hub_models.checkpoints.resolve import EMBEDDED
from hub_models.checkpoints.roles import ROLES


@pytest.fixture
def shipped() -> dict[str, Checkpoint]:
    """The embedded checkpoints."""
    return {role: Checkpoint(role, EMBEDDED / role, "embedded", "embedded") for role in ROLES}


def test_the_tables_show_what_the_cards_recorded(shipped):
    facts = comparison.recorded(shipped)
    assert list(facts) == list(ROLES)
    classes = comparison.class_scores(facts).set_index("Model")
    assert list(classes.index) == list(ROLES)[1:]
    for role in list(ROLES)[1:]:
        results = facts[role].results
        low, high = results["intervals"]["accuracy"]
        assert classes.loc[role, "Accuracy"] == f"{results['accuracy']:.3f} ({low:.2f}-{high:.2f})"
        assert classes.loc[role, "Images"] == results["images"]
    masks = comparison.outline_scores(facts)
    pooled = masks[(masks["Mask"] == "lungs") & (masks["Averaged"] == "pooled over all pixels")].iloc[0]
    assert pooled["IoU"].startswith(f"{facts['unet'].results['lungs']['iou_pooled']:.3f} (")
    assert pooled["Images"] == facts["unet"].results["lungs"]["images"]
    blank_too = masks[masks["Averaged"] == "mean per image, blank masks too"]
    assert blank_too["Images"].tolist() == [
        facts["unet"].results[mask]["images_all"] for mask in ("lungs", "infection")
    ]


def test_the_confusion_is_of_all_images_and_its_diagonal_is_the_accuracy(shipped):
    facts = comparison.recorded(shipped)["resnet"]
    table = comparison.confusion(facts)
    assert table["True class"].tolist() == facts.labels
    cells = table.drop(columns="True class").to_numpy()
    assert np.trace(cells) / cells.sum() == pytest.approx(facts.results["accuracy"])


def test_a_curve_is_the_one_that_scikit_learn_draws():
    rng = np.random.default_rng(0)
    true = rng.random(150) < 0.4
    scores = (rng.normal(size=150) + true).round(1)  # with ties
    expected = np.stack(metrics.roc_curve(true, scores, drop_intermediate=False)[:2], axis=1)
    assert roc(scores, true) == pytest.approx(expected)
    long = rng.random(5000) < 0.5
    assert len(roc(rng.random(5000), long)) == CURVE_POINTS
    unanswered = roc(np.array([0.9, np.nan, 0.1, np.nan]), np.array([True, True, False, False]))
    assert unanswered.tolist() == [[0, 0], [0, 0.5], [0.5, 0.5], [1, 1]]


def test_the_area_under_a_recorded_curve_is_the_recorded_one(shipped):
    facts = comparison.recorded(shipped)
    for position, label in enumerate(facts["fusion"].labels):
        curves = recorded_curves.roc_curves(facts, shipped, label)
        assert list(dict.fromkeys(curves["Model"])) == list(ROLES)[1:]
        for role, curve in curves.groupby("Model"):
            area = np.trapezoid(curve["True positives"], curve["False positives"])
            assert area == pytest.approx(facts[role].results["auroc_per_class"][position], abs=0.005)  # few points


def test_bins_hold_equally_many_images_from_the_least_sure_to_the_surest():
    sure = np.linspace(0.5, 1, 10 * BINS)
    bins = reliability(np.stack([sure, 1 - sure], axis=1), np.zeros(10 * BINS, int))
    assert bins[:, 2].tolist() == [10] * BINS
    assert (np.diff(bins[:, 0]) > 0).all()
    assert bins[0, 0] == pytest.approx(sure[:10].mean())
    assert bins[:, 1].tolist() == [1.0] * BINS


def test_reliability_curves_give_the_recorded_calibration_error(shipped):
    facts = comparison.recorded(shipped)
    for role, bins in recorded_curves.reliability_curves(facts, shipped).groupby("Model"):
        error = (np.abs(bins["Probability"] - bins["Right"]) * bins["Images"]).sum() / bins["Images"].sum()
        assert error == pytest.approx(facts[role].results["ece"], abs=1e-6)


def test_controls_are_a_row_each(folder):
    facts = CardFacts.load(folder)
    facts.results["controls"] = {"shown lungs hidden": {"accuracy": 0.4051, "AUROC": 0.61, "images": 562}}
    table = comparison.control_scores({"resnet": facts})
    assert table.to_dict("records") == [
        {
            "Model": "resnet",
            "Control": "shown lungs hidden",
            "Images": 562,
            "Accuracy": "0.405",
            "AUROC, macro": "0.610",
        }
    ]


def test_checkpoints_without_figures_or_answers_are_left_out(tmp_path, folder):
    (tmp_path / "bare").mkdir()
    found = {
        "unet": Checkpoint("unet", tmp_path / "bare", "folder", "bare"),
        "resnet": Checkpoint("resnet", folder, "folder", "given"),
    }
    facts = comparison.recorded(found)
    assert list(facts) == ["resnet"]
    assert comparison.outline_scores(facts).empty
    assert recorded_curves.roc_curves(facts, found, "COVID-19").empty
    assert recorded_curves.reliability_curves(facts, found).empty
    write_answers(folder, [["a.png", 0, "COVID-19", 0.75, 0.25], ["b.png", 1, "Normal", np.nan, np.nan]])
    assert recorded_curves.roc_curves(facts, found, "COVID-19")["True positives"].tolist() == [0, 1, 1]
    assert recorded_curves.roc_curves(facts, found, "Pneumonia").empty
    assert recorded_curves.reliability_curves(facts, found)[["Probability", "Right", "Images"]].values.tolist() == [
        [0.75, 1, 1]
    ]


def write_answers(folder: Path, rows: list[list]) -> None:
    columns = ["file", "patient", "label", "p COVID-19", "p Normal"]
    pd.DataFrame(rows, columns=columns).to_csv(folder / "predictions.csv", index=False)
