"""Pictures of more than 8 bits a channel, and kinds of files that Pillow does not read."""

import struct
import zlib
from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from hub_models.xray.images import ImageRefused, read_image
from tests.support.bad_files import changed, chunk, encoded, png, resized, rows, streams, tiff_of, xray

GREY = (np.add.outer(np.arange(60) * 521, np.arange(90) * 367) + 90).astype(np.uint16)  # (60, 90), 90..63492
COLOURS = np.stack([GREY, GREY[::-1] // 3, GREY[:, ::-1] // 2], axis=2)
LUMA = COLOURS.astype(float) @ [0.299, 0.587, 0.114]
OPACITY = np.linspace(0, 65535, GREY.size).reshape(GREY.shape).round().astype(np.uint16)
SHOWN, COLOURS_SHOWN = read_image(GREY), read_image(LUMA)
GREY_OVER_BLACK, LUMA_OVER_BLACK = (read_image(one * (OPACITY / 65535)) for one in (GREY.astype(float), LUMA))


def deep_png(channels: list[np.ndarray], colour: int, *chunks: bytes) -> bytes:
    pixels = np.dstack(channels).astype(">u2")
    data = png(90, 60, zlib.compress(rows(pixels)), 16, colour)
    return data[:33] + b"".join(chunks) + data[33:]


def close(image: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(image, expected, atol=2e-6)
    assert len(np.unique(image)) > 3000  # 8 bits would leave 256


# PNG


@pytest.mark.parametrize(
    ("channels", "colour", "expected"),
    [
        ([GREY], 0, SHOWN),
        ([GREY, OPACITY], 4, GREY_OVER_BLACK),
        ([COLOURS], 2, COLOURS_SHOWN),
        ([COLOURS, OPACITY], 6, LUMA_OVER_BLACK),
    ],
    ids=["grey", "grey and opacity", "RGB", "RGBA"],
)
def test_a_png_of_16_bits_keeps_them(channels, colour, expected, tmp_path):
    data = deep_png(channels, colour)
    path = tmp_path / "deep.png"
    path.write_bytes(data)
    close(read_image(data), expected)
    assert np.array_equal(read_image(path), read_image(data))


def test_a_transparent_grey_of_16_bits_is_black():
    key = int(GREY[40, 50])
    image = read_image(deep_png([GREY], 0, chunk(b"tRNS", struct.pack(">H", key))))
    close(image, read_image(np.where(key == GREY, 0, GREY)))
    assert image[40, 50] == 0


def test_a_png_of_16_bits_is_turned_as_its_exif_says():
    exif = Image.Exif()
    exif[0x0112] = 6
    lying = np.rot90(COLOURS)
    data = png(60, 90, zlib.compress(rows(lying.astype(">u2"))), 16, 2)
    close(read_image(data[:33] + chunk(b"eXIf", exif.tobytes()[6:]) + data[33:]), COLOURS_SHOWN)


# TIFF


def deep_tiff(pixels: np.ndarray, tags: dict[int, list[int]]) -> bytes:
    channels = 1 if pixels.ndim == 2 else pixels.shape[2]
    kind = {"u": 1, "i": 2, "f": 3}[pixels.dtype.kind]
    usual = {258: [8 * pixels.itemsize] * channels, 277: [channels], 339: [kind] * channels}
    return tiff_of(pixels.tobytes(), usual | tags, 90, 60)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "f2", "f4", "f8"])
@pytest.mark.parametrize("white_is_zero", [False, True])
def test_a_tiff_of_any_depth_comes_out_the_right_way_round(white_is_zero, dtype):
    highest = 1.0 if dtype[0] == "f" else np.iinfo(dtype).max
    lowest = np.iinfo(dtype).min if dtype[0] == "i" else 0
    values = (lowest + GREY / 65535 * (float(highest) - lowest)).astype(dtype)
    stored = values if not white_is_zero else 1 - values if dtype[0] == "f" else ~values
    image = read_image(deep_tiff(stored, {262: [0 if white_is_zero else 1]}))
    np.testing.assert_allclose(image, read_image(values.astype(float)), atol=1e-3 if dtype == "f2" else 1e-5)


def test_greys_above_half_of_32_bits_are_not_negative():
    bright = (GREY.astype(np.uint32) << 16) + 12345
    close(read_image(deep_tiff(bright, {})), SHOWN)


@pytest.mark.parametrize(
    ("pixels", "tags", "expected"),
    [
        (COLOURS, {262: [2]}, COLOURS_SHOWN),
        (np.dstack([COLOURS, OPACITY]), {262: [2], 338: [2]}, LUMA_OVER_BLACK),
        (np.dstack([COLOURS, OPACITY]), {262: [2], 338: [0]}, COLOURS_SHOWN),  # a channel of no said meaning
        (np.dstack([GREY, OPACITY]), {338: [2]}, GREY_OVER_BLACK),
        (np.dstack([~GREY, OPACITY]), {262: [0], 338: [2]}, GREY_OVER_BLACK),
        ((COLOURS / 65535).astype(np.float32), {262: [2]}, COLOURS_SHOWN),
    ],
    ids=["RGB", "RGBA", "RGB and something", "grey and opacity", "white is zero, and opacity", "RGB in floats"],
)
def test_a_tiff_of_several_deep_channels_keeps_them(pixels, tags, expected):
    close(read_image(deep_tiff(pixels, tags)), expected)


def test_a_tiff_may_hold_one_channel_after_the_other():
    size = GREY.nbytes
    tags = {258: [16] * 3, 262: [2], 273: [8, 8 + size, 8 + 2 * size], 277: [3], 279: [size] * 3, 284: [2]}
    close(read_image(tiff_of(np.moveaxis(COLOURS, 2, 0).tobytes(), tags, 90, 60)), COLOURS_SHOWN)


@pytest.mark.parametrize(
    ("orientation", "stored"),
    [
        (1, GREY),
        (2, GREY[:, ::-1]),
        (3, GREY[::-1, ::-1]),
        (4, GREY[::-1]),
        (5, GREY.T),
        (6, np.rot90(GREY)),
        (7, GREY.T[::-1, ::-1]),
        (8, np.rot90(GREY, -1)),
    ],
)
def test_a_deep_tiff_is_turned_as_it_says(orientation, stored):
    height, width = stored.shape
    tags = {258: [32], 274: [orientation]}
    data = tiff_of(stored.astype(np.uint32).tobytes(), tags, width, height)
    close(read_image(data), SHOWN)


# JPEG, JPEG-LS and JPEG 2000


@pytest.mark.parametrize(
    "encode",
    [
        imagecodecs.jpegls_encode,
        lambda pixels: imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=4, bitspersample=16),
        lambda pixels: imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True),
        lambda pixels: imagecodecs.jpeg2k_encode(pixels, codecformat="jp2", reversible=True),
        lambda pixels: imagecodecs.htj2k_encode(pixels, reversible=True),
    ],
    ids=["JPEG-LS", "lossless JPEG", "JPEG 2000", "JPEG 2000 in boxes", "high-throughput JPEG 2000"],
)
@pytest.mark.parametrize("picture", ["grey", "colours"])
def test_a_lossless_codestream_keeps_16_bits(picture, encode):
    pixels, expected = {"grey": (GREY, SHOWN), "colours": (COLOURS, COLOURS_SHOWN)}[picture]
    close(read_image(encode(np.ascontiguousarray(pixels))), expected)


