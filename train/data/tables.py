"""Tables that describe images, and folders of images, read into one manifest.

A manifest is a DataFrame with one row an image: `file`, `image` (a path), `split`, `label`, and whatever else a table
has. A table is a CSV, TSV, JSON-lines or Parquet file whose rows name image files, beside the images or above them.
"""

import logging
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from train.data.splits import SPLIT_OF_NAME, split_of
from train.data.unused import is_picture, report_unused

logger = logging.getLogger(__name__)

TABLE_ENDINGS = (".csv", ".tsv", ".jsonl", ".parquet")
METADATA = tuple(f"metadata{ending}" for ending in TABLE_ENDINGS)
PATH_COLUMNS = ("file_name", "image", "image_path", "path", "filepath", "filename", "file")
"""Names of the column with the images' files, the first that a table has."""
NOT_CLASSES = {"images", "image", "masks", "mask", "lung masks", "infection masks", "labels", "annotations"}
"""Names of folders beside one another that are kinds of picture, not classes of X-rays."""
FILE_NAME = "_file_name"
"""The ending of the name of a column whose files are pictures of their own: `mask_file_name` becomes `mask`."""


def read_table(path: Path) -> pd.DataFrame:
    """Read a table with every value as text, as Excel, R and Python write it: any of three separators and encodings.

    Raises:
        ValueError: it is not such a table.
    """
    if path.suffix == ".parquet":
        table = pd.read_parquet(path)
    elif path.suffix == ".jsonl":
        table = pd.read_json(path, lines=True, dtype=False)
    else:
        table = _read_text(path)
    return table.rename(columns=str)


def _read_text(path: Path) -> pd.DataFrame:
    data = path.read_bytes()
    encoding = "utf-16" if data.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig"
    try:
        head = data.decode(encoding)
    except UnicodeDecodeError:
        encoding = "cp1252"
        try:
            head = data.decode(encoding)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is text in an unknown encoding; save it as CSV in UTF-8.") from error
        logger.warning("%s is not UTF-8; it is read as Windows-1252.", path)
    first = head.partition("\n")[0]
    separator = max(",;\t", key=first.count)
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding=encoding, sep=separator).astype(object)
    except (ValueError, pd.errors.ParserError) as error:
        raise ValueError(f"{path} is not a table with a row of names first: {' '.join(str(error).split())}") from error


def table_manifest(path: Path, columns: Mapping[str, str], split: str | None = None) -> pd.DataFrame:
    """Read a table of images into a manifest; its files are found from the table's folder.

    Args:
        path: the table.
        columns: "image", "lung_mask" and "infection_mask" -> the column with their files, where it has another name;
            images are looked for in the first of `PATH_COLUMNS`, masks in all columns that end in "mask".
        split: the split of all rows; None for the column `split`, without which all are "train".

    Raises:
        ValueError: it has no column of files, none of the files is there, or a split has no known name.
    """
    table = read_table(path)
    found = columns.get("image") or next((name for name in PATH_COLUMNS if name in table), None)
    if found not in table:
        raise ValueError(
            f"{path} has the columns {', '.join(table.columns)}, and none for the files of the images; name it with "
            "--image_column."
        )
    paths = [str((path.parent / str(name)).resolve()) for name in table[found]]
    there = [Path(name).is_file() for name in paths]
    report_unused(
        f"a row of {path.name} without a file",
        [name for name, is_there in zip(table[found], there, strict=True) if not is_there],
    )
    if not any(there):
        raise ValueError(
            f"None of the {len(table)} files that {path} names is there; they are looked for in {path.parent}."
        )
    table = table.assign(image=paths, file=[Path(name).name for name in paths])
    for column in [name for name in table if name.endswith(FILE_NAME) and name != found]:
        table[column.removesuffix(FILE_NAME)] = [_beside(path, name) for name in table[column]]
        table = table.drop(columns=column)
    masks = {
        columns.get("lung_mask"),
        columns.get("infection_mask"),
        *(name for name in table if name.endswith("mask")),
    }
    for column in masks.intersection(table):
        table[column] = [value if _is_there(value) else _beside(path, value) for value in table[column]]
    if split is None and "split" not in table:
        table["split"] = "train"
    table["split"] = [split] * len(table) if split else [split_of(name) for name in table["split"]]
    unknown = table["split"].isna()
    report_unused(f"of a split of another name than {', '.join(SPLIT_OF_NAME)}", table["file"][unknown])
    return table[[*map(bool, there)]][~unknown[there]].reset_index(drop=True)


