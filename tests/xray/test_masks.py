"""The anatomy of lung masks that are drawn here: small ones pixel by pixel, larger ones as rectangles."""

import numpy as np
import pytest
from scipy.ndimage import binary_fill_holes, gaussian_filter, label

from hub_models.xray.masks import (
    Involvement,
    clean_infection,
    clean_lungs,
    grade_extent,
    measure_involvement,
    split_lungs,
)
from hub_models.xray.phantom import draw_phantom


def mask(*rows: str) -> np.ndarray:
    """A bool mask: True where there is an x."""
    return np.array([[pixel == "x" for pixel in row] for row in rows])


def rectangles(*boxes: tuple[slice, slice], shape: tuple[int, int] = (100, 200)) -> np.ndarray:
    """A bool mask: True inside the boxes (rows, columns)."""
    drawn = np.zeros(shape, bool)
    for box in boxes:
        drawn[box] = True
    return drawn


RIGHT, LEFT = np.s_[20:80, 30:80], np.s_[20:80, 120:170]  # the patient's


def test_holes_are_filled_and_a_bay_that_opens_to_the_outside_is_not():
    holed = mask("xxxxxxx", "x..x..x", "xxxxx.x", "xxxxx.x")
    filled = mask("xxxxxxx", "xxxx..x", "xxxxx.x", "xxxxx.x")
    assert np.array_equal(clean_lungs(holed), filled)


def test_holes_are_filled_as_scipy_fills_them():
    noise = gaussian_filter(np.random.default_rng(0).normal(size=(40, 90, 90)), (0, 2, 2)) > 0.02
    for one in noise:
        filled = binary_fill_holes(one)
        parts, _ = label(filled)
        areas = np.bincount(parts[filled])
        kept = filled & (areas >= 0.1 * areas.max())[parts]
        assert np.array_equal(clean_lungs(one), kept)
    assert (binary_fill_holes(noise[0]) != noise[0]).any()


def test_a_part_under_a_tenth_of_the_largest_is_dropped_and_one_of_a_tenth_stays():
    lung, tenth, speck = np.s_[0:10, 0:10], np.s_[0:2, 20:25], np.s_[50:53, 50:53]  # 100, 10 and 9 pixels
    assert np.array_equal(clean_lungs(rectangles(lung, tenth, speck)), rectangles(lung, tenth))


def test_a_hole_counts_as_lung_before_the_parts_are_compared():
    ring, part = rectangles(np.s_[0:10, 0:10]), np.s_[50:51, 0:9]  # 100 pixels once it is filled
    ring[1:9, 1:9] = False
    assert np.array_equal(clean_lungs(ring | rectangles(part)), rectangles(np.s_[0:10, 0:10]))


def test_an_empty_mask_stays_empty_and_the_given_mask_is_not_changed():
    assert not clean_lungs(np.zeros((5, 7), bool)).any()
    given = mask("xxx", "x.x", "xxx")
    clean_lungs(given)
    assert not given[1, 1]


def test_specks_and_small_holes_of_an_infection_are_mended_and_larger_ones_stay():
    lungs = rectangles(np.s_[:, :100])  # 10,000 pixels: a speck has fewer than 20
    infection = rectangles(np.s_[10:50, 10:50], np.s_[60:64, 60:65], np.s_[70:71, 60:79])
    infection[20:24, 20:25] = infection[30:31, 20:39] = False  # holes of 20 and of 19
    expected = rectangles(np.s_[10:50, 10:50], np.s_[60:64, 60:65])
    expected[20:24, 20:25] = False
    assert np.array_equal(clean_infection(infection, lungs), expected)


def test_what_lies_outside_the_lungs_is_no_infection():
    lungs = rectangles(RIGHT, LEFT)
    outside, across = np.s_[2:18, 2:28], np.s_[30:60, 60:140]  # on an arm; from one lung to the other
    expected = rectangles(np.s_[30:60, 60:80], np.s_[30:60, 120:140])
    assert np.array_equal(clean_infection(rectangles(outside, across), lungs), expected)


def test_a_hole_of_the_lungs_stays_one_of_the_infection():
    lungs, infection = rectangles(RIGHT), rectangles(RIGHT)
    lungs[50:53, 50:53] = False
    assert np.array_equal(clean_infection(infection, lungs), lungs)


def test_without_lungs_an_infection_is_blank():
    assert not clean_infection(rectangles(RIGHT), rectangles()).any()