@pytest.mark.parametrize("bits", [10, 13])
def test_a_lossless_jpeg_may_have_any_number_of_bits(bits):
    pixels = GREY >> 16 - bits
    data = imagecodecs.jpeg8_encode(pixels, lossless=True, predictor=1, bitspersample=bits)
    np.testing.assert_allclose(read_image(data), read_image(pixels), atol=1e-6)


@pytest.mark.parametrize("picture", ["grey", "colours"])
def test_a_jpeg_of_12_bits_keeps_them(picture):
    pixels, expected = {"grey": (GREY, SHOWN), "colours": (COLOURS, COLOURS_SHOWN)}[picture]
    image = read_image(imagecodecs.jpeg8_encode(np.ascontiguousarray(pixels >> 4), level=98, bitspersample=12))
    assert np.abs(image - expected).max() < 0.03
    assert len(np.unique(image)) > 2000


def test_a_deep_jpeg_is_turned_as_its_exif_says():
    exif = Image.Exif()
    exif[0x0112] = 8
    body = exif.tobytes()
    lying = np.ascontiguousarray(np.rot90(GREY, -1))
    data = imagecodecs.jpeg8_encode(lying, lossless=True, predictor=1, bitspersample=16)
    segment = b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body
    close(read_image(data[:2] + segment + data[2:]), SHOWN)


