"""The test whether a picture looks like the X-rays that a UNet learned from, by the UNet's own features."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

FILE = "plausibility.safetensors"
"""Beside a UNet's weights: `mean` (D,), `whitening` (D, D) and `threshold` (1,), all float32."""


@dataclass(frozen=True)
class Plausibility:
    """The distribution of a UNet's features on frontal chest X-rays.

    The distance of a picture is the Mahalanobis distance (Lee et al., NeurIPS 2018), divided by the root of the number
    of features: a typical X-ray has a distance of about 1.

    Attributes:
        mean: float32 (D,).
        whitening: float32 (D, D); it makes differences from the mean uncorrelated and of unit variance.
        threshold: the distance from which a picture does not count as such an X-ray.
    """

    mean: np.ndarray
    whitening: np.ndarray
    threshold: float

    @classmethod
    def load(cls, folder: str | Path) -> "Plausibility | None":
        """Read the distribution in a UNet's folder; None if there is none.

        Raises:
            ValueError: if the file is damaged or of another kind.
        """
        path = Path(folder, FILE)
        if not path.is_file():
            return None
        try:
            tensors = load_file(path)
            return cls(tensors["mean"], tensors["whitening"], tensors["threshold"].item())
        except (SafetensorError, KeyError, ValueError) as error:
            raise ValueError(f"{path} does not hold the features of this UNet's X-rays: {error}.") from error

    def save(self, folder: str | Path) -> None:
        """Write it into a UNet's folder."""
        arrays = {"mean": self.mean, "whitening": self.whitening, "threshold": np.array([self.threshold])}
        save_file({name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}, Path(folder, FILE))

    def distance(self, features: np.ndarray) -> float:
        """Distance of one picture's features, float32 (D,)."""
        return float(np.linalg.norm(self.whitening @ (features - self.mean)) / np.sqrt(len(features)))

    def accepts(self, features: np.ndarray) -> bool:
        """Check whether a picture's features, float32 (D,), are nearer than the threshold."""
        return self.distance(features) < self.threshold


def mask_features(maps: np.ndarray) -> np.ndarray:
    """Area, mean uncertainty and length of border of each mask of a UNet's answer, float32 (6,).

    Args:
        maps: float32 (2, S, S), probabilities of lungs and infection.
    """
    areas = maps.mean(axis=(1, 2))
    unsure = (maps * (1 - maps)).mean(axis=(1, 2))
    borders = sum(np.abs(np.diff(maps, axis=axis)).mean(axis=(1, 2)) for axis in (1, 2))
    return np.concatenate([areas, unsure, borders]).astype(np.float32)
