"""Pictures made wrong out of X-rays: each of its own kind, in range, and unlike the X-ray."""

import numpy as np
import pytest

from hub_models.xray.images import read_image
from hub_models.xray.phantom import draw_phantom
from train.data.wrong_pictures import SIDE, WRONG, resized, shuffled, softened, squeezed, texture


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    """A phantom in 0..1."""
    return read_image(draw_phantom(7).image)


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_picture_is_in_range_unlike_the_xray_and_the_same_for_the_same_seed(kind, image):
    before = image.copy()
    made, again = (WRONG[kind](image, np.random.default_rng(3)) for _ in range(2))
    assert made.shape == (SIDE, SIDE)
    assert 0 <= made.min() <= made.max() <= 1 + 1e-6  # resizing rounds
    assert np.abs(made - image).mean() > 0.03
    assert np.array_equal(made, again)
    assert np.array_equal(image, before)


def test_softening_takes_detail_and_keeps_the_picture(image):
    soft = softened(image, np.random.default_rng(0))
    assert np.abs(np.diff(soft)).mean() < np.abs(np.diff(image)).mean()
    assert np.corrcoef(soft.ravel(), image.ravel())[0, 1] > 0.98
    assert resized(image, 64, 32).shape == (64, 32)


@pytest.mark.parametrize("make", [shuffled, texture])
def test_tiles_and_textures_keep_the_greys(make, image):
    made = make(image, np.random.default_rng(1))
    assert np.array_equal(np.sort(made.ravel()), np.sort(image.ravel()))


@pytest.mark.parametrize("seed", range(6))
def test_tiles_are_never_put_back_in_order(seed, image):
    assert not np.array_equal(shuffled(image, np.random.default_rng(seed)), image)


def test_a_squeezed_picture_stands_in_front_of_one_grey(image):
    made = squeezed(image, np.random.default_rng(2))
    assert np.ptp(made[:, :40]) == np.ptp(made[:, -40:]) == 0
    assert np.ptp(made[:, 100:156]) > 0.5
