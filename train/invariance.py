"""Invariance of the answers: whether the same X-ray gets the same answer however it is stored.

    python -m train.invariance --dataset COVID-QU-Ex --images 150 --output_dir runs/invariance
    python -m train.invariance --dataset COVID-QU-Ex --resnet runs/resnet/release --cards

Every X-ray's file is changed in ways that a reader would not mind (`train.data.harmless_changes`): made larger, written
as JPEG, as PNG or DICOM of 16 bits, moved or turned by little, made darker. Each version is read again as an upload is,
and goes through the checkpoints in use: those that are named, else those of the environment, else the embedded ones.
OUTPUT_DIR gets invariance.json and invariance.md; with --cards the figures are written into the cards of the
checkpoints, too.
"""

import argparse
import json
from pathlib import Path

from hub_models.cards.facts import FACTS_FILE, CardFacts
from hub_models.cards.scores import with_interval
from hub_models.checkpoints.folder import Checkpoint
from hub_models.checkpoints.roles import ROLES
from hub_models.engines.quiet import no_telemetry
from hub_models.pipeline import XrayPipeline
from train.data.arguments import DataArguments
from train.data.dataset import load_splits
from train.data.splits import SPLITS
from train.scoring.evaluation import comparable
from train.scoring.invariance import answer_versions, invariance_figures
from train.scoring.markdown import table
from train.script.arguments import run

AS_STORED = "as stored"

EXPLANATION = """# The same X-ray stored otherwise

{images} X-rays ({patients} patients) of the {split} split, each answered as its file is and after each change of it. A
reader would say the same of all of them. Shares are out of 1, with 95 % intervals in brackets: of another class
Wilson's at the number of patients, of the accuracy a bootstrap over patients."""

OUTLINES_NOTE = """The absolute change of the infected share of both lungs is in percentage points, over the X-rays on
which lungs are outlined before and after. The lungs are compared at 256 x 256 pixels, after the change has moved those
of the first answer along."""

OUTLINE_COLUMNS = {
    "infected_median": "Infected share, median change",
    "infected_percentile_95": "95th percentile",
    "infected_images": "X-rays with lungs",
    "lungs_dice": "Dice of the lungs, mean",
}


def report(invariance: dict) -> str:
    """Write the content of invariance.json as Markdown."""
    found = dict(invariance["checkpoints"])
    outlines = found.pop("unet")["changes"]
    sections = [EXPLANATION.format(**invariance)]
    if found:
        head = ["Change", *(ROLES[role].title for role in found)]
        changed, accuracies = (
            [[name, *(with_interval(scores["changes"][name], key) for scores in found.values())] for name in outlines]
            for key in ("changed", "accuracy")
        )
        stored = [AS_STORED, *(with_interval(scores, "accuracy") for scores in found.values())]
        sections += ["## X-rays whose most probable class is another", table(head, changed)]
        sections += ["## Accuracy", table(head, [stored, *accuracies])]
    rows = [[name, *(scores[key] for key in OUTLINE_COLUMNS)] for name, scores in outlines.items()]
    sections += ["## Outlines", table(["Change", *OUTLINE_COLUMNS.values()], rows), OUTLINES_NOTE]
    return "\n\n".join(sections) + "\n"


def check_cards(checkpoints: dict[str, Checkpoint]) -> None:
    """Check that figures can be written into the cards of checkpoints, before hours are spent on measuring them.

    Raises:
        ValueError: a checkpoint is in the Hub's cache, or has no recorded facts or damaged ones.
    """
    for role, checkpoint in checkpoints.items():
        if checkpoint.origin == "hub":
            raise ValueError(
                f"--cards writes into the folder of the {role}, and {checkpoint.name} is in the Hub's cache; download "
                "it into a folder and name that, or leave out --cards."
            )
        if not (checkpoint.folder / FACTS_FILE).is_file():
            raise ValueError(
                f"--cards writes into the card of the {role}, and {checkpoint.folder} has no {FACTS_FILE} to make one "
                "of; name a folder that a training script released, or leave out --cards."
            )
        CardFacts.load(checkpoint.folder)


def add_to_card(folder: Path, figures: dict, measured: dict) -> None:
    """Write a checkpoint's figures into the card of its folder.

    Args:
        folder: the checkpoint's folder.
        figures: its figures, one of the "checkpoints" of invariance.json.
        measured: "split", "images" and "patients" of the measurement.
    """
    facts = CardFacts.load(folder)
    facts.results["invariance"] = measured | figures
    facts.save(folder)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", required=True, help="as the training scripts take it")
    parser.add_argument("--split", default="test", choices=SPLITS)
    parser.add_argument("--images", type=int, help="measure on this many of its images, always the same ones")
    parser.add_argument("--cards", action="store_true", help="write the figures into the cards of the checkpoints, too")
    parser.add_argument("--output_dir", default=Path("runs/invariance"), type=Path)
    for role in ROLES:
        name = f"--{role.replace('-', '_')}"
        parser.add_argument(name, dest=role, metavar="FOLDER_OR_ID", help=f"checkpoint of the role {role}")
    arguments = parser.parse_args(argv)
    if arguments.images is not None and arguments.images < 1:
        parser.error(f"--images is {arguments.images}; give at least 1, or leave it out for all images.")
    return arguments


def main(argv: list[str] | None = None) -> dict:
    """Measure, write the output folder, print the tables; returns the content of invariance.json."""
    no_telemetry()
    arguments = parse(argv)
    # 1. Checkpoints: those that were named, else those of the environment, else the embedded ones
    pipeline = XrayPipeline.from_pretrained({role: vars(arguments)[role] for role in ROLES if vars(arguments)[role]})
    if arguments.cards:
        check_cards(pipeline.checkpoints)
    # 2. Data: one split, or a sample of it
    limits = {"max_train_samples": arguments.images, "max_eval_samples": arguments.images}
    rows = load_splits(DataArguments(arguments.dataset, **limits), [arguments.split])[arguments.split]
    # 3. Answer every version of every X-ray, and compare
    answers = answer_versions(pipeline, rows, list(comparable(pipeline, rows.features["label"].names)))
    invariance = {"split": arguments.split, **invariance_figures(answers, rows)}
    # 4. Write it down
    folder = arguments.output_dir
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "invariance.json").write_text(json.dumps(invariance, indent=2) + "\n", encoding="utf-8")
    text = report(invariance)
    (folder / "invariance.md").write_text(text, encoding="utf-8")
    if arguments.cards:
        measured = {key: invariance[key] for key in ("split", "images", "patients")}
        for role, figures in invariance["checkpoints"].items():
            add_to_card(pipeline.checkpoints[role].folder, figures, measured)
    print(text)
    return invariance


if __name__ == "__main__":
    run(main)
