import numpy as np
import pytest

from hub_models.models.views import VIEWS, NoLungs, apply_view

IMAGE = np.arange(1, 81, dtype=np.float32).reshape(8, 10) / 80  # no pixel is black


def lungs(rows: slice, columns: slice, shape: tuple[int, int] = IMAGE.shape) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return mask


def test_there_are_three_views_that_ship_and_four_controls():
    assert VIEWS == ("lungs", "crop", "full", "lungs_hidden", "box_hidden", "shape", "thumbnail")


@pytest.mark.parametrize("mask", [None, np.zeros(IMAGE.shape, bool), lungs(np.s_[2:4], np.s_[4:7])])
def test_full_is_the_whole_image_with_and_without_lungs(mask):
    assert np.array_equal(apply_view(IMAGE, mask, "full"), IMAGE)


def test_crop_is_the_smallest_square_around_the_lungs():
    shown = apply_view(IMAGE, lungs(np.s_[2:4], np.s_[4:7]), "crop")  # 2 x 3 pixels
    assert np.array_equal(shown, IMAGE[1:4, 4:7])
    assert shown.dtype == np.float32


def test_lungs_is_the_same_square_with_all_but_the_lungs_black():
    mask = lungs(np.s_[2:4], np.s_[4:7])
    mask[3, 5] = False
    expected = np.zeros((3, 3), np.float32)
    expected[1:] = IMAGE[2:4, 4:7]
    expected[2, 1] = 0
    assert np.array_equal(apply_view(IMAGE, mask, "lungs"), expected)


def test_what_lies_beyond_the_image_is_black():
    shown = apply_view(IMAGE, lungs(np.s_[0:2], np.s_[1:9]), "crop")  # 8 pixels wide, so 3 rows more above and below
    assert np.array_equal(shown[3:], IMAGE[:5, 1:9])
    assert not shown[:3].any()


def test_lungs_in_the_last_corner_are_padded_below_and_on_the_right():
    image = np.ones((60, 60), np.float32)
    shown = apply_view(image, lungs(np.s_[10:60], np.s_[10:60], image.shape), "crop")
    assert shown[:52, :52].all()  # 50 pixels and, on the other sides, a margin of 2
    assert not shown[52:].any()
    assert not shown[:, 52:].any()


def test_a_margin_of_four_percent_is_left_on_each_side():
    image = np.random.default_rng(0).random((200, 200), dtype=np.float32)
    shown = apply_view(image, lungs(np.s_[60:160], np.s_[70:120], image.shape), "crop")  # 100 rows: a margin of 4
    assert np.array_equal(shown, image[56:164, 41:149])


def test_the_image_is_not_changed():
    before = IMAGE.copy()
    for view in set(VIEWS) - {"full"}:
        apply_view(IMAGE, lungs(np.s_[2:4], np.s_[4:7]), view)[:] = 0
    assert np.array_equal(IMAGE, before)


def test_hidden_lungs_are_black_and_the_rest_is_as_it_was():
    mask = lungs(np.s_[2:4], np.s_[4:7])
    mask[3, 5] = False
    shown = apply_view(IMAGE, mask, "lungs_hidden")
    assert not shown[mask].any()
    assert np.array_equal(shown[~mask], IMAGE[~mask])
    assert shown.dtype == np.float32


def test_a_hidden_box_is_black_where_it_holds_no_lungs_too():
    mask = lungs(np.s_[2:4], np.s_[4:7])
    mask[3, 5] = False
    shown = apply_view(IMAGE, mask, "box_hidden")
    assert not shown[2:4, 4:7].any()
    shown[2:4, 4:7] = IMAGE[2:4, 4:7]
    assert np.array_equal(shown, IMAGE)


def test_the_shape_is_the_mask_itself_cropped_like_the_lungs():
    mask = lungs(np.s_[2:4], np.s_[4:7])
    mask[3, 5] = False
    shown = apply_view(IMAGE, mask, "shape")
    assert shown.dtype == np.float32
    assert shown.tolist() == [[0, 0, 0], [1, 1, 1], [1, 0, 1]]


def test_a_thumbnail_holds_the_means_of_the_pixels():
    image = np.repeat(np.repeat(np.eye(32, dtype=np.float32), 3, axis=0), 5, axis=1)
    image[0] = 0  # a third of the first square
    shown = apply_view(image, None, "thumbnail")
    expected = np.eye(32, dtype=np.float32)
    expected[0, 0] = 2 / 3
    assert np.allclose(shown, expected)


@pytest.mark.parametrize("view", ["lungs", "crop", "lungs_hidden", "box_hidden", "shape"])
@pytest.mark.parametrize("mask", [None, np.zeros(IMAGE.shape, bool)])
def test_a_view_of_lungs_without_lungs_is_refused_by_name(view, mask):
    with pytest.raises(NoLungs, match=rf"^No lungs were outlined, and the view '{view}' needs them\.$"):
        apply_view(IMAGE, mask, view)


def test_an_unknown_view_and_a_mask_of_another_shape_are_refused_with_what_is_allowed():
    with pytest.raises(
        ValueError,
        match=r"^'heart' is not a view; choose one of lungs, crop, full, lungs_hidden, box_hidden, shape, thumbnail\.$",
    ):
        apply_view(IMAGE, None, "heart")
    with pytest.raises(ValueError, match=r"^The mask is \(10, 8\) and the image \(8, 10\)"):
        apply_view(IMAGE, np.ones((10, 8), bool), "crop")
