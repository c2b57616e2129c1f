import numpy as np
import pytest
from scipy import ndimage

from hub_models.xray.images import read_xray
from hub_models.xray.phantom import draw_phantom
from tests.support.bad_files import encoded
from train.data.harmless_changes import CHANGES, dicom, eight_bit_greys, moved, png, turned, with_gamma

PICTURE = draw_phantom(1, size=256, opacities=2).image
STORED = read_xray(png(PICTURE)).image


def changed(name: str) -> np.ndarray:
    """The phantom after a change, as it is read."""
    return read_xray(CHANGES[name].write(PICTURE)).image


def test_every_change_that_was_promised_is_there():
    assert list(CHANGES) == [
        "2 times larger",
        "4 times larger",
        "JPEG of quality 90",
        "moved by 4 of 256 pixels",
        "turned by 3 degrees",
        "gamma 1.2",
        "PNG of 16 bits",
        "DICOM of 16 bits",
        "mirrored and mirrored back",
    ]


@pytest.mark.parametrize("name", ["PNG of 16 bits", "DICOM of 16 bits"])
def test_16_bits_give_the_same_picture_within_a_grey(name):
    np.testing.assert_allclose(changed(name), STORED, atol=1 / 255)
    assert np.abs(changed(name) - STORED).mean() < 1e-6  # the window covers all of the range, evenly


def test_the_dicom_file_is_one_that_the_reader_has_nothing_to_say_about():
    assert read_xray(dicom(PICTURE.astype(np.uint16) * 257)).notes == ()


def test_mirrored_twice_every_pixel_is_as_it_was():
    np.testing.assert_array_equal(changed("mirrored and mirrored back"), STORED)


@pytest.mark.parametrize(("name", "factor"), [("2 times larger", 2), ("4 times larger", 4)])
def test_a_larger_picture_is_the_same_once_it_is_made_small_again(name, factor):
    image = changed(name)
    assert image.shape == (256 * factor, 256 * factor)
    small = image.reshape(256, factor, 256, factor).mean(axis=(1, 3))
    assert np.abs(small - STORED).mean() < 2 / 255


def test_a_jpeg_of_quality_90_differs_by_little_and_not_by_nothing():
    difference = np.abs(changed("JPEG of quality 90") - STORED)
    assert 0 < difference.mean() < 3 / 255


def test_moved_is_to_the_right_by_4_of_256_pixels_with_the_border_repeated():
    grey = moved(PICTURE)
    np.testing.assert_array_equal(grey[:, 4:], PICTURE[:, :-4])
    np.testing.assert_array_equal(grey[:, :4], np.repeat(PICTURE[:, :1], 4, axis=1))
    assert np.flatnonzero(moved(np.eye(1, 1024, dtype=bool))[0])[-1] == 16  # as much of a larger picture
    np.testing.assert_array_equal(eight_bit_greys(CHANGES["moved by 4 of 256 pixels"].write(PICTURE)), grey)


def test_turned_is_by_3_degrees_about_the_middle_and_a_mask_turns_with_its_picture():
    dots = np.zeros((201, 201), np.uint8)
    dots[100, 180] = dots[100, 20] = 255
    dots = np.rint(255 * ndimage.gaussian_filter(dots / 255, 2) * 25).astype(np.uint8)
    for picture in (dots, dots > 50):
        found = turned(picture)
        assert found.dtype == picture.dtype
        weights = found[:, 101:].astype(float)
        (row, column) = ndimage.center_of_mass(weights)
        angle = np.degrees(np.arctan2(100 - row, column + 101 - 100))
        assert abs(angle) == pytest.approx(3, abs=0.3)
        assert np.hypot(100 - row, column + 1) == pytest.approx(80, abs=0.5)
    assert (turned(dots > 50) ^ (turned(dots) > 50)).sum() <= 12  # the same way round


def test_turned_repeats_the_border_where_nothing_is_known():
    np.testing.assert_array_equal(turned(np.full((64, 64), 200, np.uint8)), 200)


def test_gamma_darkens_the_middle_and_keeps_the_ends():
    assert with_gamma(np.array([[0, 64, 128, 255]], np.uint8)).tolist() == [[0, 49, 112, 255]]


def test_only_what_moves_the_picture_moves_an_outline():
    mask = draw_phantom(1, size=256).lungs
    moving = {name for name, change in CHANGES.items() if not np.array_equal(change.move(mask), mask)}
    assert moving == {"moved by 4 of 256 pixels", "turned by 3 degrees"}


def test_greys_of_8_bits_are_taken_as_they_are_and_deeper_ones_fitted():
    np.testing.assert_array_equal(eight_bit_greys(png(PICTURE)), PICTURE)
    fitted = eight_bit_greys(encoded(np.linspace(1000, 5080, 64 * 64).reshape(64, 64).astype(np.uint16)))
    assert (fitted.min(), fitted[31, 63], fitted.max()) == (0, 127, 255)
