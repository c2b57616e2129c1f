"""JPEG, JPEG-LS and JPEG 2000 codestreams, of files and of DICOM frames: their size before decoding; their pixels."""

import struct
from dataclasses import dataclass

import numpy as np

MAX_SCANS = 100  # of a progressive JPEG, whose every scan is a pass over the whole picture; cameras write about ten
_JPEG_2000 = b"\xff\x4f\xff\x51"
_END = b"\xff\xd9"  # of JPEG, JPEG-LS and JPEG 2000 alike; none of them holds it within coded pixels
_LOSSY, _PROGRESSIVE, _LOSSLESS, _JPEG_LS = (0xC0, 0xC1, 0xC9), (0xC2, 0xCA), (0xC3, 0xCB), (0xF7,)
_HIERARCHICAL = (0xC5, 0xC6, 0xC7, 0xCD, 0xCE, 0xCF)
_WITHOUT_LENGTH = (0x01, 0xD8, *range(0xD0, 0xD8))
_START_OF_SCAN, _EXIF = 0xDA, 0xE1


class StreamRefused(ValueError):
    """The codestream is valid but not read; the message goes on where a sentence began with the file's name."""


@dataclass(frozen=True)
class Frame:
    """A codestream's picture, as its header describes it.

    Attributes:
        kind: "JPEG", "lossless JPEG", "JPEG-LS" or "JPEG 2000".
        width: in pixels.
        height: in pixels.
        components: channels.
        precision: bits of a value.
        start: place of the coded pixels among the bytes.
        exif: the Exif segment of a JPEG, empty if there is none.
    """

    kind: str
    width: int
    height: int
    components: int
    precision: int
    start: int
    exif: bytes = b""


def describe_frame(data: bytes) -> Frame:
    """Return what a codestream, or the JPEG 2000 file around one, says of its picture.

    Raises StreamRefused if it is of a kind that is not read; ValueError, IndexError or struct.error if it is damaged.
    """
    if data[:2] == b"\xff\xd8":
        return _describe_jpeg(data)
    start = data.find(_JPEG_2000)
    if start < 0:
        raise ValueError("This is neither JPEG, JPEG-LS nor JPEG 2000.")
    right, lower, left, upper = struct.unpack_from(">4I", data, start + 8)
    (components,) = struct.unpack_from(">H", data, start + 40)
    precision = (data[start + 42] & 0x7F) + 1
    return Frame("JPEG 2000", right - left, lower - upper, components, precision, start)


def _describe_jpeg(data: bytes) -> Frame:
    place, frame, exif = 2, None, b""
    while True:
        if data[place] != 0xFF:
            raise ValueError("A marker is missing.")
        marker = data[place + 1]
        if marker == 0xFF or marker in _WITHOUT_LENGTH:  # a fill byte before the marker, or a marker that stands alone
            place += 1 if marker == 0xFF else 2
            continue
        (length,) = struct.unpack_from(">H", data, place + 2)
        if marker == _EXIF and data[place + 4 : place + 10] == b"Exif\0\0":
            exif = data[place + 4 : place + 2 + length]
        elif marker == _START_OF_SCAN and frame:
            return Frame(*frame, place, exif)
        elif kind := _kind(marker):
            precision, height, width, components = struct.unpack_from(">BHHB", data, place + 4)
            frame = (kind, width, height, components, precision)
            if marker in _PROGRESSIVE and data.count(b"\xff\xda") > MAX_SCANS:
                raise StreamRefused(f"is a progressive JPEG of more than {MAX_SCANS} scans; save the picture as PNG.")
        place += 2 + length


def _kind(marker: int) -> str | None:
    """Return the kind of picture that a marker announces, None if it announces no picture."""
    if marker in _HIERARCHICAL:
        raise StreamRefused("is a hierarchical JPEG, which is not read; save the picture as PNG.")
    if marker in _LOSSY + _PROGRESSIVE:
        return "JPEG"
    if marker in _LOSSLESS:
        return "lossless JPEG"
    return "JPEG-LS" if marker in _JPEG_LS else None


def decode_frame(data: bytes, frame: Frame) -> np.ndarray:
    """Return a codestream's pixels, whole numbers (H, W) or (H, W, C), as many bits wide as they need.

    imagecodecs decodes a JPEG that is cut in its pixels without an error; so the end is looked for first.
    Raises ValueError or RuntimeError if the codestream is cut or damaged.
    """
    import imagecodecs  # here, since most pictures need none

    if data.find(_END, frame.start) < 0:
        raise ValueError("The codestream has no end.")
    # High-throughput JPEG 2000, too: OpenJPH gives a picture of a codestream that is cut, OpenJPEG refuses it.
    decoders = {"JPEG 2000": imagecodecs.jpeg2k_decode, "JPEG-LS": imagecodecs.jpegls_decode}
    pixels = np.asarray(decoders.get(frame.kind, imagecodecs.jpeg8_decode)(data))
    if pixels.shape[:2] != (frame.height, frame.width):
        raise ValueError("The codestream holds a picture of another size than it says.")
    return pixels
