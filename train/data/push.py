"""Data sets on the Hub, each with a card: its content, its sources, and what to beware of.

Only pictures, masks, boxes, classes and numbers go there. File names, headers and texts stay, unless they are named.
"""

import io

import datasets
import numpy as np
from huggingface_hub import DatasetCard, HfApi, get_token
from PIL import Image

from hub_models.checkpoints.download import HUB_ERRORS, hub_failure
from hub_models.publish.upload import PublishError, check_private, present
from hub_models.xray.images import read_image
from train.data.audit import count_table, patients_on_two_sides
from train.data.lungs import png
from train.data.rows import BOX_COLUMNS, IMAGE_COLUMNS, MASK_COLUMNS, TEXT_COLUMNS, read_mask, source, undecoded

TEXT = """
# {name}

Frontal chest X-rays{sides}, with lung and infection masks where somebody drew them. Made for research and
teaching; not for any clinical use.

## What is in it

{table}

- `image`: the X-ray, greyscale PNG without any header; `label`: {labels}.
- `lung_mask`, `infection_mask`: white inside, black outside; **null where nobody drew one**, which is not the same as a
  mask that is blank.
- `lung_boxes`, `infection_boxes`: bounding boxes, each x0, y0, x1, y1 in pixels; null where nobody drew any.
- `patient`: a number for each patient, null where it is not known.
{columns}
```python
from datasets import load_dataset

rows = load_dataset("{name}", split="{split}")
print(rows[0]["image"].size, rows.features["label"].int2str(rows[0]["label"]))
```
{sources}
## Beware

- Patients in more than one split: {shared}.
- The classes may come from different hospitals: a model can name the hospital instead of the disease. Report controls,
  such as the accuracy with the lungs hidden, beside every score.
- Masks exist for a part of the images only; scores of outlines hold for that part.

The terms are those of the images: {license}.
"""

MEANINGS = {
    "file": "the name of the image's file",
    "source": "the hospital or collection of the image",
    "finding": "a diagnosis, in more detail than the class",
    "caption": "a sentence that somebody wrote on the image; null where captions are to be made of the other columns",
    "doubt": "why the class is doubted; null where it is not",
    "view": "PA or AP",
    "sex": "M or F",
    "age": "in years",
}
"""Column that goes to the Hub only if it is named -> what it holds."""


def public_rows(splits: datasets.DatasetDict, columns: list[str]) -> datasets.DatasetDict:
    """Return what of a data set goes to the Hub.

    Every picture is written again as a PNG file that holds nothing but its pixels, patients become numbers, and files
    are called after split and place. Other columns are left out.

    Args:
        splits: the data set.
        columns: columns of text to take along as they are.

    Raises:
        ValueError: there is no such column.
    """
    patients: dict[str, str] = {}
    for rows in splits.values():
        if missing := [name for name in columns if name not in rows.column_names]:
            raise ValueError(f"There is no column {missing[0]}; the columns are {', '.join(rows.column_names)}.")
        for patient in rows["patient"]:
            if patient is not None:
                patients.setdefault(patient, str(len(patients)))
    return datasets.DatasetDict({split: _public(rows, split, columns, patients) for split, rows in splits.items()})


def _public(rows: datasets.Dataset, split: str, columns: list[str], patients: dict[str, str]) -> datasets.Dataset:
    own = [*IMAGE_COLUMNS, *BOX_COLUMNS.values(), "label", "file", "patient"]
    chosen = undecoded(rows).select_columns([*dict.fromkeys([*own, *columns])])

    def clean(row: dict, place: int) -> dict:
        pictures = {"image": _plain_png(source(row["image"]))}
        pictures |= {name: row[name] and png(read_mask(row[name])) for name in MASK_COLUMNS.values()}
        names = {} if "file" in columns else {"file": f"{split}-{place}"}
        patient = row["patient"]
        return pictures | names | {"patient": patients.get(patient, patient) if "patient" not in columns else patient}

    features = datasets.Features({name: rows.features[name] for name in chosen.column_names})
    features |= {name: datasets.Image() for name in IMAGE_COLUMNS}
    return chosen.map(clean, with_indices=True, features=features, desc=f"Writing the pictures of {split}")


