"""The same X-ray a little otherwise: an infected share is only as exact as it stays the same on such views."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from hub_models.xray.geometry import to_square
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
    turned = ((ndimage.rotate(square, turn, reshape=False, order=1, mode="nearest"), gamma) for turn, gamma in changes)
    return [np.float32(view**gamma) for view, gamma in turned]


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
