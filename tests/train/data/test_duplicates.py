from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

from hub_models.xray.phantom import draw_phantom
from train.data.duplicates import MAX_DISTANCE_BITS, _close_pairs, find_duplicates


def xray(seed: int) -> Image.Image:
    """A phantom with mottle of its own: bare phantoms share their ribs and are more alike than people are."""
    image = draw_phantom(seed).image
    mottle = gaussian_filter(np.random.default_rng(seed).normal(size=image.shape), 3)
    return Image.fromarray((image + 12 * mottle / mottle.std()).clip(0, 255).astype(np.uint8))


def encoded(picture: Image.Image, file_format: str = "PNG", **options) -> bytes:
    stream = BytesIO()
    picture.save(stream, file_format, **options)
    return stream.getvalue()


def cropped(picture: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    width, height = picture.size
    box = (left * width, top * height, (1 - right) * width, (1 - bottom) * height)
    return picture.resize(picture.size, Image.Resampling.BICUBIC, box=box)


def written_on(picture: Image.Image) -> Image.Image:
    picture = picture.copy()
    ImageDraw.Draw(picture).text((20, 210), "AP ERECT 12:30", fill=255, font_size=18)
    return picture


COPIES = {
    "the same bytes": encoded,
    "JPEG": lambda picture: encoded(picture, "JPEG", quality=40),
    "half the size": lambda picture: encoded(picture.resize((128, 128), Image.Resampling.LANCZOS)),
    "stretched to a larger size": lambda picture: encoded(picture.resize((900, 768), Image.Resampling.BICUBIC)),
    "16 bits": lambda picture: encoded(Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)),
    "2 % cut off every side": lambda picture: encoded(cropped(picture, 0.02, 0.02, 0.02, 0.02)),
    "8 % cut off the top": lambda picture: encoded(cropped(picture, 0, 0.08, 0, 0)),
    "6 % cut off both sides": lambda picture: encoded(cropped(picture, 0.06, 0, 0.06, 0)),
    "gamma": lambda picture: encoded(picture.point([round(255 * (i / 255) ** 0.7) for i in range(256)])),
    "darker": lambda picture: encoded(picture.point([i // 2 for i in range(256)])),
    "burnt-in text": lambda picture: encoded(written_on(picture)),
    "turned by a degree": lambda picture: encoded(picture.rotate(1, Image.Resampling.BICUBIC)),
}


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_a_copy_is_found_whichever_of_the_two_comes_first(copy):
    original, other = encoded(xray(1)), encoded(xray(2))
    assert find_duplicates([original, other, copy(xray(1))]) == [(0, 2)]
    assert find_duplicates([copy(xray(1)), other, original]) == [(0, 2)]


def test_ten_patients_have_no_copies_of_one_another():
    assert find_duplicates([encoded(xray(seed)) for seed in range(10)]) == []


def test_three_copies_are_three_pairs_in_order():
    picture = xray(3)
    images = [encoded(picture), encoded(picture, "JPEG"), encoded(xray(4)), encoded(picture, "WEBP")]
    assert find_duplicates(images) == [(0, 1), (0, 3), (1, 3)]


def test_unreadable_images_take_no_part_and_keep_their_positions(tmp_path):
    first, second = tmp_path / "first.png", tmp_path / "second.jpg"
    xray(5).save(first)
    xray(5).save(second, quality=90)
    blank = encoded(Image.new("L", (64, 64)))
    assert find_duplicates([tmp_path / "gone.png", str(first), b"no image", blank, second, blank]) == [(1, 4)]


def test_no_readable_image_means_no_pairs():
    assert find_duplicates([]) == []
    assert find_duplicates([b"no image", b"no image"]) == []


def test_a_negative_is_no_copy():
    # All 256 bits differ, which a count in 8 bits would take for none.
    picture = xray(6)
    assert find_duplicates([encoded(picture), encoded(picture.point([255 - i for i in range(256)]))]) == []


def test_close_hashes_are_those_that_comparing_every_two_finds():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (70, 3, 256), dtype=np.uint8)  # 70 pictures are several chunks and a rest
    for picture, crop, other, flipped in (
        (3, 0, 40, MAX_DISTANCE_BITS),
        (69, 2, 5, MAX_DISTANCE_BITS),
        (8, 1, 66, 80),
        (17, 1, 16, 0),
    ):
        bits[picture, crop] = bits[other, 0]
        bits[picture, crop, rng.choice(256, flipped, replace=False)] ^= 1
    distance = (bits[:, :, None, :] != bits[None, None, :, 0, :]).sum(axis=3).min(axis=1)
    expected = [
        (i, j) for i in range(70) for j in range(i + 1, 70) if min(distance[i, j], distance[j, i]) <= MAX_DISTANCE_BITS
    ]
    with ThreadPoolExecutor(2) as pool:
        pairs = _close_pairs(np.packbits(bits, axis=2).view(np.uint64), pool)
    assert pairs == expected == [(3, 40), (5, 69), (16, 17)]
