"""The size that every X-ray is brought to before a model sees it."""

import numpy as np
import pytest
from PIL import Image

from hub_models.xray.geometry import DETAIL, SIDE, keep_detail, mask_to_shape, mask_to_square, to_square
from hub_models.xray.masks import Masks
from hub_models.xray.phantom import draw_phantom

PHANTOM = draw_phantom(4, size=256, opacities=3)
IMAGE = PHANTOM.image.astype(np.float32) / 255


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("window", [Image.Resampling.BICUBIC, Image.Resampling.LANCZOS])
def test_an_enlarged_x_ray_is_the_same_square(factor, window):
    larger = np.asarray(Image.fromarray(IMAGE).resize((factor * 256, factor * 256), window)).clip(0, 1)
    square = to_square(larger)
    assert to_square(IMAGE) is IMAGE
    assert np.abs(square - IMAGE).mean() < 0.006
    coarse = np.abs(keep_detail(square, DETAIL) - keep_detail(IMAGE, DETAIL)).mean()
    assert coarse < np.abs(square - IMAGE).mean() / 2


def test_the_square_keeps_greys_in_range_and_the_whole_picture_in_place():
    wide = np.zeros((300, 900), np.float32)
    wide[:, 450:] = 1
    square = to_square(wide)
    assert square.shape == (SIDE, SIDE)
    assert square.dtype == np.float32
    assert (square.min(), square.max()) == (0, 1)
    assert (square[:, : SIDE // 2 - 4] < 0.05).all()
    assert (square[:, SIDE // 2 + 4 :] > 0.95).all()


def test_detail_that_is_finer_than_is_kept_vanishes():
    stripes = np.tile(np.float32([0, 1]), (SIDE, SIDE // 2))
    assert keep_detail(stripes, None) is stripes
    assert np.abs(keep_detail(stripes, DETAIL)[8:-8, 8:-8] - 0.5).max() < 0.13
    np.testing.assert_allclose(to_square(np.tile(np.float32([0, 1]), (512, 256)))[8:-8, 8:-8], 0.5, atol=0.02)


def test_masks_keep_their_place_at_any_size():
    mask = np.zeros((100, 60), bool)
    mask[50:, :30] = True
    square = mask_to_square(mask)
    rows, columns = np.indices((SIDE, SIDE)) + 0.5
    assert np.count_nonzero(square ^ ((rows > SIDE / 2) & (columns < SIDE / 2))) <= SIDE
    assert np.array_equal(mask_to_shape(square, (100, 60)), mask)
    assert np.array_equal(mask_to_shape(mask, (100, 60)), mask)


def test_outlines_at_a_larger_size_are_smooth_and_at_their_own_size_exact():
    rows, columns = np.indices((64, 64)) + 0.5
    from_centre = np.hypot(rows - 32, columns - 32)
    probabilities = np.stack([1 / (1 + np.exp(from_centre - 20)), np.zeros((64, 64))]).astype(np.float32)
    masks = Masks.of(probabilities, {"lungs": 0.5, "infection": 0.5})
    assert np.array_equal(masks.lungs, from_centre <= 20)
    assert masks.at((64, 64)) is masks
    large = masks.at((640, 640)).lungs
    rows, columns = np.indices((640, 640)) + 0.5
    circle = np.hypot(rows - 320, columns - 320) <= 200
    assert np.count_nonzero(large ^ circle) < 0.004 * circle.sum()
    blocks = np.kron(masks.lungs, np.ones((10, 10), bool))
    assert np.count_nonzero(large ^ circle) < np.count_nonzero(blocks ^ circle) / 5


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.97, 1.0])
def test_mended_masks_are_those_that_are_drawn(threshold):
    probabilities = np.random.default_rng(0).uniform(0, 1, (2, 64, 64)).astype(np.float32) ** 0.1
    probabilities[0, 8:56, 8:56], probabilities[0, 30, 30] = 1, 0  # a hole that is filled
    masks = Masks.of(probabilities, {"lungs": threshold, "infection": threshold})
    assert masks.lungs[30, 30]
    for mask, surely in zip((masks.lungs, masks.infection), masks.smooth, strict=True):
        assert np.array_equal(mask_to_shape(surely, (64, 64)), mask)
