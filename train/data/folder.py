"""A COVID-QU-Ex folder, as its archive unpacks, read into one table."""

import filecmp
import logging
from pathlib import Path

import pandas as pd

from hub_models.models.labels import LABELS

logger = logging.getLogger(__name__)

PARTS = ("Lung Segmentation Data", "Infection Segmentation Data")
SPLITS = {"Train": "train", "Val": "validation", "Test": "test"}
MASK_FOLDERS = {"lung_mask": "lung masks", "infection_mask": "infection masks"}
IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"}
COLUMNS = ("file", "image", "lung_mask", "infection_mask", "label", "split", "patient", "source", "finding", "caption")


def read_folder(folder: str | Path, also: str | None = None) -> pd.DataFrame:
    """Read a COVID-QU-Ex folder into a manifest with one row an image.

    The folder holds `Lung Segmentation Data` or `Infection Segmentation Data` or both, each possibly inside a folder of
    the same name, and in them {Train,Val,Test}/{class}/{images,lung masks,infection masks}. An image that stands in
    both parts under one class and name with the same bytes becomes one row, in the split of the lung part, with all its
    masks.

    Args:
        folder: the folder that holds the parts; a `metadata.csv` in it (columns file, split, label and any of patient,
            source, finding, view, age, notes) adds what it knows.
        also: one more column of the metadata that is wanted, as text.

    Returns:
        A DataFrame with `COLUMNS`, and the one more: paths as text, `label` a class name, `split` "train", "validation"
        or "test"; a mask that was not drawn, and what no metadata tells, is None.

    Raises:
        FileNotFoundError: if the folder holds no image in this layout.
        ValueError: if the metadata lacks a column that says which image it is about.
    """
    folder = Path(folder)
    rows: dict[tuple[str, str], list[dict]] = {}
    for part in PARTS:
        for image in _images(folder / part):
            row = _row(image)
            twins = rows.setdefault((row["label"], row["file"]), [])
            twin = next((t for t in twins if filecmp.cmp(t["image"], row["image"], shallow=False)), None)
            if twin is None:
                twins.append(row)
            else:
                _join(twin, row)
    if not rows:
        raise FileNotFoundError(
            f"{folder} holds no image as {PARTS[0]}/{{{','.join(SPLITS)}}}/CLASS/images/NAME.png (or the same under "
            f"{PARTS[1]}); give the folder that the COVID-QU-Ex archive unpacks to."
        )
    manifest = pd.DataFrame([row for twins in rows.values() for row in twins], columns=list(COLUMNS), dtype=object)
    manifest = manifest.sort_values(["split", "label", "file"], ignore_index=True)
    manifest = _with_metadata(manifest, folder / "metadata.csv", also).astype(object)
    return manifest.where(manifest.notna() & (manifest != ""), None)


def class_names(manifest: pd.DataFrame) -> list[str]:
    """Classes of a manifest: the default ones in the order of `LABELS`, then any others by name."""
    found = set(manifest["label"])
    return [label for label in LABELS if label in found] + sorted(found - set(LABELS))


def _images(part: Path) -> list[Path]:
    root = part / part.name if (part / part.name).is_dir() else part
    paths = (path for split in SPLITS for path in root.glob(f"{split}/*/images/*"))
    return sorted(path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES)


def _row(image: Path) -> dict:
    label = image.parent.parent
    masks = {column: label / name / image.name for column, name in MASK_FOLDERS.items()}
    return {
        "file": image.name,
        "image": str(image),
        **{column: str(path) if path.is_file() else None for column, path in masks.items()},
        "label": label.name,
        "split": SPLITS[label.parent.name],
    }


def _join(row: dict, twin: dict) -> None:
    if row["split"] != twin["split"]:
        logger.warning("%s is in %s and in %s; it stays in the first.", row["file"], row["split"], twin["split"])
    for column in MASK_FOLDERS:
        row[column] = row[column] or twin[column]


def _with_metadata(manifest: pd.DataFrame, path: Path, also: str | None) -> pd.DataFrame:
    if not path.is_file():
        return manifest
    metadata = pd.read_csv(path, dtype=str, keep_default_na=False).astype(object)
    keys = ["file", "split", "label"]
    if missing := [column for column in keys if column not in metadata]:
        raise ValueError(f"{path} has no column {', '.join(missing)}; it needs {', '.join(keys)}.")
    metadata["split"] = metadata["split"].replace(SPLITS)
    metadata["caption"] = [_caption(row) for row in metadata.to_dict("records")]
    known = [column for column in ("patient", "source", "finding", "caption") if column in metadata]
    extra = [also] if also in metadata and also not in COLUMNS else []
    metadata = metadata.drop_duplicates(keys)[[*keys, *known, *extra]]
    return manifest.drop(columns=known).merge(metadata, on=keys, how="left")[[*COLUMNS, *extra]]


def _caption(row: dict) -> str | None:
    """What a reader of the metadata would write under the X-ray: first the finding, then what else is known."""
    finding = row.get("finding")
    if not finding:
        return None
    sentences = [f"Chest X-ray of {'healthy lungs, no finding' if finding == 'No Finding' else finding}."]
    if row.get("view"):
        sentences.append(f"{row['view']} view.")
    if row.get("age"):
        sentences.append(f"Age {row['age'].removesuffix('.0')}.")
    if row.get("notes"):
        sentences.append(row["notes"])
    return " ".join(sentences)
