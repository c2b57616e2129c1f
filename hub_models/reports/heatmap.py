"""An explanation of a classifier's answer, and its heat as a picture."""

from dataclasses import dataclass

import numpy as np

INFERNO = "000004 1b0c41 4a0c6b 781c6d a52c60 cf4446 ed6925 fb9b06 f7d13d fcffa4"
"""Ten steps of matplotlib's colour map: even to the eye, and ever lighter, so that colour-blind eyes read it too."""

OPACITY = 0.6


@dataclass(frozen=True)
class Explanation:
    """What speaks for one class.

    Attributes:
        heat: float32 (H, W) in 0..1, of the X-ray's size; the hottest pixel is 1, or all are 0 where nothing speaks for
            the class. Outside the square that a view crops it is 0.
        label: the class.
        inside_lungs: share 0..1 of the heat that lies in the lungs; None where there is no heat. It may be below 1 for
            a view that blackens everything else: the lungs' outline and the black around them speak, too.
    """

    heat: np.ndarray
    label: str
    inside_lungs: float | None


def draw_heat(image: np.ndarray, heat: np.ndarray, opacity: float = OPACITY) -> np.ndarray:
    """Lay heat over an X-ray, in the colours of `INFERNO`.

    Args:
        image: float32 (H, W) in 0..1.
        heat: float32 (H, W) in 0..1.
        opacity: 0..1, where the heat is 1; it falls with the heat, so that a cold place is the X-ray itself.

    Returns:
        uint8 (H, W, 3).
    """
    grey = np.repeat((255 * image)[..., None], 3, axis=2)
    steps = np.frombuffer(bytes.fromhex(INFERNO), np.uint8).reshape(-1, 3)
    places = np.linspace(0, 1, len(steps))
    colours = np.stack([np.interp(heat, places, channel) for channel in steps.T], axis=2)
    return (grey + opacity * heat[..., None] * (colours - grey)).round().astype(np.uint8)
