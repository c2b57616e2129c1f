"""Any picture a visitor or a data set may hold -> one greyscale array, or one plain sentence that says why not."""

import re
import struct
import zlib
from io import BytesIO
from math import isqrt
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps
from PIL.ExifTags import Base
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION

from hub_models.xray.dicom import DicomRefused, grey_of_dicom, open_dicom

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
FORMATS_TEXT = "PNG, JPEG, WebP, TIFF, BMP, GIF or DICOM"
MAX_MEGAPIXELS = 50
MIN_SIDE = 32
PERCENTILES = (0.5, 99.5)
SAMPLED_PIXELS = 1 << 16
MIN_LEVELS = 4  # whole-number pictures whose greys span less hold only rounding noise

_KNOWN_BEGINNINGS = re.compile(
    rb"\x89PNG|\xff\xd8\xff|RIFF.{4}WEBP|II\*\0|MM\0\*|II\+\0|MM\0\+|BM.{4}\0{4}|GIF8",
    re.DOTALL,
)
# What Pillow's readers are seen to raise on cut or damaged files.
_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    LookupError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
)
_DAMAGE_TEXT = "is truncated or damaged and cannot be decoded; copy or export it again."
_LUMA = np.array([299, 587, 114], dtype=np.float32) / 1000  # ITU-R 601-2, the weights of Pillow's mode "L"


class ImageRefused(ValueError):
    """The picture cannot be used; the message is one sentence for the person who gave it."""


def read_image(source: str | Path | bytes | Image.Image | np.ndarray) -> np.ndarray:
    """Return the picture as float32 (H, W) in 0..1, upright, greyscale and contrast-normalised.

    `source` is the path or the bytes of a PNG, JPEG, WebP, TIFF, BMP, GIF or DICOM file, a PIL image, or an array
    (H, W) or (H, W, 1 | 3 | 4) of bool, whole numbers or floats on any scale. EXIF rotation is applied, colour becomes
    grey as in Pillow's mode "L", transparent parts become black, 16-bit and float greys keep their precision, a DICOM
    file's window and MONOCHROME1 are applied, and the result goes through `stretch_contrast`. Raises ImageRefused.
    """
    if isinstance(source, np.ndarray):
        return stretch_contrast(_grey_of_array(source))
    if isinstance(source, Image.Image):
        return stretch_contrast(_grey_of_picture(source, "The image"))
    if isinstance(source, bytes):
        return _read_stream(BytesIO(source), "The image")
    if isinstance(source, str | Path):
        with _open_file(Path(source)) as stream:
            return _read_stream(stream, f'"{_printable(Path(source).name)}"')
    raise ImageRefused(
        f"An X-ray is given as a file path, bytes, a PIL image or a NumPy array; this is a {type(source).__name__}."
    )


