"""Masks as annotation tools write them, in two greys, a palette, one colour or opacity, read as they were drawn."""

import io

import numpy as np
from PIL import Image

FEW_GREYS = 16
"""A picture of more greys than these has soft edges, as JPEG and resizing make them."""
EDGE_SHARE = 0.25
"""Greys so near to the darkest or the brightest one, as a share of the range, are taken for it."""
MAX_SOFT_SHARE = 0.1
"""Share of a mask's pixels that soft edges may take."""
MAX_COLOUR_SPREAD = 0.5
"""The most that a channel may differ between two pixels of one colour, as a share of the brightest channel."""


def source(image: dict) -> str | bytes:
    """Return the bytes, or else the path, of an image that was not decoded, as `read_image` takes them."""
    return image["bytes"] if image["bytes"] is not None else image["path"]


def read_mask(mask: dict | Image.Image) -> np.ndarray:
    """Read a mask, decoded or not, as bool (H, W): True inside.

    Inside is the brighter of its two greys, the one colour on black, or what is opaque where only the opacity differs.

    Raises:
        ValueError: it is not a mask of one region: it has several labels, colours or many greys.
        OSError, SyntaxError: Pillow cannot read it.
    """
    if isinstance(mask, dict):
        data = source(mask)
        mask = Image.open(io.BytesIO(data) if isinstance(data, bytes) else data)
    if mask.mode == "1":
        return np.asarray(mask)
    if mask.mode in ("P", "PA", "LA", "La", "RGB", "RGBA", "RGBa", "CMYK", "YCbCr"):
        return _of_colours(np.asarray(mask.convert("RGBA")).astype(np.float32))
    return _inside(np.asarray(mask))


def _of_colours(pixels: np.ndarray) -> np.ndarray:
    """Read a mask of colours and opacity, float32 (H, W, 4) in 0..255."""
    colours, opacity = pixels[..., :3], pixels[..., 3]
    visible = opacity > 127
    shown = colours[visible]
    if not visible.all() and shown.size and np.ptp(shown, axis=0).max() <= 255 * MAX_COLOUR_SPREAD < shown.max():
        return visible
    brightness = np.where(visible, colours.max(axis=2), 0)
    inside = _inside(brightness)
    if inside.any():
        shades = colours[inside] / np.maximum(brightness[inside][:, None], 1)
        if np.ptp(shades, axis=0).max() > MAX_COLOUR_SPREAD:
            raise ValueError("it has several colours; give each region a mask of its own, white on black.")
    return inside


def _inside(greys: np.ndarray) -> np.ndarray:
    """Return where greys (H, W) are the brighter of two; a picture of one grey is all outside if that is 0."""
    values = np.unique(greys)
    low, high = float(values[0]), float(values[-1])
    if low == high:
        if high not in (0, 1, 255, 65535):
            raise ValueError(f"it is one grey, {high:g}; draw it with 0 outside and 255 inside.")
        return np.full(greys.shape, high > 0)
    middle = (greys > low + EDGE_SHARE * (high - low)) & (greys < high - EDGE_SHARE * (high - low))
    if middle.any() and (len(values) <= FEW_GREYS or middle.mean() > MAX_SOFT_SHARE):
        raise ValueError(
            f"it has {len(values)} greys from {low:g} to {high:g}, so it is not a mask of one region; give each region "
            "a mask of its own, white on black."
        )
    return greys > (low + high) / 2