def _is_there(value: object) -> bool:
    return isinstance(value, str) and Path(value).is_absolute() and Path(value).is_file()


def _beside(table: Path, name: object) -> str | None:
    """Return the path of a file that a table names, None for an empty cell.

    Raises:
        ValueError: there is no such file.
    """
    if name is None or name == "" or name != name:
        return None
    path = (table.parent / str(name)).resolve()
    if not path.is_file():
        raise ValueError(
            f"{table} names the mask {name}, which is not there; correct the name, or leave the cell empty."
        )
    return str(path)


def folder_manifest(folder: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    """Read a folder of images into a manifest: one with a table (`METADATA`) in it or in each split, or class folders.

    Class folders are SPLIT/CLASS/FILE or CLASS/FILE. `columns` is as in `table_manifest`.

    Raises:
        FileNotFoundError: the folder holds no image in one of these ways.
        ValueError: a table cannot be used, see `table_manifest`.
    """
    tables = [
        path for name in METADATA for path in (folder / name, *sorted(folder.glob(f"*/{name}"))) if path.is_file()
    ]
    if tables:
        parts = [
            table_manifest(path, columns, None if path.parent == folder else split_of(path.parent.name) or "train")
            for path in tables
        ]
        manifest = pd.concat(parts, ignore_index=True)
        _report_strays(folder, manifest)
        return manifest
    folder = _unwrapped(folder)
    places = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name[0] != "."]
    rows, strays = [], []
    for path in places:
        above = path.relative_to(folder).parts[:-1]
        split = split_of(above[0]) if len(above) == 2 else "train" if len(above) == 1 else None
        if split is None or not is_picture(path):
            strays.append(path.relative_to(folder))
        else:
            rows.append({"file": path.name, "image": str(path), "split": split, "label": above[-1]})
    if not rows:
        raise FileNotFoundError(
            f"{folder} holds no image as SPLIT/CLASS/NAME.png or CLASS/NAME.png, no metadata.csv with a column "
            "file_name, and none of the folders that the COVID-QU-Ex archive unpacks to."
        )
    report_unused("not an image of a known format, or not in a class folder", strays)
    if mixed := {row["label"] for row in rows} & NOT_CLASSES:
        raise ValueError(
            f"{folder} has folders called {', '.join(sorted(mixed))}, which are not classes; write a metadata.csv "
            "there with the columns file_name, label and lung_mask_file_name."
        )
    return pd.DataFrame(rows)


def _unwrapped(folder: Path) -> Path:
    """Return the folder that holds splits or classes: a folder in which one other lies alone is a wrapping."""
    inside = [path for path in sorted(folder.iterdir()) if path.name[0] != "."]
    alone = inside[0] if len(inside) == 1 and inside[0].is_dir() and split_of(inside[0].name) is None else None
    if alone is not None and any(path.is_dir() for path in alone.iterdir()):
        return _unwrapped(alone)
    return folder


def _report_strays(folder: Path, manifest: pd.DataFrame) -> None:
    """Report the files of a folder that no row names."""
    columns = [name for name in manifest if name == "image" or "mask" in name]
    named = {str(value) for column in columns for value in manifest[column] if isinstance(value, str)}
    files = (path.resolve() for path in sorted(folder.rglob("*")) if path.is_file() and path.name[0] != ".")
    strays = [path for path in files if str(path) not in named and path.name not in METADATA]
    report_unused("a file that no row of the metadata names", [path.name for path in strays])
