"""Boxes: around the parts of a mask, out of a file, in the place of outlines, and as a tensor."""

import json
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch

from tests.support.datasets import dataset, rectangle
from train.data.boxes import MAX_BOXES, add_boxes, box_tensor, component_boxes, read_boxes, without_outlines
from train.data.rows import read_mask

COCO = {
    "images": [{"id": 7, "file_name": "train/a.png"}, {"id": 3, "file_name": "b.png"}, {"id": 4, "file_name": "c.png"}],
    "categories": [{"id": 1, "name": "Lung"}, {"id": 2, "name": "opacity"}],
    "annotations": [
        {"image_id": 7, "category_id": 1, "bbox": [10, 20, 30, 40]},
        {"image_id": 7, "category_id": 1, "bbox": [60, 20.5, 30, 40]},
        {"image_id": 3, "category_id": 2, "bbox": [0, 0, 5, 6]},
    ],
}
PASCAL = [
    {
        "filename": "train/a.png",
        "object": [
            {"name": "Lungs", "bndbox": {"xmin": 11, "ymin": 21, "xmax": 40, "ymax": 60}},
            {"name": "lung", "bndbox": {"xmin": 61, "ymin": 21.5, "xmax": 90, "ymax": 60.5}},
        ],
    },
    {"filename": "b.png", "object": [{"name": "infection", "bndbox": {"xmin": 1, "ymin": 1, "xmax": 5, "ymax": 6}}]},
    {"filename": "c.png", "object": []},
]


def written(content: object, folder: Path) -> Path:
    """A JSON file of it."""
    (folder / "boxes.json").write_text(json.dumps(content), encoding="utf-8")
    return folder / "boxes.json"


def test_a_box_is_the_smallest_around_each_part_its_ends_just_outside():
    mask = rectangle(12, slice(1, 4), slice(2, 9)) | rectangle(12, slice(3, 8), slice(8, 9))  # an L
    mask |= rectangle(12, slice(8, 12), slice(9, 12))  # which it meets at a corner only
    boxes = component_boxes(mask)
    assert boxes == [[1, 2, 8, 9], [8, 9, 12, 12]]
    assert {type(edge) for box in boxes for edge in box} == {float}
    assert component_boxes(rectangle(5)) == [[0, 0, 5, 5]]


@pytest.mark.parametrize(("pixels", "count"), [(1, 1), (2, 2)])
def test_a_part_under_a_hundredth_of_the_largest_has_no_box(pixels, count):
    mask = rectangle(40, slice(0, 10), slice(0, 20)) | rectangle(40, slice(30, 30 + pixels), slice(39, 40))
    assert component_boxes(mask) == [[0, 0, 10, 20], [30, 39, 30 + pixels, 40]][:count]


def test_a_blank_mask_has_no_boxes():
    assert component_boxes(np.zeros((8, 8), bool)) == []


@pytest.mark.parametrize("content", [COCO, PASCAL], ids=["COCO", "Pascal"])
def test_both_ways_of_writing_boxes_are_read_into_the_same(content, tmp_path):
    boxes = read_boxes(written(content, tmp_path))
    assert boxes == {
        "a.png": {"lungs": [[10, 20, 40, 60], [60, 20.5, 90, 60.5]], "infection": []},
        "b.png": {"lungs": [], "infection": [[0, 0, 5, 6]]},
        "c.png": {"lungs": [], "infection": []},
    }
    assert {
        type(edge)
        for masks in boxes.values()
        for boxes_of_mask in masks.values()
        for box in boxes_of_mask
        for edge in box
    } == {float}


def test_a_mask_that_a_file_has_no_box_of_is_not_known_to_be_blank(tmp_path):
    assert read_boxes(written(PASCAL[1:], tmp_path)) == {
        "b.png": {"infection": [[0, 0, 5, 6]]},
        "c.png": {"infection": []},
    }


