"""A picture that the Hub shows with a checkpoint: a drawn X-ray, and what is outlined on it. It shows no patient."""

import io

import numpy as np
from PIL import Image

from hub_models.xray.phantom import draw_phantom

LUNGS, OPACITIES = (64, 160, 255), (255, 120, 60)
TINT = 0.35
"""Share of the colour in a tinted pixel."""


def thumbnail() -> bytes:
    """Return a PNG file of 512 x 256 pixels: a phantom as it is, and beside it with its lungs and opacities tinted."""
    phantom = draw_phantom(seed=3, size=256, opacities=2)
    grey = np.repeat(phantom.image[..., None], 3, axis=2).astype(np.float32)
    tinted = grey.copy()
    for mask, colour in ((phantom.lungs, LUNGS), (phantom.infection, OPACITIES)):
        tinted[mask] = (1 - TINT) * tinted[mask] + TINT * np.array(colour, np.float32)
    buffer = io.BytesIO()
    Image.fromarray(np.concatenate([grey, tinted], axis=1).round().astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
