import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from train import jobs
from train.job import FOLDER, commands
from train.script.arguments import parse_arguments

PROJECT = Path(jobs.__file__).parents[1]
WORDS = ["--dataset", "someone/xrays@v1", "--namespace", "someone", "--project", "https://example.org/someone/lungs"]


def test_a_dry_run_prints_the_command_and_starts_nothing(monkeypatch, capsys):
    monkeypatch.setattr(jobs.subprocess, "run", lambda *_, **__: pytest.fail("something was started"))
    command = jobs.main(["clip-finetuned", *WORDS, "--dry_run", "--arguments", "--max_steps=5"])
    assert shlex.split(capsys.readouterr().out) == command
    assert command[:12] == [
        *("hf", "jobs", "uv", "run", "--flavor", "l4x1", "--timeout", "6h", "--namespace", "someone"),
        *("--secrets", "HF_TOKEN"),
    ]
    assert command[13:] == [
        *(
            str(PROJECT / "train" / "job.py"),
            "https://example.org/someone/lungs",
            "main",
            "train.clip",
            "--method=full",
        ),
        *("--dataset=someone/xrays@v1", "--output_dir=run", "--push_to_hub=True"),
        *("--hub_model_id=someone/chest-xray-clip-finetuned", "--hub_private_repo=True"),
        *("--hub_project=https://example.org/someone/lungs", "--max_steps=5"),
    ]
    assert "--hub_private_repo=True" not in jobs.main(["unet", *WORDS, "--dry_run", "--public"])


def test_the_hubs_command_knows_the_options():
    hub_command = [str(Path(sys.executable).with_name("hf")), "jobs", "uv", "run", "--help"]
    help_text = subprocess.run(hub_command, capture_output=True, text=True, check=True).stdout
    command = jobs.main(["unet", *WORDS, "--dry_run"])
    options = [word for word in command[: command.index(str(jobs.JOB))] if word.startswith("--")]
    assert len(options) == 5
    assert [option for option in options if option not in help_text] == []


@pytest.mark.parametrize("role", jobs.SCRIPTS)
def test_the_script_takes_the_arguments_that_the_job_gives_it(role, monkeypatch):
    command = jobs.main([role, *WORDS, "--dry_run"])
    words = command[command.index(str(jobs.JOB)) + 4 :]
    module = __import__(jobs.SCRIPTS[role][0], fromlist=["main"])
    arguments = next(
        kind for name, kind in vars(module).items() if name in ("UnetArguments", "ResnetArguments", "ClipArguments")
    )
    monkeypatch.setattr("train.script.arguments.check_hub", lambda *_: None)
    data, _, training = parse_arguments(arguments, words)
    assert (data.dataset, training.release_id) == ("someone/xrays@v1", f"someone/chest-xray-{role}")


def test_a_job_fetches_the_project_installs_what_is_locked_and_trains():
    made = commands("https://example.org/p", "v2", "train.unet", ["--max_steps=1"], FOLDER)
    assert made[0] == ["git", "clone", "https://example.org/p", "lung-xrays"]
    assert made[1] == ["git", "checkout", "v2"]
    assert made[-1][1:] == ["-m", "train.unet", "--max_steps=1"]
    (lock,) = [word for word in made[3] if word.endswith(".lock")]
    assert (PROJECT / lock).is_file()
    lines = (PROJECT / "train" / "job.py").read_text().split("# ///")[1].splitlines()[1:]
    assert tomllib.loads("\n".join(line.removeprefix("# ") for line in lines))["dependencies"] == ["uv"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([*WORDS[2:], "--dataset", "COVID-QU-Ex"], "a job takes a data set of the Hub, USER/NAME"),
        ([*WORDS[2:], "--dataset", "someone/xrays@v1;x"], "a job takes a data set of the Hub, USER/NAME"),
        ([*WORDS[:4], "--project", "."], "a job clones the project from https://HOST/USER/NAME"),
    ],
)
def test_a_job_that_could_not_run_is_refused(words, sentence):
    with pytest.raises(ValueError, match=sentence):
        jobs.main(["unet", *words, "--dry_run"])
