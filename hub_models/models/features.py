"""What the classifiers see of some X-rays: each view is made once, and each network run once, however many ask."""

from collections.abc import Hashable, Sequence
from typing import Protocol

import numpy as np
import torch
from transformers import BaseImageProcessor

from hub_models.models.views import NoLungs, View, apply_view


class Eye(Protocol):
    """A network that sees a view of an X-ray: a ResNet's, or a CLIP's image tower."""

    view: View
    pixel_processor: BaseImageProcessor

    def pixel_values(self, images: list[np.ndarray]) -> torch.Tensor:
        """Its input, float32 (N, 3, S, S), of views float32 (H, W) in 0..1."""

    def embed(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Its vectors, float32 (N, D)."""


class Looks:
    """Some X-rays with their lungs, through any number of eyes.

    Attributes:
        images: N X-rays, float32 (H, W) in 0..1 each.
        lungs: their outlines, bool (H, W) each.
    """

    def __init__(self, images: Sequence[np.ndarray], lungs: Sequence[np.ndarray | None]) -> None:
        self.images, self.lungs = images, lungs
        self._views: dict[View, dict[int, np.ndarray | NoLungs]] = {}
        self._pixels: dict[Hashable, torch.Tensor] = {}
        self._vectors: dict[int, dict[int, torch.Tensor]] = {}

    def vectors(self, eye: Eye) -> dict[int, torch.Tensor]:
        """Position of an X-ray -> its vector, float32 (D,); of those that the eye's view can be made of."""
        if id(eye) not in self._vectors:
            seen = [position for position, view in self._of(eye.view).items() if not isinstance(view, NoLungs)]
            found = eye.embed(self._pixel_values(eye, seen)) if seen else []
            self._vectors[id(eye)] = dict(zip(seen, found, strict=True))
        return self._vectors[id(eye)]

    def refusal(self, eye: Eye, position: int) -> NoLungs | None:
        """Why the eye's view cannot be made of an X-ray; None if it can."""
        view = self._of(eye.view)[position]
        return view if isinstance(view, NoLungs) else None

    def _of(self, view: View) -> dict[int, np.ndarray | NoLungs]:
        if view not in self._views:
            self._views[view] = {position: self._view(position, view) for position in range(len(self.images))}
        return self._views[view]

    def _view(self, position: int, view: View) -> np.ndarray | NoLungs:
        try:
            return apply_view(self.images[position], self.lungs[position], view)
        except NoLungs as refusal:
            return refusal

    def _pixel_values(self, eye: Eye, seen: list[int]) -> torch.Tensor:
        key = eye.view, type(eye), eye.pixel_processor.to_json_string()
        if key not in self._pixels:
            self._pixels[key] = eye.pixel_values([self._views[eye.view][position] for position in seen])
        return self._pixels[key]
