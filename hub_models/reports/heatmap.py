"""The heat of an explanation as a picture."""

import numpy as np
from PIL import Image

INFERNO = "000004 1b0c41 4a0c6b 781c6d a52c60 cf4446 ed6925 fb9b06 f7d13d fcffa4"
"""Ten steps of matplotlib's colour map, each lighter than the last, so that colour-blind readers can use it."""

OPACITY = 0.6


def draw_heat(image: np.ndarray, heat: np.ndarray, opacity: float = OPACITY) -> np.ndarray:
    """Lay heat over an X-ray, in the colours of `INFERNO`.

    Args:
        image: float32 (H, W) in 0..1.
        heat: float32 (h, w) in 0..1, over the whole X-ray.
        opacity: 0..1, where the heat is 1; it falls with the heat, and where the heat is 0 the X-ray is unchanged.

    Returns:
        uint8 (H, W, 3).
    """
    heat = np.asarray(Image.fromarray(heat).resize(image.shape[::-1], Image.Resampling.BILINEAR))
    grey = np.repeat((255 * image)[..., None], 3, axis=2)
    steps = np.frombuffer(bytes.fromhex(INFERNO), np.uint8).reshape(-1, 3)
    places = np.linspace(0, 1, len(steps))
    colours = np.stack([np.interp(heat, places, channel) for channel in steps.T], axis=2)
    return (grey + opacity * heat[..., None] * (colours - grey)).round().astype(np.uint8)
