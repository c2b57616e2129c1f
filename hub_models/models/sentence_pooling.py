"""The similarity of an image to a class that several sentences describe, of which the nearer ones may count more.

With r for the sharpness, n sentences, and c for the image's cosine similarity to each, it is log(mean(exp(r c))) / r:
nearly the mean of c for a small r, nearly their greatest for a large one (as Pinheiro and Collobert, CVPR 2015, pool
over places). So a class that is of several kinds, such as pneumonia, is met where one of its kinds is.
"""

import numpy as np
from scipy.special import softmax


def pool(cosines: np.ndarray, sharpness: float) -> np.ndarray:
    """Return the similarity, float64 (...), to a class whose n sentences have some cosines, float32 (..., n)."""
    nearest = np.float64(cosines.max(axis=-1))
    return nearest + np.log(np.exp(sharpness * (cosines - nearest[..., None])).mean(axis=-1)) / sharpness


def vector_near(image: np.ndarray, sentences: np.ndarray, sharpness: float) -> np.ndarray:
    """Find the vector that stands for a class beside one image.

    Args:
        image: unit vector, float32 (D,).
        sentences: unit vectors, float32 (n, D).
        sharpness: over 0, per unit of cosine.

    Returns:
        float32 (D,): its product with the image is what `pool` gives, and it is the gradient of that, too, through an
        image's vector that stays of unit length (along the image's own direction there is none then).
    """
    cosines = sentences @ image
    pull = softmax(sharpness * cosines) @ sentences
    return np.float32(pull + (pool(cosines, sharpness) - pull @ image) * image)
