from io import BytesIO
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from hub_models.xray.images import read_image
from tests.support import tiny_models
from tests.support.datasets import dataset, rectangle
from train.data.dataset import to_dataset
from train.data.folder import read_folder
from train.data.rows import (
    drop_unreadable,
    has_boxes,
    has_known_mask,
    has_mask,
    image_tensor,
    is_scored,
    mask_tensor,
    positions,
    read_mask,
    source,
    undecoded,
)

PLACE = Path("Lung Segmentation Data", "Test", "COVID-19")


def encoded(pixels: np.ndarray, file_format: str = "PNG") -> bytes:
    stream = BytesIO()
    Image.fromarray(pixels).save(stream, file_format)
    return stream.getvalue()


def mask_bytes(size: int = 64, file_format: str = "PNG") -> bytes:
    return encoded(tiny_models.draw_xray(1, size).lungs * np.uint8(255), file_format)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three X-rays of 64 pixels with lung masks, to be spoilt."""
    for seed, name in enumerate(("a.png", "b.png", "c.png")):
        tiny_models.write_row(tmp_path / PLACE, name, tiny_models.draw_xray(seed, 64), lungs=True)
    return tmp_path


def rows_of(folder: Path) -> datasets.Dataset:
    return to_dataset(read_folder(folder))["test"]


def test_a_mask_is_what_is_brighter_than_half():
    greys = np.array([[0, 1, 60], [200, 254, 255]], np.uint8)
    expected = [[False, False, False], [True, True, True]]
    for mask in (Image.fromarray(greys), Image.fromarray(greys).convert("RGB")):
        assert read_mask(mask).tolist() == expected
    assert read_mask({"bytes": encoded(greys), "path": "mask.png"}).tolist() == expected
    assert read_mask(Image.fromarray(np.array(expected))).tolist() == expected


def test_a_mask_is_the_same_decoded_or_not(folder):
    rows = rows_of(folder)
    for decoded, encoded in zip(rows, undecoded(rows), strict=True):
        path = Path(source(encoded["lung_mask"]))
        assert path.parent.name == "lung masks"
        expected = np.asarray(Image.open(path)) == 255
        assert np.array_equal(read_mask(decoded["lung_mask"]), expected)
        assert np.array_equal(read_mask(encoded["lung_mask"]), expected)
        assert encoded["infection_mask"] is None


def test_the_bytes_of_an_image_come_before_its_path():
    assert source({"bytes": b"1", "path": "elsewhere.png"}) == b"1"
    assert source({"bytes": None, "path": "here.png"}) == "here.png"


def test_an_image_becomes_a_square_with_its_contrast_stretched():
    pixels = np.full((64, 192), 50, np.uint8)
    pixels[:, :96] = 200
    tensor = image_tensor(read_image(pixels), 32)
    assert (tensor.dtype, tuple(tensor.shape)) == (torch.float32, (1, 32, 32))
    torch.testing.assert_close(tensor[:, :, :14], torch.ones(1, 32, 14))
    torch.testing.assert_close(tensor[:, :, 18:], torch.zeros(1, 32, 14))
    assert tensor.max() <= 1


def test_a_pixel_of_a_smaller_mask_is_inside_if_half_of_it_is():
    mask = np.array([[1, 1, 1, 0], [1, 1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 1]], bool)
    tensor = mask_tensor(Image.fromarray(mask), 2)
    assert tensor.dtype == torch.int8
    assert tensor.tolist() == [[[1, 0], [0, 1]]]


def test_a_mask_that_nobody_drew_is_minus_one_and_a_blank_one_is_zero():
    assert mask_tensor(None, 2).tolist() == [[[-1, -1], [-1, -1]]]
    assert mask_tensor(None, 2).dtype == torch.int8
    assert mask_tensor(Image.new("L", (4, 4)), 2).tolist() == [[[0, 0], [0, 0]]]


def spoil_length(data: bytes) -> bytes:
    """A PNG whose first IDAT chunk gives a wrong length: Pillow raises SyntaxError."""
    return data[:36] + bytes([data[36] ^ 0xFF]) + data[37:]


def spoil_palette(_: bytes) -> bytes:
    """A BMP that promises a longer palette than it has: Pillow raises ValueError."""
    data = bytearray(mask_bytes(file_format="BMP"))
    data[46] ^= 0xFF
    return bytes(data)


def spoil_size(_: bytes) -> bytes:
    """A BMP of billions of pixels: Pillow raises DecompressionBombError."""
    data = bytearray(mask_bytes(file_format="BMP"))
    data[20] = data[24] = 0xFF
    return bytes(data)


@pytest.mark.parametrize(
    ("kind", "spoil", "reason"),
    [
        ("images", lambda data: data[:300], 'The image of b.png cannot be read: "b.png" is truncated or damaged'),
        ("images", lambda _: b"", 'The image of b.png cannot be read: "b.png" is empty'),
        (
            "images",
            lambda _: encoded(np.zeros((64, 64), np.uint8)),
            "The image of b.png cannot be read: The image is b",
        ),
        ("lung masks", lambda data: data[: len(data) // 2], "The lung mask of b.png cannot be read: "),
        ("lung masks", lambda _: b"no mask", "The lung mask of b.png cannot be read: cannot identify image file"),
        ("lung masks", spoil_length, "The lung mask of b.png cannot be read: broken PNG file"),
        ("lung masks", spoil_palette, "The lung mask of b.png cannot be read: invalid palette size"),
        ("lung masks", spoil_size, "The lung mask of b.png cannot be read: Image size"),
        ("lung masks", lambda _: mask_bytes(32), "The lung mask of b.png is 32 x 32 pixels, but its image 64 x 64."),
    ],
)
def test_what_cannot_be_read_is_named_skipped_and_counted_or_stops(folder, caplog, kind, spoil, reason):
    path = folder / PLACE / kind / "b.png"
    path.write_bytes(spoil(path.read_bytes()))
    rows = rows_of(folder)
    assert drop_unreadable(rows, strict=False)["file"][:] == ["a.png", "c.png"]
    skipped, counted = [record.getMessage() for record in caplog.records if record.name == "train.data.rows"]
    assert skipped.startswith(f"Skipped: {reason}")
    assert counted == "Skipped 1 of 3 images of the split test."
    with pytest.raises(ValueError, match=r"Mend or remove it, or run without --strict to skip it\.$") as error:
        drop_unreadable(rows, strict=True)
    assert str(error.value).startswith(reason)


def test_a_file_that_has_gone_is_named_too(folder, caplog):
    rows = rows_of(folder)
    (folder / PLACE / "images" / "c.png").unlink()
    assert drop_unreadable(rows, strict=False)["file"][:] == ["a.png", "b.png"]
    skipped, _ = [record.getMessage() for record in caplog.records if record.name == "train.data.rows"]
    assert "The image of c.png cannot be read: " in skipped
    assert "was not found" in skipped


def test_rows_that_can_all_be_read_are_left_as_they_are(folder, caplog):
    rows = rows_of(folder)
    assert drop_unreadable(rows, strict=True) is rows
    assert caplog.messages == []


def test_rows_are_found_by_what_was_drawn_on_them_and_by_the_name_of_their_class():
    blank = rectangle(32, slice(0, 0))
    rows = dataset(
        {"side": 32, "label": "COVID-19"},
        {"side": 32, "label": "COVID-19", "lung_mask": rectangle(32)},
        {"side": 32, "label": "Non-COVID", "infection_mask": blank},  # drawn, though there is nothing in it
        {"side": 32, "label": "Normal"},
        {"side": 32, "label": "Non-COVID", "infection_boxes": [[1.0, 2.0, 3.0, 4.0]]},
        {"side": 32, "label": "Non-COVID", "lung_boxes": []},
        {"side": 32, "label": "Normal", "lung_mask": rectangle(32)},
    )
    assert positions(rows, has_mask) == [1, 2, 6]
    assert positions(rows, has_boxes) == [1, 2, 4, 5, 6]
    assert positions(rows, has_known_mask) == [1, 2, 3, 6]
    assert positions(rows, is_scored) == [1, 2, 3, 4, 6]  # boxes of lungs alone are not scored
    assert positions(rows, lambda row: row["label"] == "Non-COVID") == [2, 4, 5]
    assert positions(rows, lambda row: row["image"]["bytes"] is None) == []  # not decoded


def test_without_a_class_of_healthy_images_only_a_mask_makes_a_row_scored():
    images = ({"side": 32, "label": "Asthma"}, {"side": 32, "label": "Asthma", "lung_mask": rectangle(32)})
    rows = dataset(*images, classes=["Asthma", "Cold"])
    assert positions(rows, is_scored) == [1]
