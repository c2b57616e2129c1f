"""The same X-ray a little otherwise: an infected share is only as exact as it stays the same on such views."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from hub_models.xray.geometry import SIDE, to_square
from hub_models.xray.masks import Involvement, Masks, measure_involvement

TURN_DEGREES, GAMMA = 3.0, 1.2
"""How far a patient may lean, and how much darker or lighter a film may be, with nothing in the lungs changed."""

VIEWS = 2
"""Number of `harmless_views`."""


def harmless_views(image: np.ndarray) -> list[np.ndarray]:
    """Change an X-ray, float32 (H, W) in 0..1, in ways that leave the shares of its lungs as they are.

    Returns:
        `VIEWS` pictures, float32 (SIDE, SIDE) in 0..1: turned one way and darker, turned the other way and lighter.
    """
    square = to_square(image)
    changes = ((TURN_DEGREES, GAMMA), (-TURN_DEGREES, 1 / GAMMA))
    return [_turned(square, turn) ** np.float32(gamma) for turn, gamma in changes]


def _turned(square: np.ndarray, degrees: float) -> np.ndarray:
    """Turn a square, float32 (SIDE, SIDE), around its middle, bilinear; the border goes on beyond it.

    The same numbers as `scipy.ndimage.rotate` of order 1 with mode "nearest", sooner.
    """
    margin = int(np.ceil(SIDE / 2 * np.sin(np.radians(abs(degrees))))) + 1
    wide = Image.fromarray(np.pad(square, margin, mode="edge"))
    turned = np.asarray(wide.rotate(degrees, Image.Resampling.BILINEAR))
    return turned[margin:-margin, margin:-margin]


def shares_with_ranges(outlined: Sequence[Masks], count: int) -> list[Involvement]:
    """Measure the infected shares of X-rays.

    Args:
        outlined: masks of `count` X-rays, then those of the `harmless_views` of each.
        count: the number of X-rays.

    Returns:
        For each X-ray its shares, with their ranges over its views.
    """
    shares = [measure_involvement(masks.lungs, masks.infection) for masks in outlined]
    views = [shares[start : start + VIEWS] for start in range(count, len(shares), VIEWS)]
    return [share.with_views(seen) for share, seen in zip(shares, views, strict=False)]
