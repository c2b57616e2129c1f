"""The choice of the classes and sources of a data set to learn from."""

import logging

import datasets

from train.data.columns import ordered, texts

logger = logging.getLogger(__name__)


def with_classes(splits: datasets.DatasetDict, column: str, labels: str | None) -> datasets.DatasetDict:
    """Take the values of a column as the classes; rows of no class are left out, and their number is logged.

    Args:
        splits: the data set.
        column: a column of class names or of text.
        labels: the classes in logits order, separated by commas; all values of the column, by name, if None.

    Raises:
        ValueError: there is no such column, a class has no image, or fewer than two classes are named.
    """
    said = {split: texts(rows, column) for split, rows in splits.items()}
    values = ordered({text for column_texts in said.values() for text in column_texts if text})
    names = _chosen(labels, values, column)
    if len(names) < 2:
        raise ValueError(f"--labels names {', '.join(names)}; a classifier needs at least two classes.")
    return datasets.DatasetDict({split: _relabelled(rows, said[split], names) for split, rows in splits.items()})


def with_findings(splits: datasets.DatasetDict, column: str, labels: str | None) -> datasets.DatasetDict:
    """Add a column `targets`: for each image the classes that it shows, none, one or several.

    Args:
        splits: the data set.
        column: a column of class names, of texts such as "Edema|Effusion", or of lists of either.
        labels: the classes in logits order, separated by commas; all that the column names, by name, if None.

    Raises:
        ValueError: there is no such column, or a class has no image.
    """
    findings = {split: [_classes_in(value) for value in texts(rows, column)] for split, rows in splits.items()}
    values = sorted({name for rows in findings.values() for row in rows for name in row})
    names = _chosen(labels, values, column)
    feature = datasets.List(datasets.ClassLabel(names=names))
    return datasets.DatasetDict(
        {
            split: rows.add_column(
                "targets", [[names.index(n) for n in row if n in names] for row in findings[split]], feature=feature
            )
            for split, rows in splits.items()
        }
    )


def leave_source_out(splits: datasets.DatasetDict, source: str, keep_test: bool = False) -> datasets.DatasetDict:
    """Leave a source out of the splits to learn from, and test on all images of it.

    Args:
        splits: "train", "validation" and "test".
        source: the source to leave out.
        keep_test: do not test on those of its images that stand in the test split, so that something can be chosen
            by the result.

    Raises:
        ValueError: no image is of this source.
    """
    sources = sorted({str(name) for rows in splits.values() for name in set(rows["source"])})
    if source not in sources:
        raise ValueError(f"No image is of the source {source}; the sources are {', '.join(sources)}.")
    left_out = {split: _of_source(rows, source, True) for split, rows in splits.items()}
    tested = [rows for split, rows in left_out.items() if not (keep_test and split == "test") and len(rows)]
    test = datasets.concatenate_datasets(tested) if tested else left_out["test"].select([])
    others = {split: _of_source(rows, source, False) for split, rows in splits.items()}
    return datasets.DatasetDict({**others, "test": test})


def _of_source(rows: datasets.Dataset, source: str, is_wanted: bool) -> datasets.Dataset:
    return rows.select([i for i, name in enumerate(rows["source"]) if (name == source) == is_wanted])


def without_sources(rows: datasets.Dataset, sources: str) -> datasets.Dataset:
    """Leave out the rows of some sources, which are separated by commas.

    Raises:
        ValueError: no row is of one of them.
    """
    names = {name.strip() for name in sources.split(",")}
    if unknown := sorted(names - set(rows["source"])):
        known = ", ".join(sorted({str(name) for name in rows["source"]}))
        raise ValueError(f"No training image is of the source {unknown[0]}; the sources are {known}.")
    return rows.select([i for i, name in enumerate(rows["source"]) if name not in names])


def without_doubtful(rows: datasets.Dataset) -> datasets.Dataset:
    """Leave out the rows whose class somebody doubted; logs how many those are."""
    certain = [i for i, doubt in enumerate(rows["doubt"]) if not doubt]
    logger.warning("Left out %d of %d training images whose class is doubted.", len(rows) - len(certain), len(rows))
    return rows.select(certain)


def _chosen(labels: str | None, values: list[str], column: str) -> list[str]:
    """Return the classes that `--labels` names, or all values of the column."""
    names = values if labels is None else [label.strip() for label in labels.split(",")]
    if missing := [name for name in names if name not in values]:
        raise ValueError(
            f"No image has {missing[0]!r} in the column {column}; --labels takes {', '.join(map(repr, values))}."
        )
    if len(set(names)) < len(names):
        raise ValueError(f"--labels names {', '.join(names)}; name each class once.")
    return names


def _classes_in(value: str | list[str] | None) -> list[str]:
    """Return the classes that a value names."""
    if isinstance(value, list):
        return [name for item in value for name in _classes_in(item)]
    return [name.strip() for name in (value or "").split("|") if name.strip()]


def _relabelled(rows: datasets.Dataset, said: list[str | None], names: list[str]) -> datasets.Dataset:
    chosen = [i for i, text in enumerate(said) if text in names]
    if len(chosen) < len(rows):
        logger.warning("Left out %d of %d images of %s: of no class.", len(rows) - len(chosen), len(rows), rows.split)
    classes = [names.index(said[i]) for i in chosen]
    return (
        rows.select(chosen)
        .remove_columns("label")
        .add_column("label", classes, feature=datasets.ClassLabel(names=names))
    )
