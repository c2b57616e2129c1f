"""An X-ray as a picture with its lungs and its infected region tinted and outlined."""

import numpy as np
from PIL import Image
from scipy.ndimage import binary_erosion

from hub_models.unet import Masks

COLOURS = {"lungs": "#56B4E9", "infection": "#E69F00"}  # Okabe and Ito: told apart by colour-blind eyes too
OPACITY = {"lungs": 0.12, "infection": 0.4}
OVERLAY_SIDE = 1280  # pixels; a larger picture is shown at a half, a third, ... of its size, to arrive quickly


def draw_overlay(image: np.ndarray, masks: Masks) -> np.ndarray:
    """Draw both masks over an X-ray, tinted and outlined in their `COLOURS`.

    Args:
        image: float32 (H, W) in 0..1.
        masks: bool (H, W) each.

    Returns:
        uint8 (h, w, 3): (H, W) or, if that is more than `OVERLAY_SIDE` pixels wide or high, a whole fraction of it.
    """
    step = -(-max(image.shape) // OVERLAY_SIDE)
    grey = Image.fromarray((255 * image).astype(np.uint8)).reduce(step)
    picture = np.repeat(np.asarray(grey, np.float32)[..., None], 3, axis=2)
    lungs, infection = masks.lungs[::step, ::step], masks.infection[::step, ::step]
    line = max(1, round(max(lungs.shape) / 400))
    for name, mask, tinted in (("lungs", lungs, lungs & ~infection), ("infection", infection, infection)):
        colour = np.array(bytearray.fromhex(COLOURS[name][1:]), np.float32)
        picture[tinted] += OPACITY[name] * (colour - picture[tinted])
        picture[mask & ~binary_erosion(mask, iterations=line)] = colour
    return picture.round().astype(np.uint8)
