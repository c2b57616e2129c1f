"""Trainings that a script starts as processes of their own: each once, resumed after an interruption."""

import subprocess
import sys
from pathlib import Path

from hub_models.cards.facts import FACTS_FILE, CardFacts


def train_once(module: str, arguments: list[str], output: Path) -> CardFacts:
    """Run a training, or resume it, unless it is finished; returns the facts of its card.

    Args:
        module: the training script, as `python -m` takes it.
        arguments: its arguments, all but the folder.
        output: its output folder; the result is in `output/release`.

    Raises:
        RuntimeError: the training failed.
    """
    if not (output / "release" / FACTS_FILE).is_file():
        print(f"Training: {output.name}")
        if subprocess.run([sys.executable, "-m", module, *arguments, f"--output_dir={output}"]).returncode:
            raise RuntimeError(
                f"The training {output.name!r} failed; what it said stands above. The same command goes on here."
            )
    return CardFacts.load(output / "release")
