"""Calibrate a finished classifier on the validation split: its temperature, and its 90 % prediction sets.

    python -m train.calibrate --dataset COVID-QU-Ex --role resnet --checkpoint runs/resnet/release
    python -m train.calibrate --dataset COVID-QU-Ex --role clip-finetuned --checkpoint runs/clip-finetuned/release \
        --widened_by 0 1 2 --detail 128

The training scripts do this at their end. For a checkpoint that was trained elsewhere or without it, or whose lungs are
now outlined by another UNet, this adds it: the temperature becomes part of the weights, and the test split is measured
again. The checkpoint's folder is changed.
"""

import argparse
from pathlib import Path

import datasets

from hub_models.cards.facts import CardFacts
from hub_models.checkpoints.roles import of_family
from hub_models.engines.quiet import no_telemetry
from hub_models.models.loading import class_of
from train.data.arguments import ClassifierArguments, DataArguments, check_sharpness
from train.data.dataset import load_splits
from train.data.lungs import segment_splits
from train.data.rows import class_names
from train.data.splits import SPLITS
from train.scoring.evaluation import check_same_classes
from train.script.arguments import run
from train.script.finish import SCORED, finish
from train.script.release import without_path

CALIBRATED = of_family("resnet", "clip")
"""The roles whose checkpoints answer without other checkpoints, which a fusion does not."""

CHOICES = ("widened_by", "detail", "sentence_sharpness")
"""Names in a checkpoint's config, and arguments, of how it looks at an X-ray and reads sentences."""

KEPT = ("left_out",)
"""Results that tell of other trainings, and not of the checkpoint's own answers."""


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line.

    Raises:
        ValueError: the sharpness is none, or is for a role that reads no sentences.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", required=True, help="as the training scripts take it")
    parser.add_argument("--role", required=True, choices=CALIBRATED, help="what the checkpoint is")
    parser.add_argument("--checkpoint", required=True, type=Path, help="the checkpoint's folder, which is changed")
    parser.add_argument(
        "--widened_by", type=int, nargs="+", help="its looks from now on, as the training scripts take it"
    )
    parser.add_argument("--detail", type=int, help="side of the square whose detail it sees from now on, in pixels")
    parser.add_argument(
        "--sentence_sharpness", type=float, help="how much the nearer of a class's sentences count more, for a CLIP"
    )
    parser.add_argument("--unet", help="UNet that outlines the lungs: a folder or Hub id")
    parser.add_argument("--leave_source_out", help="the source that it did not learn from, as the training scripts say")
    parser.add_argument("--keep_test", action="store_true", help="with that: test on no image of the test split")
    arguments = parser.parse_args(argv)
    if arguments.sentence_sharpness is not None:
        check_sharpness(arguments.sentence_sharpness, arguments.role)
    return arguments


def main(argv: list[str] | None = None) -> dict:
    """Calibrate, save and measure; returns the results that the card shows."""
    no_telemetry()
    arguments = parse(argv)
    # 1. Data: the X-rays of both splits with their lungs outlined
    left_out = {name: getattr(arguments, name) for name in ("leave_source_out", "keep_test")}
    loaded = load_splits(DataArguments(arguments.dataset, **left_out), SPLITS if arguments.leave_source_out else SCORED)
    scored = datasets.DatasetDict({name: loaded[name] for name in SCORED})
    splits = segment_splits(scored, ClassifierArguments(unet=arguments.unet), seed=0)
    # 2. Calibrate on the validation split, measure on the test split
    model = class_of(arguments.role)
    classifier = model.from_pretrained(arguments.checkpoint, engine_name="torch")
    check_same_classes(arguments.checkpoint, classifier, class_names(splits["test"]))
    chosen = {name: value for name in CHOICES if (value := getattr(arguments, name)) is not None}
    classifier.model.config.update(chosen)
    results = finish(classifier, splits, arguments.checkpoint, model.from_pretrained)
    # 3. Write the results into the card
    facts = CardFacts.load(arguments.checkpoint)
    facts.results = {name: facts.results[name] for name in KEPT if name in facts.results} | results
    facts.detail = classifier.detail
    facts.procedure |= {name.replace("_", " "): without_path(value) for name, value in chosen.items()}
    facts.save(arguments.checkpoint)
    return results


if __name__ == "__main__":
    run(main)
