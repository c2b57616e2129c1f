"""Rows that are added to the training rows: healthy images without infection, and lungs that a teacher outlines."""

import datasets
import numpy as np
import pytest

from tests.support.datasets import Known, dataset, halves, rectangle
from train.data.boxes import add_boxes
from train.data.lungs import png
from train.data.rows import read_mask, read_picture
from train.data.selftraining import add_healthy, add_taught

SIDES = (32, 40, 48, 56, 64)  # of the images below, by which they are told apart


@pytest.fixture
def rows() -> datasets.Dataset:
    return dataset({"side": 36, "label": "COVID-19", "lung_mask": rectangle(36)})


@pytest.fixture
def others() -> datasets.Dataset:
    """Five X-rays without a mask, three of them healthy."""
    labels = ("Normal", "COVID-19", "Normal", "Non-COVID", "Normal")
    return dataset(*({"side": side, "label": label} for side, label in zip(SIDES, labels, strict=True)))


def by_side(rows: datasets.Dataset) -> dict[int, dict]:
    return {read_picture(row["image"]).shape[1]: row for row in rows}


def test_healthy_images_are_added_with_a_blank_infection_mask_of_their_size_and_no_lungs(rows, others):
    added = add_healthy(rows, others, 9)
    assert added.features == rows.features
    assert read_mask(added[0]["lung_mask"]).shape == (36, 36)
    assert added[0]["infection_mask"] is None
    rows_by_side = by_side(added.select(range(1, len(added))))
    assert rows_by_side.keys() == {32, 48, 64}
    for side, row in rows_by_side.items():
        assert np.array_equal(read_mask(row["infection_mask"]), np.zeros((side, side), bool))
        assert row["lung_mask"] is None
        assert added.features["label"].int2str(row["label"]) == "Normal"
        assert np.array_equal(row["image"], by_side(others)[side]["image"])


@pytest.mark.parametrize("count", [1, 2])
def test_no_more_healthy_images_are_added_than_asked_for_and_always_the_same(rows, others, count):
    added = add_healthy(rows, others, count)
    assert len(added) == 1 + count
    assert added["file"][:] == add_healthy(rows, others, count)["file"][:]


def test_labelled_healthy_images_are_blank_too_but_for_what_somebody_marked(rows, others):
    labelled = dataset(
        {"side": 36, "label": "Normal", "lung_mask": rectangle(36)},
        {"side": 40, "label": "Normal", "infection_mask": rectangle(40, slice(9))},
        {"side": 44, "label": "Normal", "infection_boxes": [[1.0, 2.0, 3.0, 4.0]]},
    )
    blank, drawn, boxed, *_ = add_healthy(labelled, others, 1)
    assert not read_mask(blank["infection_mask"]).any()
    assert read_mask(blank["lung_mask"]).all()
    assert read_mask(drawn["infection_mask"]).sum() == 9 * 40
    assert (boxed["infection_mask"], boxed["infection_boxes"]) == (None, [[1, 2, 3, 4]])


def test_the_sources_are_taken_in_turn(rows):
    many = dataset(*({"side": 32, "label": "Normal", "source": name} for name in "aaaab"))
    assert sorted(add_healthy(rows, many, 2)["source"][1:]) == ["a", "b"]


def test_masks_have_the_shape_of_an_image_that_is_no_square(rows, others):
    wide = others.select([0]).map(lambda row: {"image": png(np.tile(np.arange(64, dtype=np.uint8), (40, 1)))})
    for added in (add_healthy(rows, wide, 1), add_taught(rows, wide, halves(), 1)):
        assert read_mask(added[1]["infection_mask"]).shape == (40, 64)
    assert read_mask(added[1]["lung_mask"]).shape == (40, 64)


def test_without_healthy_images_nothing_is_added(rows, others):
    assert len(add_healthy(rows, others.select([1, 3]), 9)) == 1


def test_lungs_are_those_the_teacher_outlines_and_only_healthy_images_get_a_blank_infection_mask(rows, others):
    added = add_taught(rows, others, halves(), 9)
    assert added.features == rows.features
    rows_by_side = by_side(added.select(range(1, len(added))))
    assert rows_by_side.keys() == set(SIDES)
    for side, row in rows_by_side.items():
        assert np.array_equal(read_mask(row["lung_mask"]), rectangle(side, slice(0, side // 2)))
        assert np.array_equal(row["image"], by_side(others)[side]["image"])
    infections = {side: row["infection_mask"] for side, row in rows_by_side.items()}
    assert infections[40] is infections[56] is None  # what the teacher takes for infection is not taught
    for side in (32, 48, 64):
        assert np.array_equal(read_mask(infections[side]), np.zeros((side, side), bool))


def test_the_teacher_outlines_by_its_own_thresholds(rows, others):
    teacher = Known(lambda shape: np.stack([np.linspace(0, 1, shape[1])[None].repeat(shape[0], axis=0)] * 2))
    teacher.thresholds = {"lungs": 0.75, "infection": 0.1}
    lungs = read_mask(by_side(add_taught(rows, others, teacher, 9))[64]["lung_mask"])
    assert np.array_equal(lungs, rectangle(64, slice(48, 64)))


def test_an_image_on_which_the_teacher_finds_no_lungs_is_left_out(rows, others):
    assert by_side(add_taught(rows, others, halves(blind=48), 9)).keys() == {36, 32, 40, 56, 64}


def test_no_more_images_are_taught_than_asked_for_and_always_the_same(rows, others):
    added = add_taught(rows, others, halves(), 2)
    assert len(added) == 3
    assert added["file"][:] == add_taught(rows, others, halves(), 2)["file"][:]


def test_rows_whose_columns_stand_in_another_order_are_added_to_as_well(rows, others):
    boxes = {"0.png": {"lungs": [[1, 2, 3, 4]]}}
    rows, others = (add_boxes(plain, boxes) for plain in (rows, others))
    assert read_mask(by_side(add_healthy(rows, others, 9))[48]["infection_mask"]).shape == (48, 48)
    taught = by_side(add_taught(rows, others, halves(), 9))
    assert read_mask(taught[56]["lung_mask"]).shape == (56, 56)
    assert taught[32]["lung_boxes"] == [[1, 2, 3, 4]]
