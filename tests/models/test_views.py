import numpy as np
import pytest

from hub_models.models.views import VIEWS, NoLungs, apply_view, look, view_box

IMAGE = np.arange(1, 81, dtype=np.float32).reshape(8, 10) / 80  # no pixel is black


def lungs(rows: slice, columns: slice, shape: tuple[int, int] = IMAGE.shape) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[rows, columns] = True
    return mask


def test_there_are_four_views_that_ship_and_four_controls():
    assert VIEWS == ("soft_lungs", "lungs", "crop", "full", "lungs_hidden", "box_hidden", "shape", "thumbnail")


@pytest.mark.parametrize("mask", [None, np.zeros(IMAGE.shape, bool), lungs(np.s_[2:4], np.s_[4:7])])
def test_full_is_the_whole_image_with_and_without_lungs(mask):
    assert np.array_equal(apply_view(IMAGE, mask, "full"), IMAGE)


def test_crop_is_the_smallest_square_around_the_lungs():
    shown = apply_view(IMAGE, lungs(np.s_[2:4], np.s_[4:7]), "crop")  # 2 x 3 pixels
    assert np.array_equal(shown, IMAGE[1:4, 4:7])
    assert shown.dtype == np.float32


def test_each_look_shows_lungs_that_are_wider_by_so_many_pixels():
    mask = lungs(np.s_[3:5], np.s_[4:6])
    as_it_is, wider = (look(IMAGE, mask, "lungs", pixels) for pixels in (0, 1))
    assert np.array_equal(as_it_is, apply_view(IMAGE, mask, "lungs"))
    cross = lungs(np.s_[2:6], np.s_[4:6]) | lungs(np.s_[3:5], np.s_[3:7])
    assert np.array_equal(wider, apply_view(IMAGE, cross, "lungs"))
    assert [np.array_equal(look(IMAGE, None, "full", pixels), IMAGE) for pixels in (0, 1)] == [True, True]


def test_lungs_is_the_same_square_with_all_but_the_lungs_black():
    mask = lungs(np.s_[2:4], np.s_[4:7])
    mask[3, 5] = False
    expected = np.zeros((3, 3), np.float32)
    expected[1:] = IMAGE[2:4, 4:7]
    expected[2, 1] = 0
    assert np.array_equal(apply_view(IMAGE, mask, "lungs"), expected)


def two_lungs(side: int = 256) -> np.ndarray:
    rows, columns = (np.indices((side, side)) + 0.5) / side
    return sum(((rows - 0.5) / 0.3) ** 2 + ((columns - middle) / 0.12) ** 2 <= 1 for middle in (0.35, 0.65)) > 0


def test_soft_lungs_fade_into_black_and_fill_a_square_of_the_models_size():
    mask = two_lungs()
    shown = apply_view(np.ones(mask.shape, np.float32), mask, "soft_lungs")
    top, left, bottom, right = view_box(mask, "soft_lungs", mask.shape)
    assert shown.shape == (256, 256)
    assert shown.dtype == np.float32
    assert (bottom - top, right - left) == (
        pytest.approx(166, abs=3),
        pytest.approx(166, abs=3),
    )  # 154 and margins of 4 %
    assert ((top + bottom) / 2, (left + right) / 2) == (pytest.approx(128, abs=0.1), pytest.approx(128, abs=0.1))
    at = round((128 - left) / (right - left) * 256)  # between the lungs
    assert shown[128, at] < 0.01
    assert shown.max() == pytest.approx(1, abs=0.02)
    row = shown[128, : at // 2]  # from the black through the edge into a lung
    assert row[0] == 0
    assert np.diff(row).max() < 0.2  # no sharp edge


def test_a_few_pixels_more_at_the_outline_hardly_move_a_soft_view():
    view = "soft_lungs"
    image = np.random.default_rng(0).random((256, 256), dtype=np.float32)
    mask = two_lungs()
    speck = mask.copy()
    speck[np.flatnonzero(mask.any(axis=1))[0] - 4, 88:91] = True  # a few pixels above the lungs
    moved = np.subtract(view_box(mask, view, mask.shape), view_box(speck, view, mask.shape))
    assert np.abs(moved).max() < 0.3
    sharp = np.subtract(view_box(mask, "lungs", mask.shape), view_box(speck, "lungs", mask.shape))
    assert np.abs(sharp).max() >= 2
    assert np.abs(apply_view(image, mask, view) - apply_view(image, speck, view)).mean() < 0.02


def test_soft_lungs_at_the_border_of_the_image_are_padded_with_black():
    mask = np.zeros((256, 256), bool)
    mask[100:256, 0:120] = True
    shown = apply_view(np.ones(mask.shape, np.float32), mask, "soft_lungs")
    _, left, bottom, _ = view_box(mask, "soft_lungs", mask.shape)
    assert left < 0
    assert bottom > 256
    assert not shown[:, 0].any()
    assert not shown[-1].any()


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
        match=r"^'heart' is not a view; choose one of soft_lungs, lungs, crop, full, lungs_hidden, box_hidden, shape, "
        r"thumbnail\.$",
    ):
        apply_view(IMAGE, None, "heart")
    with pytest.raises(ValueError, match=r"^The mask is \(10, 8\) and the image \(8, 10\)"):
        apply_view(IMAGE, np.ones((10, 8), bool), "crop")
