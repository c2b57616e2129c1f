"""Which classes and sources of a data set to learn from."""

import logging

import datasets

logger = logging.getLogger(__name__)


def with_classes(splits: datasets.DatasetDict, column: str, labels: str | None) -> datasets.DatasetDict:
    """The data set with the values of a column as its classes; rows with any other value are left out and counted.

    Args:
        column: of class names or text.
        labels: the classes in logits order, separated by commas; all values of the column, by name, if None.

    Raises:
        ValueError: if there is no such column, a class has no image, or fewer than two classes are named.
    """
    texts = {split: _texts(rows, column) for split, rows in splits.items()}
    found = sorted({text for values in texts.values() for text in values if text})
    names = _named(labels, found, column)
    if len(names) < 2:
        raise ValueError(f"--labels names {', '.join(names)}; a classifier needs at least two classes.")
    return datasets.DatasetDict({split: _relabelled(rows, texts[split], names) for split, rows in splits.items()})


def with_findings(splits: datasets.DatasetDict, column: str, labels: str | None) -> datasets.DatasetDict:
    """The data set with a column `targets`: for each image the classes that it shows, none, one or several.

    Args:
        column: of class names, of texts such as "Edema|Effusion", or of lists of either.
        labels: the classes in logits order, separated by commas; all that are found, by name, if None.

    Raises:
        ValueError: if there is no such column, or a class has no image.
    """
    shown = {split: [_parts(value) for value in _texts(rows, column)] for split, rows in splits.items()}
    found = sorted({name for values in shown.values() for names in values for name in names})
    names = _named(labels, found, column)
    feature = datasets.List(datasets.ClassLabel(names=names))
    return datasets.DatasetDict(
        {
            split: rows.add_column(
                "targets", [[names.index(n) for n in here if n in names] for here in shown[split]], feature=feature
            )
            for split, rows in splits.items()
        }
    )


def leave_source_out(splits: datasets.DatasetDict, source: str) -> datasets.DatasetDict:
    """The test split with one source alone, the others without it.

    Raises:
        ValueError: if no image is of this source.
    """
    sources = sorted({str(name) for rows in splits.values() for name in set(rows["source"])})
    if source not in sources:
        raise ValueError(f"No image is of the source {source}; the sources are {', '.join(sources)}.")
    return datasets.DatasetDict(
        {
            split: rows.select([i for i, name in enumerate(rows["source"]) if (name == source) == (split == "test")])
            for split, rows in splits.items()
        }
    )


def _named(labels: str | None, found: list[str], column: str) -> list[str]:
    """The classes that `--labels` names, or all that were found."""
    names = found if labels is None else [label.strip() for label in labels.split(",")]
    if missing := [name for name in names if name not in found]:
        raise ValueError(
            f"No image has {missing[0]!r} in the column {column}; --labels takes {', '.join(map(repr, found))}."
        )
    if len(set(names)) < len(names):
        raise ValueError(f"--labels names {', '.join(names)}; name each class once.")
    return names


def _parts(value: str | list[str] | None) -> list[str]:
    """The classes that a value names."""
    if isinstance(value, list):
        return [name for part in value for name in _parts(part)]
    return [name.strip() for name in (value or "").split("|") if name.strip()]


def _texts(rows: datasets.Dataset, column: str) -> list[str | None]:
    if column not in rows.column_names:
        raise ValueError(f"There is no column {column}; the columns are {', '.join(rows.column_names)}.")
    feature = rows.features[column]
    return [feature.int2str(value) if isinstance(feature, datasets.ClassLabel) else value for value in rows[column]]


def _relabelled(rows: datasets.Dataset, texts: list[str | None], names: list[str]) -> datasets.Dataset:
    kept = [i for i, text in enumerate(texts) if text in names]
    if len(kept) < len(rows):
        logger.warning("Left out %d of %d images of %s: of no class.", len(rows) - len(kept), len(rows), rows.split)
    classes = [names.index(texts[i]) for i in kept]
    return (
        rows.select(kept).remove_columns("label").add_column("label", classes, feature=datasets.ClassLabel(names=names))
    )