def test_jpeg_2000_with_opacity_lies_over_black():
    data = imagecodecs.jpeg2k_encode(np.dstack([GREY, OPACITY]), codecformat="jp2", reversible=True)
    close(read_image(data), GREY_OVER_BLACK)


def test_luminance_and_chrominance_of_jpeg_2000_become_grey():
    picture = Image.fromarray((COLOURS >> 8).astype(np.uint8)).convert("YCbCr")
    data = encoded(picture, "JPEG2000", irreversible=False)
    assert data[data.index(b"colr") + 10] == 18
    assert np.abs(read_image(data) - COLOURS_SHOWN).max() < 0.03


def cmyk_jpeg_2000() -> bytes:
    data = imagecodecs.jpeg2k_encode(np.dstack([COLOURS, OPACITY]), codecformat="jp2", reversible=True)
    return changed(data, data.index(b"colr") + 7, struct.pack(">I", 12))


REFUSALS = {
    "two channels of JPEG-LS": (
        lambda: changed(streams()["JPEG-LS"], streams()["JPEG-LS"].index(b"\xff\xf7\0") + 9, b"\2"),
        "is a JPEG-LS file with 2 channels; save it as greyscale or RGB",
    ),
    "CMYK of JPEG 2000": (cmyk_jpeg_2000, "is a JPEG 2000 file with 4 channels; save it as greyscale or RGB"),
    "a hierarchical JPEG": (
        lambda: encoded(xray(), "JPEG").replace(b"\xff\xc0", b"\xff\xc5"),
        "is a hierarchical JPEG, which is not read; save the picture as PNG",
    ),
    "a lossless JPEG cut": (lambda: streams()["lossless JPEG"][:-40], "is truncated or damaged"),
    "a JPEG of 12 bits cut": (lambda: streams()["JPEG of 12 bits"][:-40], "is truncated or damaged"),
    "a JPEG-LS cut": (lambda: streams()["JPEG-LS"][:-40], "is truncated or damaged"),
    "a JPEG 2000 cut": (lambda: streams()["JPEG 2000"][:-40], "is truncated or damaged"),
    "a high-throughput JPEG 2000 cut": (
        lambda: streams()["high-throughput JPEG 2000"][:-40],
        "is truncated or damaged",
    ),
    "JPEG-LS of 60 megapixels": (
        lambda: resized(streams()["JPEG-LS"], 10_000, 6_000),
        "10000 x 6000 pixels; at most 50 megapixels are read",
    ),
    "a narrow TIFF": (
        lambda: tiff_of(bytes(31 * 200 * 4), {258: [32]}, 31, 200),
        "31 x 200 pixels; an X-ray needs at least 32 pixels on each side",
    ),
    "two pages": (
        lambda: encoded(
            Image.fromarray(GREY), "TIFF", save_all=True, append_images=[Image.fromarray(GREY[::-1].copy())]
        ),
        "holds several frames",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_not_read_is_refused_with_its_reason(name):
    make, sentence = REFUSALS[name]
    with pytest.raises(ImageRefused, match=f"^The image {sentence}|^The image is {sentence}") as refusal:
        read_image(make())
    assert str(refusal.value).endswith(".")


def test_a_progressive_jpeg_of_usual_scans_is_read_and_one_of_thousands_refused():
    progressive = encoded(xray(), "JPEG", quality=95, progressive=True)
    assert np.array_equal(read_image(progressive), read_image(np.asarray(Image.open(BytesIO(progressive)))))
    scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    with pytest.raises(ImageRefused, match="is a progressive JPEG of more than 100 scans"):
        read_image(progressive[:-2] + scan * 200 + progressive[-2:])
