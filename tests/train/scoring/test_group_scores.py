import pandas as pd
import pytest

from train.scoring.group_scores import group_scores

COLUMNS = [
    "patient",
    "label",
    "source",
    "lungs true_positive",
    "lungs false_positive",
    "lungs false_negative",
    "lungs found",
    "infection found",
]


@pytest.fixture
def record() -> pd.DataFrame:
    """The columns of a record that groups are scored by: two sources, and images without one."""
    rows = [
        [0, "COVID-19", "north", 30, 10, 10, 40, 20],  # IoU 3/5, Dice 3/4
        [1, "COVID-19", "north", 10, 0, 10, 10, 0],  # IoU 1/2, Dice 2/3
        [2, "Normal", "north", -1, -1, -1, 100, 2],
        [3, "Normal", "south", 80, 0, 20, 80, 0],  # IoU 4/5, Dice 8/9
        [4, "Normal", "south", -1, -1, -1, 100, 1],
        [5, "Normal", "", 0, 5, 0, 5, 1],  # blank lungs
        [6, "Non-COVID", "east", 0, 5, 0, 5, 1],
    ]
    return pd.DataFrame(rows, columns=COLUMNS)


def test_lungs_are_scored_on_each_class_and_source_where_they_were_drawn(record):
    scores = group_scores(record)
    covid = scores["by_class"]["COVID-19"]
    assert covid.keys() == {"lungs"}
    assert covid["lungs"]["images"] == 2
    assert covid["lungs"]["dice_mean_per_image"] == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert covid["lungs"]["iou_pooled"] == pytest.approx(40 / 70)
    assert covid["lungs"]["intervals"]["iou_pooled"] == pytest.approx([1 / 2, 3 / 5])
    assert covid["lungs"]["bootstrap"]["patients"] == 2
    south = scores["by_source"]["south"]["lungs"]
    assert south == {"images": 1, "dice_mean_per_image": pytest.approx(8 / 9), "iou_pooled": pytest.approx(4 / 5)}


def test_healthy_images_over_1_percent_marked_are_counted_in_each_source(record):
    scores = group_scores(record)
    healthy = {name: group["healthy"] for name, group in scores["by_source"].items()}
    assert healthy["north"] == {"images": 1, "share_marked_over_1_percent": 1.0}
    assert healthy["south"]["share_marked_over_1_percent"] == 0.0  # exactly 1 % is not over it
    assert healthy["south"]["images"] == 2
    assert scores["by_class"]["Normal"]["healthy"]["share_marked_over_1_percent"] == 0.5


def test_images_without_a_source_are_a_group_and_a_group_without_scores_is_none(record):
    scores = group_scores(record)
    assert list(scores["by_source"]) == ["north", "not told", "south"]
    assert scores["by_source"]["not told"].keys() == {"healthy"}
    assert list(scores["by_class"]) == ["COVID-19", "Normal"]


@pytest.mark.parametrize("change", [lambda r: r.drop(columns="source"), lambda r: r.assign(source="")])
def test_without_any_source_there_are_no_scores_of_sources(record, change):
    assert list(group_scores(change(record))) == ["by_class"]


def test_without_a_scored_image_there_are_no_scores_of_groups(record):
    assert group_scores(record.iloc[[6]]) == {}
