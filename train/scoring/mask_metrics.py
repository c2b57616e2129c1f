"""Metrics of outlines, as an `evaluate.Metric` that needs no network.

An outline is scored from the pixel counts of each image (true positive, false positive, false negative). Papers report
any of four averages, which differ widely; the end of a score's name says which it is:

- `_pooled`: the pixels of all images whose drawn mask is not blank are added up first, so that large masks weigh more;
- `_pooled_all_images`: the same with blank masks, which can add false positives only;
- `_mean_per_image`: the mean over the images whose drawn mask is not blank;
- `_mean_all_images`: the mean with blank masks, which score 1 if nothing is outlined on them, else 0.

IoU = TP / (TP + FP + FN), Dice = 2 TP / (2 TP + FP + FN), precision = TP / (TP + FP), recall = TP / (TP + FN). The
precision of an empty answer to a mask that is not blank is 0.
"""

import datasets
import evaluate
import numpy as np
from scipy import ndimage

HISTOGRAM_BINS = 64
"""Number of equal bins of the probability, for the average precision."""

AVERAGES = ("pooled", "pooled_all_images", "mean_per_image", "mean_all_images")
OUTLINE_SCORES = ("iou", "dice", "precision", "recall")
COUNTS = ("true_positive", "false_positive", "false_negative")
"""Names of the pixel counts of an outline and a drawn mask, in their order."""

MARKED_SHARE = 0.01
"""A healthy image counts as falsely marked when more than this share of its lungs is outlined as infected."""


def pixel_counts(prediction: np.ndarray, truth: np.ndarray) -> tuple[int, int, int]:
    """Count the true positive, false positive and false negative pixels of two bool masks of one shape."""
    true_positive = int((prediction & truth).sum())
    return true_positive, int(prediction.sum()) - true_positive, int(truth.sum()) - true_positive


