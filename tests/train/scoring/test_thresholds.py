"""The chosen thresholds, by value, of a segmenter whose probabilities are known and told apart by an image's side."""

import numpy as np
import pytest

from tests.support.datasets import Known, dataset, rectangle
from train.scoring.thresholds import CANDIDATES, choose_thresholds

LEFT = slice(0, 0.5)  # shares of a side


def known(*levels: tuple[int, int, slice, float]) -> Known:
    """Of each level: side of the images, output channel, columns as shares of the side, probability there."""

    def answer(shape: tuple[int, int]) -> np.ndarray:
        maps = np.zeros((2, *shape))
        for side, channel, columns, probability in levels:
            if side == shape[0]:
                maps[channel, :, int(columns.start * side) : int(columns.stop * side)] = probability
        return maps

    return Known(answer)


def lungs(side: int) -> dict:
    """An image whose lungs are drawn on its left half."""
    return {"side": side, "label": "COVID-19", "lung_mask": rectangle(side, slice(0, side // 2))}


def infected(side: int) -> dict:
    """An image whose infection is drawn on its left half."""
    return {"side": side, "label": "COVID-19", "infection_mask": rectangle(side, slice(0, side // 2))}


def healthy(side: int) -> dict:
    return {"side": side, "label": "Normal"}


INFECTED = (
    (64, 1, slice(0, 0.25), 0.72),  # up to 0.3 all of the infection is found, up to 0.7 a half
    (64, 1, slice(0.25, 0.5), 0.33),
    (64, 1, slice(0.5, 0.75), 0.12),  # up to 0.1 also what is none
)
WHOLE = slice(0, 1)


def test_candidates_are_the_twentieths_between_none_and_all():
    assert list(CANDIDATES[4:]) == pytest.approx([k / 20 for k in range(1, 20)])
    assert [str(candidate) for candidate in CANDIDATES[:7]] == ["0.01", "0.015", "0.02", "0.03", "0.05", "0.1", "0.15"]


def test_each_mask_gets_the_lowest_of_the_candidates_with_the_best_dice():
    segmenter = known((32, 0, LEFT, 0.88), (32, 0, slice(0.5, 0.75), 0.42), *INFECTED)
    assert choose_thresholds(segmenter, dataset(lungs(32), infected(64))) == {"lungs": 0.45, "infection": 0.15}


def test_every_image_weighs_alike_however_large_it_is():
    segmenter = known((128, 0, LEFT, 0.33), (32, 0, WHOLE, 0.62), (32, 0, LEFT, 0.88))
    assert choose_thresholds(segmenter, dataset(lungs(128), lungs(32)))["lungs"] == CANDIDATES[0]
    # From 0.65 on the large one has lost its Dice of 1, and each small one has gone from two thirds to 1
    assert choose_thresholds(segmenter, dataset(lungs(128), *[lungs(32)] * 4))["lungs"] == 0.65


def test_the_dice_is_averaged_and_not_the_iou():
    # From 0.35 on the Dice (IoU) is 1 (1) and 0 (0), before 2/3 (1/2) and 6/11 (3/8)
    segmenter = known((32, 0, WHOLE, 0.33), (32, 0, LEFT, 0.88), (64, 0, slice(0, 12 / 64), 0.33))
    assert choose_thresholds(segmenter, dataset(lungs(32), lungs(64)))["lungs"] == CANDIDATES[0]


def test_the_segmenters_own_thresholds_take_no_part_and_do_not_change():
    segmenter = known(*INFECTED)
    segmenter.thresholds = own = {"lungs": 0.9, "infection": 0.95}
    assert choose_thresholds(segmenter, dataset(infected(64)))["infection"] == 0.15
    assert segmenter.thresholds is own
    assert own == {"lungs": 0.9, "infection": 0.95}


def test_a_mask_that_nobody_drew_keeps_the_segmenters_threshold_and_so_does_one_drawn_blank_only():
    segmenter = known((32, 0, LEFT, 0.88), (32, 1, WHOLE, 0.99))
    segmenter.thresholds = {"lungs": 0.5, "infection": 0.37}
    rows = dataset(lungs(32), {"side": 32, "label": "COVID-19", "infection_mask": rectangle(32, slice(0, 0))})
    assert choose_thresholds(segmenter, rows) == {"lungs": CANDIDATES[0], "infection": 0.37}


def test_a_drawn_mask_that_is_blank_takes_no_part_in_the_choice():
    blank = {"side": 32, "label": "COVID-19", "infection_mask": rectangle(32, slice(0, 0))}
    segmenter = known((32, 1, WHOLE, 0.62), *INFECTED)
    assert choose_thresholds(segmenter, dataset(infected(64), blank))["infection"] == 0.15


def test_infection_is_not_marked_on_healthy_images_though_the_dice_is_lower_and_lungs_are_free():
    segmenter = known((32, 0, WHOLE, 0.99), (32, 1, LEFT, 0.52), (48, 0, LEFT, 0.88), *INFECTED)
    chosen = choose_thresholds(segmenter, dataset(infected(64), lungs(48), healthy(32)))
    assert chosen == {"lungs": CANDIDATES[0], "infection": 0.55}


@pytest.mark.parametrize(("marked", "threshold"), [(1, 0.15), (2, 0.55)])
def test_five_percent_of_the_healthy_images_may_be_marked(marked, threshold):
    segmenter = known((32, 0, WHOLE, 0.99), (40, 0, WHOLE, 0.99), (40, 1, LEFT, 0.52), *INFECTED)
    rows = dataset(infected(64), *[healthy(40)] * marked, *[healthy(32)] * (20 - marked))
    assert choose_thresholds(segmenter, rows)["infection"] == threshold


@pytest.mark.parametrize(("columns", "threshold"), [(1, 0.15), (2, 0.55)])
def test_up_to_one_percent_of_the_lungs_is_no_mark(columns, threshold):
    segmenter = known((100, 0, WHOLE, 0.99), (100, 1, slice(0, columns / 100), 0.52), *INFECTED)
    assert choose_thresholds(segmenter, dataset(infected(64), healthy(100)))["infection"] == threshold


def test_if_every_candidate_marks_too_many_those_that_mark_the_fewest_are_chosen_from():
    always = ((32, 0, WHOLE, 0.99), (32, 1, LEFT, 0.99))
    sometimes = ((40, 0, WHOLE, 0.99), (40, 1, LEFT, 0.62))
    rows = dataset(infected(64), healthy(32), healthy(40))
    assert choose_thresholds(known(*always, *sometimes, *INFECTED), rows)["infection"] == 0.65


def test_images_that_are_neither_drawn_on_nor_healthy_are_not_looked_at():
    segmenter = known((32, 0, WHOLE, 0.99), (32, 1, WHOLE, 0.99), *INFECTED)
    shapes = []
    answer = segmenter.answer
    segmenter.answer = lambda shape: shapes.append(shape) or answer(shape)
    rows = dataset(infected(64), {"side": 32, "label": "Non-COVID"})
    assert choose_thresholds(segmenter, rows)["infection"] == 0.15
    assert shapes == [(64, 64)]


def test_without_a_class_of_healthy_images_the_best_dice_decides_alone():
    rows = dataset({**infected(64), "label": "Cold"}, {**infected(64), "label": "Asthma"}, classes=["Asthma", "Cold"])
    assert choose_thresholds(known(*INFECTED), rows)["infection"] == 0.15


def test_where_all_healthy_images_may_be_marked_the_dice_decides_alone():
    segmenter = known((32, 0, WHOLE, 0.99), (32, 1, LEFT, 0.52), *INFECTED)
    rows = dataset(infected(64), healthy(32))
    assert choose_thresholds(segmenter, rows)["infection"] == 0.55
    assert choose_thresholds(segmenter, rows, allowed=1.0)["infection"] == 0.15
