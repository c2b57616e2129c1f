"""The stored values of a DICOM radiograph, from every encoding that radiographs come in."""

import struct
from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.encaps import encapsulate

from hub_models.xray.dicom import VIEWS, view_position
from hub_models.xray.images import ImageRefused, read_image, stretch_contrast
from tests.support.bad_files import changed, dicom, encoded, fine, rle, streams, uid, xray

RAMP = np.add.outer(np.arange(0, 2000, 25), np.arange(0, 2000, 20)).astype(np.uint16)  # (80, 100), 0..3955
TWELVE = {"BitsAllocated": 16, "BitsStored": 12, "HighBit": 11}
SIGNED = RAMP.astype(np.int16) - 1950


def of_12_bits(frame: bytes, syntax: str, **elements) -> np.ndarray:
    """Read a compressed picture of the ramp's size."""
    size = {"Rows": RAMP.shape[0], "Columns": RAMP.shape[1]}
    return read_image(dicom(frame, syntax, **{**TWELVE, **size, **elements}))


def jpeg_2000(pixels: np.ndarray) -> bytes:
    return imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", reversible=True)


LOSSLESS = {
    "RLE": (rle, uid.RLELossless),
    "JPEG-LS": (imagecodecs.jpegls_encode, uid.JPEGLSLossless),
    "JPEG 2000": (jpeg_2000, uid.JPEG2000Lossless),
    "high-throughput JPEG 2000": (lambda cells: imagecodecs.htj2k_encode(cells, reversible=True), uid.HTJ2KLossless),
    **{
        f"lossless JPEG, predictor {number}": (
            lambda cells, number=number: imagecodecs.jpeg8_encode(
                cells, lossless=True, predictor=number, bitspersample=16
            ),
            uid.JPEGLossless if number > 1 else uid.JPEGLosslessSV1,
        )
        for number in range(1, 8)
    },
}


# Compression


@pytest.mark.parametrize("name", LOSSLESS)
@pytest.mark.parametrize("signed", [False, True])
def test_a_lossless_compression_keeps_every_value_and_its_sign(name, signed):
    encode, syntax = LOSSLESS[name]
    cells = (SIGNED if signed else RAMP).view(np.uint16)
    drawn = cells & 0x0FFF | (np.arange(100) % 3 == 0).astype(np.uint16) << 13  # an overlay in the unused bits
    image = of_12_bits(encode(drawn), syntax, PixelRepresentation=int(signed))
    np.testing.assert_allclose(image, read_image(RAMP), atol=1e-6)


def test_a_signed_jpeg_2000_stream_is_read_with_the_sign_of_the_header():
    image = of_12_bits(jpeg_2000(SIGNED), uid.JPEG2000, PixelRepresentation=1)
    np.testing.assert_allclose(image, read_image(RAMP), atol=1e-6)


@pytest.mark.parametrize(
    ("encode", "syntax", "limit"),
    [
        (lambda: imagecodecs.jpegls_encode(RAMP, level=3), uid.JPEGLSNearLossless, 7 / 3900),
        (lambda: imagecodecs.jpeg2k_encode(RAMP, level=70, codecformat="j2k"), uid.JPEG2000, 0.03),
        (lambda: imagecodecs.htj2k_encode(RAMP, level=0.0005), uid.HTJ2K, 0.02),
        (lambda: imagecodecs.jpeg8_encode(RAMP, level=60, bitspersample=12), uid.JPEGExtended12Bit, 0.02),
    ],
    ids=["JPEG-LS", "JPEG 2000", "high-throughput JPEG 2000", "JPEG of 12 bits"],
)
def test_a_lossy_compression_stays_close(encode, syntax, limit):
    difference = np.abs(of_12_bits(encode(), syntax) - read_image(RAMP))
    assert 0 < difference.max() < limit + 1e-4


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55"])
def test_a_progressive_jpeg_is_read(syntax):
    frame = encoded(xray(), "JPEG", quality=95, progressive=True)
    assert np.array_equal(read_image(dicom(frame, syntax)), read_image(np.asarray(Image.open(BytesIO(frame)))))


