"""An X-ray as a picture with its lungs and its infected region tinted and outlined."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image

from hub_models.xray.masks import MASKS, Masks

COLOURS = {"lungs": "#56B4E9", "infection": "#E69F00"}  # Okabe and Ito: colour-blind readers can distinguish them
TINT_STRENGTHS = {"lungs": 0.3, "infection": 1.0}  # factors on the opacity; lungs cover most of the picture
SHOWN_SIDE = 1280  # pixels; a larger picture is reduced to a half, a third, ..., to arrive quickly
OPACITY = 0.4

Style = Literal["fill", "contour"]


@dataclass(frozen=True)
class Sketch:
    """A small copy of an X-ray to draw an overlay from: `grey`, uint8 (h, w), and masks of its size."""

    grey: np.ndarray
    masks: Masks


def reduced(image: np.ndarray) -> np.ndarray:
    """Reduce an X-ray, float32 (H, W) in 0..1, by a whole factor to uint8 (h, w), sides of at most `SHOWN_SIDE`."""
    step = -(-max(image.shape) // SHOWN_SIDE)
    return np.asarray(Image.fromarray((255 * image).astype(np.uint8)).reduce(step))


def sketch(image: np.ndarray, masks: Masks) -> Sketch:
    """Make a small copy of an X-ray, float32 (H, W) in 0..1, and draw masks of any size at its size."""
    grey = reduced(image)
    return Sketch(grey, masks.at(grey.shape))


def draw_overlay(
    drawn: Sketch, names: Collection[str] = MASKS, style: Style = "fill", opacity: float = OPACITY
) -> np.ndarray:
    """Draw masks over an X-ray in their `COLOURS`.

    Args:
        drawn: the small X-ray and its masks.
        names: those of `MASKS` to draw.
        style: "fill" tints a mask under its outline; "contour" draws the outline only.
        opacity: 0..1, of the tint; of the outline where the style has no tint.

    Returns:
        uint8 (h, w, 3).
    """
    masks = {name: getattr(drawn.masks, name) for name in MASKS if name in names}
    line = max(1, round(max(drawn.grey.shape) / 400))
    strokes: list[tuple[np.ndarray, str, float]] = []  # where, in which colour and how opaque, one over the other
    for name, mask in masks.items():
        if style == "fill":
            covered = masks.get("infection") if name == "lungs" else None
            tinted = mask if covered is None else mask & ~covered
            strokes.append((tinted, COLOURS[name], opacity * TINT_STRENGTHS[name]))
        outline = mask & ~_eroded(mask, line)
        strokes.append((outline, COLOURS[name], 1.0 if style == "fill" else opacity))
    return _painted(drawn.grey, strokes)


def _eroded(mask: np.ndarray, steps: int) -> np.ndarray:
    """Return the pixels of a mask, bool (h, w), that lie more than `steps` steps from its outside and the border."""
    inner = mask.copy()
    for _ in range(steps):
        before = inner.copy()
        inner[1:] &= before[:-1]
        inner[:-1] &= before[1:]
        inner[:, 1:] &= before[:, :-1]
        inner[:, :-1] &= before[:, 1:]
        inner[[0, -1]] = False
        inner[:, [0, -1]] = False
    return inner


def _painted(grey: np.ndarray, strokes: Sequence[tuple[np.ndarray, str, float]]) -> np.ndarray:
    """Paint strokes over a picture, uint8 (h, w); returns uint8 (h, w, 3).

    A pixel's colour depends on its grey and on the strokes that cover it. All possible colours are mixed once, and each
    pixel looks up its own.
    """
    covering = grey.astype(np.uint16)
    mixed = np.repeat(np.arange(256, dtype=np.float32)[None, :, None], 3, axis=2)  # (strokes that cover, greys, RGB)
    for position, (where, colour, opaque) in enumerate(strokes):
        covering |= where.view(np.uint8).astype(np.uint16) << np.uint16(8 + position)
        pigment = np.array(bytearray.fromhex(colour[1:]), np.float32)
        mixed = np.concatenate([mixed, mixed + opaque * (pigment - mixed)])
    colours = np.zeros((len(mixed) << 8, 4), np.uint8)  # four bytes are looked up as one number
    colours[:, :3] = mixed.round().reshape(-1, 3)
    found = np.take(colours.view(np.uint32)[:, 0], covering, mode="clip")
    return np.asarray(Image.frombuffer("RGBX", grey.shape[::-1], found, "raw", "RGBX", 0, 1).convert("RGB"))
