"""Pictures as network input: resized, cut and normalised as a saved image processor says, without transformers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

CROPPING = ("CLIP", "ChineseCLIP", "AltCLIP")
"""Processors that keep the middle of a picture unless they are told not to."""

KNOWN = (*CROPPING, "ViT", "DeiT", "Siglip", "Bit", "ConvNext")
"""Processors that are read here, by the first part of their names."""


@dataclass(frozen=True)
class Preprocessing:
    """The steps that an image processor takes with greyscale pictures in 0..1; equal ones give equal pixels.

    Attributes:
        size: height and width to stretch to, or the length of the shorter edge; None for no change.
        resample: PIL's number of the filter: 2 is bilinear, 3 bicubic.
        crop: height and width of the middle that is kept; None for all.
        mean: subtracted from each channel.
        std: then divides each channel.
    """

    size: tuple[int, int] | int | None
    resample: int
    crop: tuple[int, int] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> "Preprocessing":
        """Read the settings of an image processor, as `preprocessor_config.json` holds them.

        Raises:
            ValueError: if it is of a kind that is not `KNOWN`, or its settings are incomplete.
        """
        name = settings.get("image_processor_type") or settings.get("feature_extractor_type") or "none"
        kind = name
        for ending in ("Fast", "Pil", "ImageProcessor", "FeatureExtractor"):
            kind = kind.removesuffix(ending)
        if kind not in KNOWN:
            raise ValueError(f"The image processor is {name}; those of {', '.join(KNOWN)} are known here.")
        try:
            size = _size(settings["size"], square=kind not in CROPPING) if settings.get("do_resize", True) else None
            crop = None
            if settings.get("do_center_crop", kind in CROPPING):
                crop = _size(settings["crop_size"], square=True)
            if kind == "ConvNext" and isinstance(size, int):
                size, crop = _of_convnext(size, settings["crop_pct"])
            channels = settings["image_mean"], settings["image_std"]
            if not settings.get("do_normalize", True):
                channels = [0.0], [1.0]
            mean, std = (tuple(map(float, values)) for values in channels)
            return cls(size, int(settings["resample"]), crop, mean, std)
        except (KeyError, TypeError) as error:
            raise ValueError(f"The settings of the image processor are incomplete: {error} is missing.") from error

    def __call__(self, pictures: Sequence[np.ndarray], channels: int) -> np.ndarray:
        """Make network input.

        Args:
            pictures: N of them, float32 (H, W) in 0..1, of any sizes.
            channels: number of channels, which start from the same grey.

        Returns:
            float32 (N, channels, h, w).
        """
        grey = np.stack([self._middle(self._resized(picture)) for picture in pictures])[:, None]
        mean, std = (np.broadcast_to(np.float32(values), channels)[:, None, None] for values in (self.mean, self.std))
        return (grey - mean) / std

    def _resized(self, picture: np.ndarray) -> np.ndarray:
        height, width = picture.shape
        if isinstance(self.size, int):
            shorter = min(height, width)
            wanted = (self.size * height // shorter, self.size * width // shorter)
        else:
            wanted = self.size or (height, width)
        picture = np.ascontiguousarray(picture, np.float32)
        if wanted == (height, width):
            return picture
        return np.asarray(Image.fromarray(picture).resize(wanted[::-1], Image.Resampling(self.resample)))

    def _middle(self, picture: np.ndarray) -> np.ndarray:
        if self.crop is None:
            return picture
        top, left = ((length - kept) // 2 for length, kept in zip(picture.shape, self.crop, strict=True))
        if top < 0 or left < 0:
            raise ValueError(f"A picture of {picture.shape} pixels has no middle of {self.crop}.")
        return picture[top : top + self.crop[0], left : left + self.crop[1]]


def _size(value: Mapping[str, int] | int, square: bool) -> tuple[int, int] | int:
    """Read a size: a mapping, or one number, which is the side of a square or the length of the shorter edge."""
    if isinstance(value, int):
        return (value, value) if square else value
    if value.get("shortest_edge"):
        return int(value["shortest_edge"])
    return int(value["height"]), int(value["width"])


def _of_convnext(size: int, share: float) -> tuple[tuple[int, int] | int, tuple[int, int] | None]:
    """Size and crop of ConvNext's processor: below 384 pixels it keeps the middle of a picture that is larger."""
    square = (size, size)
    return (square, None) if size >= 384 else (int(size / share), square)
