"""Bounding boxes, a cheaper label than outlines: read from a file, made from outlines, and put into a tensor.

A box is x0, y0, x1, y1 in pixels of its image, float; x1 and y1 are the first column and row outside. A row whose boxes
of a mask nobody drew has None there; an empty list says that somebody looked and there is nothing.
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

MAX_BOXES = 8
"""Number of boxes of one mask with which an image is trained at most; the largest are taken."""

MIN_COMPONENT_SHARE = 0.01
"""A connected component smaller than this share of the largest component of its mask gets no box."""

MASK_OF_NAME = {"lungs": "lungs", "lung": "lungs", "infection": "infection", "opacity": "infection"}
"""Name in a file of boxes -> mask."""

Boxes = list[list[float]]


def component_boxes(mask: np.ndarray) -> Boxes:
    """Return the smallest box around each connected component of a mask, bool (H, W), without specks."""
    components, _ = ndimage.label(mask)
    areas = np.bincount(components.ravel())[1:]
    return [
        [float(columns.start), float(rows.start), float(columns.stop), float(rows.stop)]
        for (rows, columns), area in zip(ndimage.find_objects(components), areas, strict=True)
        if area >= MIN_COMPONENT_SHARE * areas.max()
    ]


def read_boxes(path: str | Path) -> dict[str, dict[str, Boxes]]:
    """Read a JSON file of boxes: file name -> mask -> boxes.

    It is either COCO's {"images", "annotations", "categories"}, whose boxes are x, y, width, height, or Pascal VOC's
    annotations as a list of {"filename", "object": [{"name", "bndbox": {"xmin", "ymin", "xmax", "ymax"}}]}, whose
    pixels count from 1. The names are those of `MASK_OF_NAME`. An image that the file lists has a list
    of boxes, perhaps an empty one, of every mask that the file names at all.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is in neither format, or names anything else.
    """
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        files, annotations = _coco(content) if isinstance(content, dict) else _pascal(content)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} holds no boxes as COCO ({{images, annotations, categories}}) or Pascal VOC (a list of {{filename, "
            f"object}}) write them: {error!r}."
        ) from error
    annotations = list(annotations)
    if unknown := sorted({name for _, name, _ in annotations} - MASK_OF_NAME.keys()):
        raise ValueError(f"{path} has boxes of {', '.join(unknown)}; known are {', '.join(MASK_OF_NAME)}.")
    masks = sorted({MASK_OF_NAME[name] for _, name, _ in annotations}, key=MASKS.index)
    boxes: dict[str, dict[str, Boxes]] = {file: {mask: [] for mask in masks} for file in files}
    for file, name, box in annotations:
        boxes[file][MASK_OF_NAME[name]].append([float(edge) for edge in box])
    return boxes


def _coco(content: dict) -> tuple[list[str], Iterable[tuple[str, str, list[float]]]]:
    files = {image["id"]: Path(image["file_name"]).name for image in content["images"]}
    names = {category["id"]: category["name"].lower() for category in content["categories"]}
    annotations = [
        (files[annotation["image_id"]], names[annotation["category_id"]], [x, y, x + width, y + height])
        for annotation in content["annotations"]
        for x, y, width, height in [annotation["bbox"]]
    ]
    return list(files.values()), annotations


def _pascal(content: list) -> tuple[list[str], Iterable[tuple[str, str, list[float]]]]:
    annotations = [
        (Path(image["filename"]).name, item["name"].lower(), [b["xmin"] - 1, b["ymin"] - 1, b["xmax"], b["ymax"]])
        for image in content
        for item in image["object"]
        for b in [item["bndbox"]]
    ]
    return [Path(image["filename"]).name for image in content], annotations


def add_boxes(rows: datasets.Dataset, boxes: dict[str, dict[str, Boxes]]) -> datasets.Dataset:
    """Return the rows with the boxes that `read_boxes` read for their files."""
    for mask, column in BOX_COLUMNS.items():
        values = [
            boxes.get(file, {}).get(mask, present) for file, present in zip(rows["file"], rows[column], strict=True)
        ]
        rows = rows.remove_columns(column).add_column(column, values, feature=rows.features[column])
    return rows


def without_boxes(rows: datasets.Dataset) -> datasets.Dataset:
    """Return the rows as if nobody had drawn boxes."""
    for column in BOX_COLUMNS.values():
        feature = rows.features[column]
        rows = rows.remove_columns(column).add_column(column, [None] * len(rows), feature=feature)
    return rows


def without_outlines(rows: datasets.Dataset, share: float = 0.0, seed: int = 0) -> datasets.Dataset:
    """Replace the outlines of the rows' masks by boxes, all but a random share of them.

    Args:
        rows: rows with masks.
        share: share, 0..1, of the outlines of each mask that stay outlines.
        seed: the seed by which those are drawn.

    Returns:
        The rows. Where a box took the place of an outline, the mask is None; a blank mask becomes an empty list.
    """
    unchanged = {}
    for column in MASK_COLUMNS.values():
        outlined = [i for i, mask in enumerate(rows[column]) if mask is not None and read_mask(mask).any()]
        chosen = np.random.default_rng(seed).permutation(outlined)[: round(share * len(outlined))]
        unchanged[column] = {int(position) for position in chosen}

    def replace(row: dict, position: int) -> dict:
        for mask, column in MASK_COLUMNS.items():
            if row[column] is not None and position not in unchanged[column]:
                row[BOX_COLUMNS[mask]], row[column] = component_boxes(read_mask(row[column])), None
        return row

    return rows.map(replace, with_indices=True, features=rows.features, desc="Outlines to boxes")


def box_tensor(boxes: Boxes | None, shape: tuple[int, int], size: int) -> torch.Tensor:
    """Scale an image's boxes to the square of the network's input.

    Args:
        boxes: the boxes in pixels of the image; None counts as no box.
        shape: height and width of the image in pixels.
        size: side of the square in pixels.

    Returns:
        float32 (MAX_BOXES, 4) in pixels of the square: the largest boxes, then zeros.
    """
    scale = np.array([size / shape[1], size / shape[0]] * 2)
    scaled = np.array(boxes or np.zeros((0, 4))).reshape(-1, 4) * scale
    largest = np.argsort(-(scaled[:, 2] - scaled[:, 0]) * (scaled[:, 3] - scaled[:, 1]))[:MAX_BOXES]
    tensor = torch.zeros(MAX_BOXES, 4)
    tensor[: len(largest)] = torch.from_numpy(scaled[largest]).float()
    return tensor
