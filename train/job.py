# /// script
# requires-python = ">=3.11"
# dependencies = ["uv"]
# ///
"""A training on a machine that has nothing but uv, such as a job of the Hub.

    uv run train/job.py https://HOST/USER/NAME main train.unet --dataset USER/NAME --output_dir run

Fetches the project, installs the locked requirements into an environment of their own and starts the script there.
"""

import subprocess
import sys
from pathlib import Path

FOLDER = Path("lung-xrays")


def commands(project: str, revision: str, module: str, arguments: list[str], folder: Path) -> list[list[str]]:
    """Return the commands of a job, in their order, each to be run in the folder but the first, which makes it.

    Args:
        project: the address that the project is cloned from.
        revision: a branch, a tag or a commit of it.
        module: the training script, as `python -m` takes it.
        arguments: its arguments.
        folder: the project's place on the machine.
    """
    python = str(Path(".venv", "bin", "python"))
    return [
        ["git", "clone", project, str(folder)],
        ["git", "checkout", revision],
        ["uv", "venv", ".venv"],
        ["uv", "pip", "install", "--python", python, "-r", "train/requirements-towers.lock"],
        [python, "-m", module, *arguments],
    ]


def main(argv: list[str] | None = None) -> None:
    """Run a training script of the project.

    Raises:
        SystemExit: a command failed; with its exit code.
    """
    project, revision, module, *arguments = sys.argv[1:] if argv is None else argv
    for number, command in enumerate(commands(project, revision, module, arguments, FOLDER)):
        code = subprocess.run(command, cwd=FOLDER if number else None, check=False).returncode
        if code:
            raise SystemExit(code)


if __name__ == "__main__":
    main()
