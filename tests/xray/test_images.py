import struct
import subprocess
import sys
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION

from hub_models.xray.images import ImageRefused, read_image, stretch_contrast

HEIGHT, WIDTH = 60, 90


def grey(seed: int = 0) -> np.ndarray:
    """Draw uint8 (60, 90): a ramp with noise, which no flip or turn leaves the same."""
    ramp = np.add.outer(np.linspace(0, 90, HEIGHT), np.linspace(0, 140, WIDTH))
    return (ramp + np.random.default_rng(seed).uniform(0, 25, ramp.shape)).astype(np.uint8)


def colours() -> np.ndarray:
    return np.stack([grey(1), grey(2)[::-1], grey(3)[:, ::-1]], axis=2)


def encoded(picture: Image.Image, file_format: str = "PNG", **options) -> bytes:
    stream = BytesIO()
    picture.save(stream, file_format, **options)
    return stream.getvalue()


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


# What comes out


def test_a_ramp_comes_out_between_its_percentiles():
    ramp = np.tile(np.arange(200, dtype=np.uint8), (40, 1))
    low, high = 0.005 * 199, 0.995 * 199  # numpy's linear percentiles of 0..199, each 40 times: within one level
    image = read_image(ramp)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, np.clip((ramp - low) / (high - low), 0, 1), atol=1 / 199)
    assert (image.min(), image.max()) == (0, 1)


def test_contrast_ignores_a_few_extreme_pixels():
    image = np.random.default_rng(0).uniform(0.4, 0.6, (100, 100))
    image[0, :20], image[1, :20] = 0, 1  # 0.2 % black, 0.2 % white
    stretched = stretch_contrast(image)
    assert stretched[0, 0] == 0
    assert stretched[1, 0] == 1
    np.testing.assert_allclose(stretched[2:], np.clip((image[2:] - 0.4) / 0.2, 0, 1), atol=0.01)


def test_contrast_of_a_large_picture_is_that_of_all_its_pixels():
    image = np.random.default_rng(0).normal(500, 50, (1000, 1500))
    low, high = np.percentile(image, (0.5, 99.5))
    np.testing.assert_allclose(stretch_contrast(image), np.clip((image - low) / (high - low), 0, 1), atol=0.02)


def test_brightness_and_contrast_of_the_scanner_drop_out():
    image = np.random.default_rng(0).uniform(0, 1, (50, 50))
    np.testing.assert_allclose(read_image(image), read_image(3000 * image - 1024), atol=1e-4)


def test_the_given_array_is_not_changed():
    image = np.random.default_rng(0).uniform(0, 1, (50, 50)).astype(np.float32)
    before = image.copy()
    read_image(image)[:] = 7
    assert np.array_equal(image, before)


# Where it comes from


def test_path_bytes_picture_and_array_give_the_same(tmp_path):
    path = tmp_path / "chest.png"
    Image.fromarray(grey()).save(path)
    for source in (path, str(path), path.read_bytes(), Image.fromarray(grey()), Image.open(path), grey()[:, :, None]):
        assert np.array_equal(read_image(source), read_image(grey()))


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "BMP", "GIF"])
def test_lossless_formats_keep_every_grey(file_format):
    assert np.array_equal(read_image(encoded(Image.fromarray(grey()), file_format)), read_image(grey()))


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP"])
def test_lossy_formats_stay_close(file_format):
    smooth = np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)).astype(np.uint8)
    image = read_image(encoded(Image.fromarray(smooth), file_format, quality=95))
    assert np.abs(image - read_image(smooth)).max() < 0.04


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_16_bits_and_8_bits_of_one_picture_agree(file_format):
    fine = np.random.default_rng(0).integers(0, 65536, (80, 80), dtype=np.uint16)
    coarse = np.round(fine / 257).astype(np.uint8)
    image = read_image(encoded(Image.fromarray(fine), file_format))
    assert np.abs(image - read_image(coarse)).max() < 1 / 255
    assert len(np.unique(image)) > 4000  # and 16 bits stay finer than 8


def test_greys_of_every_depth_and_byte_order_agree():
    values = np.add.outer(np.arange(0, 600, 10), np.arange(0, 450, 5)).astype(np.uint16) * 40
    expected = read_image(values)
    for other in (values.astype(">u2"), values.astype(np.int32), values.astype(np.int64), values.astype(np.float64)):
        assert np.array_equal(read_image(other), expected)
    for picture in (Image.fromarray(values.astype(np.int32)), Image.fromarray(values.astype(np.float32))):
        assert picture.mode in ("I", "F")
        assert np.array_equal(read_image(encoded(picture, "TIFF")), expected)
    assert np.array_equal(read_image(encoded(Image.fromarray(values.astype(">u2")), "TIFF")), expected)


def test_a_16_bit_tiff_whose_zero_is_white_comes_out_the_right_way_round():
    values = grey().astype(np.uint16) * 257
    inverted = encoded(Image.fromarray(65535 - values), "TIFF", tiffinfo={PHOTOMETRIC_INTERPRETATION: 0})
    np.testing.assert_allclose(read_image(inverted), read_image(values), atol=1e-6)


