"""The feature vectors of some X-rays, shared by classifiers: each view is made once, and each network is run once."""

from collections.abc import Hashable, Sequence
from itertools import chain
from typing import Protocol

import numpy as np

from hub_models.models.pixels import Preprocessing
from hub_models.models.views import NoLungs, View, look
from hub_models.xray.geometry import keep_detail, mask_to_square, to_square


class Encoder(Protocol):
    """A network that makes a vector of a view of an X-ray: a ResNet without its last layer, or a CLIP's image tower."""

    view: View
    detail: int | None
    widened_by: tuple[int, ...]
    preprocessing: Preprocessing

    def pixel_values(self, images: list[np.ndarray]) -> np.ndarray:
        """Network input, float32 (N, 3, S, S), of views float32 (H, W) in 0..1."""

    def embed(self, pixel_values: np.ndarray) -> np.ndarray:
        """Vectors, float32 (N, D), of network input."""


class SharedFeatures:
    """Some X-rays with their lungs, and the vectors that encoders have made of them so far.

    Attributes:
        images: N X-rays, float32 (SIDE, SIDE) in 0..1 each.
        lungs: their outlines, bool (SIDE, SIDE) each.
    """

    def __init__(self, images: Sequence[np.ndarray], lungs: Sequence[np.ndarray | None]) -> None:
        """Take N X-rays, float32 (H, W) in 0..1, and their lungs, bool, each of any size."""
        self.images = [to_square(image) for image in images]
        self.lungs = [None if outline is None else mask_to_square(outline) for outline in lungs]
        self._detailed: dict[int | None, list[np.ndarray]] = {}
        self._views: dict[tuple[View, int | None, int], dict[int, np.ndarray]] = {}
        self._refusals: dict[tuple[View, int | None], dict[int, str]] = {}
        self._pixels: dict[Hashable, np.ndarray] = {}
        self._vectors: dict[int, dict[int, np.ndarray]] = {}

    def vectors(self, encoder: Encoder) -> dict[int, np.ndarray]:
        """Position of an X-ray -> its vector, float32 (D,); those that `refusals` names are missing."""
        if id(encoder) not in self._vectors:
            views = self._views_of(encoder)
            vectors = self._means_of_looks(encoder, len(views)) if views else []
            self._vectors[id(encoder)] = dict(zip(views, vectors, strict=True))
        return self._vectors[id(encoder)]

    def _means_of_looks(self, encoder: Encoder, count: int) -> np.ndarray:
        """Vectors, float32 (count, D), of the X-rays that have views: the means over their looks."""
        vectors = encoder.embed(self._pixel_values(encoder))
        return vectors.reshape(count, len(encoder.widened_by), -1).mean(axis=1)

    def stacked(self, encoder: Encoder, positions: Sequence[int]) -> np.ndarray:
        """Vectors, float32 (N, D), of the X-rays at N positions, none of which `refusals` names."""
        vectors = self.vectors(encoder)
        return np.stack([vectors[position] for position in positions])

    def refusals(self, encoder: Encoder) -> dict[int, str]:
        """Position of an X-ray that the encoder's view cannot be made of -> the reason in one sentence."""
        self._views_of(encoder)
        return self._refusals[encoder.view, encoder.detail]

    def _views_of(self, encoder: Encoder) -> dict[int, list[np.ndarray]]:
        """Position of an X-ray -> the views of all looks."""
        looks = [self._look(encoder, pixels) for pixels in encoder.widened_by]
        return {position: [views[position] for views in looks] for position in looks[0]}

    def _look(self, encoder: Encoder, widened_by: int) -> dict[int, np.ndarray]:
        shown = encoder.view, encoder.detail, widened_by
        if shown not in self._views:
            views, refusals = self._views.setdefault(shown, {}), self._refusals.setdefault(shown[:2], {})
            squares = self._squares(encoder.detail)
            for position, (square, lungs) in enumerate(zip(squares, self.lungs, strict=True)):
                try:
                    views[position] = look(square, lungs, encoder.view, widened_by)
                except NoLungs as error:
                    refusals[position] = str(error)
        return self._views[shown]

    def _squares(self, detail: int | None) -> list[np.ndarray]:
        if detail not in self._detailed:
            self._detailed[detail] = [keep_detail(image, detail) for image in self.images]
        return self._detailed[detail]

    def _pixel_values(self, encoder: Encoder) -> np.ndarray:
        key = encoder.view, encoder.detail, encoder.widened_by, encoder.preprocessing
        if key not in self._pixels:
            self._pixels[key] = encoder.pixel_values(list(chain.from_iterable(self._views_of(encoder).values())))
        return self._pixels[key]
