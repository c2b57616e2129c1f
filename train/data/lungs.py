"""Lungs of a data set's X-rays, as a UNet outlines them."""

import io
import json
import logging
import uuid
from pathlib import Path

import datasets
import numpy as np
from datasets.arrow_writer import ArrowWriter
from datasets.fingerprint import get_temporary_cache_files_directory
from PIL import Image
from tqdm.auto import tqdm

from hub_models.checkpoints.folder import answers_digest
from hub_models.checkpoints.resolve import resolve
from hub_models.models.unet import Segmenter
from train.data.arguments import ClassifierArguments
from train.data.audit import describe
from train.data.columns import check_classes
from train.data.outline_store import MAX_KEYS, OutlinesOnce, OutlineStore, image_key
from train.data.processes import share, wait
from train.data.rows import read_mask, read_picture, undecoded

logger = logging.getLogger(__name__)

BATCH_IMAGES = 16


def outline_lungs(
    rows: datasets.Dataset, segmenter: Segmenter, store: OutlineStore | OutlinesOnce | None = None
) -> datasets.Dataset:
    """Return the rows with a column `lungs`: the lungs as the UNet outlines them, blank where it finds none.

    Neither the pictures nor the outlines of all rows are in memory at once.

    Args:
        rows: the X-rays.
        segmenter: the UNet.
        store: where its outlines are kept, so that nothing is outlined twice, and of several processes of one training
            each outlines a share; None to keep them for these rows only.
    """
    store = store or OutlinesOnce()
    rows = undecoded(rows)
    keys = [image_key(image) for image in rows["image"]]
    known = store.known(keys)
    places = {key: place for place, key in enumerate(keys) if key not in known}  # an image may stand there twice
    number, processes = share() if isinstance(store, OutlineStore) else (0, 1)
    _outline(rows, list(places.values())[number::processes], keys, segmenter, store)
    if processes > 1:
        wait()
        known = store.known(keys)  # less than all if another machine has another cache
        _outline(rows, [place for key, place in places.items() if key not in known], keys, segmenter, store)
    return datasets.concatenate_datasets([rows, _column(keys, store)], axis=1, split=rows.split)


def _outline(
    rows: datasets.Dataset, places: list[int], keys: list[str], segmenter: Segmenter, store: OutlineStore | OutlinesOnce
) -> None:
    """Outline the lungs of the rows at some places, and keep them."""
    if not places:
        return
    for start in tqdm(range(0, len(places), BATCH_IMAGES), desc=f"Outlining the lungs of {rows.split}"):
        batch = places[start : start + BATCH_IMAGES]
        probabilities = segmenter.probability_maps([read_picture(rows[place]["image"]) for place in batch])
        store.add(
            {
                keys[place]: png(segmenter.masks(maps).lungs)["bytes"]
                for place, maps in zip(batch, probabilities, strict=True)
            }
        )


def _column(keys: list[str], store: OutlineStore | OutlinesOnce) -> datasets.Dataset:
    """Write the outlines of images to a file of this process, and return them as a data set of one column."""
    features = datasets.Features({"lungs": datasets.Image(decode=False)})
    path = str(Path(get_temporary_cache_files_directory(), f"lungs-{uuid.uuid4().hex}.arrow"))
    with ArrowWriter(path=path, features=features) as writer:
        for start in range(0, len(keys), MAX_KEYS):
            masks = store.find(keys[start : start + MAX_KEYS])
            writer.write_batch({"lungs": [{"bytes": mask, "path": None} for mask in masks]})
        writer.finalize()
    return datasets.Dataset.from_file(path)


def outlined_splits(splits: datasets.DatasetDict, unet: str | None) -> datasets.DatasetDict:
    """Return the splits with the lungs that a UNet outlines, kept from earlier trainings or outlined now.

    Args:
        splits: the data set.
        unet: the UNet, a folder or Hub id; None for the one in use.
    """
    folder = resolve("unet", unet).folder
    segmenter, store = Segmenter.from_pretrained(folder), OutlineStore(answers_digest(folder))
    return datasets.DatasetDict({name: outline_lungs(rows, segmenter, store) for name, rows in splits.items()})


def drop_without_lungs(rows: datasets.Dataset) -> datasets.Dataset:
    """Leave out the rows of `outline_lungs` that have no lungs; logs how many those are."""
    with_lungs = [position for position, lungs in enumerate(rows["lungs"]) if read_mask(lungs).any()]
    if len(with_lungs) < len(rows):
        logger.warning("No lungs found on %d of %d images of %s.", len(rows) - len(with_lungs), len(rows), rows.split)
    return rows.select(with_lungs)


def png(mask: np.ndarray) -> dict:
    """Encode a mask, bool (H, W), as an image column stores it."""
    buffer = io.BytesIO()
    Image.fromarray(mask).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def segment_splits(splits: datasets.DatasetDict, arguments: ClassifierArguments, seed: int) -> datasets.DatasetDict:
    """Outline the lungs of splits that have none yet, and leave out the rows without lungs.

    Rows without lungs stay in "test", where they count as wrong.

    Args:
        splits: the data set.
        arguments: the UNet, and whether to permute the classes of the training rows.
        seed: the seed of that permutation.

    Raises:
        ValueError: there are fewer than two classes.
    """
    check_classes(splits)
    if not all("lungs" in rows.column_names for rows in splits.values()):
        splits = outlined_splits(splits, arguments.unet)
    splits = datasets.DatasetDict(
        {name: rows if name == "test" else drop_without_lungs(rows) for name, rows in splits.items()}
    )
    if arguments.permute_labels:
        splits["train"] = permuted(splits["train"], seed)
    return splits


def save_outlined(dataset: datasets.DatasetDict, unet: str | None, folder: Path) -> Path:
    """Save a data set with its lungs outlined in `folder/outlined`, unless it is there; returns that folder.

    Raises:
        ValueError: another data set is there.
    """
    saved, known = folder / "outlined", folder / "outlined.json"
    told = {split: describe(datasets.DatasetDict({split: rows}))["fingerprint"] for split, rows in dataset.items()}
    told["unet"] = unet
    before = json.loads(known.read_text(encoding="utf-8")) if known.is_file() else {}
    if any(before[name] != value for name, value in told.items() if name in before):
        raise ValueError(
            f"{saved} holds other data, or the lungs of another UNet; name another --output_dir, or remove it."
        )
    folder.mkdir(parents=True, exist_ok=True)
    known.write_text(json.dumps(before | told), encoding="utf-8")
    if not (saved / "dataset_dict.json").is_file() or not all((saved / split).is_dir() for split in dataset):
        outlined_splits(dataset, unet).save_to_disk(saved)
    return saved


def permuted(rows: datasets.Dataset, seed: int) -> datasets.Dataset:
    """Permute the classes of the rows at random, so that each is as frequent as before."""
    labels = np.random.default_rng(seed).permutation(rows["label"])
    return rows.remove_columns("label").add_column("label", labels.tolist(), feature=rows.features["label"])
