"""How much of a classifier's score needs the lungs: the same training on images that hide them, and on none at all.

    python -m train.controls --dataset COVID-QU-Ex --drop_duplicates --output_dir runs/controls
    python -m train.controls --dataset COVID-QU-Ex --drop_duplicates --quick --output_dir runs/controls-quick
    python -m train.controls --dataset COVID-QU-Ex --recipes --cards --output_dir runs/controls-shipped

Each recipe is trained on every view of `hub_models.models.views`, on permuted classes and, with --sources, without
each source in turn. The checkpoints in use are shown, too, what they were not trained on: the test images with the
lungs hidden, and the outline of the lungs alone; with no recipe named, that is all. The lungs are outlined once; a
training that is done is not run again, so an interrupted run goes on where it was. OUTPUT_DIR gets controls.json and
controls.md; with --cards the figures are written into the cards of the checkpoints in use, too.
"""

import argparse
import json
from pathlib import Path

import datasets

from hub_models.cards.facts import CardFacts
from hub_models.cards.scores import with_interval
from hub_models.checkpoints.resolve import resolve
from hub_models.engines.quiet import no_telemetry
from hub_models.models.unet import Segmenter
from hub_models.pipeline import XrayPipeline
from train.data.arguments import DataArguments
from train.data.dataset import load_splits
from train.data.lungs import outline_lungs
from train.data.rows import SPLITS
from train.scoring.evaluation import class_probabilities, comparable
from train.scoring.markdown import table
from train.scoring.predictions import classes_record, classes_scores
from train.script.arguments import run
from train.script.subprocesses import train_once

RECIPES = {
    "resnet": ["train.resnet", "--depth=10", "--image_size=192", "--num_train_epochs=15"],
    "clip-finetuned": [
        *("train.clip", "--method=full", "--num_train_epochs=8"),
        "--model_name_or_path=hub_models/embedded/clip-zero-shot",
    ],
}
"""Role -> module and arguments that its embedded checkpoint was made with."""

QUICK = [
    *("--max_steps=60", "--eval_strategy=no", "--save_strategy=no", "--load_best_model_at_end=False"),
    "--early_stopping_patience=0",
]
"""What --quick adds: a tenth of the steps or less, the last weights taken."""

TRAININGS = {
    "lungs only": ["--view=lungs"],
    "whole image": ["--view=full"],
    "lungs hidden": ["--view=lungs_hidden"],
    "box around the lungs hidden": ["--view=box_hidden"],
    "shape of the lungs": ["--view=shape"],
    "thumbnail of 32 x 32 pixels": ["--view=thumbnail"],
    "permuted classes, lungs only": ["--view=lungs", "--permute_labels=True"],
}
"""What is shown in training and test -> the arguments that do it."""

SHOWN = {"lungs hidden": "lungs_hidden", "box around the lungs hidden": "box_hidden", "shape of the lungs": "shape"}
"""What a finished checkpoint is shown -> its view."""

SCORES = {"accuracy": "Accuracy", "recall_macro": "Balanced accuracy", "auroc_macro": "AUROC, macro"}

EXPLANATION = """# How much of the score needs the lungs?

A classifier that looks at the lungs falls to chance without them. Each row of *trained* is one training of the recipe
that was shown, and tested on, what the row names; *as shipped* is the finished checkpoint, shown in the test alone what
it was not trained on. The classes of this data come from different sources, so that what is outside of the lungs, or a
thumbnail, names the source and with it the class.{quick}
"""
QUICKLY = " These are short trainings: compare the rows with one another, not with the checkpoints that ship."


def prepare(dataset: datasets.DatasetDict, unet: str | None, folder: Path) -> Path:
    """Save a data set with its lungs outlined under a folder, once; returns where."""
    saved = folder / "outlined"
    if not (saved / "dataset_dict.json").is_file() or not all((saved / split).is_dir() for split in dataset):
        segmenter = Segmenter.from_pretrained(resolve("unet", unet).folder)
        outlined = {split: outline_lungs(rows, segmenter) for split, rows in dataset.items()}
        datasets.DatasetDict(outlined).save_to_disk(saved)
    return saved