@pytest.mark.parametrize(
    ("share", "grade"),
    [(None, None), (0.0, 0), (1e-6, 1), (0.2499, 1), (0.25, 2), (0.4999, 2), (0.5, 3), (0.7499, 3), (0.75, 4), (1, 4)],
)
def test_the_extent_is_graded_by_quarters(share, grade):
    assert grade_extent(share) == grade


def test_the_patients_right_lung_is_on_the_left_of_the_picture():
    right, left = split_lungs(rectangles(RIGHT, LEFT))
    assert np.array_equal(right, rectangles(RIGHT))
    assert np.array_equal(left, rectangles(LEFT))


def test_lungs_that_are_both_in_one_half_of_the_picture_are_told_apart():
    near, far = np.s_[20:80, 110:140], np.s_[20:80, 150:180]
    right, left = split_lungs(rectangles(near, far))
    assert np.array_equal(right, rectangles(near))
    assert np.array_equal(left, rectangles(far))


def test_lungs_that_touch_are_cut_in_the_middle_of_their_extent():
    right, left = split_lungs(rectangles(np.s_[20:80, 20:160]))
    assert np.array_equal(right, rectangles(np.s_[20:80, 20:90]))
    assert np.array_equal(left, rectangles(np.s_[20:80, 90:160]))


def test_lungs_that_touch_are_cut_where_they_are_lowest_near_the_middle():
    bridge = np.s_[40:44, 70:96]  # the middle of the extent is at column 95
    right, left = split_lungs(rectangles(np.s_[20:80, 20:70], bridge, np.s_[20:80, 96:170]))
    assert np.flatnonzero(right.any(axis=0))[-1] == np.flatnonzero(left.any(axis=0))[0] - 1 == 94
    right, left = split_lungs(rectangles(np.s_[20:80, 20:80], np.s_[40:44, 80:84], np.s_[20:80, 84:170]))
    assert np.flatnonzero(left.any(axis=0))[0] in range(80, 85)


def test_a_lung_that_reaches_a_little_across_the_middle_is_not_cut():
    reaching = rectangles(RIGHT, np.s_[50:55, 80:115])  # a tongue; the middle is at column 100
    right, left = split_lungs(reaching | rectangles(LEFT))
    assert np.array_equal(right, reaching)
    assert np.array_equal(left, rectangles(LEFT))


@pytest.mark.parametrize(("lung", "side"), [(RIGHT, 0), (LEFT, 1)])
def test_a_single_lung_is_the_one_of_its_side_and_is_not_cut(lung, side):
    sides = split_lungs(rectangles(lung))
    assert np.array_equal(sides[side], rectangles(lung))
    assert not sides[1 - side].any()


@pytest.mark.parametrize("seed", range(3))
def test_the_lungs_of_a_drawn_x_ray_are_split_without_a_pixel_lost_or_shared(seed):
    lungs = draw_phantom(seed).lungs
    right, left = split_lungs(lungs)
    assert np.array_equal(right | left, lungs)
    assert not (right & left).any()
    assert np.flatnonzero(right.any(axis=0))[-1] < np.flatnonzero(left.any(axis=0))[0]


def test_the_infected_share_is_of_each_lungs_own_area_and_of_both():
    small_left = np.s_[20:80, 120:140]  # 1200 pixels beside 3000
    infection = rectangles(np.s_[20:50, 30:55], np.s_[20:80, 120:135])  # 750 of 3000, 900 of 1200
    shares = measure_involvement(rectangles(RIGHT, small_left), infection)
    assert shares == Involvement(right=0.25, left=0.75, both=1650 / 4200)


def test_infection_outside_the_lungs_does_not_count():
    everywhere_else = ~rectangles(RIGHT, LEFT)
    assert measure_involvement(rectangles(RIGHT, LEFT), everywhere_else) == Involvement(0.0, 0.0, 0.0)


def test_a_lung_that_was_not_found_has_no_share():
    infection = rectangles(np.s_[0:50, 0:200])  # half of each lung
    assert measure_involvement(rectangles(RIGHT), infection) == Involvement(right=0.5, left=None, both=0.5)
    assert measure_involvement(rectangles(), infection) == Involvement(None, None, None)


@pytest.mark.parametrize("seed", range(12))
def test_the_shares_of_a_drawn_x_ray_are_its_exact_ones(seed):
    phantom = draw_phantom(seed, opacities=1 + seed % 4)
    left = phantom.lungs & ~phantom.right
    shares = measure_involvement(phantom.lungs, phantom.infection)
    for share, lung in ((shares.right, phantom.right), (shares.left, left), (shares.both, phantom.lungs)):
        assert share == pytest.approx((phantom.infection & lung).sum() / lung.sum(), abs=0.02)
