"""Training images without a mask, put to use: healthy ones are blank, and a trained UNet outlines the others."""

from collections import Counter

import datasets
import numpy as np

from hub_models.models.labels import HEALTHY
from hub_models.models.unet import Segmenter
from train.data.lungs import BATCH_IMAGES, png
from train.data.rows import COLUMNS, positions, read_mask, read_picture


def add_healthy(rows: datasets.Dataset, others: datasets.Dataset, count: int) -> datasets.Dataset:
    """Add up to `count` healthy rows of `others`, which have no mask; all healthy ones get a blank infection mask.

    The sources are taken in turn, so that many rows of one source do not stand for all. A row whose infection somebody
    drew or boxed keeps that.
    """
    healthy = others.select(positions(others, lambda row: row["label"] == HEALTHY))
    joined = datasets.concatenate_datasets([rows, _of_each_source(healthy, count).cast(rows.features)])
    unmarked = set(positions(joined, lambda row: row["label"] == HEALTHY and not _has_infection_label(row)))
    return joined.map(lambda row, i: _blank(row) if i in unmarked else {}, with_indices=True, features=rows.features)


def add_taught(rows: datasets.Dataset, others: datasets.Dataset, teacher: Segmenter, count: int) -> datasets.Dataset:
    """Add to rows up to `count` of `others` with the lungs that a UNet outlines on them (self-training, Lee 2013).

    An image on which it finds no lungs is left out. A healthy image gets a blank infection mask, any other none: the
    infection that the teacher outlines is too uncertain to learn from.
    """
    classes = others.features["label"].names

    def outline(batch: dict) -> dict:
        probabilities = teacher.probability_maps([read_picture(image) for image in batch["image"]])
        masks = [teacher.masks(maps) for maps in probabilities]
        blank = [classes[label] == HEALTHY for label in batch["label"]]
        return {
            "lung_mask": [png(mask.lungs) for mask in masks],
            "infection_mask": [
                png(np.zeros_like(mask.lungs)) if is_blank else None
                for mask, is_blank in zip(masks, blank, strict=True)
            ],
        }

    unlabelled = _some(others, count)
    outlined = unlabelled.map(
        outline, batched=True, batch_size=BATCH_IMAGES, features=rows.features, desc="Outlining for training"
    )
    with_lungs = positions(outlined, lambda row: read_mask(row["lung_mask"]).any())
    return datasets.concatenate_datasets([rows, outlined.select(with_lungs)])


def repeat_infected(rows: datasets.Dataset, times: int) -> datasets.Dataset:
    """Repeat the rows with a drawn or boxed infection, so that an epoch shows these few labels `times` times."""
    infected = [
        i
        for i, (mask, boxes) in enumerate(zip(rows["infection_mask"], rows["infection_boxes"], strict=True))
        if boxes or (mask is not None and read_mask(mask).any())
    ]
    return rows.select([*range(len(rows)), *infected * (times - 1)])


def _of_each_source(rows: datasets.Dataset, count: int) -> datasets.Dataset:
    """Return up to `count` rows, the sources in turn, at random within each."""
    shuffled = rows.shuffle(seed=0)
    turns: Counter[str | None] = Counter()
    places = []
    for position, source in enumerate(shuffled["source"]):
        places.append((turns[source], position))
        turns[source] += 1
    return shuffled.select([position for _, position in sorted(places)[:count]]).select_columns(list(COLUMNS))


def _some(rows: datasets.Dataset, count: int) -> datasets.Dataset:
    return rows.shuffle(seed=0).select(range(min(count, len(rows)))).select_columns(list(COLUMNS))


def _has_infection_label(row: dict) -> bool:
    return row["infection_mask"] is not None or bool(row["infection_boxes"])


def _blank(row: dict) -> dict:
    return {"infection_mask": png(np.zeros(read_picture(row["image"]).shape, bool))}
