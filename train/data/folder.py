"""A COVID-QU-Ex folder, as its archive unpacks, read into one table."""

import filecmp
import logging
from pathlib import Path

import pandas as pd

from train.data.columns import ordered
from train.data.tables import read_table
from train.data.unused import is_picture, report_unused

logger = logging.getLogger(__name__)

DATA_FOLDERS = ("Lung Segmentation Data", "Infection Segmentation Data")
SPLIT_OF_FOLDER = {"Train": "train", "Val": "validation", "Test": "test"}
MASK_FOLDERS = {"lung_mask": "lung masks", "infection_mask": "infection masks"}
MANIFEST_COLUMNS = (
    "file",
    "image",
    "lung_mask",
    "infection_mask",
    "label",
    "split",
    "patient",
    "source",
    "finding",
    "caption",
    "doubt",
    "view",
    "sex",
    "age",
)

DESCRIBED = ("patient", "source", "finding", "caption", "doubt", "view", "sex", "age")
"""The columns of a manifest that metadata.csv fills."""


def read_folder(folder: str | Path, extra_column: str | None = None) -> pd.DataFrame:
    """Read a COVID-QU-Ex folder into a manifest with one row an image.

    The folder holds `Lung Segmentation Data` or `Infection Segmentation Data` or both, each possibly inside a folder of
    the same name, and in them {Train,Val,Test}/{class}/{images,lung masks,infection masks}. An image that stands in
    both under one class and name with the same bytes becomes one row, in the split of the lung data, with all its
    masks.

    Args:
        folder: the folder that the archive unpacks to; a `metadata.csv` in it (columns file, split, label and any of
            patient, source, finding, caption, doubt, view, sex, age) fills the columns of the same names.
        extra_column: one more column to read from the metadata, as text.

    Returns:
        A DataFrame with `MANIFEST_COLUMNS` and the extra column: paths as text, `label` a class name, `split` "train",
        "validation" or "test"; None for a mask that was not drawn, and where no metadata is given.

    Raises:
        FileNotFoundError: the folder holds no image in this layout.
        ValueError: the metadata lacks a column that says which image a row is about.
    """
    folder = Path(folder)
    rows: dict[tuple[str, str], list[dict]] = {}
    for name in DATA_FOLDERS:
        for image in _images(folder / name):
            row = _row(image)
            twins = rows.setdefault((row["label"], row["file"]), [])
            twin = next((t for t in twins if filecmp.cmp(t["image"], row["image"], shallow=False)), None)
            if twin is None:
                twins.append(row)
            else:
                _join(twin, row)
    if not rows:
        raise FileNotFoundError(
            f"{folder} holds no image as {DATA_FOLDERS[0]}/{{{','.join(SPLIT_OF_FOLDER)}}}/CLASS/images/NAME.png (or "
            f"the same under {DATA_FOLDERS[1]}); give the folder that the COVID-QU-Ex archive unpacks to."
        )
    manifest = pd.DataFrame(
        [row for twins in rows.values() for row in twins], columns=list(MANIFEST_COLUMNS), dtype=object
    )
    manifest = manifest.sort_values(["split", "label", "file"], ignore_index=True)
    manifest = _with_metadata(manifest, folder / "metadata.csv", extra_column).astype(object)
    return manifest.where(manifest.notna() & (manifest != ""), None)


def class_names(manifest: pd.DataFrame) -> list[str]:
    """Return the classes of a manifest: those of `LABELS` in their order, then any others by name."""
    return ordered({label for label in manifest["label"] if label is not None})


def _images(folder: Path) -> list[Path]:
    root = folder / folder.name if (folder / folder.name).is_dir() else folder
    paths = sorted(path for split in SPLIT_OF_FOLDER for path in root.glob(f"{split}/*/images/*") if path.is_file())
    pictures = [path for path in paths if is_picture(path)]
    report_unused(
        "not an image of a known format", [path.relative_to(root) for path in paths if path not in {*pictures}]
    )
    masks = (
        path for split in SPLIT_OF_FOLDER for name in MASK_FOLDERS.values() for path in root.glob(f"{split}/*/{name}/*")
    )
    known = {(path.parent.parent, path.name) for path in pictures}
    strays = [path.relative_to(root) for path in sorted(masks) if (path.parent.parent, path.name) not in known]
    report_unused("a mask of no image", strays)
    return pictures


def _row(image: Path) -> dict:
    label = image.parent.parent
    masks = {column: label / name / image.name for column, name in MASK_FOLDERS.items()}
    return {
        "file": image.name,
        "image": str(image),
        **{column: str(path) if path.is_file() else None for column, path in masks.items()},
        "label": label.name,
        "split": SPLIT_OF_FOLDER[label.parent.name],
    }


def _join(row: dict, twin: dict) -> None:
    if row["split"] != twin["split"]:
        logger.warning("%s is in %s and in %s; it stays in the first.", row["file"], row["split"], twin["split"])
    for column in MASK_FOLDERS:
        row[column] = row[column] or twin[column]


def _with_metadata(manifest: pd.DataFrame, path: Path, extra_column: str | None) -> pd.DataFrame:
    if not path.is_file():
        return manifest
    metadata = read_table(path)
    keys = ["file", "split", "label"]
    if missing := [column for column in keys if column not in metadata]:
        raise ValueError(f"{path} has no column {', '.join(missing)}; it needs {', '.join(keys)}.")
    metadata["split"] = metadata["split"].replace(SPLIT_OF_FOLDER)
    described = [column for column in DESCRIBED if column in metadata]
    extra = [extra_column] if extra_column in metadata and extra_column not in MANIFEST_COLUMNS else []
    there = set(manifest[keys].itertuples(index=False, name=None))
    strays = [row for row in metadata[keys].itertuples(index=False, name=None) if row not in there]
    report_unused(
        f"a row of {path.name} without an image", ["/".join(map(str, (row[1], row[2], row[0]))) for row in strays]
    )
    metadata = metadata.drop_duplicates(keys)[[*keys, *described, *extra]]
    return manifest.drop(columns=described).merge(metadata, on=keys, how="left")[[*MANIFEST_COLUMNS, *extra]]
