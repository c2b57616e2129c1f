"""An X-ray as a picture with its lungs and its infected region tinted and outlined."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image
from scipy.ndimage import binary_erosion

from hub_models.xray.masks import MASKS, Masks

COLOURS = {"lungs": "#56B4E9", "infection": "#E69F00"}  # Okabe and Ito: told apart by colour-blind eyes too
FAINTER = {"lungs": 0.3, "infection": 1.0}  # how opaque a tint is beside the others; lungs cover most of the picture
SHOWN_SIDE = 1280  # pixels; a larger picture is shown at a half, a third, ... of its size, to arrive quickly
OPACITY = 0.4

Style = Literal["fill", "contour"]


@dataclass(frozen=True)
class Sketch:
    """What an overlay is drawn from, small enough to keep: `grey` uint8 (h, w), and masks of its size."""

    grey: np.ndarray
    masks: Masks


def sketch(image: np.ndarray, masks: Masks) -> Sketch:
    """Bring an X-ray, float32 (H, W) in 0..1, and its masks to at most `SHOWN_SIDE` pixels, a whole fraction."""
    step = -(-max(image.shape) // SHOWN_SIDE)
    grey = Image.fromarray((255 * image).astype(np.uint8)).reduce(step)
    return Sketch(np.asarray(grey), Masks(masks.lungs[::step, ::step], masks.infection[::step, ::step]))


def draw_overlay(
    drawn: Sketch, shown: Collection[str] = MASKS, style: Style = "fill", opacity: float = OPACITY
) -> np.ndarray:
    """Draw masks over an X-ray in their `COLOURS`.

    Args:
        drawn: the X-ray and its masks.
        shown: which of `MASKS` are drawn.
        style: "fill" tints a mask under its outline; "contour" draws the outline only.
        opacity: 0..1, of the tint, or of the outline where there is no tint.

    Returns:
        uint8 (h, w, 3).
    """
    found = {name: getattr(drawn.masks, name) for name in MASKS if name in shown}
    line = max(1, round(max(drawn.grey.shape) / 400))
    strokes: list[tuple[np.ndarray, str, float]] = []  # where, in which colour and how opaque, one over the other
    for name, mask in found.items():
        if style == "fill":
            covered = found.get("infection") if name == "lungs" else None
            tinted = mask if covered is None else mask & ~covered
            strokes.append((tinted, COLOURS[name], opacity * FAINTER[name]))
        outline = mask & ~binary_erosion(mask, iterations=line)
        strokes.append((outline, COLOURS[name], 1.0 if style == "fill" else opacity))
    return _painted(drawn.grey, strokes)


def encode_png(picture: np.ndarray) -> bytes:
    """A picture, uint8 (h, w, 3) or (h, w), as a PNG file: about a tenth larger than need be, and many times sooner.

    Every row is told as its difference from the one above; most encoders try five ways for each, which takes longer
    than all the rest.
    """
    import imagecodecs  # here, since a page that opens needs none

    return imagecodecs.png_encode(picture, level=1, filter=imagecodecs.PNG.FILTER.UP)


def _painted(grey: np.ndarray, strokes: Sequence[tuple[np.ndarray, str, float]]) -> np.ndarray:
    """A picture, uint8 (h, w), with strokes over it, uint8 (h, w, 3).

    A pixel's colour depends on its grey and on which strokes cover it: all that there can be are mixed, then looked up.
    """
    covering = np.zeros(grey.shape, np.intp)
    mixed = np.repeat(np.arange(256, dtype=np.float32)[None, :, None], 3, axis=2)  # (strokes that cover, greys, RGB)
    for position, (where, colour, opaque) in enumerate(strokes):
        covering |= where.astype(np.intp) << position
        pigment = np.array(bytearray.fromhex(colour[1:]), np.float32)
        mixed = np.concatenate([mixed, mixed + opaque * (pigment - mixed)])
    covering <<= 8
    covering |= grey
    return np.take(mixed.round().astype(np.uint8).reshape(-1, 3), covering, axis=0)
