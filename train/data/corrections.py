"""X-rays that visitors of the page corrected, as further rows to learn from."""

import logging

import datasets

from train.data.columns import UNLABELLED
from train.data.rows import COLUMNS

logger = logging.getLogger(__name__)


def with_corrections(splits: datasets.DatasetDict, corrections: datasets.DatasetDict) -> datasets.DatasetDict:
    """Add corrected X-rays to the training split, whatever split they are in; logs how many.

    A class that the data does not have, or none, becomes `UNLABELLED`, the last one: the masks can be learned from.

    Args:
        splits: the data, with "train".
        corrections: rows as `train.data.dataset.load` gives them.

    Raises:
        ValueError: an image of the data may have several classes; a corrected one has one.
    """
    if "targets" in splits["train"].column_names:
        raise ValueError("--corrections have one class an image; leave them out with --multi_label.")
    rows = datasets.concatenate_datasets([_with_texts(part) for part in corrections.values()])
    names = next(iter(splits.values())).features["label"].names
    known = [label if label in names else UNLABELLED for label in rows["label"]]
    if UNLABELLED in known and UNLABELLED not in names:
        names = [*names, UNLABELLED]
    label = datasets.ClassLabel(names=names)
    columns = [name for name in COLUMNS if name in splits["train"].column_names]
    rows = rows.remove_columns("label").add_column("label", [names.index(name) for name in known], feature=label)
    splits = datasets.DatasetDict({split: part.cast_column("label", label) for split, part in splits.items()})
    added = rows.select_columns(columns).cast(splits["train"].select_columns(columns).features)
    splits["train"] = datasets.concatenate_datasets([splits["train"], added])
    logger.warning("Learning from %d corrected images, too.", len(added))
    return splits


def _with_texts(rows: datasets.Dataset) -> datasets.Dataset:
    """Return rows whose classes are texts."""
    texts = [rows.features["label"].int2str(label) for label in rows["label"]]
    return rows.remove_columns("label").add_column("label", texts, feature=datasets.Value("string"))
