"""Random changes that hide how an X-ray was stored: its resolution, its file format, its greys, its borders.

Every hospital stores X-rays in its own way, so that a network which sees it can name the hospital, and with that the
class that the data have from there. The changes leave everything where it is, so that masks and boxes stay true.
"""

import math
from io import BytesIO
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F
from torchvision.transforms.v2.functional import gaussian_blur

LEAST_DETAIL = 0.28
"""The least share of an image's side to which it is reduced before it is enlarged again: 72 of 256 pixels."""
GAMMA = 1.8
"""The greatest power to which greys are raised; the least is its reciprocal."""
BLACK, WHITE = 0.12, 0.2
"""The greatest shares of the range of greys that a window cuts off below and above."""
EQUALISED = 0.7
"""The greatest share of the equalised image in the mix with the image itself."""
JPEG_QUALITIES = (40, 96)
NOISE = 0.04
"""The greatest standard deviation of noise, as a share of the range of greys."""
BORDER = 0.06
"""The greatest width of a border, as a share of the image's side."""


class StorageChanges:
    """Resolution, blur, window, gamma, equalisation, noise, JPEG, borders and markers, each with a probability.

    Args:
        strength: factor of all probabilities, 0..1; 0 changes nothing.
    """

    PROBABILITIES: ClassVar[dict[str, float]] = {
        "equalise": 0.15,
        "window": 0.5,
        "gamma": 0.6,
        "rescale": 0.7,
        "blur": 0.2,
        "noise": 0.3,
        "mark": 0.2,
        "border": 0.15,
        "jpeg": 0.4,
    }
    """Name of a change -> its probability, in the order in which the changes are made."""

    def __init__(self, strength: float = 1.0) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"The strength is {strength}; it takes 0 to 1.")
        self.strength = strength

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Change an image, float32 (1, H, W) in 0..1; returns one of the same shape, dtype and range."""
        for name, probability in self.PROBABILITIES.items():
            if torch.rand(()) < self.strength * probability:
                image = getattr(self, f"_{name}")(image).clamp(0, 1)
        return image

    def _rescale(self, image: torch.Tensor) -> torch.Tensor:
        size = image.shape[1:]
        share = _between(LEAST_DETAIL, 1.0)
        small = [max(8, round(share * side)) for side in size]
        reduced = F.interpolate(image[None], small, mode=_filter(), antialias=True, align_corners=False)
        return F.interpolate(reduced, size, mode=_filter(), align_corners=False)[0]

    def _blur(self, image: torch.Tensor) -> torch.Tensor:
        return gaussian_blur(image, [7, 7], [_between(0.3, 1.2)])

    def _window(self, image: torch.Tensor) -> torch.Tensor:
        black, white = _between(0, BLACK), 1 - _between(0, WHITE)
        return (image - black) / (white - black)

    def _gamma(self, image: torch.Tensor) -> torch.Tensor:
        return image ** math.exp(_between(-1, 1) * math.log(GAMMA))

    def _equalise(self, image: torch.Tensor) -> torch.Tensor:
        share = _between(0, EQUALISED)
        levels = (255 * image).to(torch.uint8)
        counts = torch.bincount(levels.flatten().long(), minlength=256).float()
        ranks = counts.cumsum(0) / counts.sum()
        return (1 - share) * image + share * ranks[levels.long()]

    def _noise(self, image: torch.Tensor) -> torch.Tensor:
        return image + _between(0, NOISE) * torch.randn_like(image)

    def _jpeg(self, image: torch.Tensor) -> torch.Tensor:
        stream = BytesIO()
        quality = int(torch.randint(*JPEG_QUALITIES, ()))
        Image.fromarray((255 * image[0]).round().to(torch.uint8).numpy()).save(stream, "JPEG", quality=quality)
        return torch.from_numpy(np.array(Image.open(stream))).float()[None] / 255

    def _border(self, image: torch.Tensor) -> torch.Tensor:
        """Paint one to four sides black or white."""
        height, width = image.shape[1:]
        grey, framed = float(torch.rand(()) < 0.2), image.clone()
        rows, columns = (max(1, round(_between(0, BORDER) * side)) for side in (height, width))
        for side in torch.randperm(4)[: int(torch.randint(1, 5, ()))].tolist():
            edge = [(slice(rows), slice(None)), (slice(-rows, None), slice(None))]
            edge += [(slice(None), slice(columns)), (slice(None), slice(-columns, None))]
            framed[0][edge[side]] = grey
        return framed

    def _mark(self, image: torch.Tensor) -> torch.Tensor:
        """Write a bright sign of a few strokes, like a side marker, into an upper corner."""
        height, width = image.shape[1:]
        size = max(4, round(_between(0.04, 0.1) * height))
        stroke = max(1, size // 5)
        sign = torch.zeros(size, size)
        sign[:, :stroke] = 1
        if torch.rand(()) < 0.5:
            sign[-stroke:] = 1  # an L
        else:
            sign[:stroke], sign[size // 2 : size // 2 + stroke], sign[:, -stroke:] = 1, 1, 1  # much like an R
        top = round(_between(0.02, 0.15) * height)
        left = round(_between(0.02, 0.12) * width)
        left = width - left - size if torch.rand(()) < 0.5 else left
        marked = image.clone()
        place = marked[0, top : top + size, left : left + size]
        place.copy_(torch.maximum(place, _between(0.7, 1.0) * sign[: place.shape[0], : place.shape[1]]))
        return marked


def _between(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def _filter() -> str:
    return "bicubic" if torch.rand(()) < 0.5 else "bilinear"