def test_colour_becomes_grey_as_in_pillow():
    expected = read_image(np.asarray(Image.fromarray(colours()).convert("L")))
    assert np.array_equal(read_image(encoded(Image.fromarray(colours()))), expected)
    assert np.array_equal(read_image(colours()), expected)
    np.testing.assert_allclose(read_image(colours() / 255.0), expected, atol=1 / 150)
    np.testing.assert_allclose(read_image(colours().astype(np.uint16) * 257), expected, atol=1 / 150)


def test_cmyk_is_the_colour_it_prints():
    picture = Image.fromarray(colours()).convert("CMYK")
    expected = read_image(Image.fromarray(colours()))
    assert np.array_equal(read_image(picture), expected)
    assert np.array_equal(read_image(encoded(picture, "TIFF")), expected)
    assert np.abs(read_image(encoded(picture, "JPEG", quality=100)) - expected).max() < 0.03


def test_a_palette_is_looked_up():
    picture = Image.fromarray(255 - grey())
    picture.putpalette([255 - level for level in range(256) for _ in "rgb"])  # index 0 is white
    assert picture.mode == "P"
    assert np.array_equal(read_image(encoded(picture)), read_image(grey()))


def test_black_and_white_is_0_and_1():
    bits = grey() > 120
    for source in (bits, Image.fromarray(bits), encoded(Image.fromarray(bits))):
        assert np.array_equal(read_image(source), bits.astype(np.float32))


@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_what_is_transparent_becomes_black(mode):
    opacity = np.full((HEIGHT, WIDTH), 255, dtype=np.uint8)
    opacity[:20], opacity[20:30] = 0, 128
    picture = Image.fromarray(grey()).convert(mode)
    picture.putalpha(Image.fromarray(opacity))
    expected = read_image(grey() * (opacity / 255))
    for source in (picture, encoded(picture), encoded(picture, "TIFF")):
        np.testing.assert_allclose(read_image(source), expected, atol=1 / 150)
    assert read_image(picture)[:20].max() == 0


def test_an_array_with_opacity_is_laid_over_black():
    opacity = np.ones((HEIGHT, WIDTH, 1))
    opacity[:20] = 0.25
    expected = read_image(grey() * opacity[:, :, 0])
    levels = np.repeat(grey()[:, :, None], 3, axis=2)
    for scale, dtype in ((1, np.float32), (255, np.uint8), (65535, np.uint16)):
        array = np.concatenate([levels * (scale / 255), opacity * scale], axis=2).round(6).astype(dtype)
        np.testing.assert_allclose(read_image(array), expected, atol=1 / 150)


def test_a_transparent_palette_entry_is_black():
    picture = Image.fromarray(grey())
    picture.putpalette([255] + [255] * 2 + [level for level in range(1, 256) for _ in "rgb"])
    expected = np.where(np.asarray(picture) == 0, 0, grey())
    assert np.array_equal(read_image(encoded(picture, transparency=0)), read_image(expected))


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_exif_rotation_is_applied(file_format):
    lying = Image.fromarray(np.rot90(grey()).copy())  # a quarter turn left; orientation 6 says: turn right to view
    options = {"lossless": True} if file_format == "WEBP" else {"quality": 100} if file_format == "JPEG" else {}
    image = read_image(encoded(lying, file_format, exif=turned(6), **options))
    assert image.shape == (HEIGHT, WIDTH)
    assert np.abs(image - read_image(grey())).max() < 0.04


def test_a_phone_photograph_with_a_preview_behind_it_is_read():
    picture = Image.fromarray(grey())
    data = encoded(picture, "MPO", save_all=True, append_images=[picture.resize((45, 30))], quality=100)
    assert Image.open(BytesIO(data)).n_frames == 2
    assert np.abs(read_image(data) - read_image(grey())).max() < 0.04


# What is refused, and how that is said


