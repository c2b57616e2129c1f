"""Measure every checkpoint on one split, in one run on the same images.

    python -m train.compare --dataset COVID-QU-Ex --output_dir runs/compare
    python -m train.compare --dataset COVID-QU-Ex --split validation --resnet runs/resnet/release --output_dir runs/mine

OUTPUT_DIR gets metrics.json, report.md (the same as tables), predictions.csv (every probability of every image),
outlines-UNET.csv (the pixel counts of every outline, see `train.scoring.predictions`) and the plots confusion-ROLE.png,
roc.png, pr.png and reliability.png. A checkpoint that is not named comes from the environment or ships with the
project. With --baseline another UNet, such as one that `train.unet --recipe original` made, is measured beside it.
"""

import argparse
import json
import time
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path

import datasets
import numpy as np
import pandas as pd

from hub_models.checkpoints.cells import as_cells
from hub_models.checkpoints.folder import Checkpoint
from hub_models.checkpoints.roles import ROLES
from hub_models.engines.quiet import no_telemetry
from hub_models.models.calibration import Calibration
from hub_models.models.loading import Classifier, load_model
from hub_models.models.unet import Segmenter
from hub_models.models.views import NoLungs
from hub_models.pipeline import XrayPipeline
from train.data.arguments import DataArguments
from train.data.dataset import load_splits
from train.data.lungs import outline_lungs
from train.data.rows import read_mask, read_picture
from train.data.splits import SPLITS
from train.networks.baseline_unet import load_segmenter
from train.scoring.class_metrics import mcnemar
from train.scoring.comparison import report
from train.scoring.evaluation import best_classes, class_probabilities, comparable
from train.scoring.group_scores import NO_SOURCE
from train.scoring.plots import save_confusion, save_curves, save_reliability
from train.scoring.predictions import classes_record, classes_scores, outlines_record, outlines_scores
from train.script.arguments import run
from train.script.release import count_parameters

HYBRID, HALVES = "hybrid-averaged", ("resnet", "clip-finetuned")
"""The plain way to join two classifiers, measured wherever both are: the mean of their probabilities."""

ONE_PROMPT = "clip-zero-shot-one-prompt"
"""The zero-shot CLIP with the first sentence of each class alone, measured wherever it is."""

TIMED_IMAGES = 20
"""Number of images on which a model's time is measured."""


def key(role: str) -> str:
    """Return a role's name in metrics.json and on the command line: `clip_zero_shot` for "clip-zero-shot"."""
    return role.replace("-", "_")


def side_by_side(rows: datasets.Dataset, answers: dict[str, np.ndarray]) -> dict[str, list[dict]]:
    """Compare each pair of classifiers by McNemar's test, and the accuracy of all on the images of each source.

    Args:
        rows: N rows.
        answers: role -> probabilities float64 (N, C), in the order of the rows' classes.
    """
    right = {role: best_classes(answer) == np.array(rows["label"]) for role, answer in answers.items()}
    sources = np.array([source or NO_SOURCE for source in rows["source"]])
    by_source = [
        {"source": name, "images": int((sources == name).sum())}
        | {role: float(hits[sources == name].mean()) for role, hits in right.items()}
        for name in sorted(set(sources))
    ]
    pairs = [{"first": a, "second": b, **mcnemar(right[a], right[b])} for a, b in combinations(right, 2)]
    return {"pairs": pairs, "sources": by_source}


def name_and_folder(text: str) -> tuple[str, Path]:
    """Split "NAME=FOLDER" into its name and folder.

    Raises:
        ValueError: if it is not written so, or the folder holds no checkpoint.
    """
    name, equals, folder = text.partition("=")
    if not (name and equals and Path(folder, "config.json").is_file()):
        raise ValueError(f"--also takes NAME=FOLDER, the folder of a classifier's checkpoint; {text} is not that.")
    return name, Path(folder)


