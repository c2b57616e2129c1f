"""Chest X-rays for training: a COVID-QU-Ex folder, a saved data set or a Hub id, as one `datasets.DatasetDict`.

The splits are "train", "validation" and "test", as far as the data has them. A mask that nobody drew is None, which is
not the same as a mask that was drawn and is blank. The same holds for bounding boxes.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import datasets
import pandas as pd
from huggingface_hub.errors import HFValidationError

from train.data.arguments import DataArguments
from train.data.audit import drop_training_copies, report_patients
from train.data.boxes import add_boxes, read_boxes
from train.data.folder import class_names, read_folder
from train.data.rows import COLUMNS, FEATURES, SPLITS, drop_unreadable, positions
from train.data.selection import leave_source_out, with_classes, with_findings, without_doubtful, without_sources

logger = logging.getLogger(__name__)


def to_dataset(manifest: pd.DataFrame, extra_column: str | None = None) -> datasets.DatasetDict:
    """Make a data set from a manifest that `read_folder` made, with one more text column if it has that.

    The images stay in their files until the data set is saved or pushed.
    """
    features = datasets.Features(FEATURES | {"label": datasets.ClassLabel(names=class_names(manifest))})
    extra = [extra_column] if extra_column in manifest and extra_column not in features else []
    features |= dict.fromkeys(extra, datasets.Value("string"))
    splits = {}
    for split in SPLITS:
        rows = manifest[manifest["split"] == split]
        if len(rows):
            columns = {name: rows[name].tolist() if name in rows else [None] * len(rows) for name in (*COLUMNS, *extra)}
            splits[split] = datasets.Dataset.from_dict(columns, features=features, split=datasets.NamedSplit(split))
    return datasets.DatasetDict(splits)


def load(name: str, boxes: str | None = None, label_column: str | None = None) -> datasets.DatasetDict:
    """Load the data set that `--dataset` names.

    Args:
        name: a COVID-QU-Ex folder, a folder written by `DatasetDict.save_to_disk`, or a Hub id `user/name[@revision]`.
        boxes: a file of bounding boxes for some of the images, as `read_boxes` takes it.
        label_column: one more column to read from a folder's metadata.csv.

    Raises:
        FileNotFoundError: the folder holds no data set, the name is neither a folder nor a data set that the Hub gives,
            or there is no such file of boxes.
        ValueError: the data has no `image` column, or no `label` column of class names; or the file of boxes cannot
            be used, or none of its images is in the data.
    """
    folder = Path(name)
    if (folder / "dataset_dict.json").is_file():
        splits = datasets.load_from_disk(name)
    elif folder.is_dir():
        splits = to_dataset(read_folder(folder, label_column), label_column)
    else:
        splits = _from_hub(name)
    splits = datasets.DatasetDict({split: _with_columns(rows, name) for split, rows in splits.items()})
    return splits if boxes is None else _with_boxes(splits, boxes)


def load_splits(
    arguments: DataArguments, needed: Sequence[str] = SPLITS, keep: Mapping[str, Callable[[dict], bool]] | None = None
) -> datasets.DatasetDict:
    """Load the splits that a script needs, without the images that cannot be read.

    Args:
        arguments: the data set and its limits.
        needed: the splits to load; the data must have all of them.
        keep: split -> the condition on its rows, as `rows.positions` takes it; all rows of a split that is not named.

    Raises:
        ValueError: a needed split is missing or holds no usable image, no image is of the source to be left out, or
            (`strict`) an image cannot be read.
    """
    splits = load(arguments.dataset, arguments.boxes, arguments.label_column)
    if arguments.multi_label:
        splits = with_findings(splits, arguments.label_column or "finding", arguments.labels)
    elif arguments.labels is not None or arguments.label_column is not None:
        splits = with_classes(splits, arguments.label_column or "label", arguments.labels)
    if missing := [split for split in needed if split not in splits]:
        raise ValueError(f"{arguments.dataset} has no split {', '.join(missing)}; it has {', '.join(splits)}.")
    report_patients(splits)
    if arguments.drop_duplicates:
        splits = drop_training_copies(splits)
    if "train" in splits and arguments.skip_sources is not None:
        splits["train"] = without_sources(splits["train"], arguments.skip_sources)
    if "train" in splits and arguments.skip_doubtful:
        splits["train"] = without_doubtful(splits["train"])
    if arguments.leave_source_out is not None:
        splits = leave_source_out(splits, arguments.leave_source_out, arguments.keep_test)
    usable = {}
    for split in needed:
        limit = arguments.max_train_samples if split == "train" else arguments.max_eval_samples
        usable[split] = drop_unreadable(_some(splits[split], (keep or {}).get(split), limit), arguments.strict)
        if not len(usable[split]):
            raise ValueError(f"The split {split} of {arguments.dataset} holds no image that this script can use.")
    return datasets.DatasetDict(usable)


def _some(rows: datasets.Dataset, keep: Callable[[dict], bool] | None, limit: int | None) -> datasets.Dataset:
    if keep is not None:
        rows = rows.select(positions(rows, keep))
    return rows.shuffle(seed=0).select(range(limit)) if limit is not None and limit < len(rows) else rows


def _from_hub(name: str) -> datasets.DatasetDict:
    repo_id, _, revision = name.partition("@")
    if repo_id.count("/") != 1 or repo_id.startswith((".", "/")):
        raise FileNotFoundError(f"There is no folder {name}; --dataset takes a folder or a Hub id such as USER/NAME.")
    try:
        return datasets.load_dataset(repo_id, revision=revision or None)
    except (OSError, HFValidationError) as error:
        raise FileNotFoundError(f"{name} is no folder here, and the Hub did not give it: {error}") from error


def _with_boxes(splits: datasets.DatasetDict, path: str) -> datasets.DatasetDict:
    boxes = read_boxes(path)
    files = {file for rows in splits.values() for file in rows["file"]}
    if unknown := sorted(boxes.keys() - files):
        message = f"{path} has boxes for {len(unknown)} images that are not in the data, first {unknown[0]}."
        if len(unknown) == len(boxes):
            raise ValueError(message)
        logger.warning(message)
    return datasets.DatasetDict({split: add_boxes(rows, boxes) for split, rows in splits.items()})


def _with_columns(rows: datasets.Dataset, name: str) -> datasets.Dataset:
    if "image" not in rows.column_names or not isinstance(rows.features.get("label"), datasets.ClassLabel):
        raise ValueError(
            f"{name} has the columns {', '.join(rows.column_names)}; needed are image, and label as class names "
            "(ClassLabel)."
        )
    for column, feature in FEATURES.items():
        if column not in rows.column_names:
            names = [f"{rows.split}-{i}" for i in range(len(rows))] if column == "file" else [None] * len(rows)
            rows = rows.add_column(column, names, feature=feature)
    return rows
