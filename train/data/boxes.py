"""Bounding boxes as a cheaper label than outlines: read from a file, made from outlines, and brought to a fixed form.

A box is x0, y0, x1, y1 in pixels of its image, float, x1 and y1 just outside. A row without boxes of a mask has None
there; an empty list says that somebody looked and there is nothing.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import datasets
import numpy as np
import torch
from scipy import ndimage

from hub_models.xray.masks import MASKS
from train.data.rows import BOX_COLUMNS, MASK_COLUMNS, read_mask

MOST = 8
"""The most boxes of one mask that an image is trained with; of more, the largest."""

SMALLEST = 0.01
"""A part of an outline smaller than this share of its largest part gets no box."""

NAMES = {"lungs": "lungs", "lung": "lungs", "infection": "infection", "opacity": "infection"}
"""What a file of boxes may call the two masks."""

Boxes = list[list[float]]


def component_boxes(mask: np.ndarray) -> Boxes:
    """The smallest box around each connected part of a mask, bool (H, W), but for specks (`SMALLEST`)."""
    parts, _ = ndimage.label(mask)
    areas = np.bincount(parts.ravel())[1:]
    return [
        [float(columns.start), float(rows.start), float(columns.stop), float(rows.stop)]
        for (rows, columns), area in zip(ndimage.find_objects(parts), areas, strict=True)
        if area >= SMALLEST * areas.max()
    ]


def read_boxes(path: str | Path) -> dict[str, dict[str, Boxes]]:
    """Read a JSON file of boxes: file name -> mask -> boxes.

    It is either COCO's {"images", "annotations", "categories"}, whose boxes are x, y, width, height, or Pascal VOC's
    annotations as a list of {"filename", "object": [{"name", "bndbox": {"xmin", "ymin", "xmax", "ymax"}}]}, whose
    pixels count from 1. The names of the things are those of `NAMES`. An image that the file lists has boxes of every
    mask that the file knows, perhaps none.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is neither, or names other things.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        files, found = _coco(content) if isinstance(content, dict) else _pascal(content)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} holds no boxes as COCO ({{images, annotations, categories}}) or Pascal VOC (a list of {{filename, "
            f"object}}) write them: {error!r}."
        ) from error
    found = list(found)
    if strange := sorted({name for _, name, _ in found} - NAMES.keys()):
        raise ValueError(f"{path} has boxes of {', '.join(strange)}; known are {', '.join(NAMES)}.")
    known = sorted({NAMES[name] for _, name, _ in found}, key=MASKS.index)
    boxes: dict[str, dict[str, Boxes]] = {file: {mask: [] for mask in known} for file in files}
    for file, name, box in found:
        boxes[file][NAMES[name]].append([float(edge) for edge in box])
    return boxes


def _coco(content: dict) -> tuple[list[str], Iterable[tuple[str, str, list[float]]]]:
    files = {image["id"]: Path(image["file_name"]).name for image in content["images"]}
    names = {category["id"]: category["name"].lower() for category in content["categories"]}
    found = [
        (files[one["image_id"]], names[one["category_id"]], [x, y, x + width, y + height])
        for one in content["annotations"]
        for x, y, width, height in [one["bbox"]]
    ]
    return list(files.values()), found


def _pascal(content: list) -> tuple[list[str], Iterable[tuple[str, str, list[float]]]]:
    found = [
        (Path(image["filename"]).name, thing["name"].lower(), [b["xmin"] - 1, b["ymin"] - 1, b["xmax"], b["ymax"]])
        for image in content
        for thing in image["object"]
        for b in [thing["bndbox"]]
    ]
    return [Path(image["filename"]).name for image in content], found


def add_boxes(rows: datasets.Dataset, boxes: dict[str, dict[str, Boxes]]) -> datasets.Dataset:
    """The rows with the boxes that `read_boxes` gives for their files."""
    for mask, column in BOX_COLUMNS.items():
        found = [
            boxes.get(file, {}).get(mask, present) for file, present in zip(rows["file"], rows[column], strict=True)
        ]
        rows = rows.remove_columns(column).add_column(column, found, feature=rows.features[column])
    return rows


def without_boxes(rows: datasets.Dataset) -> datasets.Dataset:
    """The rows as if nobody had drawn boxes."""
    for column in BOX_COLUMNS.values():
        feature = rows.features[column]
        rows = rows.remove_columns(column).add_column(column, [None] * len(rows), feature=feature)
    return rows


def without_outlines(rows: datasets.Dataset, kept: float = 0.0, seed: int = 0) -> datasets.Dataset:
    """The rows with the outlines of their masks replaced by boxes, but for a share of them drawn at random.

    Args:
        kept: share, 0..1, of the outlines of each mask that stay.
        seed: of the draw.

    Returns:
        The rows. Where a box took the place of an outline, there is no mask any more; a blank mask becomes no boxes.
    """
    stays = {}
    for column in MASK_COLUMNS.values():
        drawn = [i for i, mask in enumerate(rows[column]) if mask is not None and read_mask(mask).any()]
        chosen = np.random.default_rng(seed).permutation(drawn)[: round(kept * len(drawn))]
        stays[column] = {int(position) for position in chosen}

    def replace(row: dict, position: int) -> dict:
        for mask, column in MASK_COLUMNS.items():
            if row[column] is not None and position not in stays[column]:
                row[BOX_COLUMNS[mask]], row[column] = component_boxes(read_mask(row[column])), None
        return row

    return rows.map(replace, with_indices=True, features=rows.features, desc="Outlines to boxes")


def box_tensor(boxes: Boxes | None, shape: tuple[int, int], size: int) -> torch.Tensor:
    """Boxes of an image of a shape (H, W) as float32 (MOST, 4) in pixels of a square of `size`, then zeros."""
    scale = np.array([size / shape[1], size / shape[0]] * 2)
    found = np.array(boxes or np.zeros((0, 4))).reshape(-1, 4) * scale
    largest = np.argsort(-(found[:, 2] - found[:, 0]) * (found[:, 3] - found[:, 1]))[:MOST]
    tensor = torch.zeros(MOST, 4)
    tensor[: len(largest)] = torch.from_numpy(found[largest]).float()
    return tensor
