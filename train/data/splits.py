"""Splits of a data set: their usual names, and those that are missing, made so that no patient is in two."""

import hashlib
import logging
import re
from collections.abc import Mapping, Sequence

import datasets

from train.data.unused import report_unused

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid", "dev"),
    "test": ("test", "testing"),
}
SPLIT_OF_NAME = {name: split for split, names in NAMES.items() for name in names}
SHARE = 0.15
"""Share of the training patients that a missing split takes."""


def split_of(name: str) -> str | None:
    """Return the split that goes by a name, in any case: "Val" -> "validation"; None for no known name."""
    return SPLIT_OF_NAME.get(str(name).strip().lower())


def named_splits(splits: Mapping[str, datasets.Dataset]) -> datasets.DatasetDict:
    """Return splits by their proper names; those of other names are reported and left out.

    Raises:
        ValueError: two splits go by names of the same one, or none has a known name.
    """
    report_unused(
        f"a split of another name than {', '.join(SPLIT_OF_NAME)}", [name for name in splits if split_of(name) is None]
    )
    named: dict[str, datasets.Dataset] = {}
    for name, rows in splits.items():
        if (split := split_of(name)) in named:
            raise ValueError(f"The data has two splits for {split}, one of them {name}; rename or join them.")
        if split is not None:
            named[split] = rows
    if not named:
        raise ValueError(f"The splits are {', '.join(splits)}; name them train, validation and test.")
    return datasets.DatasetDict({split: named[split] for split in SPLITS if split in named})


def with_missing_splits(splits: datasets.DatasetDict, needed: Sequence[str]) -> datasets.DatasetDict:
    """Take the needed splits that the data does not have from its training rows, and say so.

    Whole patients are moved, a share of those of each class (a patient counts for the class of the first image); a row
    whose patient is not known is a patient of its own. Which ones depends on their names alone.

    Raises:
        ValueError: there are no training rows to take them from, or too few.
    """
    missing = [split for split in needed if split not in splits]
    if not missing:
        return splits
    if "train" not in splits or "train" in missing:
        raise ValueError(
            f"There is no split {', '.join(missing)}, and no training split; there is {', '.join(splits)}."
        )
    rows = splits["train"]
    patients = patients_of(rows)
    of_class = _patients_of_class(patients, rows["label"])
    taken: dict[str, str] = {}
    for names in of_class.values():
        ordered = sorted(names, key=_shuffled)
        count = max(1, round(SHARE * len(ordered)))
        if len(ordered) <= count * len(missing):
            continue  # too few to share
        for place, split in enumerate(missing):
            taken |= dict.fromkeys(ordered[place * count : (place + 1) * count], split)
    made = {split: [i for i, patient in enumerate(patients) if taken.get(patient) == split] for split in missing}
    if empty := [split for split, places in made.items() if not places]:
        raise ValueError(f"There is no split {empty[0]}, and the training split is too small to take one from.")
    by = "by patient" if any(rows["patient"]) else "by image, because no patient is known: scores may flatter"
    counts = " and ".join(f"{len(places)} for {split}" for split, places in made.items())
    logger.warning(
        "The data has no split %s: of %d training images %s are taken, %s.",
        " and no ".join(missing),
        len(rows),
        counts,
        by,
    )
    rest = [i for i, patient in enumerate(patients) if patient not in taken]
    parts = {"train": rest, **made}
    joined = {**splits, **{split: rows.select(places) for split, places in parts.items()}}
    return datasets.DatasetDict({split: joined[split] for split in SPLITS if split in joined})


def patients_of(rows: datasets.Dataset) -> list[str]:
    """Return the patient of each row; one whose patient is not known is a patient of its own."""
    pairs = enumerate(zip(rows["patient"], rows["file"], strict=True))
    return [patient or f"row {place} {file}" for place, (patient, file) in pairs]


def _patients_of_class(patients: Sequence[str], labels: Sequence[int]) -> dict[int, list[str]]:
    """Return class -> patients, each in the class of the first image."""
    of_class: dict[int, list[str]] = {}
    for patient, label in dict(reversed(list(zip(patients, labels, strict=True)))).items():
        of_class.setdefault(label, []).append(patient)
    return of_class


def _shuffled(patient: str) -> str:
    """Return what patients are sorted by, for an order that looks random and is always the same."""
    return hashlib.sha256(patient.encode()).hexdigest()


def with_fold(splits: datasets.DatasetDict, fold: str) -> datasets.DatasetDict:
    """Split all rows again for cross-validation: a fold of the patients to test on, the next one to validate on.

    The folds have a like share of the patients of each class.

    Args:
        splits: the data set.
        fold: "I/K", of I in 1..K.

    Raises:
        ValueError: the fold is written otherwise, or there are too few patients for so many.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", fold)
    number, count = map(int, match.groups()) if match else (0, 0)
    if not (1 <= number <= count and count >= 3):
        raise ValueError(
            f"--fold is {fold}; write I/K, I from 1 to K and K at least 3: one part to test, one to validate, the rest "
            "to learn."
        )
    rows = datasets.concatenate_datasets(list(splits.values()))
    patients = patients_of(rows)
    place_of: dict[str, int] = {}
    for names in _patients_of_class(patients, rows["label"]).values():
        start = len(place_of)
        place_of |= {patient: start + place for place, patient in enumerate(sorted(names, key=_shuffled))}
    if len(place_of) < count:
        raise ValueError(f"--fold is {fold}, but there are {len(place_of)} patients only.")
    part = [place_of[patient] % count for patient in patients]
    tested, validated = number - 1, number % count
    chosen = {
        "train": [i for i, place in enumerate(part) if place not in (tested, validated)],
        "validation": [i for i, place in enumerate(part) if place == validated],
        "test": [i for i, place in enumerate(part) if place == tested],
    }
    return datasets.DatasetDict({split: rows.select(places) for split, places in chosen.items()})
