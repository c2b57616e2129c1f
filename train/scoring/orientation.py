"""How often a picture that lies wrong, is inverted or mirrored is recognised, and how often one is that is not."""

import datasets
import numpy as np

from hub_models.models.orientation import CORRECTIONS, best_correction, correct, suggest
from hub_models.models.plausibility import Plausibility
from hub_models.models.unet import Segmenter
from train.scoring.unet_features import features_of, opened


def measure_orientation(
    segmenter: Segmenter, rows: datasets.Dataset, features: np.ndarray, turned: int, seed: int
) -> dict:
    """Measure on test images how often a picture that lies wrong is recognised, and how often one is that does not.

    Args:
        segmenter: with its fitted `plausibility`.
        rows: the test images.
        features: theirs, float32 (N, D).
        turned: how many of them, drawn at random, to turn and invert.
        seed: of the draw.
    """
    drawn = np.sort(np.random.default_rng(seed).permutation(len(rows))[:turned]).tolist()
    images = [correct(image, *change) for change in CORRECTIONS for image in opened(rows.select(drawn))]
    looked = features_of(segmenter, images, len(images), "Turned")
    table = np.reshape([segmenter.plausibility.strangeness(one) for one in looked], (len(CORRECTIONS), -1))
    suggestions = {}
    for number, (turn, invert) in enumerate(CORRECTIONS[1:], start=1):
        tried = np.concatenate([table[[number]], np.delete(table, number, axis=0)])  # the picture as it is comes first
        found = [best_correction(column) for column in tried.T]
        suggestions[f"{'negative, ' if invert else ''}turned by {turn}"] = found.count(1) / len(
            drawn
        )  # then the upright one
    strange = [position for position, one in enumerate(features) if not segmenter.plausibility.accepts(one)]
    alarms = sum(suggest(segmenter, image) is not None for image in opened(rows.select(strange)))
    return {"images": len(drawn), "recognised": suggestions, "false_alarms": alarms / len(rows)}


def measure_mirrored(found: Plausibility, upright: np.ndarray, mirrored: np.ndarray) -> dict[str, float]:
    """Measure how often X-rays and their mirror images, features float32 (N, D) each, are said to be mirrored."""
    shares = [np.mean([found.mirrored(one) >= 1 for one in found.whiten(side)]) for side in (mirrored, upright)]
    return {"recognised": float(shares[0]), "false_alarms": float(shares[1]), "images": len(mirrored)}