def _plain_png(image: str | bytes) -> dict:
    """Encode an X-ray as a PNG file of its pixels alone: 8 bits as they are stored, or else 16 bits as it is read."""
    try:
        picture = Image.open(io.BytesIO(image) if isinstance(image, bytes) else image)
        plain = np.asarray(picture) if picture.mode == "L" and picture.getexif().get(0x112, 1) == 1 else None
    except OSError:  # a format that Pillow does not know, such as DICOM
        plain = None
    if plain is None:
        plain = (read_image(image) * 65535).round().astype(np.uint16)
    buffer = io.BytesIO()
    Image.fromarray(plain).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def summary(name: str, splits: datasets.DatasetDict, private: bool) -> str:
    """Say in a few lines what of `public_rows` will be seen by whom."""
    rows = next(iter(splits.values()))
    patients = {patient for rows in splits.values() for patient in rows["patient"] if patient is not None}
    home = [column for column in TEXT_COLUMNS if column not in rows.column_names]
    first = next(iter(splits))
    names = ["names of the files"] if rows[0]["file"] == f"{first}-0" else []
    seen = "private: seen by those whom its owner lets in" if private else "PUBLIC: seen by everybody"
    images = sum(map(len, splits.values()))
    return "\n".join(
        [
            f"To {name}, {seen}:",
            f"  {images} X-rays as PNG files without any header, {len(patients)} patients as numbers",
            f"  columns: {', '.join(rows.column_names)}",
            f"  stay here: {', '.join(['headers of the files', *names, *home])}",
        ]
    )


def push(name: str, splits: datasets.DatasetDict, license: str, private: bool = True) -> None:
    """Push a data set, images included, and its card.

    Args:
        name: Hub id, `user/name`.
        splits: the data set, as `public_rows` returns it.
        license: terms of the images, as the Hub writes them.
        private: create it as a private data set.

    Raises:
        ValueError: there is no token, the data set is there and public and is to be private, or the Hub refuses or
            cannot be reached.
    """
    try:
        splits.push_to_hub(name, private=private)
        card = DatasetCard.load(name)  # holds the features and files in its metadata, written by the push
        card.data.license = license
        card.data.task_categories = ["image-segmentation", "image-classification"]
        card.data.tags = ["chest-x-ray", "medical-imaging"]
        card.data.pretty_name = name.rpartition("/")[2]
        card.text = describe_splits(name, splits, license)
        HfApi().upload_file(
            path_or_fileobj=str(card).encode(),
            path_in_repo="README.md",
            repo_id=name,
            repo_type="dataset",
            commit_message="Describe the data set",
        )
    except HUB_ERRORS as error:
        raise ValueError(f"The data set is not, or not wholly, pushed: {hub_failure(error, name)}") from error


def describe_splits(name: str, splits: datasets.DatasetDict, license: str) -> str:
    """Write the text of the card."""
    first, rows = next(iter(splits.items()))
    table = count_table(splits)
    lines = [["split", *table.columns], ["---"] * (1 + len(table.columns))]
    lines += [[split, *(f"{count:,}" for count in counts)] for split, *counts in table.itertuples()]
    extra = [column for column in rows.column_names if column in MEANINGS and column != "file"]
    sources = sorted({text for rows in splits.values() for text in rows["source"] if text}) if "source" in extra else []
    has_patients = any(patient is not None for rows in splits.values() for patient in rows["patient"])
    return TEXT.format(
        name=name,
        sides=" in splits by patient" if has_patients and not patients_on_two_sides(splits) else "",
        table="\n".join(f"| {' | '.join(line)} |" for line in lines),
        labels=", ".join(rows.features["label"].names),
        columns="".join(f"- `{column}`: {MEANINGS[column]}.\n" for column in extra),
        split=first,
        sources="\n## Sources\n\n" + "\n".join(f"- {text}" for text in sources) + "\n" if sources else "",
        shared=len(patients_on_two_sides(splits)) if has_patients else "not known, because no patient is",
        license=license,
    )


def check_push(name: str, private: bool) -> None:
    """Ask the Hub, before anything is read, whether a data set may go there.

    Raises:
        ValueError: there is no token, the data set is there and public and is to be private, or the Hub refuses or
            cannot be reached.
    """
    if get_token() is None:
        raise ValueError("There is no Hub token; log in with `hf auth login` or set HF_TOKEN.")
    try:
        check_private(present(HfApi(), name, "dataset"), name, private)
    except PublishError as error:
        raise ValueError(str(error)) from error
    except HUB_ERRORS as error:
        raise ValueError(f"The data set could not be pushed: {hub_failure(error, name)}") from error
