"""Controls of how much of a classifier's score needs the lungs: the same training on images that hide them.

    python -m train.controls --dataset COVID-QU-Ex --drop_duplicates --output_dir runs/controls
    python -m train.controls --dataset COVID-QU-Ex --drop_duplicates --quick --output_dir runs/controls-quick
    python -m train.controls --dataset COVID-QU-Ex --recipes --cards --output_dir runs/controls-shipped

Each recipe is trained on every view of `hub_models.models.views` and on permuted classes. The checkpoints in use are
tested, too, on views that they were not trained on: the test images with the lungs hidden, and the outline of the lungs
alone. `--recipes` without a name tests them only. The lungs are outlined once; a finished training is not run again, so
an interrupted run goes on where it was. OUTPUT_DIR gets controls.json and controls.md; with --cards the figures are
written into the cards of the checkpoints in use, too. (Hospitals left out of a training: `train.sources`.)
"""

import argparse
import json
from pathlib import Path

import datasets

from hub_models.cards.facts import CardFacts
from hub_models.cards.scores import with_interval
from hub_models.engines.quiet import no_telemetry
from hub_models.pipeline import XrayPipeline
from train.data.arguments import DataArguments
from train.data.dataset import load_splits
from train.data.lungs import save_outlined
from train.data.splits import SPLITS
from train.scoring.evaluation import class_probabilities, comparable
from train.scoring.markdown import table
from train.scoring.predictions import classes_record, classes_scores
from train.script.arguments import recipes_parser, run
from train.script.recipes import RECIPES, shortened
from train.script.subprocesses import train_once

QUICK = shortened(60)
"""The arguments that --quick adds: a tenth of the steps or less, and the last weights instead of the best."""

TRAININGS = {
    "lungs only": ["--view=lungs"],
    "whole image": ["--view=full"],
    "lungs hidden": ["--view=lungs_hidden"],
    "box around the lungs hidden": ["--view=box_hidden"],
    "shape of the lungs": ["--view=shape"],
    "thumbnail of 32 x 32 pixels": ["--view=thumbnail"],
    "permuted classes, lungs only": ["--view=lungs", "--permute_labels=True"],
}
"""Name of a control -> the arguments that train and test on it."""

TEST_VIEWS = {
    "lungs hidden": "lungs_hidden",
    "box around the lungs hidden": "box_hidden",
    "shape of the lungs": "shape",
}
"""Name of a control -> the view in which a finished checkpoint is tested."""

SCORES = {"accuracy": "Accuracy", "recall_macro": "Balanced accuracy", "auroc_macro": "AUROC, macro"}

EXPLANATION = """# How much of the score needs the lungs?

A classifier that looks at the lungs falls to chance without them. Each row of *trained* is one training of the recipe
that was shown, and tested on, what the row names; *as shipped* is the finished checkpoint, shown in the test alone what
it was not trained on. The classes of this data come from different sources, so that what is outside of the lungs, or a
thumbnail, names the source and with it the class.{quick}
"""
QUICK_NOTE = " These are short trainings: compare the rows with one another, not with the checkpoints that ship."


def as_shipped(pipeline: XrayPipeline, rows: datasets.Dataset) -> dict[str, dict[str, dict]]:
    """Score finished checkpoints in views that they were not trained on.

    Args:
        pipeline: the checkpoints in use; the views of their models are as before when this returns.
        rows: rows with lungs.

    Returns:
        Role -> name of a control, "its own view" first -> scores.
    """
    labels = rows.features["label"].names
    scores: dict[str, dict[str, dict]] = {}
    for role, classifier in comparable(pipeline, labels).items():
        configs = [encoder.model.config for encoder in classifier.encoders]
        trained_views = [config.view for config in configs]
        scores[role] = {}
        for name, view in {"its own view": None, **TEST_VIEWS}.items():
            for config, trained_view in zip(configs, trained_views, strict=True):
                config.view = view or trained_view
            answers = class_probabilities(classifier, rows, f"{role}, {name}", labels)
            record = classes_record(rows, answers, labels)
            scores[role][name] = {"images": len(rows)} | classes_scores(record, labels, classifier.calibration)
        for config, trained_view in zip(configs, trained_views, strict=True):
            config.view = trained_view
    return scores