def role_of(folder: Path) -> str:
    """Return a role whose models are of the kind that a checkpoint's folder holds."""
    model = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    return next((role for role in ROLES if model in ROLES[role].kinds), "resnet")


def answer_times(model: Segmenter | Classifier, rows: datasets.Dataset) -> list[float]:
    """Measure the seconds that a model takes for each of the first `TIMED_IMAGES` rows of `outline_lungs`."""
    seconds = []
    for row in rows.select(range(min(TIMED_IMAGES, len(rows)))):
        image, lungs = read_picture(row["image"]), read_mask(row["lungs"])
        start = time.perf_counter()
        with suppress(NoLungs):
            _ = model(image) if isinstance(model, Segmenter) else model(image, lungs)
        seconds.append(time.perf_counter() - start)
    return seconds


def costs(pipeline: XrayPipeline, rows: datasets.Dataset) -> list[dict]:
    """Measure each checkpoint's size, and its median time for one of the first rows of `outline_lungs`.

    Each comes with its engine; a fusion runs in the engines of its parts.
    """
    measured = []
    for role, checkpoint in pipeline.checkpoints.items():
        model = pipeline.models[role]
        if role in pipeline.classifiers and model.problem:
            continue
        size = sum(path.stat().st_size for path in checkpoint.folder.glob("*.safetensors"))
        measured.append(
            {
                "role": role,
                "parameters": count_parameters(model.pytorch_model),
                "megabytes": size / 1e6,
                "engine": pipeline.engine_names.get(role, "those of its parts"),
                "milliseconds_median": 1000 * float(np.median(answer_times(model, rows))),
            }
        )
    return measured


def open_checkpoints(arguments: argparse.Namespace) -> XrayPipeline:
    """Load the checkpoints that the command line names, and the classifiers of --also under their own names."""
    chosen = {role: vars(arguments)[key(role)] for role in ROLES if vars(arguments)[key(role)]}
    pipeline = XrayPipeline.from_pretrained(chosen)
    for name, folder in map(name_and_folder, arguments.also):
        checkpoint = Checkpoint(role_of(folder), folder, "folder", str(folder))
        pipeline.classifiers[name], pipeline.checkpoints[name] = load_model(checkpoint), replace(checkpoint, role=name)
    return pipeline


def load_split(arguments: argparse.Namespace) -> datasets.Dataset:
    """Load the rows of the split that the command line names."""
    limits = {"max_train_samples": arguments.max_eval_samples, "max_eval_samples": arguments.max_eval_samples}
    data_args = DataArguments(arguments.dataset, boxes=arguments.boxes, strict=arguments.strict, **limits)
    return load_splits(data_args, [arguments.split])[arguments.split]


def all_probabilities(pipeline: XrayPipeline, rows: datasets.Dataset, labels: list[str]) -> dict[str, np.ndarray]:
    """Return role -> probabilities float64 (N, C) for N rows with lungs, of every classifier that scores these labels.

    The zero-shot CLIP with one prompt a class and the mean of two classifiers follow, if those classifiers are there.
    """
    classifiers = comparable(pipeline, labels)
    answers = {role: class_probabilities(classifier, rows, role, labels) for role, classifier in classifiers.items()}
    if classifier := classifiers.get("clip-zero-shot"):
        first = {label: sentences[:1] for label, sentences in classifier.prompts.items()}
        answers[ONE_PROMPT] = class_probabilities(partial(classifier, prompts=first), rows, ONE_PROMPT, labels)
    if set(HALVES) <= answers.keys():
        answers[HYBRID] = (answers[HALVES[0]] + answers[HALVES[1]]) / 2
    return answers


def all_scores(
    pipeline: XrayPipeline, rows: datasets.Dataset, answers: dict[str, np.ndarray], labels: list[str]
) -> dict[str, dict]:
    """Return role -> scores of its answers, probabilities float64 (N, C), to N rows.

    Answers that are not those of one classifier with its own prompts have no calibration.
    """
    calibrations = {role: classifier.calibration for role, classifier in pipeline.classifiers.items()}
    return {
        role: classes_scores(classes_record(rows, answer, labels), labels, calibrations.get(role, Calibration()))
        for role, answer in answers.items()
    }


