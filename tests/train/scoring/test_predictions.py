"""The record of a checkpoint's answers, and that every figure of the embedded cards follows from theirs."""

import json
from types import SimpleNamespace

import datasets
import numpy as np
import pandas as pd
import pytest

from hub_models.cards.facts import CardFacts
from hub_models.checkpoints.resolve import EMBEDDED
from hub_models.checkpoints.roles import ROLES
from hub_models.models.calibration import Calibration
from tests.support.datasets import Known, dataset, halves, rectangle
from train.data.dataset import load
from train.scoring.intervals import intervals
from train.scoring.mask_metrics import AVERAGES, HISTOGRAM_BINS
from train.scoring.predictions import (
    classes_record,
    classes_scores,
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
    calibration = Calibration.of(SimpleNamespace(**json.loads((EMBEDDED / role / "config.json").read_text())))
    scores = outlines_scores(record) if role == "unet" else classes_scores(record, facts.labels, calibration)
    assert len(record) == facts.results["images"]
    recorded = figures(facts.results)
    for name, again in figures(scores).items():
        assert again == (pytest.approx(recorded[name], rel=1e-9) if isinstance(again, float) else recorded[name]), name
    assert not {"boxes", "by_class", "by_source"} & (facts.results.keys() - scores.keys())


def figures(scores: dict | list, name: str = "") -> dict[str, int | float | str | None]:
    """Every figure of nested scores by its whole name."""
    flat = {}
    for key, value in scores.items() if isinstance(scores, dict) else enumerate(scores):
        whole = f"{name}/{key}"
        flat |= figures(value, whole) if isinstance(value, dict | list) else {whole: value}
    return flat


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
    scores = classes_scores(record, ["x", "y"], Calibration())
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["no_answer"] == 1


@pytest.fixture(scope="module")
def drawn() -> datasets.Dataset:
    """Seven X-rays of six sizes and four patients.

    0 has both masks, 1 lungs only, 2 a blank infection only, 3 nothing; of the healthy 4 and 5 one has lungs, none an
    infection; 6 has a blank lung mask.
    """
    return dataset(
        {
            "side": 64,
            "label": "COVID-19",
            "patient": "anna",
            "lung_mask": rectangle(64, slice(16, 48)),
            "infection_mask": rectangle(64, slice(0, 32), slice(0, 32)),
        },
        {"side": 96, "label": "COVID-19", "patient": "bert", "lung_mask": rectangle(96, slice(0, 48))},
        {"side": 128, "label": "Non-COVID", "patient": "anna", "infection_mask": rectangle(128, slice(0, 0))},
        {"side": 80, "label": "Non-COVID", "patient": "carl"},
        {"side": 100, "label": "Normal", "patient": "dora"},
        {"side": 112, "label": "Normal", "patient": "carl", "lung_mask": rectangle(112, slice(0, 28))},
        {"side": 64, "label": "Non-COVID", "patient": "bert", "lung_mask": rectangle(64, slice(0, 0))},
    )


@pytest.fixture(scope="module")
def outlined(drawn) -> pd.DataFrame:
    return outlines_record(drawn, halves(blind=100))


def test_only_rows_that_somebody_drew_on_and_healthy_ones_are_in_the_record(outlined):
    assert outlined["file"].tolist() == ["0.png", "1.png", "2.png", "4.png", "5.png", "6.png"]
    assert outlined["label"].tolist() == ["COVID-19", "COVID-19", "Non-COVID", "Normal", "Normal", "Non-COVID"]
    assert outlined["patient"].tolist() == [0, 1, 0, 2, 3, 1]


def test_pixels_are_counted_at_the_images_own_size_and_minus_one_where_nobody_drew(outlined):
    sides = ("true_positive", "false_positive", "false_negative")
    assert outlined[[f"lungs {side}" for side in sides]].values.tolist() == [
        [16 * 64, 16 * 64, 16 * 64],
        [48 * 96, 0, 0],
        [-1, -1, -1],
        [-1, -1, -1],
        [28 * 112, 28 * 112, 0],
        [0, 32 * 64, 0],
    ]
    assert outlined[[f"infection {side}" for side in sides]].values.tolist() == [
        [16 * 32, 16 * 32, 16 * 32],
        [-1, -1, -1],
        [0, 32 * 128, 0],
        [-1, -1, -1],
        [-1, -1, -1],
        [-1, -1, -1],
    ]
    assert outlined["lungs found"].tolist() == [32 * 64, 48 * 96, 64 * 128, 0, 56 * 112, 32 * 64]
    assert outlined["infection found"].tolist() == [16 * 64, 24 * 96, 32 * 128, 0, 28 * 112, 16 * 64]


def test_histograms_are_kept_as_words_and_the_distance_of_the_lungs_in_pixels(outlined):
    first, last = (16 * 64, 16 * 64), (16 * 64, 16 * 64)
    assert outlined["lungs inside"][0] == f"{first[0]} {'0 ' * (HISTOGRAM_BINS - 2)}{last[0]}"
    assert outlined["lungs outside"][0] == f"{first[1]} {'0 ' * (HISTOGRAM_BINS - 2)}{last[1]}"
    assert outlined["infection inside"].tolist()[1:] == ["", " ".join("0" * HISTOGRAM_BINS), "", "", ""]
    distances = outlined["lungs hd95"].tolist()
    assert distances[:2] == [16, 0]  # columns 0 to 31 against 16 to 47
    assert [np.isnan(distance) for distance in distances] == [False, False, True, True, False, True]


def test_scores_are_of_the_rows_that_have_the_mask(outlined):
    scores = outlines_scores(outlined)
    lungs, infection = scores["lungs"], scores["infection"]
    assert (lungs["images"], lungs["images_all"]) == (3, 4)
    hits, wrong, missed = 1024 + 4608 + 3136, 1024 + 3136, 1024
    assert lungs["iou_pooled"] == pytest.approx(hits / (hits + wrong + missed))
    assert lungs["precision_pooled_all_images"] == pytest.approx(hits / (hits + wrong + 2048))
    assert lungs["iou_mean_per_image"] == pytest.approx((1 / 3 + 1 + 1 / 2) / 3)
    assert lungs["dice_mean_per_image"] == pytest.approx((1 / 2 + 1 + 2 / 3) / 3)
    assert lungs["iou_mean_all_images"] == pytest.approx((1 / 3 + 1 + 1 / 2 + 0) / 4)
    assert lungs["hd95_mean_per_image"] == pytest.approx((16 + 0 + 28) / 3)
    # The blank mask was drawn, but there is nothing in it to find.
    assert (infection["images"], infection["images_all"]) == (1, 2)
    assert infection["iou_pooled"] == infection["iou_mean_per_image"] == pytest.approx(1 / 3)
    assert infection["iou_pooled_all_images"] == pytest.approx(512 / (3 * 512 + 4096))
    assert infection["dice_mean_per_image"] == pytest.approx(1 / 2)
    assert infection["dice_mean_all_images"] == pytest.approx(1 / 4)
    # Half of what is answered 1 is inside, and half of the inside is answered 0, as is seven eighths of the outside.
    assert infection["average_precision_pooled"] == pytest.approx(0.5 * 0.5 + 0.5 * 1024 / 4096)
    assert "hd95_mean_per_image" not in infection


def test_healthy_images_make_the_scores_of_healthy_lungs_whether_drawn_or_not(outlined):
    healthy = outlines_scores(outlined)["healthy"]
    assert healthy["images"] == 2
    assert healthy["share_marked"] == healthy["share_marked_over_1_percent"] == 0.5
    assert healthy["mean_marked_area"] == pytest.approx((0 + 28 / 56) / 2)
    assert healthy["intervals"]["share_marked"] == [0, 1]
    assert healthy["bootstrap"]["patients"] == 2


@pytest.fixture(scope="module")
def boxed() -> pd.DataFrame:
    """The record of X-rays of 64 pixels with boxes around infection, which is outlined on the rows 0 to 15.

    0 and 1 are of one patient: of three boxes two are hit; 2 has a box that is missed, 3 a box of lungs only, 4 an
    empty list, as has the healthy 5.
    """
    box = {"side": 64, "label": "Non-COVID"}
    rows = dataset(
        box | {"patient": "anna", "source": "north", "infection_boxes": [[0, 0, 64, 16], [0, 40, 30, 60]]},
        box | {"patient": "anna", "source": "north", "infection_boxes": [[10, 4, 14, 8]]},
        box | {"patient": "bert", "source": "south", "infection_boxes": [[0, 40, 30, 60]]},
        box | {"patient": "carl", "lung_boxes": [[0, 0, 64, 64]]},
        box | {"patient": "dora", "lung_mask": rectangle(64, slice(0, 32)), "infection_boxes": []},
        {"side": 64, "label": "Normal", "patient": "emil", "source": "south", "infection_boxes": []},
    )
    return outlines_record(rows, halves())


def test_images_with_boxes_around_infection_alone_are_in_the_record_with_their_boxes(boxed):
    assert boxed["file"].tolist() == ["0.png", "1.png", "2.png", "4.png", "5.png"]
    assert boxed["infection boxes"].tolist() == [2, 1, 1, 0, 0]
    assert boxed["infection boxes hit"].tolist() == [1, 1, 0, 0, 0]
    assert boxed["source"].tolist() == ["north", "north", "south", "", "south"]
    assert boxed["infection true_positive"].tolist() == [-1] * 5


def test_the_share_of_boxes_hit_is_of_all_boxes_and_its_interval_of_their_patients(boxed):
    scores = outlines_scores(boxed)["boxes"]
    assert (scores["images"], scores["boxes"], scores["hit_iou"]) == (3, 4, 0.3)
    assert scores["share_hit"] == 0.5
    assert scores["intervals"] == {"share_hit": [0, pytest.approx(2 / 3)]}  # bert's alone, and anna's alone
    assert scores["bootstrap"]["patients"] == 2


def test_boxes_alone_take_no_part_in_the_scores_of_masks_and_healthy_images(boxed):
    scores = outlines_scores(boxed)
    assert (scores["lungs"]["images_all"], scores["infection"]["images_all"], scores["healthy"]["images"]) == (1, 0, 1)
    assert "boxes" not in outlines_scores(boxed[boxed["infection boxes"] == 0])


def test_boxes_and_groups_are_scored_again_from_the_saved_record(boxed, tmp_path):
    assert repr(outlines_scores(save_record(boxed, tmp_path))) == repr(outlines_scores(boxed))


def test_a_record_without_columns_of_boxes_and_sources_gives_the_other_scores_alone(boxed, tmp_path):
    scores = outlines_scores(boxed)
    save_record(boxed.drop(columns=["source", "infection boxes", "infection boxes hit"]), tmp_path)
    del scores["boxes"], scores["by_source"]
    assert repr(outlines_scores(load_record(tmp_path))) == repr(scores)


def test_a_record_gives_the_same_scores_when_it_was_saved(outlined, tmp_path):
    folder = tmp_path / "release"
    folder.mkdir()
    loaded = save_record(outlined, folder)
    assert loaded["image"].tolist() == list(range(len(outlined)))
    pd.testing.assert_frame_equal(loaded.drop(columns="image"), outlined.drop(columns="file"), check_dtype=False)
    assert load_record(folder).equals(loaded)
    beside = pd.read_csv(tmp_path / "release_files.csv", dtype=str)
    assert beside["file"].tolist() == outlined["file"].tolist()
    assert not [name for name in outlined["file"] if name in (folder / "predictions.csv").read_text()]
    assert repr(outlines_scores(loaded)) == repr(outlines_scores(outlined))  # repr: NaN is like NaN


def test_what_a_segmenter_says_of_files_gives_the_same_scores_when_it_was_saved(covid_qu_ex, tmp_path):
    record = outlines_record(load(str(covid_qu_ex))["test"], Known(uncertain))
    assert len(record) == 4
    scores = outlines_scores(record)
    assert repr(outlines_scores(save_record(record, tmp_path))) == repr(scores)
    assert 0 < scores["infection"]["average_precision_pooled"] < 1


def uncertain(shape: tuple[int, int]) -> np.ndarray:
    """Probabilities in many bins."""
    return np.random.default_rng(shape[0]).random((2, *shape))


def test_masks_that_nobody_drew_take_no_part(drawn):
    record = outlines_record(drawn.select([1]), halves())
    scores = outlines_scores(record)
    assert scores["lungs"]["iou_pooled"] == 1.0
    assert scores["infection"] == {
        "images": 0,
        "images_all": 0,
        **{
            f"{name}_{average}": None
            for average in AVERAGES
            for name in ("iou", "dice", "precision", "recall", "average_precision")
        },
    }
    assert scores["healthy"]["images"] == 0
    assert "bootstrap" not in scores["lungs"]  # of one patient there is no interval


def test_a_draw_of_patients_without_a_drawn_mask_leaves_the_interval_to_the_others(drawn):
    infected, blank = drawn.select([0]), drawn.select([2])
    blank = blank.map(lambda row: {"patient": "erna"})
    scores = outlines_scores(outlines_record(datasets.concatenate_datasets([infected, blank]), halves()))["infection"]
    assert scores["bootstrap"]["patients"] == 2
    assert scores["intervals"]["iou_pooled"] == pytest.approx([1 / 3, 1 / 3])
    assert scores["intervals"]["iou_mean_all_images"] == pytest.approx([1 / 6, 1 / 3])


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


def test_the_interval_of_a_calibration_error_that_resampling_raises_holds_the_error():
    rng = np.random.default_rng(5)
    shown = rng.uniform(0.5, 1, 300)
    right = (rng.uniform(size=300) < shown).astype(float)

    def score(chosen: np.ndarray) -> dict:
        bins = np.array_split(np.argsort(shown[chosen]), 15)
        return {"ece": float(np.mean([abs((shown - right)[chosen][places].mean()) for places in bins]))}

    result, error = intervals(score, np.arange(300)), score(np.arange(300))["ece"]
    low, high = result["intervals"]["ece"]
    assert low < error < high
    assert 0.02 < high - low < 0.1
    assert result["bootstrap"]["bias_corrected"] == ["ece"]
    assert "bias_corrected" not in intervals(lambda chosen: {"share": float(len(chosen))}, np.arange(9))["bootstrap"]
