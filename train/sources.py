"""Measure recipes in hospitals that they did not learn from: each source of the data is left out in turn.

    python -m train.sources --dataset COVID-QU-Ex --drop_duplicates --output_dir runs/sources
    python -m train.sources --dataset COVID-QU-Ex --drop_duplicates --recipes clip-finetuned --final --cards \
        --output_dir runs/sources-final

A recipe is trained once for each source, without any image of that source, and tested on the images of that source
alone. The lungs are outlined once; a finished training is not run again, so an interrupted run goes on where it was.
A recipe that goes on from a finished checkpoint has to name one that did not learn from the sources either, as in
`--sources hannover --arguments --model_name_or_path runs/clip-first/release` (the last argument takes all that follow).
A fusion joins the ResNet and the CLIP that earlier commands trained without the source in the same OUTPUT_DIR.
Without --final the images of the test split take no part, so that recipes can be chosen by the result. OUTPUT_DIR gets
sources.json and sources.md; --cards writes the figures into the cards of the checkpoints in use that the recipes made,
and widens their prediction sets so far that they hold the true class in other hospitals, too.
"""

import argparse
import json
from pathlib import Path

import datasets
from transformers.utils import CONFIG_NAME

from hub_models.cards.facts import CardFacts
from hub_models.checkpoints.resolve import resolve
from hub_models.engines.quiet import no_telemetry
from train.data.arguments import DataArguments
from train.data.dataset import load_splits
from train.data.lungs import save_outlined
from train.scoring.calibration import SET_LEVEL
from train.scoring.left_out import fit_elsewhere, left_out_scores, means, sources_report
from train.scoring.predictions import load_record
from train.script.arguments import recipes_parser, run
from train.script.recipes import JOINED, RECIPES, shortened
from train.script.subprocesses import train_once


def sources_of(splits: datasets.DatasetDict) -> list[str]:
    """Return the names of the sources, in order.

    Raises:
        ValueError: there are fewer than two.
    """
    names = sorted({name for rows in splits.values() for name in rows["source"] if name})
    if len(names) < 2:
        raise ValueError("Leaving a source out needs images of two sources at least (column `source`).")
    return names


def measure(recipe: list[str], sources: list[str], shared: list[str], folder: Path) -> dict:
    """Train a recipe without each source.

    Args:
        recipe: the training script's module, and the recipe's arguments.
        sources: the sources to leave out.
        shared: the arguments of every training. In all arguments {source} stands for the source, and {folder} for the
            folder that holds those of all recipes.
        folder: gets a folder for each training.

    Returns:
        "sources": source -> its `left_out_scores` and what `fit_elsewhere` tells; "means" over them; "set_least", the
        bound of `fit_elsewhere`, None for a single source.
    """
    module, *settings = recipe
    scores, records = {}, {}
    for source in sources:
        output = folder / source
        words = [word.replace("{source}", source).replace("{folder}", str(folder.parent)) for word in settings + shared]
        facts = train_once(module, [*words, f"--leave_source_out={source}"], output)
        records[source] = load_record(output / "release")
        scores[source] = left_out_scores(records[source], facts)
    bound = None
    if len(records) > 1:
        bound, tested = fit_elsewhere(records, facts.labels, SET_LEVEL)
        scores = {source: scores[source] | tested[source] for source in scores}
    return {"sources": scores, "means": means(scores), "set_least": bound}


def earlier(path: Path, final: bool) -> dict[str, dict]:
    """Read from sources.json what earlier commands measured of other recipes on these images; {} without the file."""
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return {name: measured for name, measured in found.items() if measured.get("final") == final}


def add_to_checkpoint(role: str, measured: dict) -> None:
    """Write a recipe's part of sources.json into the checkpoint in use that it made: its card, and its calibration."""
    folder = resolve(role, None).folder
    facts = CardFacts.load(folder)
    facts.results["left_out"] = measured
    config = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))
    config["calibration"] = (config.get("calibration") or {}) | {"least_elsewhere": measured["set_least"]}
    (folder / CONFIG_NAME).write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    facts.save(folder)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = recipes_parser(__doc__.split("\n")[0])
    parser.add_argument(
        "--recipes", nargs="+", choices=[*RECIPES, *JOINED], default=list(RECIPES), help="which to train, in this order"
    )
    parser.add_argument("--sources", nargs="+", help="which to leave out; all if not given")
    parser.add_argument(
        "--arguments",
        nargs=argparse.REMAINDER,
        default=[],
        help="more arguments of every training, where {source} is the source; not of a fusion's",
    )
    parser.add_argument("--max_steps", type=int, help="shorter trainings, which take the last weights")
    parser.add_argument("--final", action="store_true", help="test on the images of the test split, too")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> dict:
    """Train the recipes without each source; returns the content of sources.json."""
    no_telemetry()
    arguments = parse(argv)
    folder = arguments.output_dir
    # 1. Data: the lungs of all images outlined once, by the UNet that the classifiers will meet
    splits = load_splits(DataArguments(arguments.dataset, drop_duplicates=arguments.drop_duplicates))
    names = arguments.sources or sources_of(splits)
    shared = [f"--dataset={save_outlined(splits, arguments.unet, folder)}", f"--keep_test={not arguments.final}"]
    short = [] if arguments.max_steps is None else shortened(arguments.max_steps)
    recipes = {name: (recipe, [*shared, *short, *arguments.arguments]) for name, recipe in RECIPES.items()}
    recipes |= {name: (recipe, shared) for name, recipe in JOINED.items()}
    # 2. Train every recipe without every source
    measured = earlier(folder / "sources.json", arguments.final)
    for name in arguments.recipes:
        recipe, words = recipes[name]
        found = measure(recipe, names, words, folder / name)
        measured[name] = found | {"steps": arguments.max_steps, "final": arguments.final}
        # 3. Write it down
        text = sources_report({name: row["sources"] for name, row in measured.items()}, arguments.final)
        (folder / "sources.json").write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
        (folder / "sources.md").write_text(text, encoding="utf-8")
    if arguments.cards:
        for role in arguments.recipes:
            add_to_checkpoint(role, measured[role])
    print(text)
    return measured


if __name__ == "__main__":
    run(main)
