"""Trainings that a script starts as processes of their own: each once, resumed after an interruption."""

import json
import subprocess
import sys
from itertools import zip_longest
from pathlib import Path

from hub_models.cards.facts import FACTS_FILE, CardFacts


def train_once(module: str, arguments: list[str], output: Path) -> CardFacts:
    """Run a training, or resume it, unless it is finished; returns the facts of its card.

    Its arguments are kept in `output/arguments.json`, so that a folder is not taken for that of another training.

    Args:
        module: the training script, as `python -m` takes it.
        arguments: its arguments, all but the folder.
        output: its output folder; the result is in `output/release`.

    Raises:
        ValueError: the folder holds a training with other arguments.
        RuntimeError: the training failed.
    """
    kept = output / "arguments.json"
    if kept.is_file() and (before := json.loads(kept.read_text(encoding="utf-8"))) != [module, *arguments]:
        other = next(pair for pair in zip_longest(before, [module, *arguments]) if pair[0] != pair[1])
        raise ValueError(
            f"{output} holds a training with {other[0] or 'fewer arguments'}, and not with {other[1] or 'so few'}; "
            "name another --output_dir, or remove that one."
        )
    output.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps([module, *arguments]), encoding="utf-8")
    if not (output / "release" / FACTS_FILE).is_file():
        print(f"Training: {output.name}")
        if subprocess.run([sys.executable, "-m", module, *arguments, f"--output_dir={output}"]).returncode:
            raise RuntimeError(
                f"The training {output.name!r} failed; what it said stands above. The same command goes on here."
            )
    return CardFacts.load(output / "release")
