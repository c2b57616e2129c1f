import numpy as np
import pytest

from tests.support.datasets import rectangle
from train.scoring.box_metrics import box_iou, count_hits, score_boxes

SHAPE = (120, 120)
OUTLINE = rectangle(120, slice(40, 80), slice(40, 80))


@pytest.mark.parametrize(
    ("box", "hits"),
    [
        ([45, 45, 55, 55], 1),  # its centre inside, its IoU 0.06
        ([20, 20, 60, 60], 1),  # its centre on the first pixel of the outline
        ([19, 19, 59, 59], 0),  # its centre a pixel outside, its IoU 0.13
        ([60, 40, 104, 80], 1),  # its centre outside, its IoU 0.31
        ([62, 40, 102, 80], 0),  # its centre outside, its IoU 0.29
    ],
)
def test_a_box_is_hit_by_its_centre_or_by_enough_overlap(box, hits):
    assert count_hits(OUTLINE, [box], SHAPE) == hits


def test_a_box_is_compared_with_the_parts_of_an_outline_one_by_one():
    ring = OUTLINE & ~rectangle(120, slice(50, 70), slice(50, 70))
    assert count_hits(ring, [[40, 40, 80, 80]], SHAPE) == 1  # its centre is in the hole, its box is the ring's
    apart = rectangle(120, slice(0, 10), slice(0, 10)) | rectangle(120, slice(110, 120), slice(110, 120))
    assert count_hits(apart, [[0, 0, 120, 120]], SHAPE) == 0  # the box around both parts
    assert count_hits(apart, [[0, 0, 10, 10], [108, 108, 120, 120], [50, 50, 70, 70]], SHAPE) == 2


def test_boxes_are_in_pixels_of_the_image_however_large_the_outline_is():
    box = [200, 80, 400, 160]  # of an image 600 pixels wide and 240 high: 40 to 80 of 120 both ways
    assert count_hits(OUTLINE, [box], (240, 600)) == 1
    assert count_hits(OUTLINE, [box], (600, 240)) == 0


def test_nothing_is_hit_by_a_blank_outline_or_where_no_box_was_drawn():
    assert count_hits(np.zeros(SHAPE, bool), [[0, 0, 120, 120]], SHAPE) == 0
    assert count_hits(OUTLINE, [], SHAPE) == 0


def test_a_box_whose_centre_lies_outside_of_the_image_is_not_hit_from_its_other_side():
    everything = np.ones(SHAPE, bool)
    assert count_hits(everything, [[-40, 50, 10, 60], [110, 50, 180, 60], [50, 50, 60, 60]], SHAPE) == 1


def test_the_iou_of_boxes_is_the_shared_area_over_the_area_of_either():
    boxes = np.array([[0, 0, 4, 2], [10, 10, 12, 12]], float)
    assert box_iou(boxes, np.array([[2, 1, 6, 3], [0, 0, 4, 2], [4, 0, 5, 1]], float)).tolist() == [
        [2 / 14, 1, 0],
        [0, 0, 0],
    ]


def test_the_share_hit_is_of_the_boxes_of_all_images_together():
    assert score_boxes(np.array([1, 0]), np.array([3, 1])) == {"images": 2, "boxes": 4, "share_hit": 0.25}
