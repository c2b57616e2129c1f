"""Measure what each setting of the UNet contributes: many short trainings on the same images.

    python -m train.study recipe --dataset COVID-QU-Ex --output_dir runs/study
    python -m train.study boxes seeds curve --dataset COVID-QU-Ex --drop_duplicates --max_steps 200 --image_size 128 \
        --output_dir runs/study

A study is a table of trainings that differ in one setting. Studies that choose a setting are measured on the validation
split, those that report one on the test split. Each training has a folder of OUTPUT_DIR that is named after its
settings: a training that two tables share is run once, and an interrupted study goes on where it was. OUTPUT_DIR gets
study.json and study.md, written again after each training.
"""

import argparse
import json
from pathlib import Path

from hub_models.cards.facts import CardFacts
from hub_models.cards.scores import with_interval
from hub_models.engines.quiet import no_telemetry
from train.scoring.markdown import table
from train.script.arguments import run
from train.script.subprocesses import train_once

SHORT = {
    "encoder_weights": "lite0",
    "image_size": 160,
    "max_steps": 400,
    "eval_strategy": "steps",
    "save_strategy": "steps",
    "eval_steps": 100,
    "save_steps": 100,
    "save_total_limit": 1,
    "early_stopping_patience": 0,
    "labelled_share": 1.0,
    "seed": 42,
}
"""The arguments of `train.unet` that all trainings share: few steps, on small images."""

LITE2 = {"encoder": "tu-tf_efficientnet_lite2", "encoder_weights": "lite2"}
CLIP = {"encoder_weights": "hub_models/embedded/clip-zero-shot"}
TAUGHT = {"teacher": "hub_models/embedded/unet", "taught": 400}
HEALTHY = {"healthy": 150}
BOXES = HEALTHY | {"supervision": "boxes"}

STUDIES: dict[str, tuple[str, dict[str, dict]]] = {
    "recipe": (
        "validation",
        {
            "base": {},
            "encoder EfficientNet-lite2": LITE2,
            "encoder of the zero-shot CLIP": CLIP,
            "loss Tversky + BCE": {"loss": "tversky_bce"},
            "loss Dice + focal": {"loss": "dice_focal"},
            "augmentation 1.6 times as strong": {"augmentation": 1.6},
            "input 224": {"image_size": 224},
            "weights not averaged": {"average_decay": 0.0},
            "infected images shown 6 times": {"repeat_infected": 6},
            "150 healthy images": HEALTHY,
            "400 self-taught images": TAUGHT,
        },
    ),
    "seeds": ("test", {f"seed {seed}": HEALTHY | {"seed": seed} for seed in (42, 1, 2)}),
    "boxes": (
        "test",
        {
            "outlines": HEALTHY,
            "50 % outlines, 50 % boxes": BOXES | {"outlines": 0.5},
            "25 % outlines, 75 % boxes": BOXES | {"outlines": 0.25},
            "10 % outlines, 90 % boxes": BOXES | {"outlines": 0.1},
            "boxes": BOXES,
        },
    ),
    "curve": (
        "test",
        {f"{share:.0%} of the masks": HEALTHY | {"labelled_share": share} for share in (0.25, 0.5, 0.75, 1.0)},
    ),
}
"""Study -> (split that it is measured on, training -> arguments of `train.unet` that it changes). The studies that are
measured on the test split train with healthy images, because the threshold has to leave such images unmarked."""

SCORES = {
    "Lungs Dice": ("lungs", "dice_mean_per_image"),
    "Lungs IoU": ("lungs", "iou_pooled"),
    "Infection Dice": ("infection", "dice_mean_per_image"),
    "Infection IoU": ("infection", "iou_pooled"),
    "Infection AP": ("infection", "average_precision_pooled"),
    "Healthy marked": ("healthy", "share_marked_over_1_percent"),
}
"""Column of the report -> the keys of its figure in the results."""

EXPLANATION = """# What the settings of the UNet are worth

Short trainings ({steps} steps of 16 images at {size} x {size} pixels unless a row says otherwise) that differ from the
first of their table in what the row names. Dice is the mean per image and IoU is pooled, both over the images whose
drawn mask is not blank; AP is the average precision over the pixels of those images, which needs no threshold; *healthy
marked* is the share of the healthy images with more than 1 % of the lungs outlined as infected. In brackets: 95 %
bootstrap intervals over patients. The threshold of each mask was chosen on the validation split.
"""


def folder_name(changed: dict, split: str) -> str:
    """Return the name of the folder of a training with these settings: "loss=bce,validation"."""
    settings = [f"{key}={Path(str(value)).name}" for key, value in sorted(changed.items()) if SHORT.get(key) != value]
    return ",".join([*settings, split])


def report(trained: dict[str, dict[str, CardFacts]], shared: dict) -> str:
    """Write all studies as Markdown.

    Args:
        trained: study -> training -> its facts.
        shared: the arguments of every training.
    """
    sections = [EXPLANATION.format(steps=shared["max_steps"], size=shared["image_size"])]
    for study, trainings in trained.items():
        results = next(iter(trainings.values())).results
        images = ", ".join(f"{results[group]['images']} {group}" for group in ("lungs", "infection", "healthy"))
        rows = [
            [name, *(with_interval(facts.results[group], score) for group, score in SCORES.values())]
            for name, facts in trainings.items()
        ]
        sections.append(f"## {study.capitalize()}\n\nMeasured on the {results['split']} split ({images}).")
        sections.append(table(["Training", *SCORES], rows))
    return "\n\n".join(sections) + "\n"


def main(argv: list[str] | None = None) -> dict[str, dict[str, CardFacts]]:
    """Run the studies that the command line names; returns study -> training -> the facts of its card."""
    no_telemetry()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("studies", nargs="+", choices=STUDIES, help="which to run")
    parser.add_argument("--dataset", required=True, help="as train.unet takes it")
    parser.add_argument("--drop_duplicates", action="store_true", help="leave out training copies of evaluation images")
    for name, meaning in {"max_steps": "length of every training", "image_size": "side of the input in pixels"}.items():
        parser.add_argument(f"--{name}", type=int, default=SHORT[name], help=f"{meaning} (default: {SHORT[name]})")
    parser.add_argument("--output_dir", required=True, type=Path)
    arguments = parser.parse_args(argv)
    budget = {"max_steps": arguments.max_steps, "image_size": arguments.image_size}
    dataset = [f"--dataset={arguments.dataset}", f"--drop_duplicates={arguments.drop_duplicates}"]
    trained: dict[str, dict[str, CardFacts]] = {}
    for study in arguments.studies:
        split, trainings = STUDIES[study]
        trained[study] = {}
        for name, changed in trainings.items():
            settings = [f"--{key}={value}" for key, value in (SHORT | budget | changed).items()]
            output = arguments.output_dir / folder_name(budget | changed, split)
            trained[study][name] = train_once("train.unet", [*dataset, *settings, f"--measure_on={split}"], output)
            _write(trained, SHORT | budget, arguments.output_dir)
    return trained


def _write(trained: dict[str, dict[str, CardFacts]], shared: dict, folder: Path) -> None:
    figures = {
        study: {
            name: {"changed": STUDIES[study][1][name], "seconds": facts.seconds, "results": facts.results}
            for name, facts in trainings.items()
        }
        for study, trainings in trained.items()
    }
    (folder / "study.json").write_text(json.dumps({"shared": shared, "studies": figures}, indent=2), encoding="utf-8")
    (folder / "study.md").write_text(report(trained, shared), encoding="utf-8")


if __name__ == "__main__":
    run(main)
