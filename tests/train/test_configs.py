"""The files of arguments say what the guide's commands say."""

import importlib
import re
import shlex
from pathlib import Path

import pytest

from train import clip, fusion, resnet, unet
from train.script.arguments import parse_arguments

TRAIN = Path(unet.__file__).parent
CONFIGS = sorted((TRAIN / "configs").glob("*.yaml"))
ARGUMENTS = {
    "train.unet": unet.UnetArguments,
    "train.clip": clip.ClipArguments,
    "train.resnet": resnet.ResnetArguments,
    "train.fusion": fusion.FusionArguments,
}


def guide_commands() -> dict[str, list[str]]:
    """Output folder -> module and arguments of the guide's commands, their variables filled in."""
    text = (TRAIN / "README.md").read_text(encoding="utf-8")
    variables = dict(re.findall(r'^ {4}([A-Z]+)="([^"]*)"', text, re.MULTILINE))
    commands = {}
    for command in re.findall(r"^ {4}python -m (train\.\w+ (?:[^\n]*\\\n)*[^\n]*)", text, re.MULTILINE):
        for name, value in variables.items():
            command = command.replace(f"${name}", value)
        words = shlex.split(command.replace("\\\n", " "), comments=True)
        if "--output_dir" in words:
            commands[Path(words[words.index("--output_dir") + 1]).name] = words
    return commands


def test_there_is_a_file_for_each_checkpoint_that_ships():
    assert {path.stem for path in CONFIGS} == {"unet", "resnet", "clip-zero-shot", "clip-finetuned", "fusion"}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_file_says_what_the_command_of_the_guide_says(path):
    module, *words = guide_commands()[path.stem]
    recipes = {"recipes": unet.RECIPES} if module == "train.unet" else {}
    said, filed = (
        [vars(part) for part in parse_arguments(ARGUMENTS[module], argv, **recipes)]
        for argv in (words, ["--config", str(path)])
    )
    assert importlib.import_module(module).main
    for of_command, of_file in zip(said, filed, strict=True):
        different = {name for name in of_command if repr(of_command[name]) != repr(of_file[name])}
        assert different <= {"config", "deepspeed_plugin", "distributed_state", "accelerator_config"}
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert first.endswith(f"python -m {module} --config train/configs/{path.name}")