def save_predictions(
    folder: Path, rows: datasets.Dataset, answers: dict[str, np.ndarray], records: dict[str, pd.DataFrame]
) -> None:
    """Write predictions.csv, and outlines-UNET.csv of each UNet's record, into a folder."""
    labels = rows.features["label"].names
    columns = {f"{role}: {label}": answer[:, i] for role, answer in answers.items() for i, label in enumerate(labels)}
    truth = {"file": rows["file"][:], "label": [labels[i] for i in rows["label"]]}
    as_cells(pd.DataFrame(truth | columns)).to_csv(folder / "predictions.csv", index=False)
    for name, record in records.items():
        as_cells(record).to_csv(folder / f"outlines-{name}.csv", index=False)


def save_plots(
    folder: Path, rows: datasets.Dataset, answers: dict[str, np.ndarray], classes: dict[str, dict], title: str
) -> None:
    """Draw the confusion matrix of each role, and the curves of all, into a folder."""
    labels, references = rows.features["label"].names, np.array(rows["label"])
    for role, scores in classes.items():
        save_confusion(scores["confusion"], labels, f"{role}, {title}", folder / f"confusion-{role}.png")
    save_curves(answers, references, labels, title, folder)
    save_reliability(answers, references, title, folder / "reliability.png")


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="a COVID-QU-Ex folder, a saved data set, or a Hub id")
    parser.add_argument("--boxes", metavar="FILE", help="JSON file of bounding boxes, as COCO or Pascal VOC write them")
    parser.add_argument("--output_dir", required=True, type=Path)
    parser.add_argument("--split", default="test", choices=SPLITS)
    parser.add_argument("--max_eval_samples", type=int, help="measure on this many images only")
    parser.add_argument("--baseline", metavar="FOLDER", help="another UNet, also one of --recipe original, beside it")
    parser.add_argument("--also", nargs="+", default=[], metavar="NAME=FOLDER", help="more classifiers, beside those")
    parser.add_argument("--strict", action="store_true", help="stop at an image that cannot be read")
    for role in ROLES:
        parser.add_argument(f"--{key(role)}", metavar="FOLDER_OR_ID", help=f"checkpoint of the role {role}")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> dict:
    """Measure, write the output folder, print the tables; returns the content of metrics.json."""
    no_telemetry()
    arguments = parse(argv)
    # 1. Checkpoints: those that were named, else those of the environment, else the embedded ones
    pipeline = open_checkpoints(arguments)
    # 2. Data: one split, the same images for every model
    rows = load_split(arguments)
    labels = rows.features["label"].names
    # 3. Measure: outlines where somebody drew them, classes everywhere
    segmenters = {"unet": pipeline.segmenter}
    if arguments.baseline:
        segmenters["unet_baseline"] = load_segmenter(arguments.baseline)
    records = {name: outlines_record(rows, segmenter) for name, segmenter in segmenters.items()}
    outlines = {name: outlines_scores(record) for name, record in records.items()}
    rows = outline_lungs(rows, pipeline.segmenter)
    answers = all_probabilities(pipeline, rows, labels)
    classes = all_scores(pipeline, rows, answers, labels)
    metrics = {"split": arguments.split, "images": len(rows), **outlines}
    metrics |= {key(role): scores for role, scores in classes.items()}
    metrics |= side_by_side(rows, answers) | {"costs": costs(pipeline, rows)}
    # 4. Write it down
    folder = arguments.output_dir
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    text = report(metrics, outlines, classes, labels, pipeline)
    (folder / "report.md").write_text(text, encoding="utf-8")
    save_predictions(folder, rows, answers, records)
    save_plots(folder, rows, answers, classes, f"{arguments.split} split ({len(rows)} images)")
    print(text)
    return metrics


if __name__ == "__main__":
    run(main)
