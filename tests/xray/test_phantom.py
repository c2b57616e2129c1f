"""The drawn X-rays: the same for a seed, exact in their masks, and shaped and shaded like a chest."""

from itertools import pairwise

import numpy as np
import pytest
from scipy import ndimage

from hub_models.xray.phantom import Phantom, draw_phantom

SEEDS = range(8)


@pytest.fixture(scope="module")
def healthy() -> list[Phantom]:
    return [draw_phantom(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def infected() -> list[Phantom]:
    return [draw_phantom(seed, opacities=3) for seed in SEEDS]


def test_a_phantom_has_the_promised_types_and_size():
    phantom = draw_phantom(1, size=192, opacities=1)
    for array, dtype in ((phantom.image, np.uint8), (phantom.lungs, bool), (phantom.infection, bool)):
        assert array.shape == (192, 192)
        assert array.dtype == dtype


def test_one_seed_gives_one_phantom():
    one, again = draw_phantom(5, opacities=2), draw_phantom(5, opacities=2)
    for name in ("image", "lungs", "infection"):
        np.testing.assert_array_equal(getattr(one, name), getattr(again, name))


def test_other_seeds_give_other_patients(healthy):
    for one, other in pairwise(healthy):
        assert np.mean(one.image != other.image) > 0.5
        assert iou(one.lungs, other.lungs) < 0.99


def test_opacities_change_nothing_outside_themselves(healthy, infected):
    for before, after in zip(healthy, infected, strict=True):
        np.testing.assert_array_equal(before.lungs, after.lungs)
        # the film's blur carries an opacity a few pixels further
        away = ~ndimage.binary_dilation(after.infection, iterations=4)
        np.testing.assert_array_equal(before.image[away], after.image[away])


def test_infection_is_blank_without_opacities_and_inside_the_lungs_with_them(healthy, infected):
    for phantom in healthy:
        assert not phantom.infection.any()
    for phantom in infected:
        assert not (phantom.infection & ~phantom.lungs).any()
        assert 0.03 < phantom.infection.sum() / phantom.lungs.sum() < 0.7


def test_the_right_lung_is_a_part_of_the_lungs_on_the_left_of_the_image(healthy):
    for phantom in healthy:
        left = phantom.lungs & ~phantom.right
        assert (phantom.right & ~phantom.lungs).sum() == 0
        assert np.flatnonzero(phantom.right.any(axis=0))[-1] < np.flatnonzero(left.any(axis=0))[0]


def test_more_opacities_cover_more_and_keep_the_first():
    one, four = draw_phantom(3, opacities=1).infection, draw_phantom(3, opacities=4).infection
    assert not (one & ~four).any()
    assert four.sum() > one.sum()


def test_an_opacity_is_brighter_than_the_lung_was(healthy, infected):
    for before, after in zip(healthy, infected, strict=True):
        there = after.infection
        assert after.image[there].mean() > before.image[there].mean() + 10
        assert after.image[there].mean() > after.image[after.lungs & ~there].mean()


def test_two_separate_lungs_lie_on_both_sides_of_the_midline(healthy):
    for phantom in healthy:
        labelled, count = ndimage.label(phantom.lungs)
        assert count == 2
        centres = sorted(column for _, column in ndimage.center_of_mass(phantom.lungs, labelled, [1, 2]))
        assert centres[0] < 0.4 * 256
        assert centres[1] > 0.6 * 256


def test_lungs_fill_a_quarter_to_a_half_of_the_image(healthy):
    for phantom in healthy:
        assert 0.25 < phantom.lungs.mean() < 0.48


def test_each_lung_is_narrow_at_the_apex_and_the_right_one_ends_higher(healthy):
    for phantom in healthy:
        right, left = phantom.lungs[:, :128], phantom.lungs[:, 128:]
        for lung in (right, left):
            rows = np.flatnonzero(lung.any(axis=1))
            top, middle = lung[rows[len(rows) // 20]].sum(), lung[rows[len(rows) // 2]].sum()
            assert top < 0.6 * middle
        # the dome: the lowest lung pixel of each column, at its highest over the middle of the lung
        assert floor(right) < floor(left)


def test_lungs_are_darker_than_mediastinum_and_abdomen_and_lighter_than_the_room(healthy):
    for phantom in healthy:
        lung = np.median(phantom.image[phantom.lungs])
        assert lung + 50 < np.median(phantom.image[100:160, 120:136])
        assert lung + 50 < np.median(phantom.image[240:, 80:176])
        assert lung > 40 + np.median(phantom.image[:8, :24])


def test_the_heart_covers_lung_on_the_left_only_where_the_mask_still_holds(healthy):
    for phantom in healthy:
        bright = phantom.image > np.median(phantom.image[phantom.lungs]) + 50
        behind = phantom.lungs & bright
        behind[:120] = False
        assert behind[:, 128:].sum() > 2 * behind[:, :128].sum()


@pytest.mark.parametrize("size", [128, 512])
def test_the_anatomy_is_the_same_at_another_size(size):
    for seed in (0, 4):
        usual, other = draw_phantom(seed, opacities=2), draw_phantom(seed, size=size, opacities=2)
        lungs, infection, image = (resized(getattr(other, name)) for name in ("lungs", "infection", "image"))
        assert iou(usual.lungs, lungs > 0.5) > 0.97
        assert iou(usual.infection, infection > 0.5) > 0.93
        assert np.abs(ndimage.gaussian_filter(usual.image - image, 2)).mean() < 3


def iou(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two bool arrays of one shape."""
    return (one & other).sum() / (one | other).sum()


def floor(lung: np.ndarray) -> int:
    """The highest row at which the middle half of one lung's columns ends."""
    columns = np.flatnonzero(lung.any(axis=0))
    middle = columns[len(columns) // 4 : -len(columns) // 4]
    return min(np.flatnonzero(lung[:, column])[-1] for column in middle)


def resized(array: np.ndarray) -> np.ndarray:
    """A square array as float64 (256, 256)."""
    return ndimage.zoom(array.astype(float), 256 / len(array), order=1, grid_mode=True, mode="nearest")
