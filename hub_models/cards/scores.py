"""The measured figures among a checkpoint's facts: names, intervals and formats."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hub_models.checkpoints.roles import ROLES

if TYPE_CHECKING:  # the facts are saved with the card that shows the scores
    from hub_models.cards.facts import CardFacts

# Key in the recorded results -> (metric id in the metadata, name in the card).
OVERLAPS = {
    "iou": "IoU",
    "dice": "Dice",
    "precision": "precision",
    "recall": "recall",
    "average_precision": "average precision",
}

AVERAGES = {
    "pooled": "pooled over all pixels",
    "pooled_all_images": "pooled over all pixels, blank masks too",
    "mean_per_image": "mean per image",
    "mean_all_images": "mean per image, blank masks too",
}

MASK_METRICS = {
    f"{score}_{average}": (score, f"{OVERLAPS[score]}, {AVERAGES[average]}")
    for average in AVERAGES
    for score in OVERLAPS
} | {"hd95_mean_per_image": ("hd95", "distance of the outlines, 95th percentile, in pixels, mean per image")}

HEALTHY_METRICS = {
    "share_marked": ("false_infection", "images with any infection outlined"),
    "share_marked_over_1_percent": ("false_infection", "images with over 1 % of the lungs outlined as infected"),
    "mean_marked_area": ("false_infection", "outlined share of the lungs, mean per image"),
}

BOX_METRICS = {"share_hit": ("boxes_hit", "drawn boxes that the outlined infection hits")}

GROUPINGS = {"by_class": "class", "by_source": "source"}
GROUP_FIGURES = {
    ("lungs", "images"): "lungs drawn",
    ("lungs", "dice_mean_per_image"): "lungs: Dice, mean per image",
    ("lungs", "iou_pooled"): "lungs: IoU, pooled",
    ("healthy", "images"): "healthy",
    ("healthy", "share_marked_over_1_percent"): "healthy: over 1 % of the lungs marked",
}
"""Figure of a class or source of the images, as (mask or "healthy", score) -> its column in the table of groups."""

CLASS_METRICS = {
    "accuracy": ("accuracy", "accuracy"),
    "precision_macro": ("precision", "precision, macro average"),
    "recall_macro": ("recall", "recall, macro average (balanced accuracy)"),
    "f1_macro": ("f1", "F1, macro average"),
    "auroc_macro": ("roc_auc", "AUROC of each class against the others, macro average"),
    "average_precision_macro": ("average_precision", "average precision, macro average"),
    "ece": ("ece", "expected calibration error, bins of equal mass"),
    "brier": ("brier_score", "Brier score, summed over the classes"),
    "set_coverage": ("coverage", "prediction sets that hold the true class"),
    "set_size_mean": ("set_size", "classes in a prediction set, mean"),
}


@dataclass(frozen=True)
class Measured:
    """One row of the results: metric id on the Hub, name, value, interval, and number of measured images."""

    metric: str
    name: str
    value: float | None
    interval: list[float] | None
    images: int


def metrics_of(role: str) -> dict[str, tuple[str, str]]:
    """Key in the recorded results -> (metric id in the metadata, name in the card), of a role's checkpoint."""
    return MASK_METRICS if ROLES[role].family == "unet" else CLASS_METRICS


def measured(facts: "CardFacts") -> list[Measured]:
    """The rows of the results; a value that was not measured, or has no interval, is None."""
    results, metrics = facts.results, metrics_of(facts.role)
    masks = [mask for mask in results if mask in facts.labels] if facts.role == "unet" else []
    groups = [(f"{mask}: ", results[mask], metrics) for mask in masks] or [("", results, metrics)]
    if "healthy" in results:
        groups.append(("healthy: ", results["healthy"], HEALTHY_METRICS))
    if "boxes" in results:
        groups.append(("boxes: ", results["boxes"], BOX_METRICS))
    return [
        Measured(metric, prefix + name, scores[key], scores.get("intervals", {}).get(key), _images(scores, key))
        for prefix, scores, named in groups
        for key, (metric, name) in named.items()
        if key in scores
    ]


HEADLINE = {
    "images": "images",
    "iou_pooled": "IoU, pooled",
    "iou_mean_per_image": "IoU, mean per image",
    "dice_mean_per_image": "Dice, mean per image",
}
"""Figure of a mask -> its column in the short table above all figures."""


def headline(facts: "CardFacts") -> list[list[str]]:
    """Return the few figures of a UNet's masks to read first, a row a mask; no row for a classifier."""
    masks = [mask for mask in facts.results if mask in facts.labels] if facts.role == "unet" else []
    return [[mask, *(number(facts.results[mask].get(name)) for name in HEADLINE)] for mask in masks]


def group_rows(results: Mapping[str, Any]) -> list[list[str]]:
    """Return the figures of a UNet's outlines on each class and source of the images, a row each; "-" where none is.

    The columns are the group's name and `GROUP_FIGURES`; no row where no figures of groups were recorded.
    """
    return [
        [f"{word} {name}"]
        + [with_interval(scores[what], figure) if what in scores else "-" for what, figure in GROUP_FIGURES]
        for grouping, word in GROUPINGS.items()
        for name, scores in results.get(grouping, {}).items()
    ]


def _images(scores: dict[str, Any], key: str) -> int:
    """Number of images that a figure was measured on."""
    return scores["images_all" if key.endswith("_all_images") else "images"]


def bootstrap(facts: "CardFacts") -> dict[str, float | int] | None:
    """The bootstrap of the intervals, of those figures with the most patients; None without intervals."""
    groups = [group for group in (facts.results, *facts.results.values()) if isinstance(group, dict)]
    bootstraps = [group["bootstrap"] for group in groups if group.get("bootstrap")]
    return max(bootstraps, key=lambda settings: settings["patients"], default=None)


def number(value: float | int | str | None) -> str:
    """Format a figure: counts with thousands separated, measurements with three decimals."""
    match value:
        case None:
            return "not measured"
        case bool() | str():
            return str(value)
        case int():
            return f"{value:,}"
        case _:
            return f"{value:.3f}"


def with_interval(scores: Mapping[str, Any], name: str) -> str:
    """Format a score with its interval: "0.912 (0.89-0.93)"."""
    if scores.get(name) is None or name not in scores.get("intervals", {}):
        return number(scores.get(name))
    low, high = scores["intervals"][name]
    return f"{scores[name]:.3f} ({low:.2f}-{high:.2f})"
