"""Columns of any data set, brought to the names and types that the scripts use."""

import logging
from collections.abc import Mapping

import datasets

from hub_models.models.labels import LABELS
from train.data.rows import FEATURES, IMAGE_COLUMNS, TEXT_COLUMNS, class_names

logger = logging.getLogger(__name__)

UNLABELLED = "unlabelled"
"""The class of rows whose class nobody said: None, an empty text, or -1, which the Hub's data sets write for it."""
UNSAID = (None, "", -1, "-1")


def with_columns(splits: datasets.DatasetDict, name: str, columns: Mapping[str, str]) -> datasets.DatasetDict:
    """Bring the columns of a data set to the scripts' names and types; those that it lacks are added, unknown.

    Args:
        splits: the data set.
        name: its name, for messages.
        columns: a column of `COLUMNS` -> the column of the data set that holds it.

    Raises:
        ValueError: a named column is not there, none or several may hold the image, or one holds something else.
    """
    made = {split: _typed(_renamed(rows, name, columns), name) for split, rows in splits.items()}
    return _with_labels(datasets.DatasetDict(made), name)


def drop_unlabelled(splits: datasets.DatasetDict, name: str) -> datasets.DatasetDict:
    """Leave out the rows whose class nobody said; logs how many those are.

    Raises:
        ValueError: no row has a class.
    """
    names = next(iter(splits.values())).features["label"].names
    if UNLABELLED not in names:
        return splits
    if names == [UNLABELLED]:
        held = ", ".join(next(iter(splits.values())).column_names)
        raise ValueError(
            f"{name} has no column label with classes; its columns are {held}. Name one with --label_column."
        )
    unsaid = names.index(UNLABELLED)
    labelled = {
        split: [i for i, label in enumerate(rows["label"]) if label != unsaid] for split, rows in splits.items()
    }
    total, left = sum(map(len, splits.values())), sum(map(len, labelled.values()))
    logger.warning("Left out %d of %d images: unlabelled (no class, or -1).", total - left, total)
    feature = datasets.ClassLabel(names=names[:unsaid])  # it is the last
    return datasets.DatasetDict(
        {split: rows.select(labelled[split]).cast_column("label", feature) for split, rows in splits.items()}
    )


def check_classes(splits: datasets.DatasetDict) -> None:
    """Refuse data from which no two classes can be told apart, before anything long starts.

    Raises:
        ValueError: there are fewer than two classes.
    """
    names = class_names(next(iter(splits.values())))
    if len(names) < 2:
        raise ValueError(
            f"All images are of one class, {', '.join(names)}; a classifier needs at least two. Name the column of the "
            "classes with --label_column."
        )


def texts(rows: datasets.Dataset, column: str) -> list[str | None]:
    """Return the values of a column of classes, texts or numbers as texts, None where nothing is said; lists stay.

    Raises:
        ValueError: there is no such column.
    """
    if column not in rows.column_names:
        raise ValueError(f"There is no column {column}; the columns are {', '.join(rows.column_names)}.")
    feature = rows.features[column]
    return [value if isinstance(value, list) else _text(value, feature) for value in rows[column]]


def _text(value: object, feature: object) -> str | None:
    if value in UNSAID or value != value:
        return None
    if isinstance(feature, datasets.ClassLabel):
        return feature.int2str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def ordered(names: set[str]) -> list[str]:
    """Return classes in order: those of `LABELS` in theirs, then numbers by size, then others by name."""
    others = sorted(
        names - set(LABELS), key=lambda text: (not text.isdigit(), int(text) if text.isdigit() else 0, text)
    )
    return [label for label in LABELS if label in names] + others


def _renamed(rows: datasets.Dataset, name: str, columns: Mapping[str, str]) -> datasets.Dataset:
    for column, held in columns.items():
        if held not in rows.column_names:
            raise ValueError(f"{name} has no column {held}; its columns are {', '.join(rows.column_names)}.")
        if held != column:
            rows = rows.remove_columns(column) if column in rows.column_names else rows
            rows = rows.rename_column(held, column)
    if "image" in rows.column_names:
        return rows
    pictures = [held for held, feature in rows.features.items() if isinstance(feature, datasets.Image)]
    if len(pictures) != 1:
        raise ValueError(
            f"{name} has the columns {', '.join(rows.column_names)}; name the one that holds the image with "
            "--image_column."
        )
    return rows.rename_column(pictures[0], "image")


def _typed(rows: datasets.Dataset, name: str) -> datasets.Dataset:
    for column, feature in FEATURES.items():
        held = rows.features.get(column)
        if held is None:
            filled = [f"{rows.split}-{i}" for i in range(len(rows))] if column == "file" else [None] * len(rows)
            rows = rows.add_column(column, filled, feature=feature)
        elif column in TEXT_COLUMNS and held != feature:
            rows = rows.remove_columns(column).add_column(column, texts(rows, column), feature=feature)
        elif column in IMAGE_COLUMNS and held != feature:
            if not (
                isinstance(held, datasets.Image) or getattr(held, "dtype", "") in ("string", "large_string", "binary")
            ):
                raise ValueError(f"The column {column} of {name} holds no pictures or paths, but {held}.")
            rows = rows.cast_column(column, feature)
    if "lungs" in rows.column_names:
        rows = rows.cast_column("lungs", datasets.Image(decode=False))
    return rows


def _with_labels(splits: datasets.DatasetDict, name: str) -> datasets.DatasetDict:
    """Make `label` one `ClassLabel` in all splits, its last class `UNLABELLED` if there are such rows."""
    features = [rows.features.get("label") for rows in splits.values()]
    if any(isinstance(feature, datasets.List) for feature in features):
        raise ValueError(f"The column label of {name} holds lists; use --multi_label True --label_column label.")
    said = {
        split: [None] * len(rows) if "label" not in rows.column_names else texts(rows, "label")
        for split, rows in splits.items()
    }
    whole = all(text is not None for column in said.values() for text in column)
    if whole and isinstance(features[0], datasets.ClassLabel) and all(feature == features[0] for feature in features):
        return splits
    known = {text for column in said.values() for text in column if text is not None}
    first = features[0].names if isinstance(features[0], datasets.ClassLabel) else []
    names = [*first, *ordered(known - set(first))] + ([] if whole else [UNLABELLED])
    feature = datasets.ClassLabel(names=names)
    return datasets.DatasetDict(
        {
            split: (rows.remove_columns("label") if "label" in rows.column_names else rows).add_column(
                "label", [names.index(text or UNLABELLED) for text in said[split]], feature=feature
            )
            for split, rows in splits.items()
        }
    )
