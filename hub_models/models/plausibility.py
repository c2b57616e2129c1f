"""Whether a picture looks like the X-rays that a UNet learned from, judged from what the UNet computes anyway."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from hub_models.models.anatomy import FORM, lung_form

FILE = "plausibility.safetensors"
"""Beside a UNet's weights: `mean` (D,), `whitening` (D, D), `threshold` (1,) and, of each of `SCALES`, NAME (D,) and
NAME_range (2,); all float32."""

SCALES = ("wrong", "mirrored")

MAP_FEATURES = 6 + FORM
"""Length of `mask_features`."""


@dataclass(frozen=True)
class Scale:
    """A direction in the space of whitened features along which pictures are told apart.

    Attributes:
        weights: float32 (D,).
        usual: the median of weights @ whitened features on frontal chest X-rays.
        limit: the value from which a picture is told apart; above `usual`.
    """

    weights: np.ndarray
    usual: float
    limit: float

    def __call__(self, whitened: np.ndarray) -> float:
        """Place whitened features, float32 (D,): 0 up to the usual X-ray, 1 at the limit."""
        return max(0.0, (float(self.weights @ whitened) - self.usual) / (self.limit - self.usual))


@dataclass(frozen=True)
class Plausibility:
    """The distribution of a UNet's features on frontal chest X-rays, and what leads away from it.

    The distance of a picture is Mahalanobis' (Lee et al., NeurIPS 2018): the length of its whitened feature vector,
    over the root of the vector's size, so that an X-ray like the others has about 1.

    Attributes:
        mean: float32 (D,).
        whitening: float32 (D, D), which makes differences to the mean uncorrelated and of unit variance.
        threshold: the distance from which a picture counts as no such X-ray.
        wrong: tells frontal X-rays from pictures that were made wrong, or that show something else; None if not fitted.
        mirrored: tells X-rays from their mirror images; None if not fitted.
    """

    mean: np.ndarray
    whitening: np.ndarray
    threshold: float
    wrong: Scale | None = None
    mirrored: Scale | None = None

    @classmethod
    def load(cls, folder: str | Path) -> "Plausibility | None":
        """Read a UNet's folder; None if it holds no such file.

        Raises:
            ValueError: if the file is damaged or of another kind.
        """
        path = Path(folder, FILE)
        if not path.is_file():
            return None
        try:
            tensors = load_file(path)
            mean, whitening = tensors["mean"], tensors["whitening"]
            scales = [_scale(tensors, name) for name in SCALES]
            lengths = [len(scale.weights) for scale in scales if scale]
            if whitening.shape != (len(mean), len(mean)) or any(length != len(mean) for length in lengths):
                raise ValueError("its tensors do not fit one another")
            if not all(np.isfinite(tensor).all() for tensor in tensors.values()):
                raise ValueError("it holds values that are not finite")
            return cls(mean, whitening, tensors["threshold"].item(), *scales)
        except (SafetensorError, KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path} does not hold the features of this UNet's X-rays: {error}.") from error

    def save(self, folder: str | Path) -> None:
        """Write it into a UNet's folder."""
        arrays = {"mean": self.mean, "whitening": self.whitening, "threshold": np.array([self.threshold])}
        for name in SCALES:
            if scale := getattr(self, name):
                arrays |= {name: scale.weights, f"{name}_range": np.array([scale.usual, scale.limit])}
        save_file({name: np.ascontiguousarray(array, np.float32) for name, array in arrays.items()}, Path(folder, FILE))

    def whiten(self, features: np.ndarray) -> np.ndarray:
        """Whiten features, float32 (D,) or (N, D), to the same shape."""
        return (features - self.mean) @ self.whitening.T

    def distance(self, features: np.ndarray) -> float:
        """Distance of one picture's features, float32 (D,)."""
        return float(np.linalg.norm(self.whiten(features)) / np.sqrt(len(features)))

    def strangeness(self, features: np.ndarray) -> float:
        """Measure how strange a picture with these features, float32 (D,), is: refused from 1 up.

        It is the larger of the distance over its threshold and the place on the scale `wrong`.
        """
        whitened = self.whiten(features)
        far = float(np.linalg.norm(whitened) / np.sqrt(len(features))) / self.threshold
        return far if self.wrong is None else max(far, self.wrong(whitened))

    def accepts(self, features: np.ndarray) -> bool:
        """Whether a picture's features, float32 (D,), are those of a frontal chest X-ray."""
        return self.strangeness(features) < 1


def _scale(tensors: dict[str, np.ndarray], name: str) -> Scale | None:
    """Take a scale from a file's tensors; None if it holds none of this name."""
    if name not in tensors:
        return None
    usual, limit = tensors[f"{name}_range"].tolist()
    if not usual < limit:
        raise ValueError(f"the range of {name} is empty")
    return Scale(tensors[name], usual, limit)


def mask_features(maps: np.ndarray) -> np.ndarray:
    """Describe a UNet's answer, float32 (MAP_FEATURES,).

    First of each mask its area, how unsure its pixels are, and its border; then `lung_form`.

    Args:
        maps: float32 (2, S, S), probabilities of lungs and infection.
    """
    areas = maps.mean(axis=(1, 2))
    unsure = (maps * (1 - maps)).mean(axis=(1, 2))
    borders = sum(np.abs(np.diff(maps, axis=axis)).mean(axis=(1, 2)) for axis in (1, 2))
    return np.concatenate([areas, unsure, borders, lung_form(maps[0])]).astype(np.float32)
