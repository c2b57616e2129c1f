"""Chest X-rays for training: a folder, a table, a saved data set or a Hub id, as one `datasets.DatasetDict`.

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
from train.data.columns import drop_unlabelled, with_columns
from train.data.corrections import with_corrections
from train.data.folder import DATA_FOLDERS, class_names, read_folder
from train.data.pages import give_back_pages
from train.data.rows import COLUMNS, FEATURES, drop_unreadable, positions
from train.data.selection import leave_source_out, with_classes, with_findings, without_doubtful, without_sources
from train.data.splits import SPLITS, named_splits, with_fold, with_missing_splits
from train.data.tables import TABLE_ENDINGS, folder_manifest, table_manifest

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


def load(
    name: str, boxes: str | None = None, label_column: str | None = None, columns: Mapping[str, str] | None = None
) -> datasets.DatasetDict:
    """Load the data set that `--dataset` names.

    Args:
        name: a folder: COVID-QU-Ex as its archive unpacks, images with a metadata.csv, class folders, or one that
            `save_to_disk` wrote; a table of paths (CSV, TSV, JSON lines, Parquet); or a Hub id `user/name[@revision]`.
        boxes: a file of bounding boxes for some of the images, as `read_boxes` takes it.
        label_column: the column that classes will be made of, if it is not `label`.
        columns: a column of `COLUMNS` -> the one of the data set that holds it; None for the same names.

    Returns:
        Splits with `COLUMNS`, and what else the data has. A row without a class has the last one, `UNLABELLED`.

    Raises:
        FileNotFoundError: the folder holds no data set, the name is neither a folder nor a data set that the Hub gives,
            or there is no such file of boxes.
        ValueError: no column holds the image, a column or split is not what it has to be; or the file of boxes cannot
            be used, or none of its images is in the data.
    """
    path, columns = Path(name), columns or {}
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        splits = _dict(datasets.load_from_disk(name))
    elif path.is_dir() or path.suffix in TABLE_ENDINGS:
        splits = _from_files(path, label_column, columns)
        columns = {column: held for column, held in columns.items() if column not in ("image", "file")}
    else:
        splits = _dict(_from_hub(name))
    splits = with_columns(named_splits(splits), name, columns)
    return splits if boxes is None else _with_boxes(splits, boxes)


def _dict(loaded: datasets.Dataset | datasets.DatasetDict) -> datasets.DatasetDict:
    """Return splits; rows that were saved without any are for training."""
    return datasets.DatasetDict(train=loaded) if isinstance(loaded, datasets.Dataset) else loaded


def _from_files(path: Path, label_column: str | None, columns: Mapping[str, str]) -> datasets.DatasetDict:
    if path.is_dir():
        inner = [path, *(folder for folder in sorted(path.iterdir()) if folder.is_dir())]
        root = next((folder for folder in inner if any((folder / part).is_dir() for part in DATA_FOLDERS)), None)
        if root is not None:
            return to_dataset(read_folder(root, label_column), label_column)
        return from_manifest(folder_manifest(path, columns))
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}; --dataset takes a folder, a table of paths or a Hub id.")
    return from_manifest(table_manifest(path, columns))


def from_manifest(manifest: pd.DataFrame) -> datasets.DatasetDict:
    """Make a data set from a manifest that `tables` made, with all of its columns, texts but for the images."""
    manifest = manifest.astype(object).where(manifest.notna() & (manifest != ""), None)
    columns = [column for column in manifest if column != "split"]
    kinds = {column: datasets.Value("string") for column in columns} | {"image": datasets.Image(decode=False)}
    splits = {}
    for split in SPLITS:
        rows = manifest[manifest["split"] == split]
        if len(rows):
            texts = {column: [value if value is None else str(value) for value in rows[column]] for column in columns}
            splits[split] = datasets.Dataset.from_dict(
                texts, features=datasets.Features(kinds), split=datasets.NamedSplit(split)
            )
    return datasets.DatasetDict(splits)


def load_splits(
    arguments: DataArguments,
    needed: Sequence[str] = SPLITS,
    keep: Mapping[str, Callable[[dict], bool]] | None = None,
    labelled: bool = True,
) -> datasets.DatasetDict:
    """Load the splits that a script needs, without the images that cannot be read.

    Args:
        arguments: the data set and its limits.
        needed: the splits to load; of those that the data does not have, training patients are taken.
        keep: split -> the condition on its rows, as `rows.positions` takes it; all rows of a split that is not named.
        labelled: leave out the rows whose class nobody said.

    Raises:
        ValueError: a needed split is missing and cannot be made or holds no usable image, no image is of the source to
            be left out, or (`strict`) an image cannot be read.
    """
    if arguments.streaming:
        give_back_pages()
    datasets.disable_caching()  # else a copy of the rows is written beside a saved data set each time
    splits = load(arguments.dataset, arguments.boxes, arguments.label_column, arguments.columns())
    if arguments.multi_label:
        splits = with_findings(splits, arguments.label_column or "finding", arguments.labels)
    elif arguments.labels is not None or arguments.label_column is not None:
        splits = with_classes(splits, arguments.label_column or "label", arguments.labels)
    elif labelled:
        splits = drop_unlabelled(splits, arguments.dataset)
    if arguments.fold is not None:
        splits = with_fold(splits, arguments.fold)
    if set(needed) - set(splits):
        splits = with_missing_splits(splits, SPLITS)
    if arguments.corrections is not None:
        splits = with_corrections(splits, load(arguments.corrections))
        splits = drop_unlabelled(splits, arguments.corrections) if labelled else splits
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
