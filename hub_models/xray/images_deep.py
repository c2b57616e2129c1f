"""Pictures that Pillow fails to read or cuts to 8 bits: deep PNG, TIFF and JPEG, lossless JPEG, JPEG-LS, JPEG 2000."""

from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.ExifTags import Base
from PIL.TiffImagePlugin import ImageFileDirectory_v2

from hub_models.xray.images_grey import DAMAGE, DAMAGE_TEXT, ImageRefused, check_size, grey_of_channels
from hub_models.xray.images_streams import Frame, StreamRefused, decode_frame, describe_frame

_DAMAGE = (*DAMAGE, RuntimeError)  # of which all errors of imagecodecs are kinds
_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES = 256, 257, 258, 262, 277  # tags of a TIFF
_ORIENTATION, _PLANAR, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 274, 284, 338, 339
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB = range(3)
_PLANE_BY_PLANE = 2
_OPACITY = 2  # an extra sample that the colours are not yet multiplied by
_CMYK = 12  # colour space of a JPEG 2000 file; imagecodecs turns the others into greys or RGB
_TURNED = {  # Exif orientation -> which axes are exchanged, then reversed
    2: (False, 1, -1),
    3: (False, -1, -1),
    4: (False, -1, 1),
    5: (True, 1, 1),
    6: (True, 1, -1),
    7: (True, -1, -1),
    8: (True, -1, 1),
}


def deep_grey(stream: BinaryIO, kind: str | None, name: str) -> np.ndarray | None:
    """Return the upright greys of a picture with more than 8 bits a channel, or None if it is one for Pillow.

    Args:
        stream: the file, at its beginning, where it is left if the answer is None.
        kind: name of its format, as in `formats`.
        name: begins the sentence of a refusal.

    Returns:
        Whole numbers or finite float32 (H, W).

    Raises:
        ImageRefused: if it is too small, too large, damaged or of a kind that is not read.
    """
    readers = {
        "PNG": _deep_png,
        "TIFF": _deep_tiff,
        "JPEG": _deep_jpeg,
        "JPEG-LS": _read_codestream,
        "JPEG 2000": _read_codestream,
    }
    reader = readers.get(kind)
    try:
        grey = reader(stream, name) if reader else None
    except ImageRefused:
        raise
    except StreamRefused as refusal:
        raise ImageRefused(f"{name} {refusal}") from None
    except _DAMAGE as error:
        raise ImageRefused(f"{name} {DAMAGE_TEXT}") from error
    stream.seek(0)
    return grey


def _deep_png(stream: BinaryIO, name: str) -> np.ndarray | None:
    """Read a PNG of 16 bits with colours or opacity; plain greys are Pillow's."""
    beginning = stream.read(25)
    stream.seek(0)
    if beginning[12:16] != b"IHDR" or beginning[24:] != b"\x10":
        return None
    with Image.open(stream, formats=("PNG",)) as picture:
        check_size(*picture.size, name)
        if getattr(picture, "is_animated", False) or (picture.mode == "I;16" and "transparency" not in picture.info):
            stream.seek(0)
            return None
        orientation = picture.getexif().get(Base.Orientation, 1)
        stream.seek(0)
        data = stream.read()
    import imagecodecs  # here, since most pictures need none

    return _upright(grey_of_channels(imagecodecs.png_decode(data), 65535), orientation)


def _deep_tiff(stream: BinaryIO, name: str) -> np.ndarray | None:
    """Read a TIFF of 16 bits or more, of signed bytes, or whose zero is white beside an opacity."""
    tags = _tiff_tags(stream)
    bits, formats = {*tags.get(_BITS, (1,))}, {*tags.get(_SAMPLE_FORMAT, (1,))}
    white_beside_opacity = tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO and tags.get(_SAMPLES, 1) > 1
    is_deep = bits != {8} or formats != {1} or white_beside_opacity
    is_read = len(bits) == len(formats) == 1 and bits <= {8, 16, 32, 64} and formats <= {1, 2, 3}
    stream.seek(0)
    if tags.get(_PHOTOMETRIC) not in (_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB) or not (is_deep and is_read):
        return None
    check_size(tags[_WIDTH], tags[_HEIGHT], name)
    if tags.next:
        raise ImageRefused(f"{name} holds several frames; save the one to look at as PNG.")
    import imagecodecs  # here, since most pictures need none

    pixels = imagecodecs.tiff_decode(stream.read())
    if tags.get(_PLANAR) == _PLANE_BY_PLANE and pixels.ndim == 3:
        pixels = np.moveaxis(pixels, 0, -1)
    return _upright(_grey_of_tiff(pixels, tags), tags.get(_ORIENTATION, 1))


def _tiff_tags(stream: BinaryIO) -> ImageFileDirectory_v2:
    """Return the first directory of a TIFF or BigTIFF, whose `next` is the place of a second one or 0."""
    header = stream.read(8)
    tags = ImageFileDirectory_v2(header + stream.read(8) if header[2:3] == b"+" or header[3:4] == b"+" else header)
    stream.seek(tags.next)
    tags.load(stream)
    return tags


def _grey_of_tiff(pixels: np.ndarray, tags: ImageFileDirectory_v2) -> np.ndarray:
    colours = 3 if tags[_PHOTOMETRIC] == _RGB else 1
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    highest = np.iinfo(pixels.dtype).max if pixels.dtype.kind in "ui" else 1
    if tags[_PHOTOMETRIC] == _WHITE_IS_ZERO:
        pixels = pixels.copy()
        pixels[:, :, 0] = 1 - pixels[:, :, 0] if highest == 1 else ~pixels[:, :, 0]
    has_opacity = tags.get(_EXTRA_SAMPLES, (0,))[0] == _OPACITY and pixels.shape[2] > colours
    return grey_of_channels(pixels[:, :, : colours + has_opacity], highest)


def _deep_jpeg(stream: BinaryIO, name: str) -> np.ndarray | None:
    """Read a JPEG of 12 bits, or a lossless one; the others are Pillow's, and so is what is damaged."""
    data = stream.read()
    try:
        frame = describe_frame(data)
    except StreamRefused:
        raise
    except DAMAGE:
        return None
    return None if frame.kind == "JPEG" and frame.precision == 8 else _grey_of_stream(data, frame, name)


def _read_codestream(stream: BinaryIO, name: str) -> np.ndarray:
    data = stream.read()
    return _grey_of_stream(data, describe_frame(data), name)


def _grey_of_stream(data: bytes, frame: Frame, name: str) -> np.ndarray:
    check_size(frame.width, frame.height, name)  # before anything is decoded
    colour_space = _colour_space(data[: frame.start])
    allowed = (1, 2, 3, 4) if frame.kind == "JPEG 2000" else (1, 3)
    if frame.components not in allowed or colour_space == _CMYK:
        raise StreamRefused(f"is a {frame.kind} file with {frame.components} channels; save it as greyscale or RGB.")
    pixels = decode_frame(data, frame)
    exif = Image.Exif()
    if frame.exif:
        exif.load(frame.exif)
    return _upright(grey_of_channels(pixels, (1 << frame.precision) - 1), exif.get(Base.Orientation, 1))


def _colour_space(header: bytes) -> int | None:
    """Return the enumerated colour space of a JPEG 2000 file's boxes, None where they name none."""
    place = header.find(b"colr\1")
    return int.from_bytes(header[place + 7 : place + 11], "big") if place >= 0 else None


def _upright(grey: np.ndarray, orientation: int) -> np.ndarray:
    exchanged, down, across = _TURNED.get(orientation, (False, 1, 1))
    return (grey.T if exchanged else grey)[::down, ::across]
