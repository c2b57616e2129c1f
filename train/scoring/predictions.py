"""Records of the answers to every test image (predictions.csv beside a checkpoint), and the scores made from them.

Scores are made from the record as it was written, so that everybody who has the file can make them again.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
from tqdm.auto import tqdm

from hub_models.cards.facts import RECORD_FILE
from hub_models.checkpoints.cells import as_cells, from_cells
from hub_models.models.calibration import Calibration
from hub_models.models.labels import HEALTHY
from hub_models.models.unet import Masks, Segmenter
from hub_models.xray.geometry import mask_to_shape
from hub_models.xray.masks import MASKS
from train.data.boxes import Boxes
from train.data.lungs import BATCH_IMAGES
from train.data.rows import BOX_COLUMNS, MASK_COLUMNS, is_scored, positions, read_mask, read_picture, true_classes
from train.scoring.box_metrics import HIT_IOU, count_hits, score_boxes
from train.scoring.calibration import calibration_results, set_scores
from train.scoring.class_metrics import score_classes, score_findings, score_probabilities
from train.scoring.evaluation import best_classes, classification_results
from train.scoring.group_scores import group_scores
from train.scoring.intervals import intervals, with_intervals
from train.scoring.mask_metrics import (
    COUNTS,
    HISTOGRAM_BINS,
    hausdorff95,
    pixel_counts,
    probability_histogram,
    score_healthy,
    score_pixels,
)

SIDES = ("inside", "outside")
ANSWERS = (
    *(f"{mask} found" for mask in MASKS),
    *(f"{mask} {name}" for mask in MASKS for name in (*COUNTS, *SIDES)),
    "lungs hd95",
    "infection boxes",
    "infection boxes hit",
)
DECIMALS = 6


def outlines_record(rows: datasets.Dataset, segmenter: Segmenter) -> pd.DataFrame:
    """Record a segmenter's outlines on the rows that can be scored: those with a mask or boxes, and healthy ones.

    Returns:
        One row an image: file, patient, label, source (empty if not known); `MASK found`, the number of pixels
        outlined; and, at the size that models see, for each drawn mask the pixel counts `MASK true_positive`, ...;
        `MASK inside` and `MASK outside`, the `probability_histogram` as numbers in a text; `lungs hd95` in pixels;
        and `infection boxes` and `infection boxes hit`, the number of boxes that were drawn around infection, and of
        those that `count_hits` counts. -1 or empty where nobody drew it.
    """
    rows = rows.select(positions(rows, is_scored))
    classes = rows.features["label"].names
    answers = []
    for batch in tqdm(rows.iter(BATCH_IMAGES), desc="Segmenting", total=-(-len(rows) // BATCH_IMAGES)):
        probabilities = segmenter.probability_maps([read_picture(image) for image in batch["image"]])
        answers += [
            _answers(maps, masks, truths) | _box_answers(masks.infection, boxes, maps.shape[1:])
            for maps, truths, boxes, image in zip(
                probabilities, _drawn_masks(batch), batch[BOX_COLUMNS["infection"]], batch["image"], strict=True
            )
            for masks in [segmenter.masks(maps)]
        ]
    labels = [classes[position] for position in rows["label"]]
    sources = [source or "" for source in rows["source"]]
    return identity(rows).assign(label=labels, source=sources).join(pd.DataFrame(answers, columns=list(ANSWERS)))


def _drawn_masks(batch: dict[str, list]) -> list[dict[str, np.ndarray]]:
    """Return for each row of a batch the masks that somebody drew, bool (H, W), by name."""
    columns = [batch[column] for column in MASK_COLUMNS.values()]
    return [
        {name: read_mask(mask) for name, mask in zip(MASKS, masks, strict=True) if mask is not None}
        for masks in zip(*columns, strict=True)
    ]


def _answers(maps: np.ndarray, masks: Masks, truths: dict[str, np.ndarray]) -> dict[str, int | float | str]:
    answers: dict[str, int | float | str] = {f"{name} found": int(getattr(masks, name).sum()) for name in MASKS}
    truths = {name: mask_to_shape(truth, masks.lungs.shape) for name, truth in truths.items()}
    for i, name in enumerate(MASKS):
        truth = truths.get(name)
        counts = (-1, -1, -1) if truth is None else pixel_counts(getattr(masks, name), truth)
        answers |= {f"{name} {count}": value for count, value in zip(COUNTS, counts, strict=True)}
        histogram = ("", "") if truth is None else map(_as_text, probability_histogram(maps[i], truth))
        answers |= {f"{name} {side}": text for side, text in zip(SIDES, histogram, strict=True)}
    lungs = truths.get("lungs")
    has_lungs = lungs is not None and lungs.any()
    return answers | {"lungs hd95": hausdorff95(masks.lungs, lungs) if has_lungs else np.nan}


def _box_answers(infection: np.ndarray, boxes: Boxes | None, shape: tuple[int, int]) -> dict[str, int]:
    counts = (-1, -1) if boxes is None else (len(boxes), count_hits(infection, boxes, shape))
    return dict(zip(("infection boxes", "infection boxes hit"), counts, strict=True))


def _as_text(histogram: np.ndarray) -> str:
    return " ".join(map(str, histogram))


def classes_record(rows: datasets.Dataset, probabilities: np.ndarray, labels: Sequence[str]) -> pd.DataFrame:
    """Record a classifier's answers: one row an image with file, patient, label and `p CLASS`, NaN without an answer.

    Where an image may show several classes, `is CLASS` is 1 for each that it shows, else 0, and there is no label.

    Args:
        rows: N rows.
        probabilities: float64 (N, C), as `class_probabilities` returns it.
        labels: the C classes of the rows, in their order.
    """
    true = true_classes(rows)
    if true.ndim == 1:
        columns = {"label": [labels[position] for position in true]}
    else:
        columns = {f"is {label}": true[:, i].astype(int) for i, label in enumerate(labels)}
    columns |= {f"p {label}": probabilities[:, i].round(DECIMALS) for i, label in enumerate(labels)}
    return identity(rows).assign(**columns)


def outlines_scores(record: pd.DataFrame) -> dict[str, dict]:
    """Score an `outlines_record`: scores with intervals of each of `MASKS`, and of the "healthy" images.

    Besides, the "boxes" around infection, where any were drawn, and the `group_scores`. A record of an earlier release
    has no columns of boxes and sources; the scores that need them are left out.
    """
    results = {}
    for mask in MASKS:
        rows = record[record[f"{mask} true_positive"] >= 0]
        counts = rows[[f"{mask} {name}" for name in COUNTS]].to_numpy(np.int64)
        inside, outside = ([list(map(int, text.split())) for text in rows[f"{mask} {side}"]] for side in SIDES)
        histograms = np.stack([inside, outside], axis=1) if len(rows) else np.zeros((0, 2, HISTOGRAM_BINS), np.int64)
        distances = rows["lungs hd95"].to_numpy(float) if mask == "lungs" else None
        results[mask] = with_intervals(partial(_score_mask, counts, histograms, distances), rows["patient"].to_numpy())
    healthy = record[record["label"] == HEALTHY]
    lungs, infection = (healthy[f"{mask} found"].to_numpy(np.int64) for mask in MASKS)
    results["healthy"] = with_intervals(
        lambda chosen: score_healthy(lungs[chosen], infection[chosen]), healthy["patient"].to_numpy()
    )
    if "infection boxes" in record and (record["infection boxes"] > 0).any():
        boxed = record[record["infection boxes"] > 0]
        hits, boxes = (boxed[column].to_numpy(np.int64) for column in ("infection boxes hit", "infection boxes"))
        results["boxes"] = with_intervals(
            lambda chosen: score_boxes(hits[chosen], boxes[chosen]), boxed["patient"].to_numpy()
        ) | {"hit_iou": HIT_IOU}
    return results | group_scores(record)


def _score_mask(counts: np.ndarray, histograms: np.ndarray, distances: np.ndarray | None, chosen: np.ndarray) -> dict:
    scores = score_pixels(counts[chosen], histograms[chosen])
    if distances is not None:
        measured = distances[chosen][~np.isnan(distances[chosen])]
        scores["hd95_mean_per_image"] = float(measured.mean()) if measured.size else None
    return scores


def classes_scores(record: pd.DataFrame, labels: Sequence[str], calibration: Calibration) -> dict:
    """Score a `classes_record`: its `classification_results`, their intervals, and its `calibration_results`."""
    probabilities = record[[f"p {label}" for label in labels]].to_numpy()
    if f"is {labels[0]}" in record:
        targets = record[[f"is {label}" for label in labels]].to_numpy()
        return with_intervals(
            lambda chosen: score_findings(probabilities[chosen], targets[chosen]), record["patient"].to_numpy()
        )
    references = np.array([list(labels).index(label) for label in record["label"]])
    predictions = best_classes(probabilities)

    def score(chosen: np.ndarray) -> dict:
        classes = score_classes(predictions[chosen], references[chosen], len(labels))
        ranked = score_probabilities(probabilities[chosen], references[chosen])
        return classes | ranked | set_scores(probabilities[chosen], references[chosen], calibration)

    results = classification_results(probabilities, references) | intervals(score, record["patient"].to_numpy())
    return results | calibration_results(probabilities, references, calibration)


def save_record(record: pd.DataFrame, folder: Path) -> pd.DataFrame:
    """Write a record into a checkpoint's folder, and return it as it is read from there.

    The folder may be published, so it gets a number in place of each file's name. Which file that is stands beside the
    folder, in `FOLDER_files.csv`.
    """
    numbers = pd.Series(np.arange(len(record)), name="image")
    table = pd.concat([numbers, record.reset_index(drop=True)], axis=1)
    as_cells(table[["image", "file"]]).to_csv(folder.with_name(f"{folder.name}_files.csv"), index=False)
    as_cells(table.drop(columns="file")).to_csv(folder / RECORD_FILE, index=False)
    return load_record(folder)


def load_record(folder: Path, name: str = RECORD_FILE) -> pd.DataFrame:
    """Read a record from a checkpoint's folder."""
    texts = {"file": str, "label": str, "source": str} | {f"{mask} {side}": str for mask in MASKS for side in SIDES}
    record = from_cells(pd.read_csv(folder / name, dtype=texts))
    texts = {name: "" for name in texts if name in record}
    return record.astype(dict.fromkeys(texts, object)).fillna(texts)  # a column without any text is read as numbers


def identity(rows: datasets.Dataset) -> pd.DataFrame:
    """Return file, and a number for the patient; a row whose patient is not known is a patient of its own."""
    patients = [patient if patient is not None else ("unknown", i) for i, patient in enumerate(rows["patient"])]
    numbers, _ = pd.factorize(pd.Series(patients, dtype=object))
    return pd.DataFrame({"file": rows["file"][:], "patient": numbers})
