"""Pillow pictures and NumPy arrays of any kind -> upright greys, or one plain sentence that says why not."""

import struct
import zlib

import numpy as np
from PIL import Image, ImageOps
from PIL.ExifTags import Base

MAX_MEGAPIXELS = 50
MIN_SIDE = 32

# Raised by Pillow's readers on cut or damaged files.
DAMAGE = (
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
DAMAGE_TEXT = "is truncated or damaged and cannot be decoded; copy or export it again."
_LUMA = np.array([299, 587, 114], dtype=np.float32) / 1000  # ITU-R 601-2, the weights of Pillow's mode "L"


class ImageRefused(ValueError):
    """The picture cannot be used; the message is one sentence for the person who gave it."""


def grey_of_picture(picture: Image.Image, name: str) -> np.ndarray:
    """Return a Pillow picture's upright greys: uint8, uint16, int32 or finite float32 (H, W).

    `name` begins the sentence of a refusal. Raises ImageRefused.
    """
    check_size(*picture.size, name)  # before anything is decoded
    try:
        # A phone's MPO is a photograph with a preview or depth map behind it: its first frame is the picture.
        if picture.format != "MPO" and getattr(picture, "is_animated", False):
            raise ImageRefused(f"{name} holds several frames; save the one to look at as PNG.")
        picture.load()
        upright = ImageOps.exif_transpose(picture) if picture.getexif().get(Base.Orientation, 1) != 1 else picture
    except ImageRefused:
        raise
    except DAMAGE as error:
        raise ImageRefused(f"{name} {DAMAGE_TEXT}") from error
    if upright.mode == "F" or upright.mode.startswith("I"):
        return finite(np.asarray(upright))
    if upright.has_transparency_data:
        rgba = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", rgba.size, "black"), rgba)
    try:
        return np.asarray(upright.convert("L"))
    except ValueError:
        raise ImageRefused(f"{name} has colour mode {upright.mode}; save it as greyscale or RGB.") from None


def grey_of_array(array: np.ndarray) -> np.ndarray:
    """Return an array's greys, (H, W): uint8, another whole-number type, or finite float32. Raises ImageRefused."""
    if array.dtype.kind not in "buif":
        raise ImageRefused(f"The array holds {array.dtype}; give bool, whole numbers or floats.")
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if array.ndim != 2 and not (array.ndim == 3 and array.shape[2] in (3, 4)):
        raise ImageRefused(
            f"The array has shape {array.shape}; give (height, width), or (height, width, channels) with 1, 3 or 4 "
            "channels."
        )
    check_size(array.shape[1], array.shape[0], "The array")
    if array.dtype == bool:
        array = array * np.uint8(255)
    if array.dtype == np.uint8:
        return grey_of_picture(Image.fromarray(np.ascontiguousarray(array)), "The array")
    if array.ndim == 3 and array.shape[2] == 4:
        _check_opacity(array[:, :, 3])
    return grey_of_channels(array, 65535 if array.dtype == np.uint16 else 1)


def grey_of_channels(pixels: np.ndarray, opaque: float) -> np.ndarray:
    """Return the greys of a picture over black: whole numbers or finite float32 (H, W).

    Args:
        pixels: real (H, W), or (H, W, C) with C of 1 (grey), 2 (grey, opacity), 3 (RGB) or 4 (RGB, opacity).
        opaque: the opacity that hides what lies behind.
    """
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return finite(pixels.reshape(pixels.shape[:2]))
    colours = (pixels.shape[2] - 1) // 2 * 2 + 1
    grey = pixels[:, :, 0].astype(np.float32) if colours == 1 else pixels[:, :, :3].astype(np.float32) @ _LUMA
    grey = finite(grey)
    return grey if pixels.shape[2] == 3 else grey * (pixels[:, :, -1].astype(np.float32) / np.float32(opaque))


def _check_opacity(channel: np.ndarray) -> None:
    """Refuse a channel that is neither uint16 nor in 0..1."""
    highest = 65535 if channel.dtype == np.uint16 else 1
    if not (channel.min() >= 0 and channel.max() <= highest):
        raise ImageRefused(
            f"The array's fourth channel is no opacity ({channel.dtype}, {channel.min()} to {channel.max()}); "
            "leave it out, or give uint8, uint16 or floats from 0 to 1."
        )


def finite(grey: np.ndarray) -> np.ndarray:
    """Return floats as finite float32, and whole numbers as they are. Raises ImageRefused."""
    if grey.dtype.kind != "f":
        return grey
    with np.errstate(over="ignore"):
        grey = grey.astype(np.float32)
    if not np.isfinite(grey).all():
        raise ImageRefused("The image has pixels that are NaN or infinite; replace them by numbers.")
    return grey


def check_size(width: int, height: int, name: str) -> None:
    """Raise ImageRefused for a picture that is too small to hold an X-ray or too large to be read."""
    if min(width, height) < MIN_SIDE:
        raise ImageRefused(
            f"{name} is {width} x {height} pixels; an X-ray needs at least {MIN_SIDE} pixels on each side."
        )
    if width * height > MAX_MEGAPIXELS * 1e6:
        raise ImageRefused(
            f"{name} is {width} x {height} pixels; at most {MAX_MEGAPIXELS} megapixels are read, so make it smaller."
        )
