"""A file of arguments (`--config FILE`), in YAML: `learning_rate: 0.001` beside `--learning_rate 0.001`."""

import argparse
from pathlib import Path
from typing import Any

import yaml
from transformers.hf_argparser import string_to_bool


def config_arguments(argv: list[str] | None) -> dict[str, Any]:
    """Return what the file that `--config` names says, argument -> value; {} without one.

    Raises:
        ValueError: there is no such file, or it is not a list of arguments with their values.
    """
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--config")
    name = early.parse_known_args(argv)[0].config
    if name is None:
        return {}
    try:
        said = yaml.safe_load(Path(name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ValueError(f"--config {name} cannot be read: {' '.join(str(error).split())}") from error
    if not isinstance(said, dict) or not all(isinstance(key, str) for key in said):
        raise ValueError(f"--config {name} is not a list of arguments; write a line `name: value` for each.")
    return {key.removeprefix("--").replace("-", "_"): value for key, value in said.items()}


def use_config(parser: argparse.ArgumentParser, said: dict[str, Any]) -> None:
    """Make what a file says the defaults of a parser, so that the command line comes before it.

    Raises:
        ValueError: the parser has no such argument, or the value is not one that it takes.
    """
    actions = {action.dest: action for action in parser._actions}
    for name, value in said.items():
        if name not in actions or name == "config":
            raise ValueError(f"There is no argument {name} for the file of --config; --help lists those there are.")
        action = actions[name]
        value = _as_taken(value, action)
        if action.choices and value not in action.choices:
            takes = ", ".join(map(str, action.choices))
            raise ValueError(f"{name} is {value!r} in the file of --config; it takes {takes}.")
        action.required = False
        parser.set_defaults(**{name: value})


def _as_taken(value: Any, action: argparse.Action) -> Any:
    """Return a value of YAML as a parser takes defaults: texts for numbers, which it converts, and lists as lists.

    YAML reads `no` as false; where an argument is not true or false, it is the word again.
    """
    if isinstance(value, bool):
        return value if action.type is string_to_bool else "yes" if value else "no"
    if action.nargs in ("+", "*") and not isinstance(value, list):
        return [value]
    return str(value) if isinstance(value, int | float) else value