def png_header(width: int, height: int) -> bytes:
    """Encode a grey PNG of this size that holds no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def animation(file_format: str) -> bytes:
    return encoded(Image.fromarray(grey()), file_format, save_all=True, append_images=[Image.fromarray(grey(1))])


def damaged_png() -> bytes:
    data = bytearray(encoded(Image.fromarray(grey())))
    data[len(data) // 2] ^= 0xFF
    return bytes(data)


REFUSALS = {
    "empty": (b"", r"The image is empty \(0 bytes\); copy or export it again"),
    "text": (
        b"finding,patient\n" * 20,
        "The image is not an image that can be read; give a PNG, JPEG, WebP, TIFF, BMP, GIF, "
        "JPEG 2000, JPEG-LS or DICOM file",
    ),
    "a sound": (b"RIFF\0\0\0\0WAVEfmt " + bytes(200), "is not an image that can be read"),
    "PDF": (b"%PDF-1.7\n" + bytes(200), "is not an image that can be read"),
    "truncated PNG": (encoded(Image.fromarray(grey()))[:2000], "is truncated or damaged and cannot be decoded"),
    "PNG header cut": (encoded(Image.fromarray(grey()))[:20], "is truncated or damaged"),
    "truncated JPEG": (encoded(Image.fromarray(grey()), "JPEG")[:-200], "is truncated or damaged"),
    "truncated WebP": (encoded(Image.fromarray(grey()), "WEBP")[:-200], "is truncated or damaged"),
    "truncated TIFF": (encoded(Image.fromarray(grey()), "TIFF")[:-200], "is truncated or damaged"),
    "truncated BMP": (encoded(Image.fromarray(grey()), "BMP")[:-200], "is truncated or damaged"),
    "flipped bits": (damaged_png(), "is truncated or damaged"),
    "DICOM of nothing": (bytes(128) + b"DICM" + bytes(200), "The image is a DICOM file in an unknown transfer syntax"),
    "60 megapixels": (png_header(10_000, 6_000), "10000 x 6000 pixels; at most 50 megapixels are read"),
    "100 megapixels": (png_header(10_000, 10_000), "megapixels"),
    "400 megapixels": (png_header(20_000, 20_000), "far more than 50 megapixels"),
    "narrow": (encoded(Image.new("L", (31, 400))), "31 x 400 pixels; an X-ray needs at least 32 pixels on each side"),
    "blank": (encoded(Image.new("L", (64, 64), 90)), "The image is blank: it has no contrast"),
    "nearly blank": (encoded(Image.fromarray((grey() > 99) + np.uint8(90))), "The image is blank"),
    "animated GIF": (animation("GIF"), "The image holds several frames; save the one to look at as PNG"),
    "animated PNG": (animation("PNG"), "holds several frames"),
    "animated WebP": (animation("WEBP"), "holds several frames"),
    "two-page TIFF": (animation("TIFF"), "holds several frames"),
    "LAB": (encoded(Image.new("LAB", (64, 64)), "TIFF"), "has colour mode LAB; save it as greyscale or RGB"),
    "array of one row": (np.arange(5000), r"The array has shape \(5000,\); give \(height, width\)"),
    "two channels": (np.zeros((64, 64, 2)), r"The array has shape \(64, 64, 2\); .* with 1, 3 or 4 channels"),
    "channels first": (np.zeros((3, 64, 64)), r"The array has shape \(3, 64, 64\)"),
    "complex": (np.zeros((64, 64), dtype=complex), "The array holds complex128; give bool, whole numbers or floats"),
    "objects": (np.full((64, 64), None), "The array holds object"),
    "no pixels": (np.zeros((0, 64)), "The array is 64 x 0 pixels"),
    "too many pixels": (np.broadcast_to(np.uint8(7), (6_000, 10_000)), "The array is 10000 x 6000 pixels; at most 50"),
    "NaN": (np.where(grey() > 99, np.nan, 1.0), "NaN or infinite; replace them by numbers"),
    "infinite": (np.where(grey() > 99, -np.inf, 1.0), "NaN or infinite"),
    "too large for float32": (grey() * 1e300, "NaN or infinite"),
    "NaN in a TIFF": (encoded(Image.fromarray(np.where(grey() > 99, np.nan, 1).astype("f4")), "TIFF"), "NaN"),
    "constant array": (np.full((64, 64), 1e6), "The image is blank"),
    "opacity of 0..255 in floats": (np.dstack([colours(), grey()]).astype(float), "fourth channel is no opacity"),
    "a list": ([[0, 1]], "given as a file path, bytes, a PIL image or a NumPy array; this is a list"),
    "nothing": (None, "this is a NoneType"),
}


@pytest.mark.parametrize(("source", "sentence"), REFUSALS.values(), ids=REFUSALS)
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_refused_in_one_sentence(source, sentence):
    with pytest.raises(ImageRefused, match=sentence) as refusal:
        read_image(source)
    assert str(refusal.value).endswith(".")
    assert "\n" not in str(refusal.value)


@pytest.mark.filterwarnings("error")
def test_a_size_that_pillow_warns_of_is_refused_with_warnings_as_errors():
    with pytest.raises(ImageRefused, match="megapixels"):
        read_image(png_header(10_000, 10_000))


def test_a_file_that_is_refused_is_named(tmp_path):
    dicom = tmp_path / "chest.dcm"
    dicom.write_bytes(bytes(128) + b"DICM" + bytes(200))
    with pytest.raises(
        ImageRefused,
        match=r'^"chest\.dcm" is a DICOM file in an unknown transfer syntax, which cannot be read here; save it',
    ):
        read_image(dicom)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(ImageRefused, match=r"gone\.png was not found; check its name and folder"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(ImageRefused, match=r"cannot be opened \(Is a directory\); give a readable image file"):
        read_image(str(tmp_path))
    with pytest.raises(ImageRefused, match="cannot be opened"):
        read_image("chest\0.png")


def test_a_picture_of_the_smallest_size_is_read():
    assert read_image(grey()[:32, :32]).shape == (32, 32)


def test_reading_images_needs_no_torch():
    code = "import sys, hub_models.xray.images; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2], check=False).returncode == 0