@pytest.mark.parametrize("name", ["lossless JPEG", "JPEG-LS", "JPEG 2000"])
def test_the_stream_and_not_the_transfer_syntax_says_how_it_is_decoded(name):
    depth = {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}
    for syntax in (uid.JPEGExtended12Bit, uid.JPEG2000, uid.JPEGLSNearLossless):
        assert np.array_equal(read_image(dicom(streams()[name], syntax, **depth)), read_image(fine()))


@pytest.mark.parametrize("name", ["lossless JPEG", "JPEG-LS", "JPEG 2000"])
@pytest.mark.parametrize("count", [2, 7])
def test_a_picture_in_several_fragments_is_joined(name, count):
    depth = {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}
    whole = dicom(streams()[name], uid.JPEGLossless, PixelData=encapsulate([streams()[name]], count), **depth)
    assert np.array_equal(read_image(whole), read_image(fine()))


def test_a_wrong_table_of_offsets_does_no_harm():
    frame = streams()["JPEG-LS"] + b"\0" * (len(streams()["JPEG-LS"]) % 2)
    items = b"".join(
        b"\xfe\xff\x00\xe0" + struct.pack("<I", len(part)) + part
        for part in (struct.pack("<3I", 0, 77, 99), frame[:500], frame[500:])
    )
    depth = {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}
    data = dicom(frame, uid.JPEGLSLossless, PixelData=items + b"\xfe\xff\xdd\xe0\0\0\0\0", **depth)
    assert np.array_equal(read_image(data), read_image(fine()))


@pytest.mark.parametrize("name", ["lossless JPEG", "JPEG-LS", "JPEG 2000", "high-throughput JPEG 2000"])
@pytest.mark.parametrize("padding", [b"\0", b"\0\0\0", b"\xff"])
def test_padding_after_a_stream_does_no_harm(name, padding):
    depth = {"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15}
    data = dicom(streams()[name] + padding, uid.JPEGLossless, **depth)
    assert np.array_equal(read_image(data), read_image(fine()))


def test_a_tile_that_reaches_to_the_end_is_told_from_the_padding():
    for size in range(70, 90):
        frame = jpeg_2000(RAMP[:, :size].copy())
        frame = changed(frame, frame.index(b"\xff\x90") + 6, bytes(4))
        image = of_12_bits(frame + b"\0" * (len(frame) % 2), uid.JPEG2000Lossless, Columns=size)
        assert np.array_equal(image, read_image(RAMP[:, :size]))


# Uncompressed


def test_a_deflated_file_is_inflated():
    data = dicom(RAMP, uid.DeflatedExplicitVRLittleEndian, **TWELVE)
    assert len(data) < RAMP.nbytes
    assert np.array_equal(read_image(data), read_image(RAMP))


def test_big_endian_bytes_are_swapped_where_they_are_called_words():
    called_bytes = dicom(xray(), uid.ExplicitVRBigEndian)
    swapped = dicom(xray().reshape(-1, 2)[:, ::-1].reshape(256, 256), uid.ExplicitVRBigEndian)
    called_words = swapped.replace(b"\x7f\xe0\0\x10OB", b"\x7f\xe0\0\x10OW")
    assert called_words != swapped
    for data in (called_bytes, called_words):
        assert np.array_equal(read_image(data), read_image(xray()))


@pytest.mark.parametrize("high_bit", [11, 13, 15])
@pytest.mark.parametrize("signed", [False, True])
def test_the_bits_above_and_below_the_stored_ones_do_not_count(signed, high_bit):
    shift = high_bit - 11
    grain = np.random.default_rng(0).integers(0, 1 << 16, RAMP.shape).astype(np.uint16)
    stored = (SIGNED if signed else RAMP).view(np.uint16) & 0x0FFF
    cells = stored << shift | grain & ~np.uint16(0x0FFF << shift & 0xFFFF)
    image = read_image(dicom(cells, **{**TWELVE, "HighBit": high_bit}, PixelRepresentation=int(signed)))
    np.testing.assert_allclose(image, read_image(RAMP), atol=1e-6)


@pytest.mark.parametrize(
    "missing", ["BitsStored", "HighBit", "PixelRepresentation", "SamplesPerPixel", "Modality", "PatientName"]
)
def test_an_element_that_can_be_inferred_may_be_missing(missing):
    assert np.array_equal(read_image(dicom(fine(), **{missing: None})), read_image(fine()))


def test_a_picture_of_an_odd_number_of_bytes_is_padded():
    odd = xray()[:255, :255].copy()
    assert np.array_equal(read_image(dicom(odd, PixelData=odd.tobytes() + b"\0")), read_image(odd))


def test_overlays_are_not_drawn():
    dataset = dcmread(BytesIO(dicom(RAMP, **TWELVE)))
    for element, vr, value in (
        *((0x10, "US", 80), (0x11, "US", 100), (0x40, "CS", "G"), (0x50, "SS", [1, 1])),
        *((0x100, "US", 1), (0x102, "US", 0), (0x3000, "OW", b"\xf0" * 1000)),
    ):
        dataset.add_new((0x6000, element), vr, value)
    stream = BytesIO()
    dataset.save_as(stream)
    assert b"\xf0" * 1000 in stream.getvalue()
    assert np.array_equal(read_image(stream.getvalue()), read_image(RAMP))


# Files without their first bytes


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian])
def test_a_file_without_mark_or_meta_information_is_recognised(syntax, tmp_path):
    pixels = RAMP.astype(">u2") if syntax == uid.ExplicitVRBigEndian else RAMP
    data = dicom(pixels, syntax, **TWELVE, ViewPosition="AP", SOPClassUID=uid.ComputedRadiographyImageStorage)
    start = 144 + struct.unpack_from("<I", data, 140)[0]
    path = tmp_path / "IM0001"
    path.write_bytes(data[start:])
    assert np.array_equal(read_image(path), read_image(RAMP))
    assert view_position(path) == "AP"
    assert "AP" in VIEWS
    if syntax != uid.ExplicitVRBigEndian:
        assert np.array_equal(
            read_image(data[:132] + data[start:]), read_image(RAMP)
        )  # a mark, but no meta information


