"""The form of the lungs as numbers: equal at every place and size, and telling two lungs from one."""

import numpy as np
import pytest

from hub_models.models.anatomy import FORM, GRID, gap, lung_form
from hub_models.xray.phantom import draw_phantom


def lungs_of(seed: int, size: int = 256) -> np.ndarray:
    """The drawn lungs of a phantom as probabilities."""
    return draw_phantom(seed, size).lungs.astype(np.float32)


def test_no_lungs_are_all_zeros():
    assert np.array_equal(lung_form(np.zeros((64, 64), np.float32)), np.zeros(FORM, np.float32))


def test_a_box_tells_its_place_and_fills_the_grid():
    lungs = np.zeros((128, 128), np.float32)
    lungs[32:96, 16:48] = 1
    *grid, y, x, height, width, slimness, apart = lung_form(lungs)
    assert np.mean(grid) == pytest.approx(1)
    assert (y, x, height, width, slimness) == (0.5, 0.25, 0.5, 0.25, 0.25)
    assert apart == 0


def test_the_grid_does_not_depend_on_where_the_lungs_lie():
    small = np.zeros((256, 256), np.float32)
    small[100:228, 20:148] = lungs_of(3, 128)
    moved = np.roll(small, (-60, 88), axis=(0, 1))
    assert lung_form(small)[: GRID * GRID] == pytest.approx(lung_form(moved)[: GRID * GRID], abs=1e-6)


def test_the_size_of_the_network_hardly_matters():
    assert np.abs(lung_form(lungs_of(4, 128)) - lung_form(lungs_of(4, 256))).mean() < 0.05


@pytest.mark.parametrize("seed", range(4))
def test_two_lungs_have_a_gap_and_lungs_that_lie_over_each_other_have_none(seed):
    phantom = draw_phantom(seed)
    both, one = phantom.lungs.astype(np.float32), phantom.right.astype(np.float32)
    merged = np.maximum(one, np.roll(one, 40, axis=1))
    assert lung_form(both)[-1] > 0.5
    assert lung_form(one)[-1] < 0.2
    assert lung_form(merged)[-1] < 0.2


def test_the_gap_counts_a_row_by_its_lower_side():
    grid = np.zeros((GRID, GRID), np.float32)
    grid[:8, :5], grid[:8, -5:] = 1.0, 0.5
    grid[8:, :5] = 1.0  # one lung alone
    assert gap(grid) == pytest.approx(0.25)