def test_boxes_of_other_things_are_refused_by_name(tmp_path):
    strange = {**COCO, "categories": [{"id": 1, "name": "Nodule"}, {"id": 2, "name": "heart"}]}
    with pytest.raises(ValueError, match=r"has boxes of heart, nodule; known are lungs, lung, infection, opacity\.$"):
        read_boxes(written(strange, tmp_path))
    spare = {**COCO, "categories": [*COCO["categories"], {"id": 3, "name": "heart"}]}
    assert read_boxes(written(spare, tmp_path)).keys() == {"a.png", "b.png", "c.png"}  # no box is of it


@pytest.mark.parametrize(
    ("content", "missing"),
    [
        ({}, "images"),
        ({**COCO, "images": COCO["images"][1:]}, "7"),  # a box of an image that is not listed
        ([{"filename": "a.png"}], "object"),
        (["a.png"], "string indices"),
        (7, "not iterable"),
    ],
)
def test_a_file_of_anything_else_is_refused_with_what_it_may_be(content, missing, tmp_path):
    with pytest.raises(ValueError, match=rf"boxes\.json holds no boxes as COCO .* or Pascal VOC .*{missing}"):
        read_boxes(written(content, tmp_path))


def test_a_file_that_is_no_json_or_not_there_is_told(tmp_path):
    (tmp_path / "boxes.json").write_text("a.png 10 20 40 60")
    with pytest.raises(ValueError, match=r"boxes\.json holds no boxes as COCO .*JSONDecodeError"):
        read_boxes(tmp_path / "boxes.json")
    with pytest.raises(FileNotFoundError):
        read_boxes(tmp_path / "elsewhere.json")


def test_boxes_reach_the_rows_of_their_files_and_no_others():
    rows = dataset(
        {"side": 32, "label": "Normal", "lung_boxes": [[0, 0, 9, 9]], "infection_boxes": []},
        {"side": 32, "label": "Normal"},
        {"side": 32, "label": "COVID-19", "lung_boxes": [[0, 0, 9, 9]], "infection_boxes": [[1, 1, 3, 3]]},
        {"side": 32, "label": "COVID-19", "lung_mask": rectangle(32)},
    )
    boxes_of = {"2.png": {"lungs": [[1, 2, 3, 4], [5, 6, 7, 8]]}, "3.png": {"lungs": [], "infection": [[2, 2, 4, 4]]}}
    boxed = add_boxes(rows, boxes_of)
    assert boxed["lung_boxes"][:] == [[[0, 0, 9, 9]], None, [[1, 2, 3, 4], [5, 6, 7, 8]], []]
    assert boxed["infection_boxes"][:] == [[], None, [[1, 1, 3, 3]], [[2, 2, 4, 4]]]
    assert boxed.features == rows.features
    assert boxed["file"][:] == rows["file"][:]
    assert [mask is None for mask in boxed["lung_mask"]] == [True, True, True, False]
    some = add_boxes(rows.select([3, 1]), boxes_of)
    assert (some["file"][:], some["lung_boxes"][:]) == (["3.png", "1.png"], [[], None])


def outlined(count: int) -> datasets.Dataset:
    """Rows whose lungs are a column as wide as their number and one; of every second, infection is its lower half."""
    return dataset(
        *(
            {
                "side": 32,
                "label": "COVID-19",
                "lung_mask": rectangle(32, slice(0, number + 1)),
                "infection_mask": rectangle(32, slice(0, number + 1), slice(16, 32)) if number % 2 else None,
            }
            for number in range(count)
        )
    )


def kept_of(rows: datasets.Dataset, column: str) -> list[str]:
    """Files of the rows that have a mask in this column."""
    return [file for file, mask in zip(rows["file"], rows[column], strict=True) if mask is not None]


