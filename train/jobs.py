"""Start a training as a job of the Hub, whose machines are rented by the minute.

    python -m train.jobs unet --flavor l4x1 --dataset USER/NAME --namespace USER --project https://HOST/USER/NAME
    python -m train.jobs resnet --dataset USER/NAME --namespace USER --project https://HOST/USER/NAME --dry_run

The job fetches the project (`train.job`), trains, and publishes the release, privately unless --public is given.
--dry_run prints the command and starts nothing. Needs a token that may start jobs: `hf auth login`.
"""

import argparse
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from hub_models.checkpoints.hub_id import split_revision
from hub_models.checkpoints.roles import repository
from hub_models.engines.quiet import no_telemetry
from train.script.arguments import run

SCRIPTS = {
    "unet": ("train.unet", []),
    "resnet": ("train.resnet", []),
    "clip-zero-shot": ("train.clip", ["--method=captions"]),
    "clip-finetuned": ("train.clip", ["--method=full"]),
}
"""Role -> the script that trains its checkpoint, and the arguments that say so."""

JOB = Path(__file__).with_name("job.py")


def job_command(arguments: argparse.Namespace) -> list[str]:
    """Return the command that submits the job; the token is passed on by name, so that it stands in no history."""
    module, own = SCRIPTS[arguments.role]
    visible = [] if arguments.public else ["--hub_private_repo=True"]
    release = ["--push_to_hub=True", f"--hub_model_id={repository(arguments.namespace, arguments.role)}", *visible]
    release.append(f"--hub_project={arguments.project}")
    training = [*own, f"--dataset={arguments.dataset}", "--output_dir=run", *release, *arguments.arguments]
    options = ["--flavor", arguments.flavor, "--timeout", arguments.timeout, "--namespace", arguments.namespace]
    job = ["hf", "jobs", "uv", "run", *options, "--secrets", "HF_TOKEN", "--detach", str(JOB)]
    return [*job, arguments.project, arguments.revision, module, *training]


def main(argv: list[str] | None = None) -> list[str]:
    """Submit the job that the command line describes, or print its command; returns the command.

    Raises:
        ValueError: a Hub id or an address is not written as one.
        RuntimeError: the Hub's command is not installed, or it did not take the job.
    """
    no_telemetry()
    parser = argparse.ArgumentParser(
        prog="python -m train.jobs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("role", choices=SCRIPTS, help="the checkpoint to train")
    parser.add_argument("--dataset", required=True, metavar="USER/NAME", help="a data set of the Hub")
    parser.add_argument("--namespace", required=True, help="who pays, and whose the release becomes")
    parser.add_argument("--project", required=True, metavar="ADDRESS", help="where the job clones this project from")
    parser.add_argument("--revision", default="main", help="branch, tag or commit of the project")
    parser.add_argument("--flavor", default="l4x1", help="the machine, as `hf jobs hardware` lists them")
    parser.add_argument("--timeout", default="6h", help="the longest that the job may take")
    parser.add_argument("--public", action="store_true", help="let everybody see the release")
    parser.add_argument("--dry_run", action="store_true", help="print the command, start nothing")
    parser.add_argument("--arguments", nargs=argparse.REMAINDER, default=[], help="more, for the training script; last")
    arguments = parser.parse_args(argv)
    hub_id = split_revision(arguments.dataset)
    if hub_id is None or not re.fullmatch(r"[\w.-]+", hub_id[1] or "main") or Path(arguments.dataset).exists():
        raise ValueError(f"--dataset is {arguments.dataset!r}; a job takes a data set of the Hub, USER/NAME.")
    if not re.fullmatch(r"https://\S+", arguments.project):
        raise ValueError(f"--project is {arguments.project!r}; a job clones the project from https://HOST/USER/NAME.")
    command = job_command(arguments)
    print(shlex.join(command))
    if arguments.dry_run:
        return command
    if shutil.which("hf") is None:
        raise RuntimeError("The command hf is not on the path; it comes with huggingface_hub.")
    if subprocess.run(command, check=False).returncode:
        raise RuntimeError("The Hub did not take the job; what it said stands above.")
    return command


if __name__ == "__main__":
    run(main)
