"""Pictures that a frontal chest X-ray is made wrong into, and some that were never one, to learn to refuse them."""

from collections.abc import Callable

import numpy as np
import torch
from scipy import ndimage
from torch.nn import functional as F

SIDE = 256
"""Side of every picture that is made, in pixels."""

Picture = np.ndarray
"""float32 (SIDE, SIDE) in 0..1."""


def resized(image: np.ndarray, height: int = SIDE, width: int = SIDE) -> np.ndarray:
    """Resize a picture, float32 (H, W), without aliasing."""
    given = torch.from_numpy(np.ascontiguousarray(image, np.float32))[None, None]
    return F.interpolate(given, (height, width), mode="bilinear", antialias=True, align_corners=False)[0, 0].numpy()


def softened(image: Picture, rng: np.random.Generator) -> Picture:
    """Take the fine detail away, as storing at 64 to 200 pixels does; else resolution would tell sources apart."""
    side = int(rng.integers(64, 200))
    return resized(resized(image, side, side))


def part(image: Picture, rng: np.random.Generator) -> Picture:
    """Enlarge a square of 35 to 60 % of the side from anywhere."""
    side = int(SIDE * rng.uniform(0.35, 0.6))
    top, left = rng.integers(0, SIDE - side, 2)
    return resized(image[top : top + side, left : left + side])


def half(image: Picture, rng: np.random.Generator) -> Picture:
    """Keep the left or the right half, widened or in front of black."""
    width = int(rng.integers(110, 140))
    kept = image[:, :width] if rng.random() < 0.5 else image[:, -width:]
    if rng.random() < 0.5:
        return resized(kept)
    alone, left = np.zeros_like(image), int(rng.integers(0, SIDE - width))
    alone[:, left : left + width] = kept
    return alone


def squeezed(image: Picture, rng: np.random.Generator) -> Picture:
    """Squeeze to 40 to 60 % of the width, in front of black or of the border's grey."""
    width = int(SIDE * rng.uniform(0.4, 0.6))
    narrow = np.full_like(image, np.median(image[:, :4]) if rng.random() < 0.5 else 0)
    left = (SIDE - width) // 2
    narrow[:, left : left + width] = resized(image, SIDE, width)
    return narrow


def warped(image: Picture, rng: np.random.Generator) -> Picture:
    """Bend by smooth random shifts of some 30 pixels."""
    shifts = [ndimage.gaussian_filter(rng.normal(size=image.shape), 24) for _ in range(2)]
    grid = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    strength = rng.uniform(25, 45)
    places = [at + strength * shift / shift.std() for at, shift in zip(grid, shifts, strict=True)]
    return ndimage.map_coordinates(image, places, order=1, mode="reflect").astype(np.float32)


def shuffled(image: Picture, rng: np.random.Generator) -> Picture:
    """Cut into 2 x 2 or 4 x 4 tiles and put them together in another order."""
    count = int(rng.choice([2, 4]))
    side = SIDE // count
    order = np.roll(rng.permutation(count * count), 1)
    tiles = image.reshape(count, side, count, side).swapaxes(1, 2).reshape(-1, side, side)
    if (order == np.arange(len(order))).all():
        order = order[::-1]
    return tiles[order].reshape(count, count, side, side).swapaxes(1, 2).reshape(SIDE, SIDE)


def texture(image: Picture, rng: np.random.Generator) -> Picture:
    """Draw noise of any grain, with the X-ray's own greys."""
    noise = ndimage.gaussian_filter(rng.normal(size=image.shape), rng.choice([0, 1, 3, 8, 20]))
    drawn = np.empty(image.size, np.float32)
    drawn[noise.ravel().argsort()] = np.sort(image.ravel())
    return drawn.reshape(image.shape)


def gradient(image: Picture, rng: np.random.Generator) -> Picture:
    """Draw a ramp of greys in any direction, or rings around any point."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] / SIDE
    angle, centre = rng.uniform(0, 2 * np.pi), rng.uniform(0, 1, 2)
    ramp = x * np.cos(angle) + y * np.sin(angle) if rng.random() < 0.5 else np.hypot(y - centre[0], x - centre[1])
    return ((ramp - ramp.min()) / np.ptp(ramp)).astype(np.float32)


WRONG: dict[str, Callable[[Picture, np.random.Generator], Picture]] = {
    "turned by 90": lambda image, rng: np.rot90(image, 1),
    "turned by 180": lambda image, rng: np.rot90(image, 2),
    "turned by 270": lambda image, rng: np.rot90(image, 3),
    "negative": lambda image, rng: 1 - image,
    "negative, turned": lambda image, rng: np.rot90(1 - image, rng.integers(1, 4)),
    "part": part,
    "half": half,
    "squeezed": squeezed,
    "warped": warped,
    "shuffled": shuffled,
    "texture": texture,
    "gradient": gradient,
}
"""Kind -> how a picture of it is made."""
