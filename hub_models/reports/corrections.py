"""X-rays whose outlines or class somebody corrected, as records that `train.data` reads."""

import csv
import io
import json
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from hub_models.checkpoints.folder import Checkpoint, weights_digest
from hub_models.reports.mask_files import run_lengths
from hub_models.reports.png import encode_png
from hub_models.xray.masks import Masks

IMAGE_FILE, LUNGS_FILE, INFECTION_FILE = "image.png", "lungs.png", "infection.png"
TABLE_FILE, RECORD_FILE = "metadata.csv", "record.json"
COLUMNS = ("file_name", "label", "lung_mask_file_name", "infection_mask_file_name", "source")
SOURCE = "corrections"
"""What the column `source` says, so that these images can be told from the others of a data set."""
MAX_REMARK_CHARACTERS = 1000


@dataclass(frozen=True)
class Corrected:
    """A corrected X-ray; nothing in it tells whose it is, unless the remark does.

    Attributes:
        image: the X-ray as it was read, float32 (H, W) in 0..1.
        masks: its corrected masks, of any size.
        outlined: the masks before, of the same size.
        label: its class in the visitor's opinion; None where they said nothing.
        remark: a free text.
        unet: the checkpoint that outlined it.
        sha256: of the X-ray's file.
    """

    image: np.ndarray
    masks: Masks
    outlined: Masks
    label: str | None
    remark: str
    unet: Checkpoint
    sha256: str


def write_record(folder: Path, corrected: Corrected) -> Path:
    """Write a corrected X-ray into a new folder in `folder`, which is there whole or not at all; returns its path.

    The folder holds image.png, of 16 bits, and masks of its size (0 outside, 255 inside); metadata.csv, a line of a
    data set whose columns `train.data` knows; and record.json, with the masks before and after as run lengths.
    """
    name = secrets.token_hex(8)
    path, unfinished = folder / name, folder.with_name(f"{folder.name}.unfinished") / name
    unfinished.mkdir(parents=True)
    for file, data in record_files(corrected).items():
        (unfinished / file).write_bytes(data)
    folder.mkdir(parents=True, exist_ok=True)
    return unfinished.rename(path)


def record_files(corrected: Corrected) -> dict[str, bytes]:
    """Return the files of a record: name -> bytes."""
    shape = corrected.image.shape
    drawn = replace(corrected.masks, smooth=None).at(shape)
    row = (IMAGE_FILE, corrected.label or "", LUNGS_FILE, INFECTION_FILE, SOURCE)
    table = io.StringIO()
    csv.writer(table, lineterminator="\n").writerows([COLUMNS, row])
    return {
        IMAGE_FILE: encode_png((corrected.image * 65535).round().astype(np.uint16)),
        LUNGS_FILE: encode_png(drawn.lungs.astype(np.uint8) * 255),
        INFECTION_FILE: encode_png(drawn.infection.astype(np.uint8) * 255),
        TABLE_FILE: table.getvalue().encode(),
        RECORD_FILE: (json.dumps(_described(corrected), ensure_ascii=False, indent=2) + "\n").encode(),
    }


def _described(corrected: Corrected) -> dict:
    both = {"before": corrected.outlined, "after": corrected.masks}
    unet = {"name": corrected.unet.name, "sha256": weights_digest(corrected.unet.folder)}
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "file_sha256": corrected.sha256,
        "label": corrected.label,
        "remark": corrected.remark,
        "unet": unet,
        **{
            when: {"lungs": run_lengths(masks.lungs), "infection": run_lengths(masks.infection)}
            for when, masks in both.items()
        },
    }