def test_outlines_give_way_to_the_boxes_around_their_parts():
    two = rectangle(32, slice(2, 12), slice(4, 30)) | rectangle(32, slice(20, 30), slice(4, 30))
    rows = dataset(
        {"side": 32, "label": "COVID-19", "lung_mask": two, "infection_mask": rectangle(32, slice(3, 7), slice(8, 9))},
        {"side": 32, "label": "Normal", "lung_mask": two, "infection_mask": two & False},
        {"side": 32, "label": "Non-COVID", "infection_boxes": [[1, 1, 3, 3]]},
    )
    boxed = without_outlines(rows)
    assert boxed["lung_mask"][:] == boxed["infection_mask"][:] == [None] * 3
    around = [[2, 4, 12, 30], [20, 4, 30, 30]]
    assert boxed["lung_boxes"][:] == [around, around, None]
    assert boxed["infection_boxes"][:] == [[[3, 8, 7, 9]], [], [[1, 1, 3, 3]]]
    assert boxed.features == rows.features
    assert boxed["image"][:] == rows["image"][:]


@pytest.mark.parametrize(("share", "lungs", "infections"), [(0.0, 0, 0), (0.25, 2, 1), (0.5, 4, 2), (1.0, 8, 4)])
def test_a_share_of_the_outlines_of_each_mask_stays_as_it_was_drawn(share, lungs, infections):
    rows, boxed = outlined(8), without_outlines(outlined(8), share)
    assert len(kept_of(boxed, "lung_mask")) == lungs
    assert len(kept_of(boxed, "infection_mask")) == infections
    for row_before, row in zip(rows, boxed, strict=True):
        if row["lung_mask"] is None:
            assert component_boxes(read_mask(row_before["lung_mask"])) == row["lung_boxes"]
        else:
            assert np.array_equal(read_mask(row["lung_mask"]), read_mask(row_before["lung_mask"]))
            assert row["lung_boxes"] is None


def test_blank_masks_take_no_part_in_the_draw_and_always_become_no_boxes():
    blank = {"side": 32, "label": "Normal", "infection_mask": rectangle(32, slice(0, 0))}
    drawn = {"side": 32, "label": "COVID-19", "infection_mask": rectangle(32, slice(0, 8))}
    boxed = without_outlines(dataset(blank, drawn, blank, drawn, blank), 0.5)
    (outlined,) = kept_of(boxed, "infection_mask")
    boxes = dict(zip(boxed["file"], boxed["infection_boxes"], strict=True))
    assert boxes.pop(outlined) is None
    assert boxes.pop({"1.png": "3.png", "3.png": "1.png"}[outlined]) == [[0, 0, 8, 32]]
    assert boxes == {"0.png": [], "2.png": [], "4.png": []}


def test_which_outlines_stay_is_drawn_by_the_seed():
    rows = outlined(8)
    drawn = {seed: kept_of(without_outlines(rows, 0.5, seed), "lung_mask") for seed in range(4)}
    assert kept_of(without_outlines(rows, 0.5, 1), "lung_mask") == drawn[1]
    assert len({tuple(files) for files in drawn.values()}) > 1


def test_a_box_tensor_is_scaled_by_width_and_height_and_filled_up_with_zeros():
    tensor = box_tensor([[10, 20, 30, 40], [0, 0, 100, 50]], (50, 100), 200)
    assert (tensor.dtype, tuple(tensor.shape)) == (torch.float32, (MAX_BOXES, 4))
    assert tensor.tolist() == [[0, 0, 200, 200], [20, 80, 60, 160], *[[0, 0, 0, 0]] * (MAX_BOXES - 2)]


def test_of_too_many_boxes_the_largest_stay():
    boxes = [[0.0, 0.0, float(side), 2.0] for side in range(1, MAX_BOXES + 4)]
    assert box_tensor(boxes, (64, 64), 64)[:, 2].tolist() == [11, 10, 9, 8, 7, 6, 5, 4]


@pytest.mark.parametrize("boxes", [None, []])
def test_no_boxes_are_zeros(boxes):
    assert torch.equal(box_tensor(boxes, (64, 64), 32), torch.zeros(MAX_BOXES, 4))
