from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from hub_models.models.unet import Masks
from hub_models.reports.overlay import draw_overlay, sketch
from hub_models.reports.png import encode_png

LUNGS, INFECTION = (0x56, 0xB4, 0xE9), (0xE6, 0x9F, 0x00)


def masks(shape: tuple[int, int], lungs: tuple[slice, slice], infection: tuple[slice, slice] = np.s_[:0, :0]) -> Masks:
    found, infected = np.zeros(shape, bool), np.zeros(shape, bool)
    found[lungs], infected[infection] = True, True
    return Masks(found, infected)


def tinted(grey: int, colour: tuple[int, int, int], opacity: float) -> list[int]:
    return [round(grey + opacity * (part - grey)) for part in colour]


def test_masks_are_tinted_and_outlined_and_the_rest_stays_grey():
    image = np.full((256, 256), 100 / 255, np.float32)
    picture = draw_overlay(sketch(image, masks(image.shape, np.s_[64:192, 64:192], np.s_[128:160, 128:160])))
    expected = np.full((256, 256, 3), 100, np.uint8)
    expected[64:192, 64:192] = LUNGS
    expected[65:191, 65:191] = tinted(100, LUNGS, 0.12)
    expected[128:160, 128:160] = INFECTION
    expected[129:159, 129:159] = tinted(100, INFECTION, 0.4)
    assert picture.dtype == np.uint8
    assert np.array_equal(picture, expected)


def test_infection_outside_the_lungs_is_drawn_too():
    image = np.zeros((64, 64), np.float32)
    picture = draw_overlay(sketch(image, masks(image.shape, np.s_[0:20, 0:20], np.s_[40:60, 40:60])))
    assert tuple(picture[40, 50]) == INFECTION
    assert tuple(picture[50, 50]) == (92, 64, 0)  # 40 % of the colour on black


def test_a_png_holds_the_picture_exactly():
    picture = np.random.default_rng(0).integers(0, 256, (33, 40, 3), np.uint8)
    assert np.array_equal(np.asarray(Image.open(BytesIO(encode_png(picture)))), picture)


def test_without_masks_the_x_ray_is_shown_as_it_is():
    image = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    picture = draw_overlay(sketch(image, masks(image.shape, np.s_[:0, :0])))
    assert np.array_equal(picture, np.repeat((255 * image).astype(np.uint8)[..., None], 3, axis=2))


@pytest.mark.parametrize(("side", "width"), [(500, 1), (800, 2), (1200, 3)])
def test_the_line_grows_with_the_picture(side, width):
    picture = draw_overlay(sketch(np.zeros((side, side), np.float32), masks((side, side), np.s_[200:400, 200:400])))
    across = [tuple(pixel) == LUNGS for pixel in picture[300, 200:300]]
    assert across == [True] * width + [False] * (100 - width)


@pytest.mark.parametrize(
    ("shape", "shown"), [((1280, 900), (1280, 900)), ((1281, 900), (641, 450)), ((2000, 3000), (667, 1000))]
)
def test_a_large_picture_is_drawn_at_a_whole_fraction_of_its_size(shape, shown):
    assert draw_overlay(sketch(np.zeros(shape, np.float32), masks(shape, np.s_[:0, :0]))).shape == (*shown, 3)


def test_a_large_picture_keeps_its_masks_in_place():
    image = np.zeros((2000, 3000), np.float32)
    image[1000:] = 1
    picture = draw_overlay(sketch(image, masks(image.shape, np.s_[500:1500, 750:2250])))
    assert tuple(picture[0, 0]) == (0, 0, 0)
    assert tuple(picture[-1, -1]) == (255, 255, 255)
    lines = np.flatnonzero((picture[:, 500] == LUNGS).all(axis=1))
    assert (lines[0], lines[-1]) == (167, 499)  # a third of 500 and of 1499


def test_a_contour_has_no_tint_and_its_own_opacity():
    image = np.full((256, 256), 100 / 255, np.float32)
    drawn = sketch(image, masks(image.shape, np.s_[64:192, 64:192]))
    picture = draw_overlay(drawn, style="contour", opacity=0.5)
    assert picture[64, 100].tolist() == tinted(100, LUNGS, 0.5)
    assert picture[100, 100].tolist() == [100] * 3


def test_only_what_is_to_be_shown_is_drawn_and_lungs_alone_are_tinted_whole():
    image = np.full((256, 256), 100 / 255, np.float32)
    drawn = sketch(image, masks(image.shape, np.s_[64:192, 64:192], np.s_[128:160, 128:160]))
    assert draw_overlay(drawn, ["lungs"])[140, 140].tolist() == tinted(100, LUNGS, 0.12)
    assert draw_overlay(drawn, ["infection"])[100, 100].tolist() == [100] * 3
    assert (draw_overlay(drawn, []) == 100).all()
    assert draw_overlay(drawn, opacity=1.0)[140, 140].tolist() == list(INFECTION)
