"""The comparison of all checkpoints as Markdown tables."""

from hub_models.cards.scores import AVERAGES, GROUP_FIGURES, HEALTHY_METRICS, OVERLAPS, group_rows, with_interval
from hub_models.pipeline import XrayPipeline
from hub_models.xray.masks import MASKS
from train.scoring.markdown import table

MACRO_SCORES = {
    "accuracy": "Accuracy",
    "precision_macro": "Precision, macro",
    "recall_macro": "Recall, macro",
    "f1_macro": "F1, macro",
    "auroc_macro": "AUROC, macro",
    "average_precision_macro": "AP, macro",
}
PROBABILITIES = {
    "temperature": "Temperature",
    "ece_before": "ECE before",
    "ece": "ECE",
    "brier_before": "Brier before",
    "brier": "Brier",
    "set_coverage": "Sets that hold the true class",
    "set_size_mean": "Classes in a set, mean",
}
PER_CLASS = {
    "precision_per_class": "Precision",
    "recall_per_class": "Recall",
    "f1_per_class": "F1",
    "auroc_per_class": "AUROC",
    "average_precision_per_class": "AP",
}
CAVEAT = """Accuracy alone does not say that a model looks at the lungs: on data whose sources differ by class, it can
name the source instead. Read it beside controls such as the accuracy with the lungs hidden, which
`python -m train.controls` measures."""


def report(
    metrics: dict, outlines: dict[str, dict], classes: dict[str, dict], labels: list[str], pipeline: XrayPipeline
) -> str:
    """Write the report of `train.compare`: every figure of each UNet and role, with the images it was measured on.

    Args:
        metrics: the content of metrics.json.
        outlines: UNet -> the scores of its outlines.
        classes: role -> the scores of its classes.
        labels: the classes, in the order of the scores.
        pipeline: the checkpoints that were measured.
    """
    images = metrics["images"]
    pairs, sources, costs = ([list(row.values()) for row in metrics[name]] for name in ("pairs", "sources", "costs"))
    checkpoints = [[c.role, c.name, c.origin, c.revision or "-"] for c in pipeline.checkpoints.values()]
    sections = [
        f"# All checkpoints on the split {metrics['split']} ({images:,} images)",
        table(["Role", "Checkpoint", "Origin", "Revision"], checkpoints),
        *outline_tables(outlines),
        f"## Classes\n\nOver all {images:,} images; an image without an answer (no lungs found) counts as wrong. In "
        "brackets: 95 % bootstrap intervals over patients.",
        *class_tables(classes, labels),
        "Images that only the first or only the second has right, and the probability of such a difference if both "
        "erred equally often (McNemar's test, exact):",
        table(["First", "Second", "Only first", "Only second", "p"], pairs),
        "Accuracy by the source of the images:",
        table(["Source", "Images", *classes], sources),
        "Size, and time for one image on this machine once its lungs are outlined:",
        table(["Role", "Parameters", "MB", "Engine", "ms, median"], costs),
        CAVEAT,
    ]
    return "\n\n".join(sections) + "\n"


def class_tables(classes: dict[str, dict], labels: list[str]) -> list[str]:
    """Write the figures of each classifier: averages with intervals, classes, and calibration."""
    averages = [
        [role, *(with_interval(s, name) for name in MACRO_SCORES), s["no_answer"]] for role, s in classes.items()
    ]
    per_class = [
        [role, label, *(s[name][i] for name in PER_CLASS)]
        for role, s in classes.items()
        for i, label in enumerate(labels)
    ]
    calibrated = [[role, *(s.get(name) for name in PROBABILITIES)] for role, s in classes.items()]
    return [
        table(["Role", *MACRO_SCORES.values(), "No answer"], averages),
        table(["Role", "Class", *PER_CLASS.values()], per_class),
        "What the probabilities are worth. ECE: expected calibration error, 15 bins of equal mass; *before*: without "
        "the temperature that was fitted on the validation split. Sets: split conformal prediction at 90 %.",
        table(["Role", *PROBABILITIES.values()], calibrated),
    ]


def outline_tables(outlines: dict[str, dict]) -> list[str]:
    """Write the figures of each UNet: overlaps with the drawn masks, distances, false infections, groups and boxes."""
    overlaps = [
        [name, mask, title, scores["images_all" if "all" in average else "images"]]
        + [scores[f"{score}_{average}"] for score in OVERLAPS]
        for mask in MASKS
        for average, title in AVERAGES.items()
        for name, masks in outlines.items()
        for scores in [masks[mask]]
    ]
    distances = [[name, m["lungs"]["images"], m["lungs"]["hd95_mean_per_image"]] for name, m in outlines.items()]
    healthy = [
        [name, m["healthy"]["images"], *(m["healthy"][score] for score in HEALTHY_METRICS)]
        for name, m in outlines.items()
    ]
    groups = [[name, *row] for name, m in outlines.items() for row in group_rows(m)]
    boxes = [
        [name, m["boxes"]["images"], m["boxes"]["boxes"], with_interval(m["boxes"], "share_hit")]
        for name, m in outlines.items()
        if "boxes" in m
    ]
    tables = [
        "## Outlines\n\nOn the square of 256 pixels that models see, over the images on which the mask was drawn and "
        "is not blank, or over blank ones too.",
        table(["UNet", "Mask", "Averaged", "Images", *OVERLAPS.values()], overlaps),
        "How far the outlines of the lungs lie apart (HD95), in pixels:",
        table(["UNet", "Images", "HD95, mean per image"], distances),
        "Infection outlined on healthy images, where there is none:",
        table(["UNet", "Images", *(title for _, title in HEALTHY_METRICS.values())], healthy),
    ]
    if groups:
        tables += [
            "By the class and the source of the images:",
            table(["UNet", "Images", *GROUP_FIGURES.values()], groups),
        ]
    if boxes:
        tables += [
            "Boxes drawn around infection, and the share that the outlined infection hits:",
            table(["UNet", "Images", "Boxes", "Hit"], boxes),
        ]
    return tables