def as_shipped(pipeline: XrayPipeline, rows: datasets.Dataset) -> dict[str, dict[str, dict]]:
    """What finished checkpoints score on rows with lungs when they are shown something else: role -> what -> scores."""
    labels = rows.features["label"].names
    scores: dict[str, dict[str, dict]] = {}
    for role, classifier in comparable(pipeline, labels).items():
        configs = [encoder.model.config for encoder in classifier.encoders]
        own = [config.view for config in configs]
        scores[role] = {}
        for name, view in {"its own view": None, **SHOWN}.items():
            for config, usual in zip(configs, own, strict=True):
                config.view = view or usual
            answers = class_probabilities(classifier, rows, f"{role}, {name}", labels)
            record = classes_record(rows, answers, labels)
            scores[role][name] = {"images": len(rows)} | classes_scores(record, labels, classifier.calibration)
        for config, usual in zip(configs, own, strict=True):
            config.view = usual
    return scores


def report(trained: dict[str, dict[str, dict]], shipped: dict[str, dict[str, dict]], quick: bool) -> str:
    """All controls as Markdown: of trainings, recipe -> what was shown -> scores, and of finished checkpoints."""
    parts = [EXPLANATION.format(quick=QUICKLY if quick else "")]
    for title, measured in (("Trained", trained), ("As shipped", shipped)):
        for role, rows in measured.items():
            lines = [
                [name, scores["images"], *(with_interval(scores, key) for key in SCORES)]
                for name, scores in rows.items()
            ]
            parts += [f"## {title}: {role}", table(["Shown", "Images", *SCORES.values()], lines)]
    return "\n\n".join(parts) + "\n"


def note(folder: Path, shipped: dict[str, dict], trained: dict[str, dict]) -> None:
    """Write a role's controls into the card of its checkpoint's folder."""
    facts = CardFacts.load(folder)
    named = {f"shown {name}": scores for name, scores in shipped.items()}
    named |= {f"trained and tested on {name}": scores for name, scores in trained.items()}
    facts.results["controls"] = {
        name: {"accuracy": scores["accuracy"], "AUROC": scores["auroc_macro"], "images": scores["images"]}
        for name, scores in named.items()
    }
    facts.save(folder)


def main(argv: list[str] | None = None) -> dict:
    """Train and measure the controls; returns what controls.json holds."""
    no_telemetry()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", required=True, help="as the training scripts take it")
    parser.add_argument("--drop_duplicates", action="store_true", help="leave out training copies of evaluation images")
    parser.add_argument("--unet", help="UNet that outlines the lungs: a folder or Hub id")
    parser.add_argument("--recipes", nargs="*", choices=RECIPES, default=list(RECIPES), help="which to train, or none")
    parser.add_argument("--quick", action="store_true", help="short trainings")
    parser.add_argument("--sources", action="store_true", help="leave each source out in turn, too")
    parser.add_argument(
        "--cards", action="store_true", help="write the figures into the cards of the checkpoints in use"
    )
    parser.add_argument("--output_dir", required=True, type=Path)
    arguments = parser.parse_args(argv)
    # 1. Data: the lungs of all images outlined once, by the UNet that the classifiers will meet
    wanted = SPLITS if arguments.recipes else ["test"]
    splits = load_splits(DataArguments(arguments.dataset, drop_duplicates=arguments.drop_duplicates), wanted)
    saved = prepare(splits, arguments.unet, arguments.output_dir)
    outlined = datasets.load_from_disk(saved)
    # 2. Train every recipe on every view
    trainings = dict(TRAININGS)
    if arguments.sources:
        known = sorted({source for source in outlined["test"]["source"] if source})
        trainings |= {f"without {source}, tested on it": [f"--leave_source_out={source}"] for source in known}
    shared = [f"--dataset={saved}", *(QUICK if arguments.quick else [])]
    trained: dict[str, dict[str, dict]] = {recipe: {} for recipe in arguments.recipes}
    for recipe in arguments.recipes:
        for name, words in trainings.items():
            module, *own = RECIPES[recipe]
            output = arguments.output_dir / recipe / name.replace(" ", "-")
            trained[recipe][name] = train_once(module, [*own, *shared, *words], output).results
    # 3. Show finished checkpoints what they were not trained on
    pipeline = XrayPipeline.from_pretrained()
    shipped = as_shipped(pipeline, outlined["test"])
    # 4. Write it down
    controls = {"quick": arguments.quick, "trained": trained, "shipped": shipped}
    (arguments.output_dir / "controls.json").write_text(json.dumps(controls, indent=2) + "\n", encoding="utf-8")
    text = report(trained, shipped, arguments.quick)
    (arguments.output_dir / "controls.md").write_text(text, encoding="utf-8")
    if arguments.cards:
        for role, scores in shipped.items():
            note(pipeline.checkpoints[role].folder, scores, {} if arguments.quick else trained.get(role, {}))
    print(text)
    return controls


if __name__ == "__main__":
    run(main)
