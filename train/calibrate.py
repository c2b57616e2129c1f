"""Calibrate a finished classifier on the validation split: its temperature, and its 90 % prediction sets.

    python -m train.calibrate --dataset COVID-QU-Ex --role resnet --checkpoint runs/resnet/release
    python -m train.calibrate --dataset COVID-QU-Ex --role resnet --checkpoint runs/resnet/release --widened_by 0 2

The training scripts do this at their end. For a checkpoint that was trained elsewhere or without it, or whose lungs are
now outlined by another UNet, this adds it: the temperature becomes part of the weights, and the test split is measured
again. The checkpoint's folder is changed.
"""

import argparse
from pathlib import Path

from hub_models.cards.facts import CardFacts
from hub_models.checkpoints.roles import of_family
from hub_models.engines.quiet import no_telemetry
from hub_models.models.loading import class_of
from train.data.arguments import ClassifierArguments, DataArguments
from train.data.dataset import load_splits
from train.data.lungs import segment_splits
from train.data.rows import class_names
from train.script.arguments import run
from train.script.finish import SCORED, finish

CALIBRATED = of_family("resnet", "clip")
"""The roles whose checkpoints answer without other checkpoints, which a fusion does not."""

KEPT = ("left_out",)
"""Results that tell of other trainings, and not of the checkpoint's own answers."""


def main(argv: list[str] | None = None) -> dict:
    """Calibrate, save and measure; returns the results that the card shows."""
    no_telemetry()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", required=True, help="as the training scripts take it")
    parser.add_argument("--role", required=True, choices=CALIBRATED, help="what the checkpoint is")
    parser.add_argument("--checkpoint", required=True, type=Path, help="the checkpoint's folder, which is changed")
    parser.add_argument(
        "--widened_by", type=int, nargs="+", help="its looks from now on, as the training scripts take it"
    )
    parser.add_argument("--unet", help="UNet that outlines the lungs: a folder or Hub id")
    arguments = parser.parse_args(argv)
    # 1. Data: the X-rays of both splits with their lungs outlined
    loaded = load_splits(DataArguments(arguments.dataset), SCORED)
    splits = segment_splits(loaded, ClassifierArguments(unet=arguments.unet), seed=0)
    # 2. Calibrate on the validation split, measure on the test split
    model = class_of(arguments.role)
    classifier = model.from_pretrained(arguments.checkpoint, engine_name="torch")
    if sorted(classifier.labels) != sorted(names := class_names(splits["test"])):
        scored, classes = ", ".join(classifier.labels), ", ".join(names)
        raise ValueError(f"{arguments.checkpoint} scores {scored}, and the data's classes are {classes}.")
    if arguments.widened_by:
        classifier.model.config.widened_by = arguments.widened_by
    results = finish(classifier, splits, arguments.checkpoint, model.from_pretrained)
    # 3. Write the results into the card
    facts = CardFacts.load(arguments.checkpoint)
    facts.results = {name: facts.results[name] for name in KEPT if name in facts.results} | results
    if arguments.widened_by:
        facts.procedure["widened by"] = ", ".join(map(str, arguments.widened_by))
    facts.save(arguments.checkpoint)
    return results


if __name__ == "__main__":
    run(main)