def probability_histogram(probabilities: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Count the pixels inside and outside a mask whose probability is in each of `HISTOGRAM_BINS` bins.

    Args:
        probabilities: float (H, W) in 0..1.
        truth: bool (H, W).

    Returns:
        int64 (2, HISTOGRAM_BINS): inside, outside.
    """
    bins = np.minimum((probabilities * HISTOGRAM_BINS).astype(np.int64), HISTOGRAM_BINS - 1)
    return np.stack([np.bincount(bins[where], minlength=HISTOGRAM_BINS) for where in (truth, ~truth)])


def average_precision(histograms: np.ndarray) -> np.ndarray:
    """Return the average precision: the precision at each probability, weighted by the recall it adds (scikit-learn's).

    Args:
        histograms: int (..., 2, HISTOGRAM_BINS), as `probability_histogram` gives them.

    Returns:
        float64 (...,); NaN where there is nothing inside.
    """
    inside, outside = np.moveaxis(histograms[..., ::-1], -2, 0).astype(np.float64)
    hits = inside.cumsum(axis=-1)
    marked = hits + outside.cumsum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(marked > 0, hits / marked, 0)
        return (precision * inside).sum(axis=-1) / inside.sum(axis=-1)


def hausdorff95(prediction: np.ndarray, truth: np.ndarray) -> float:
    """Return the 95th percentile of the distances from either outline to the other, in pixels (HD95).

    The larger of the two directed percentiles, over boundary pixels (Taha and Hanbury 2015, section 3.6). A blank
    answer counts as the diagonal of the image.

    Args:
        prediction: bool (H, W).
        truth: bool (H, W), not blank.
    """
    if not prediction.any():
        return float(np.hypot(*truth.shape))
    edges = [mask & ~ndimage.binary_erosion(mask) for mask in (prediction, truth)]
    to_prediction, to_truth = (ndimage.distance_transform_edt(~edge) for edge in edges)
    return float(max(np.percentile(to_truth[edges[0]], 95), np.percentile(to_prediction[edges[1]], 95)))


class Segmentation(evaluate.Metric):
    """IoU, Dice, precision and recall of one mask in all `AVERAGES`, from pixel counts an image."""

    def _info(self) -> evaluate.MetricInfo:
        columns = ("true_positive", "false_positive", "false_negative")
        return evaluate.MetricInfo(
            description=__doc__,
            citation="",
            inputs_description="Pixels an image: true_positive, false_positive, false_negative.",
            features=datasets.Features({column: datasets.Value("int64") for column in columns}),
        )

    def _compute(self, true_positive, false_positive, false_negative) -> dict[str, float | int]:
        return score_pixels(np.stack([true_positive, false_positive, false_negative], axis=1))


def overlaps(counts: np.ndarray) -> np.ndarray:
    """Return the `OUTLINE_SCORES` of int counts (..., 3): float64 (..., 4); 0 where a denominator is 0."""
    tp, fp, fn = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    fractions = [(tp, tp + fp + fn), (2 * tp, 2 * tp + fp + fn), (tp, tp + fp), (tp, tp + fn)]
    return np.stack([np.divide(up, down, out=np.zeros_like(up), where=down > 0) for up, down in fractions], axis=-1)


def score_pixels(counts: np.ndarray, histograms: np.ndarray | None = None) -> dict[str, float | int | None]:
    """Return all scores of one mask.

    Args:
        counts: int (N, 3): true positive, false positive, false negative pixels an image.
        histograms: int (N, 2, HISTOGRAM_BINS) of the same images, for the average precision; None leaves it out.

    Returns:
        images (those whose mask is not blank), images_all, and each score in each of `AVERAGES`; None for the scores if
        every mask is blank.
    """
    not_blank = counts[:, [0, 2]].sum(axis=1) > 0
    images = {"images": int(not_blank.sum()), "images_all": len(counts)}
    names = [*OUTLINE_SCORES] if histograms is None else [*OUTLINE_SCORES, "average_precision"]
    if not not_blank.any():
        return images | {f"{name}_{average}": None for average in AVERAGES for name in names}

    def of(counts: np.ndarray, histograms: np.ndarray | None) -> np.ndarray:
        precision = [] if histograms is None else [average_precision(histograms)[..., None]]
        return np.concatenate([overlaps(counts), *precision], axis=-1)

    def pooled(where: np.ndarray | slice) -> np.ndarray:
        return of(counts[where].sum(axis=0), None if histograms is None else histograms[where].sum(axis=0))

    per_image = of(counts, histograms)
    all_images = np.where(not_blank[:, None], per_image, counts.sum(axis=1)[:, None] == 0)
    means = (pooled(not_blank), pooled(slice(None)), per_image[not_blank].mean(axis=0), all_images.mean(axis=0))
    return images | {
        f"{name}_{average}": float(value)
        for average, values in zip(AVERAGES, means, strict=True)
        for name, value in zip(names, values, strict=True)
    }


def score_healthy(lungs: np.ndarray, infection: np.ndarray) -> dict[str, float | int | None]:
    """Measure how often, and on how much of the lungs, infection is outlined where there is none.

    Args:
        lungs: int (N,), pixels outlined as lungs on each healthy image.
        infection: int (N,), pixels outlined as infection on each of them.
    """
    if not len(lungs):
        return {"images": 0, "share_marked": None, "share_marked_over_1_percent": None, "mean_marked_area": None}
    area = infection / np.maximum(lungs, 1)
    return {
        "images": len(lungs),
        "share_marked": float((infection > 0).mean()),
        "share_marked_over_1_percent": float((area > MARKED_SHARE).mean()),
        "mean_marked_area": float(area.mean()),
    }


def segmentation_scores(counts: np.ndarray) -> dict[str, float | int]:
    """Compute `Segmentation` of int counts (N, 3): true positive, false positive, false negative pixels an image."""
    tp, fp, fn = np.asarray(counts, np.int64).reshape(-1, 3).T
    metric = Segmentation(keep_in_memory=True)
    return metric.compute(true_positive=tp, false_positive=fp, false_negative=fn)
