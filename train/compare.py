"""Measure every checkpoint on one split, in one run on the same images.

    python -m train.compare --dataset COVID-QU-Ex --output_dir runs/compare
    python -m train.compare --dataset COVID-QU-Ex --split validation --resnet runs/resnet/release --output_dir runs/mine

OUTPUT_DIR gets metrics.json, report.md (the same as tables), predictions.csv (every probability of every image),
outlines-UNET.csv (what follows from every outline, see `train.scoring.predictions`) and the plots confusion-ROLE.png,
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
from hub_models.models.loading import load_model
from hub_models.models.views import NoLungs
from hub_models.pipeline import XrayPipeline
from hub_models.xray.images import read_image
from train.data.arguments import DataArguments
from train.data.dataset import load_splits
from train.data.lungs import outline_lungs
from train.data.rows import SPLITS, read_mask
from train.networks.baseline_unet import load_segmenter
from train.scoring.class_metrics import mcnemar
from train.scoring.comparison import report
from train.scoring.evaluation import best_classes, class_probabilities, comparable
from train.scoring.plots import save_confusion, save_curves, save_reliability
from train.scoring.predictions import classes_record, classes_scores, outlines_record, outlines_scores
from train.script.arguments import run
from train.script.release import count_parameters

HYBRID, HALVES = "hybrid-averaged", ("resnet", "clip-finetuned")
"""The plain way to join two classifiers, measured wherever both are: the mean of their probabilities."""

ONE_PROMPT = "clip-zero-shot-one-prompt"
"""The zero-shot CLIP with the first sentence of each class alone, measured wherever it is."""

TIMED = 20
"""How many images a model's time is measured on."""


def key(role: str) -> str:
    """Name of a role in metrics.json and on the command line: `clip_zero_shot` for "clip-zero-shot"."""
    return role.replace("-", "_")


def side_by_side(rows: datasets.Dataset, answers: dict[str, np.ndarray]) -> dict[str, list[dict]]:
    """Each pair of classifiers by McNemar's test, and the accuracy of all on the images of each source.

    Args:
        rows: N rows.
        answers: role -> probabilities float64 (N, C), in the order of the rows' classes.
    """
    right = {role: best_classes(answer) == np.array(rows["label"]) for role, answer in answers.items()}
    sources = np.array([source or "not told" for source in rows["source"]])
    by_source = [
        {"source": name, "images": int((sources == name).sum())}
        | {role: float(hits[sources == name].mean()) for role, hits in right.items()}
        for name in sorted(set(sources))
    ]
    pairs = [{"first": a, "second": b, **mcnemar(right[a], right[b])} for a, b in combinations(right, 2)]
    return {"pairs": pairs, "sources": by_source}


def named(words: str) -> tuple[str, Path]:
    """Name and folder of "NAME=FOLDER".

    Raises:
        ValueError: if it is not written so, or the folder holds no checkpoint.
    """
    name, equals, folder = words.partition("=")
    if not (name and equals and Path(folder, "config.json").is_file()):
        raise ValueError(f"--also takes NAME=FOLDER, the folder of a classifier's checkpoint; {words} is not that.")
    return name, Path(folder)


def kind(folder: Path) -> str:
    """A role whose models are of the kind that a folder holds."""
    model = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    return next((role for role in ROLES if model in ROLES[role].kinds), "resnet")


def costs(pipeline: XrayPipeline, rows: datasets.Dataset) -> list[dict]:
    """Size of each checkpoint, what runs it, and the median time that it takes for one of the first rows of
    `outline_lungs`; a fusion runs in the engines of its parts.
    """
    measured = []
    for role, checkpoint in pipeline.checkpoints.items():
        model = pipeline.models[role]
        if role in pipeline.classifiers and model.problem:
            continue
        seconds = []
        for row in rows.select(range(min(TIMED, len(rows)))):
            image, lungs = read_image(row["image"]), read_mask(row["lungs"])
            start = time.perf_counter()
            with suppress(NoLungs):
                _ = model(image) if role == "unet" else model(image, lungs)
            seconds.append(time.perf_counter() - start)
        size = sum(path.stat().st_size for path in checkpoint.folder.glob("*.safetensors"))
        network = model.network if role == "unet" else model.model
        measured.append(
            {
                "role": role,
                "parameters": count_parameters(network),
                "megabytes": size / 1e6,
                "engine": pipeline.engine_names.get(role, "those of its parts"),
                "milliseconds_median": 1000 * float(np.median(seconds)),
            }
        )
    return measured


