"""Measure every checkpoint on one split, in one run on the same images.

    python -m train.compare --dataset COVID-QU-Ex --output_dir runs/compare
    python -m train.compare --dataset COVID-QU-Ex --split validation --resnet runs/resnet/release --output_dir runs/mine

OUTPUT_DIR gets metrics.json, report.md (the same as tables), predictions.csv (every probability of every image),
outlines-UNET.csv (what follows from every outline, see `train.record`) and confusion-ROLE.png. A checkpoint that is not
named comes from the environment or ships with the project. With --baseline another UNet, such as one that
`train.unet --recipe original` made, is measured beside it.
"""

import argparse
import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import ConfusionMatrixDisplay

from hub_models.cards import AVERAGES, HEALTHY_METRICS, OVERLAPS
from hub_models.checkpoints import ROLES
from hub_models.labels import MASKS
from hub_models.pipeline import Classifier, XrayPipeline
from train.arguments import DataArguments, run
from train.data import load_splits
from train.evaluation import class_probabilities, classification_results, outline_lungs
from train.original import load_segmenter
from train.record import outlines_record, outlines_scores
from train.rows import SPLITS
from train.tables import table

logger = logging.getLogger(__name__)

CLASS_SCORES = ("accuracy", "precision_macro", "recall_macro", "f1_macro", "confusion")
CAVEAT = """Accuracy alone does not say that a model looks at the lungs: on data whose sources differ by class, it can
name the source instead. Read it beside controls such as the accuracy with the lungs hidden, which this report does not
measure."""


def key(role: str) -> str:
    """Name of a role in metrics.json and on the command line: `clip_zero_shot` for "clip-zero-shot"."""
    return role.replace("-", "_")


def comparable(pipeline: XrayPipeline, labels: list[str]) -> dict[str, Classifier]:
    """The classifiers that score exactly these classes; any other is named and left out."""
    fitting = {}
    for role, classifier in pipeline.classifiers.items():
        if sorted(classifier.labels) == sorted(labels):
            fitting[role] = classifier
        else:
            scored, given = ", ".join(classifier.labels), ", ".join(labels)
            logger.warning("Left out %s: it scores %s, and the data's classes are %s.", role, scored, given)
    return fitting


def metrics_of(split: str, outlines: dict[str, dict], classes: dict[str, dict], images: int) -> dict:
    """The content of metrics.json, of what `outlines_scores` (a UNet) and `classification_results` (a role) gave."""
    scores = {key(role): {name: result[name] for name in CLASS_SCORES} for role, result in classes.items()}
    return {"split": split, "images": images, **outlines, **scores}


def report(
    split: str,
    images: int,
    labels: list[str],
    pipeline: XrayPipeline,
    outlines: dict[str, dict],
    classes: dict[str, dict],
) -> str:
    """The figures as Markdown tables, each with what it was measured on."""
    checkpoints = [[c.role, c.name, c.origin, c.revision or "-"] for c in pipeline.checkpoints.values()]
    averaged = [[role, *(s[name] for name in CLASS_SCORES[:-1]), s["no_answer"]] for role, s in classes.items()]
    each = [
        [role, label, s["precision_per_class"][i], s["recall_per_class"][i], s["f1_per_class"][i]]
        for role, s in classes.items()
        for i, label in enumerate(labels)
    ]
    parts = [
        f"# All checkpoints on the split {split} ({images} images)",
        table(["Role", "Checkpoint", "Origin", "Revision"], checkpoints),
        *outline_tables(outlines),
        f"## Classes\n\nOver all {images} images; an image without an answer (no lungs found) counts as wrong.",
        table(["Role", "Accuracy", "Precision, macro", "Recall, macro", "F1, macro", "No answer"], averaged),
        table(["Role", "Class", "Precision", "Recall", "F1"], each),
        CAVEAT,
    ]
    return "\n\n".join(parts) + "\n"