def test_a_picture_in_front_of_the_mark_does_not_hide_it():
    data = encoded(xray(), "TIFF")[:128] + dicom(RAMP, **TWELVE)[128:]
    assert np.array_equal(read_image(data), read_image(RAMP))


# Padding


def padded(pixels: np.ndarray, value: int) -> np.ndarray:
    pixels = pixels.copy()
    pixels[:, :15] = pixels[:9] = value
    return pixels


INSIDE = np.s_[9:, 15:]


@pytest.mark.parametrize(
    ("pixels", "value", "elements"),
    [
        (RAMP, 65535, {"PixelPaddingValue": 65535}),
        (RAMP, 0, {"PixelPaddingValue": 0, "PhotometricInterpretation": "MONOCHROME1"}),
        (RAMP, 4000, {"PixelPaddingValue": 3990, "PixelPaddingRangeLimit": 4095}),
        (RAMP, 4000, {"PixelPaddingValue": 4095, "PixelPaddingRangeLimit": 3990}),
        (RAMP, 4095, {"PixelPaddingValue": 4095, **TWELVE}),
        (RAMP, 63536, {"PixelPaddingValue": 63536, **TWELVE}),  # a value that 12 bits cannot hold
        (SIGNED, -2048, {"PixelPaddingValue": -2048}),
        (SIGNED, -2048, {"PixelPaddingValue": -2048, "WindowCenter": 0, "WindowWidth": 5000}),
        (SIGNED, -32768, {"PixelPaddingValue": -32768, "PhotometricInterpretation": "MONOCHROME1"}),
    ],
)
def test_padding_is_black_and_does_not_steer_the_contrast(pixels, value, elements):
    window = {"WindowCenter": 2000, "WindowWidth": 9000, "RescaleSlope": 1, "RescaleIntercept": -3}
    for further in ({}, window if pixels is RAMP else {}):
        image = read_image(dicom(padded(pixels, value), **{**further, **elements}))
        expected = stretch_contrast(pixels[INSIDE].astype(float))
        if elements.get("PhotometricInterpretation") == "MONOCHROME1":
            expected = 1 - expected
        np.testing.assert_allclose(image[INSIDE], expected, atol=1e-4)
        assert image[:9].max() == image[:, :15].max() == 0


def test_a_padding_value_that_no_pixel_has_changes_nothing():
    assert np.array_equal(read_image(dicom(RAMP, PixelPaddingValue=60000)), read_image(RAMP))


def test_a_picture_of_padding_alone_is_blank():
    with pytest.raises(ImageRefused, match="blank"):
        read_image(dicom(np.full((64, 64), 7, np.uint16), PixelPaddingValue=7))
