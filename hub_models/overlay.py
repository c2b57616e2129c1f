"""An X-ray as a picture with its lungs and its infected region tinted and outlined."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image
from scipy.ndimage import binary_erosion

from hub_models.labels import MASKS
from hub_models.masks import Masks

COLOURS = {"lungs": "#56B4E9", "infection": "#E69F00"}  # Okabe and Ito: told apart by colour-blind eyes too
FAINTER = {"lungs": 0.3, "infection": 1.0}  # how opaque a tint is beside the others; lungs cover most of the picture
OVERLAY_SIDE = 1280  # pixels; a larger picture is shown at a half, a third, ... of its size, to arrive quickly
OPACITY = 0.4

Style = Literal["fill", "contour"]


@dataclass(frozen=True)
class Sketch:
    """What an overlay is drawn from, small enough to keep: `grey` uint8 (h, w), and masks of its size."""

    grey: np.ndarray
    masks: Masks


def sketch(image: np.ndarray, masks: Masks) -> Sketch:
    """Bring an X-ray, float32 (H, W) in 0..1, and its masks to at most `OVERLAY_SIDE` pixels, a whole fraction."""
    step = -(-max(image.shape) // OVERLAY_SIDE)
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
    picture = np.repeat(drawn.grey.astype(np.float32)[..., None], 3, axis=2)
    found = {name: getattr(drawn.masks, name) for name in MASKS if name in shown}
    line = max(1, round(max(picture.shape) / 400))
    for name, mask in found.items():
        colour = np.array(bytearray.fromhex(COLOURS[name][1:]), np.float32)
        outline = mask & ~binary_erosion(mask, iterations=line)
        if style == "fill":
            covered = found.get("infection") if name == "lungs" else None
            tinted = mask if covered is None else mask & ~covered
            picture[tinted] += opacity * FAINTER[name] * (colour - picture[tinted])
        picture[outline] += (1.0 if style == "fill" else opacity) * (colour - picture[outline])
    return picture.round().astype(np.uint8)
