"""Thresholds of the masks, chosen on the validation split: the least probability of a pixel that belongs to one."""

import datasets
import numpy as np
from tqdm.auto import tqdm

from hub_models.models.labels import HEALTHY
from hub_models.models.unet import Segmenter
from hub_models.xray.geometry import mask_to_shape
from hub_models.xray.masks import MASKS
from train.data.rows import MASK_COLUMNS, has_known_mask, positions, read_mask, read_picture
from train.scoring.mask_metrics import MARKED_SHARE, overlaps, pixel_counts

CANDIDATES = (0.01, 0.015, 0.02, 0.03, *(round(0.05 * step, 2) for step in range(1, 20)))
"""Thresholds to choose from. A network that learned from many images without infection is unsure of a faint one, so
that the best threshold of infection may be far below 0.5."""
MAX_MARKED_IMAGES = 1 / 15
"""Share of the healthy validation images on which the chosen threshold may mark over `MARKED_SHARE` of the lungs."""


def choose_thresholds(
    segmenter: Segmenter, rows: datasets.Dataset, allowed: float = MAX_MARKED_IMAGES
) -> dict[str, float]:
    """Choose for each of `MASKS` the candidate with the best mean Dice over the images whose drawn mask is not blank.

    For infection, only the candidates take part that mark few enough of the healthy images; if there is none, those
    that mark the fewest. A mask that nobody drew on these rows keeps the segmenter's threshold.

    Args:
        segmenter: the segmenter; its own thresholds are not changed.
        rows: the validation split.
        allowed: share of the healthy images that may be marked, 0..1; 1 chooses by Dice alone.
    """
    rows = rows.select(positions(rows, has_known_mask))
    healthy = rows.features["label"].names.index(HEALTHY) if HEALTHY in rows.features["label"].names else None
    dice: dict[str, list[list[float]]] = {name: [] for name in MASKS}
    marked = []
    for row in tqdm(rows, desc="Choosing thresholds"):
        (maps,) = segmenter.probability_maps([read_picture(row["image"])])
        answers = [segmenter.masks(maps, dict.fromkeys(MASKS, candidate)) for candidate in CANDIDATES]
        for name, column in MASK_COLUMNS.items():
            truth = None if row[column] is None else mask_to_shape(read_mask(row[column]), maps.shape[1:])
            if truth is not None and truth.any():
                dice[name].append([overlaps(pixel_counts(getattr(masks, name), truth))[1] for masks in answers])
        if row["label"] == healthy:
            marked.append([masks.infection.sum() > MARKED_SHARE * masks.lungs.sum() for masks in answers])
    chosen = dict(segmenter.thresholds)
    for name in MASKS:
        if not dice[name]:
            continue
        scores = np.mean(dice[name], axis=0)
        if name == "infection" and marked:
            rate = np.mean(marked, axis=0)
            scores = np.where(rate <= max(allowed, rate.min()), scores, -1)
        chosen[name] = CANDIDATES[int(scores.argmax())]
    return chosen