def main(argv: list[str] | None = None) -> dict:
    """Measure, write the output folder, print the tables; returns what metrics.json holds."""
    no_telemetry()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="a COVID-QU-Ex folder, a saved data set, or a Hub id")
    parser.add_argument("--output_dir", required=True, type=Path)
    parser.add_argument("--split", default="test", choices=SPLITS)
    parser.add_argument("--max_eval_samples", type=int, help="measure on this many images only")
    parser.add_argument("--baseline", metavar="FOLDER", help="another UNet, also one of --recipe original, beside it")
    parser.add_argument("--also", nargs="+", default=[], metavar="NAME=FOLDER", help="more classifiers, beside those")
    parser.add_argument("--strict", action="store_true", help="stop at an image that cannot be read")
    for role in ROLES:
        parser.add_argument(f"--{key(role)}", metavar="FOLDER_OR_ID", help=f"checkpoint of the role {role}")
    args = parser.parse_args(argv)
    # 1. Checkpoints: those that were named, else those of the environment, else the embedded ones
    pipeline = XrayPipeline.from_pretrained({role: wish for role in ROLES if (wish := vars(args)[key(role)])})
    for name, folder in map(named, args.also):
        checkpoint = Checkpoint(kind(folder), folder, "folder", str(folder))
        pipeline.classifiers[name], pipeline.checkpoints[name] = load_model(checkpoint), replace(checkpoint, role=name)
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
    fitting = comparable(pipeline, labels)
    answers = {role: class_probabilities(classifier, rows, role, labels) for role, classifier in fitting.items()}
    if "clip-zero-shot" in fitting:
        classifier = fitting["clip-zero-shot"]
        first = {label: sentences[:1] for label, sentences in classifier.prompts.items()}
        answers[ONE_PROMPT] = class_probabilities(partial(classifier, prompts=first), rows, ONE_PROMPT, labels)
    calibrations = {role: classifier.calibration for role, classifier in fitting.items()}
    if set(HALVES) <= answers.keys():
        answers[HYBRID] = (answers[HALVES[0]] + answers[HALVES[1]]) / 2
    classes = {
        role: classes_scores(classes_record(rows, answer, labels), labels, calibrations.get(role, Calibration()))
        for role, answer in answers.items()
    }
    metrics = {"split": args.split, "images": len(rows), **outlines}
    metrics |= {key(role): scores for role, scores in classes.items()}
    metrics |= side_by_side(rows, answers) | {"costs": costs(pipeline, rows)}
    # 4. Write it down
    args.output_dir.mkdir(parents=True, exist_ok=True)
    (args.output_dir / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n", encoding="utf-8")
    text = report(metrics, outlines, classes, labels, pipeline)
    (args.output_dir / "report.md").write_text(text, encoding="utf-8")
    columns = {f"{role}: {label}": answer[:, i] for role, answer in answers.items() for i, label in enumerate(labels)}
    truth = {"file": rows["file"][:], "label": [labels[i] for i in rows["label"]]}
    as_cells(pd.DataFrame(truth | columns)).to_csv(args.output_dir / "predictions.csv", index=False)
    for name, record in records.items():
        as_cells(record).to_csv(args.output_dir / f"outlines-{name}.csv", index=False)
    title, references = f"{args.split} split ({len(rows)} images)", np.array(rows["label"])
    for role, scores in classes.items():
        save_confusion(scores["confusion"], labels, f"{role}, {title}", args.output_dir / f"confusion-{role}.png")
    save_curves(answers, references, labels, title, args.output_dir)
    save_reliability(answers, references, title, args.output_dir / "reliability.png")
    print(text)
    return metrics


if __name__ == "__main__":
    run(main)