def stretch_contrast(image: np.ndarray) -> np.ndarray:
    """Map the 0.5 and 99.5 percentiles to 0 and 1 and clip: real (H, W), any range -> float32 (H, W) in 0..1.

    The percentiles of a picture of 262,144 pixels or more come from an even grid of at least 65,536 of them.
    Raises ImageRefused if the picture has no contrast.
    """
    step = max(1, isqrt(image.size // SAMPLED_PIXELS))
    low, high = (float(value) for value in np.percentile(image[::step, ::step], PERCENTILES))
    if np.issubdtype(image.dtype, np.integer):
        too_flat = high - low < MIN_LEVELS
    else:
        too_flat = high - low <= 1e-6 * max(abs(low), abs(high))
    if too_flat:
        raise ImageRefused("The image is blank: it has no contrast to look at; give a chest X-ray.")
    stretched = np.subtract(image, low, dtype=np.float32)
    stretched /= np.float32(high - low)
    return np.clip(stretched, 0.0, 1.0, out=stretched)


def _open_file(path: Path) -> BinaryIO:
    name = _printable(str(path))
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise ImageRefused(f"The file {name} was not found; check its name and folder.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ImageRefused(f"The file {name} cannot be opened ({reason}); give a readable image file.") from error


def _printable(name: str) -> str:
    """Return a file's name on one line: its last 80 characters, "?" for those that no screen shows as they are."""
    shown = "".join(character if character.isprintable() else "?" for character in name)
    return shown if len(shown) <= 80 else f"…{shown[-79:]}"


def _read_stream(stream: BinaryIO, name: str) -> np.ndarray:
    beginning = stream.read(132)
    stream.seek(0)
    if not beginning:
        raise ImageRefused(f"{name} is empty (0 bytes); copy or export it again.")
    if beginning[128:] == b"DICM":
        return _read_dicom(stream, name)
    try:
        picture = Image.open(stream, formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageRefused(
            f"{name} has far more than {MAX_MEGAPIXELS} megapixels, the most that is read; make it smaller."
        ) from None
    except _DAMAGE as error:
        if _KNOWN_BEGINNINGS.match(beginning):
            raise ImageRefused(f"{name} {_DAMAGE_TEXT}") from error
        raise ImageRefused(f"{name} is not an image that can be read; give a {FORMATS_TEXT} file.") from error
    with picture:
        return stretch_contrast(_grey_of_picture(picture, name))


def _read_dicom(stream: BinaryIO, name: str) -> np.ndarray:
    try:
        dataset = open_dicom(stream)
        _check_size(dataset.Columns, dataset.Rows, name)  # before anything is decoded
        return stretch_contrast(_finite(grey_of_dicom(dataset)))
    except DicomRefused as refusal:
        raise ImageRefused(f"{name} {refusal}") from None


def _grey_of_picture(picture: Image.Image, name: str) -> np.ndarray:
    """Return the upright picture's greys: uint8, uint16, int32 or finite float32 (H, W)."""
    _check_size(*picture.size, name)  # before anything is decoded
    try:
        # A phone's MPO is a photograph with a preview or depth map behind it: its first frame is the picture.
        if picture.format != "MPO" and getattr(picture, "is_animated", False):
            raise ImageRefused(f"{name} holds several frames; save the one to look at as PNG.")
        picture.load()
        upright = ImageOps.exif_transpose(picture) if picture.getexif().get(Base.Orientation, 1) != 1 else picture
    except ImageRefused:
        raise
    except _DAMAGE as error:
        raise ImageRefused(f"{name} {_DAMAGE_TEXT}") from error
    if upright.mode == "F" or upright.mode.startswith("I"):
        grey = _finite(np.asarray(upright))
        # Pillow turns a TIFF whose zero means white the right way round only at 8 bits.
        white_is_zero = picture.format == "TIFF" and picture.tag_v2.get(PHOTOMETRIC_INTERPRETATION) == 0
        return -grey.astype(np.float32) if white_is_zero else grey
    if upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", rgba.size, "black"), rgba)
    try:
        return np.asarray(upright.convert("L"))
    except ValueError:
        raise ImageRefused(f"{name} has colour mode {upright.mode}; save it as greyscale or RGB.") from None


def _grey_of_array(array: np.ndarray) -> np.ndarray:
    """Return the array's greys, (H, W): uint8, another whole-number type, or finite float32."""
    if array.dtype.kind not in "buif":
        raise ImageRefused(f"The array holds {array.dtype}; give bool, whole numbers or floats.")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        raise ImageRefused(
            f"The array has shape {array.shape}; give (height, width), or (height, width, channels) with 1, 3 or 4 "
            "channels."
        )
    _check_size(array.shape[1], array.shape[0], "The array")
    if array.dtype == bool:
        array = array * np.uint8(255)
    if array.dtype == np.uint8:
        return _grey_of_picture(Image.fromarray(np.ascontiguousarray(array)), "The array")
    if array.ndim == 2:
        return _finite(array)
    grey = _finite(array[:, :, :3].astype(np.float32) @ _LUMA)
    return grey if array.shape[2] == 3 else grey * _alpha(array[:, :, 3])


def _alpha(channel: np.ndarray) -> np.ndarray:
    """Return the opacity in 0..1, float32 (H, W), of a uint16 channel or a float channel in 0..1."""
    alpha = channel.astype(np.float32) / (65535 if channel.dtype == np.uint16 else 1)
    if not (alpha.min() >= 0 and alpha.max() <= 1):
        raise ImageRefused(
            f"The array's fourth channel is no opacity ({channel.dtype}, {channel.min()} to {channel.max()}); "
            "leave it out, or give uint8, uint16 or floats from 0 to 1."
        )
    return alpha


def _finite(grey: np.ndarray) -> np.ndarray:
    if grey.dtype.kind != "f":
        return grey
    with np.errstate(over="ignore"):
        grey = grey.astype(np.float32)
    if not np.isfinite(grey).all():
        raise ImageRefused("The image has pixels that are NaN or infinite; replace them by numbers.")
    return grey


def _check_size(width: int, height: int, name: str) -> None:
    if min(width, height) < MIN_SIDE:
        raise ImageRefused(
            f"{name} is {width} x {height} pixels; an X-ray needs at least {MIN_SIDE} pixels on each side."
        )
    if width * height > MAX_MEGAPIXELS * 1e6:
        raise ImageRefused(
            f"{name} is {width} x {height} pixels; at most {MAX_MEGAPIXELS} megapixels are read, so make it smaller."
        )
