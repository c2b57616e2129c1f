"""Scores of the outlines on each class and each source of the images, from a record of `train.scoring.predictions`."""

from functools import partial

import numpy as np
import pandas as pd

from hub_models.models.labels import HEALTHY
from hub_models.xray.masks import MASKS
from train.scoring.intervals import with_intervals
from train.scoring.mask_metrics import COUNTS, score_healthy, score_pixels

GROUP_COLUMNS = {"by_class": "label", "by_source": "source"}
"""Name of a grouping in the results -> column of the record that holds the group's name."""

NO_SOURCE = "not told"
"""The group of the images whose source is not known."""

LUNG_COUNTS = [f"lungs {count}" for count in COUNTS]


def group_scores(record: pd.DataFrame) -> dict[str, dict[str, dict]]:
    """Score the lungs and the healthy images of every class and source, each with intervals over its patients.

    Returns:
        Grouping -> group -> "lungs" (images whose drawn lungs are not blank, dice_mean_per_image and iou_pooled) and
        "healthy" (images of the class Normal, share_marked_over_1_percent). A score without images is left out, so is
        a group without scores, and so is a grouping that the record does not tell: one without a column `source`, or
        with no source in it, has no "by_source".
    """
    results = {}
    for grouping, column in GROUP_COLUMNS.items():
        if column not in record or (record[column] == "").all():
            continue
        groups = {name: _score_group(rows) for name, rows in record.groupby(record[column].replace("", NO_SOURCE))}
        if scored := {name: scores for name, scores in groups.items() if scores}:
            results[grouping] = scored
    return results


def _score_group(rows: pd.DataFrame) -> dict[str, dict]:
    counts = rows[LUNG_COUNTS].to_numpy(np.int64)
    drawn = counts[:, 0] + counts[:, 2] > 0  # neither blank nor, with counts of -1, missing
    healthy = rows[rows["label"] == HEALTHY]
    scores = {}
    if drawn.any():
        scores["lungs"] = with_intervals(partial(_score_lungs, counts[drawn]), rows["patient"].to_numpy()[drawn])
    if len(healthy):
        pixels = [healthy[f"{mask} found"].to_numpy(np.int64) for mask in MASKS]
        scores["healthy"] = with_intervals(partial(_score_healthy, *pixels), healthy["patient"].to_numpy())
    return scores


def _score_lungs(counts: np.ndarray, chosen: np.ndarray) -> dict[str, float | int]:
    scores = score_pixels(counts[chosen])
    return {name: scores[name] for name in ("images", "dice_mean_per_image", "iou_pooled")}


def _score_healthy(lungs: np.ndarray, infection: np.ndarray, chosen: np.ndarray) -> dict[str, float | int]:
    scores = score_healthy(lungs[chosen], infection[chosen])
    return {name: scores[name] for name in ("images", "share_marked_over_1_percent")}
