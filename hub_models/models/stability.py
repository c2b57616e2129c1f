"""The same X-ray a little otherwise: an infected share is only as exact as it stays the same on such views."""

import numpy as np
from scipy import ndimage

from hub_models.xray.geometry import to_square

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
