"""Trainings that a script starts as programs of their own: each once, and gone on with where it was."""

import subprocess
import sys
from pathlib import Path

from hub_models.cards.facts import FACTS_FILE, CardFacts


def train_once(module: str, words: list[str], output: Path) -> CardFacts:
    """The facts of a training; it is run, or taken up where it was, unless it is done.

    Args:
        module: the training script, as `python -m` takes it.
        words: its arguments, all but the folder.
        output: where it works; the result is in `output/release`.

    Raises:
        RuntimeError: the training failed.
    """
    if not (output / "release" / FACTS_FILE).is_file():
        print(f"Training: {output.name}")
        if subprocess.run([sys.executable, "-m", module, *words, f"--output_dir={output}"]).returncode:
            raise RuntimeError(
                f"The training {output.name!r} failed; what it said stands above. The same command goes on here."
            )
    return CardFacts.load(output / "release")