def report(trained: dict[str, dict[str, dict]], shipped: dict[str, dict[str, dict]], quick: bool) -> str:
    """Write all controls as Markdown.

    Args:
        trained: recipe -> name of a control -> scores.
        shipped: role of a finished checkpoint -> name of a control -> scores.
        quick: say that the trainings were short.
    """
    sections = [EXPLANATION.format(quick=QUICK_NOTE if quick else "")]
    for title, measured in (("Trained", trained), ("As shipped", shipped)):
        for role, rows in measured.items():
            lines = [
                [name, scores["images"], *(with_interval(scores, key) for key in SCORES)]
                for name, scores in rows.items()
            ]
            sections += [f"## {title}: {role}", table(["Shown", "Images", *SCORES.values()], lines)]
    return "\n\n".join(sections) + "\n"


def add_to_card(folder: Path, shipped: dict[str, dict], trained: dict[str, dict]) -> None:
    """Write a role's controls into the card of its checkpoint's folder."""
    facts = CardFacts.load(folder)
    controls = {f"shown {name}": scores for name, scores in shipped.items()}
    controls |= {f"trained and tested on {name}": scores for name, scores in trained.items()}
    facts.results["controls"] = {
        name: {"accuracy": scores["accuracy"], "AUROC": scores["auroc_macro"], "images": scores["images"]}
        for name, scores in controls.items()
    }
    facts.save(folder)


def train_recipe(recipe: list[str], shared: list[str], folder: Path) -> dict[str, dict]:
    """Train a recipe once for each control; returns name of a control -> scores on the test split.

    Args:
        recipe: the training script's module, and the recipe's arguments.
        shared: the arguments of every training.
        folder: gets a folder for each training.
    """
    module, *settings = recipe
    return {
        name: train_once(module, [*settings, *shared, *arguments], folder / name.replace(" ", "-")).results
        for name, arguments in TRAININGS.items()
    }


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = recipes_parser(__doc__.split("\n")[0])
    parser.add_argument("--recipes", nargs="*", choices=RECIPES, default=list(RECIPES), help="which to train, or none")
    parser.add_argument("--quick", action="store_true", help="short trainings")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> dict:
    """Train and measure the controls; returns the content of controls.json."""
    no_telemetry()
    arguments = parse(argv)
    folder = arguments.output_dir
    # 1. Data: the lungs of all images outlined once, by the UNet that the classifiers will meet
    data_args = DataArguments(arguments.dataset, drop_duplicates=arguments.drop_duplicates)
    splits = load_splits(data_args, SPLITS if arguments.recipes else ["test"])
    saved = save_outlined(splits, arguments.unet, folder)
    outlined = datasets.load_from_disk(saved)
    # 2. Train every recipe under every control
    shared = [f"--dataset={saved}", *(QUICK if arguments.quick else [])]
    trained = {name: train_recipe(RECIPES[name], shared, folder / name) for name in arguments.recipes}
    # 3. Test finished checkpoints in views that they were not trained on
    pipeline = XrayPipeline.from_pretrained()
    shipped = as_shipped(pipeline, outlined["test"])
    # 4. Write it down
    controls = {"quick": arguments.quick, "trained": trained, "shipped": shipped}
    (folder / "controls.json").write_text(json.dumps(controls, indent=2) + "\n", encoding="utf-8")
    text = report(trained, shipped, arguments.quick)
    (folder / "controls.md").write_text(text, encoding="utf-8")
    if arguments.cards:
        for role, scores in shipped.items():
            add_to_card(pipeline.checkpoints[role].folder, scores, {} if arguments.quick else trained.get(role, {}))
    print(text)
    return controls


if __name__ == "__main__":
    run(main)
