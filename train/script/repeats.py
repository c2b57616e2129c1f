"""The same training several times, on other folds of the patients or from other seeds, and the spread of its scores."""

import json
import statistics
from pathlib import Path

from train.data.arguments import DataArguments
from train.scoring.markdown import table
from train.script.arguments import XrayTrainingArguments
from train.script.subprocesses import train_once

OWN = ("--folds", "--seeds", "--output_dir", "--push_to_hub")
"""Arguments of all trainings together, which the single ones do not get."""


def is_repeated(data_args: DataArguments, training_args: XrayTrainingArguments) -> bool:
    """Return whether the arguments ask for several trainings.

    Raises:
        ValueError: for fewer than three folds or two seeds, or for a release of several to be pushed.
    """
    counts = {"--folds": (data_args.folds, 3), "--seeds": (training_args.seeds, 2)}
    for name, (count, least) in counts.items():
        if count is not None and count < least:
            raise ValueError(f"{name} is {count}; it takes {least} or more.")
    asked = data_args.folds or training_args.seeds
    if asked and training_args.release_id:
        raise ValueError(
            "--push_to_hub publishes one release; leave it out with --folds and --seeds, and publish one of them."
        )
    return bool(asked)


def repeat(module: str, argv: list[str], data_args: DataArguments, training_args: XrayTrainingArguments) -> dict:
    """Train once for each fold and seed, and write the mean and the spread of each score.

    A training that is finished is not run again, so that the same command goes on after an interruption.

    Args:
        module: the training script, as `python -m` takes it.
        argv: its arguments.
        data_args: the number of folds.
        training_args: the number of seeds, the first of them, and the folder.

    Returns:
        Score -> {"mean", "deviation" (of the sample), "least", "greatest", "values"}; also in OUTPUT_DIR/repeats.json
        and, as a table, in repeats.md.
    """
    shared, output = without(argv, OWN), Path(training_args.output_dir)
    folds = range(data_args.folds) if data_args.folds else [None]
    results = {}
    for seed in range(training_args.seed, training_args.seed + (training_args.seeds or 1)):
        for fold in folds:
            parts = [f"seed-{seed}"] if training_args.seeds else []
            chosen = [f"--seed={seed}"]
            if fold is not None:
                parts.append(f"fold-{fold + 1}")
                chosen.append(f"--fold={fold + 1}/{data_args.folds}")
            name = "-".join(parts)
            results[name] = flat(train_once(module, [*shared, *chosen], output / name).results)
    scores = {score: spread([values[score] for values in results.values()]) for score in common(list(results.values()))}
    output.mkdir(parents=True, exist_ok=True)
    (output / "repeats.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    rows = [
        [score, *(figures[name] for name in ("mean", "deviation", "least", "greatest"))]
        for score, figures in scores.items()
    ]
    text = table(["Score", "Mean", "Deviation", "Least", "Greatest"], rows)
    (output / "repeats.md").write_text(f"{len(results)} trainings: {', '.join(results)}.\n\n{text}\n", encoding="utf-8")
    print(f"{text}\nWrote {output / 'repeats.md'}")
    return scores


def without(argv: list[str], names: tuple[str, ...]) -> list[str]:
    """Return arguments without some, each `--name VALUE` or `--name=VALUE`."""
    left, skip = [], False
    for word in argv:
        if skip:
            skip = False
        elif word in names:
            skip = True
        elif word.partition("=")[0] not in names:
            left.append(word)
    return left


def flat(results: dict, prefix: str = "") -> dict[str, float]:
    """Return the scores of nested results, floats only, by names such as "lungs: dice_mean_per_image"."""
    scores = {}
    for name, value in results.items():
        if isinstance(value, float):
            scores[prefix + name] = value
        elif isinstance(value, dict) and name not in ("intervals", "bootstrap", "by_class", "by_source"):
            scores |= flat(value, f"{prefix}{name}: ")
    return scores


def common(results: list[dict[str, float]]) -> list[str]:
    """Return the scores that every training has, in the order of the first."""
    return [score for score in results[0] if all(score in values for values in results)]


def spread(values: list[float]) -> dict:
    """Return mean, sample deviation and range of a score."""
    return {
        "mean": statistics.fmean(values),
        "deviation": statistics.stdev(values),
        "least": min(values),
        "greatest": max(values),
        "values": values,
    }
