"""Random changes of the lungs' outline, such as a UNet makes when the same X-ray is stored otherwise."""

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional as F

BLUR = 2.5
"""Standard deviation of the blur by which an outline becomes a slope, in pixels; at the outline 1 / 6 a pixel."""

SHIFT = 0.25
"""How far the whole outline moves in or out at most, on that slope: 1.5 pixels."""

WAVE = 0.2
"""Standard deviation of what moves its parts, each some `CELL` pixels long, on that slope: 1.2 pixels."""

CELL = 24  # pixels

MOST = 4
"""How far any part of it moves at most, in pixels."""


def outlined_otherwise(lungs: np.ndarray) -> np.ndarray:
    """Move the outline of lungs, bool (H, W), in and out at random by a pixel or two.

    Returns:
        bool (H, W); the same lungs where small ones would vanish.
    """
    height, width = lungs.shape
    cells = torch.randn(1, 1, height // CELL + 2, width // CELL + 2)
    wave = F.interpolate(cells, (height, width), mode="bicubic", align_corners=True)[0, 0].numpy()
    shift = SHIFT * (2 * float(torch.rand(())) - 1)
    moved = ndimage.gaussian_filter(lungs.astype(np.float32), BLUR) + WAVE * wave + shift > 0.5
    near = ndimage.binary_dilation(lungs, iterations=MOST), ndimage.binary_erosion(lungs, iterations=MOST)
    moved = (moved & near[0]) | near[1]  # no specks and no holes where the wave is highest
    return moved if moved.any() else lungs