def outline_tables(outlines: dict[str, dict]) -> list[str]:
    """The figures of each UNet: overlaps with what was drawn, distances, and what is outlined where nothing is."""
    overlaps = [
        [name, mask, words, scores["images_all" if "all" in average else "images"]]
        + [scores[f"{score}_{average}"] for score in OVERLAPS]
        for mask in MASKS
        for average, words in AVERAGES.items()
        for name, masks in outlines.items()
        for scores in [masks[mask]]
    ]
    distances = [[name, m["lungs"]["images"], m["lungs"]["hd95_mean_per_image"]] for name, m in outlines.items()]
    healthy = [
        [name, m["healthy"]["images"], *(m["healthy"][score] for score in HEALTHY_METRICS)]
        for name, m in outlines.items()
    ]
    return [
        "## Outlines\n\nAt the images' own size, over the images on which the mask was drawn and is not blank, or over "
        "blank ones too.",
        table(["UNet", "Mask", "Averaged", "Images", *OVERLAPS.values()], overlaps),
        "How far the outlines of the lungs lie apart (HD95), in pixels:",
        table(["UNet", "Images", "HD95, mean per image"], distances),
        "Infection outlined on healthy images, where there is none:",
        table(["UNet", "Images", *(words for _, words in HEALTHY_METRICS.values())], healthy),
    ]


def save_confusion(confusion: list[list[int]], labels: list[str], title: str, path: Path) -> None:
    """Draw a confusion matrix of counts, true classes down and predicted ones across, into a PNG."""
    figure = Figure(figsize=(5.2, 4.4), layout="tight")
    axes = figure.subplots()
    ConfusionMatrixDisplay(np.array(confusion), display_labels=labels).plot(ax=axes, cmap="Blues", colorbar=False)
    axes.set_title(title)
    figure.savefig(path, dpi=120)


def main(argv: list[str] | None = None) -> dict:
    """Measure, write the output folder, print the tables; returns what metrics.json holds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="a COVID-QU-Ex folder, a saved data set, or a Hub id")
    parser.add_argument("--output_dir", required=True, type=Path)
    parser.add_argument("--split", default="test", choices=SPLITS)
    parser.add_argument("--max_eval_samples", type=int, help="measure on this many images only")
    parser.add_argument("--baseline", metavar="FOLDER", help="another UNet, also one of --recipe original, beside it")
    parser.add_argument("--strict", action="store_true", help="stop at an image that cannot be read")
    for role in ROLES:
        parser.add_argument(f"--{key(role)}", metavar="FOLDER_OR_ID", help=f"checkpoint of the role {role}")
    args = parser.parse_args(argv)
    # 1. Checkpoints: those that were named, else those of the environment, else the embedded ones
    pipeline = XrayPipeline.from_pretrained({role: wish for role in ROLES if (wish := vars(args)[key(role)])})
    # 2. Data: one split, the same images for every model
    limits = {"max_train_samples": args.max_eval_samples, "max_eval_samples": args.max_eval_samples}
    data_args = DataArguments(args.dataset, strict=args.strict, **limits)
    rows = load_splits(data_args, [args.split])[args.split]
    labels = rows.features["label"].names
    # 3. Measure: outlines where somebody drew them, classes everywhere
    segmenters = {"unet": pipeline.segmenter}
    if args.baseline:
        segmenters["unet_baseline"] = load_segmenter(args.baseline)
    records = {name: outlines_record(rows, segmenter) for name, segmenter in segmenters.items()}
    outlines = {name: outlines_scores(record) for name, record in records.items()}
    rows = outline_lungs(rows, pipeline.segmenter)
    answers = {
        role: class_probabilities(classifier, rows, role)[:, [classifier.labels.index(label) for label in labels]]
        for role, classifier in comparable(pipeline, labels).items()
    }
    classes = {role: classification_results(answer, rows["label"]) for role, answer in answers.items()}
    # 4. Write it down
    args.output_dir.mkdir(parents=True, exist_ok=True)
    metrics = metrics_of(args.split, outlines, classes, len(rows))
    (args.output_dir / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    text = report(args.split, len(rows), labels, pipeline, outlines, classes)
    (args.output_dir / "report.md").write_text(text, encoding="utf-8")
    columns = {f"{role}: {label}": answer[:, i] for role, answer in answers.items() for i, label in enumerate(labels)}
    truth = {"file": rows["file"][:], "label": [labels[i] for i in rows["label"]]}
    pd.DataFrame(truth | columns).to_csv(args.output_dir / "predictions.csv", index=False)
    for name, record in records.items():
        record.to_csv(args.output_dir / f"outlines-{name}.csv", index=False)
    for role, scores in classes.items():
        title = f"{role}, {args.split} split ({len(rows)} images)"
        save_confusion(scores["confusion"], labels, title, args.output_dir / f"confusion-{role}.png")
    print(text)
    return metrics


if __name__ == "__main__":
    run(main)
