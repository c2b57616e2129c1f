"""Audit of a data set: its counts, and the patients and near-copies in more than one split, which flatter scores."""

import hashlib
import logging
from collections import defaultdict

import datasets
import pandas as pd

from train.data.duplicates import find_duplicates
from train.data.rows import IMAGE_COLUMNS, read_mask, source, undecoded

logger = logging.getLogger(__name__)


def patients_on_two_sides(splits: datasets.DatasetDict) -> dict[str, list[str]]:
    """Return each patient who is in more than one split, with those splits; rows without a patient take no part."""
    splits_of = defaultdict(set)
    for split, rows in splits.items():
        for patient in rows["patient"]:
            if patient is not None:
                splits_of[patient].add(split)
    return {patient: sorted(names) for patient, names in sorted(splits_of.items()) if len(names) > 1}


def report_patients(splits: datasets.DatasetDict) -> None:
    """Warn of patients who are in more than one split."""
    if shared := patients_on_two_sides(splits):
        names = ", ".join(list(shared)[:5])
        logger.warning("%d patients are in more than one split (%s, ...): scores will flatter.", len(shared), names)


def near_copies(splits: datasets.DatasetDict) -> pd.DataFrame:
    """Find the pairs of X-rays that look like copies of one picture.

    Returns:
        One row a pair, with split, position and file of both: `split_a`, `position_a`, `file_a`, `split_b`, ...
    """
    places, images = [], []
    for split, rows in splits.items():
        for position, row in enumerate(undecoded(rows)):
            places.append((split, position, row["file"]))
            images.append(source(row["image"]))
    pairs = [(*places[a], *places[b]) for a, b in find_duplicates(images)]
    return pd.DataFrame(pairs, columns=[f"{name}_{side}" for side in "ab" for name in ("split", "position", "file")])


def drop_training_copies(splits: datasets.DatasetDict) -> datasets.DatasetDict:
    """Leave out the training images that have a near-copy in another split."""
    if "train" not in splits:
        return splits
    pairs = near_copies(splits)
    across = pairs[pairs["split_a"] != pairs["split_b"]]
    copies = {
        *across.loc[across["split_a"] == "train", "position_a"],
        *across.loc[across["split_b"] == "train", "position_b"],
    }
    logger.warning("Left out %d training images that have a near-copy in another split.", len(copies))
    remaining = [position for position in range(len(splits["train"])) if position not in copies]
    return datasets.DatasetDict({**splits, "train": splits["train"].select(remaining)})


def count_table(splits: datasets.DatasetDict) -> pd.DataFrame:
    """Count the images of each class and the masks of each kind: one row a split, and one for all."""
    table = pd.DataFrame({split: _counts(rows) for split, rows in splits.items()}).T
    table.loc["all"] = table.sum()
    return table.astype(int)


def describe(splits: datasets.DatasetDict) -> dict:
    """Return the counts and the fingerprint of a data set, as a model card shows them.

    Returns:
        {"fingerprint": first 16 hex digits of the SHA-256 over split, class, name and masks of every row,
        "images": {split: {class: n}}, "masks": {split: {kind: n}}}.
    """
    labels = next(iter(splits.values())).features["label"].names
    table = count_table(splits).drop(index="all").to_dict("index")
    rows = sorted(
        "/".join(
            [split, labels[row["label"]], row["file"], *(str(row[mask] is not None) for mask in IMAGE_COLUMNS[1:])]
        )
        for split in splits
        for row in undecoded(splits[split]).select_columns(["label", "file", *IMAGE_COLUMNS[1:]])
    )
    return {
        "fingerprint": hashlib.sha256("\n".join(rows).encode()).hexdigest()[:16],
        "images": {split: {label: counts[label] for label in labels} for split, counts in table.items()},
        "masks": {split: {kind: counts[kind] for kind in MASK_KINDS} for split, counts in table.items()},
    }


MASK_KINDS = ("lungs", "infection drawn", "infection blank")


def _counts(rows: datasets.Dataset) -> dict[str, int]:
    labels = rows.features["label"].names
    counts = dict.fromkeys([*labels, *MASK_KINDS], 0)
    for row in undecoded(rows):
        counts[labels[row["label"]]] += 1
        counts["lungs"] += row["lung_mask"] is not None
        if row["infection_mask"] is not None:
            counts["infection drawn" if read_mask(row["infection_mask"]).any() else "infection blank"] += 1
    return counts
