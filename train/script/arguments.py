"""Command line of the training scripts, and the settings and resumption of their trainings."""

import argparse
import importlib.util
import logging
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from transformers import EarlyStoppingCallback, HfArgumentParser, TrainerCallback, TrainingArguments

from train.data.arguments import DataArguments
from train.data.processes import is_first
from train.script.clock import Clock
from train.script.config import config_arguments, use_config
from train.script.hub import check_hub, target, use_token

TRACKERS = {"tensorboard", "trackio", "wandb"}
"""Trackers that come with `requirements-trackers.txt`, each a package of its name."""


@dataclass
class XrayTrainingArguments(TrainingArguments):
    """`TrainingArguments` with this project's defaults: evaluated every epoch, the best epoch kept."""

    eval_strategy: str = "epoch"
    save_strategy: str = "epoch"
    save_total_limit: int | None = 2
    load_best_model_at_end: bool = True
    greater_is_better: bool | None = True
    lr_scheduler_type: str = "cosine"
    warmup_steps: float = 0.1
    weight_decay: float = 0.01
    remove_unused_columns: bool | None = False
    early_stopping_patience: int = field(
        default=10,
        metadata={"help": "Stop after this many epochs without a better validation score; 0 never stops early."},
    )
    restore_callback_states_from_checkpoint: bool = True  # the epochs without a better score, of early stopping
    seeds: int | None = field(
        default=None, metadata={"help": "Train this many times, from seed on, and report mean and spread."}
    )
    hub_project: str | None = field(
        default=None, metadata={"help": "With --push_to_hub: the address that the card says to clone the project from."}
    )
    hub_space: str | None = field(
        default=None,
        metadata={"help": "With --push_to_hub: the Space with the page (USER/NAME) that the card links to."},
    )
    release_id: str | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        """Take publishing into the project's own hands, and choose no best epoch where none is measured or saved.

        `release_id` becomes the Hub id that the finished release goes to. The Trainer itself pushes nothing: it would
        push its wrapper's weights, without a card, and its arguments as a pickle.

        Raises:
            ValueError: the release is to be pushed to no name, or a tracker's package is missing.
        """
        if self.push_to_hub and not self.hub_model_id:
            raise ValueError("--push_to_hub needs --hub_model_id USER/NAME, the repository for the release.")
        self.release_id, self.push_to_hub = (self.hub_model_id if self.push_to_hub else None), False
        use_token(self)
        if "no" in (self.eval_strategy, self.save_strategy):
            self.load_best_model_at_end, self.early_stopping_patience = False, 0
        check_trackers(self.report_to)
        super().__post_init__()

    def callbacks(self) -> list[TrainerCallback]:
        """Return the clock, and early stopping unless its patience is 0."""
        stopping = [EarlyStoppingCallback(self.early_stopping_patience)] if self.early_stopping_patience else []
        return [Clock(), *stopping]


def parse_arguments(
    model_arguments: type, argv: list[str] | None, recipes: Mapping[str, dict] | None = None, **defaults
) -> tuple:
    """Parse a training script's command line.

    Args:
        model_arguments: dataclass of the script's own arguments.
        argv: the command line's arguments; those of this process if None.
        recipes: value of the argument `recipe` -> defaults that it changes; None without such an argument.
        defaults: the script's defaults for `XrayTrainingArguments`.

    Returns:
        (DataArguments, model_arguments, XrayTrainingArguments)

    Raises:
        ValueError: there is no such argument, two of them contradict each other, or the Hub would not take the release
            that is to be pushed.
    """
    parser = HfArgumentParser([DataArguments, model_arguments, XrayTrainingArguments], allow_abbrev=False)
    parser.set_defaults(dataloader_pin_memory=torch.cuda.is_available(), **defaults)
    said = config_arguments(argv)
    if recipes:
        parser.set_defaults(**_recipe(recipes, argv, said.get("recipe")))
    use_config(parser, said)
    try:
        *parsed, unknown = parser.parse_args_into_dataclasses(args=argv, return_remaining_strings=True)
    except (ValueError, ImportError) as error:  # of the library's own checks: --fp16 without a graphics card, ...
        raise ValueError(" ".join(str(error).split())) from error
    if unknown:
        raise ValueError(f"There is no argument {unknown[0]}; --help lists those there are.")
    training_args = parsed[-1]
    if training_args.release_id and is_first():
        check_hub(target(training_args))
    return tuple(parsed)


def check_trackers(names: str | Sequence[str] | None) -> None:
    """Refuse a tracker (`--report_to`) whose package is not installed, before anything starts.

    Raises:
        ValueError: with what to install.
    """
    chosen = [names] if isinstance(names, str) else names or []
    for name in TRACKERS.intersection(chosen):
        if importlib.util.find_spec(name) is None:
            raise ValueError(
                f"--report_to {name} needs the package {name}; pip install -r train/requirements-trackers.txt."
            )


def _recipe(recipes: Mapping[str, dict], argv: list[str] | None, said: str | None) -> dict:
    """Return the defaults that the named recipe changes; none if neither command line nor `said` names a known one."""
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--recipe", default=said)
    return recipes.get(early.parse_known_args(argv)[0].recipe, {})


def last_complete_checkpoint(output_dir: str | Path) -> str | None:
    """Return the newest checkpoint of a folder from which training can be resumed, or None.

    A training that was killed while it wrote leaves a checkpoint without `trainer_state.json`, which is written last.
    """
    complete = [path.parent for path in Path(output_dir).glob("checkpoint-*/trainer_state.json")]
    return str(max(complete, key=lambda path: int(path.name.split("-")[1]))) if complete else None


def recipes_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser for a script that trains recipes anew, with the arguments that all such scripts take."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--dataset", required=True, help="as the training scripts take it")
    parser.add_argument("--drop_duplicates", action="store_true", help="leave out training copies of evaluation images")
    parser.add_argument("--unet", help="UNet that outlines the lungs: a folder or Hub id")
    parser.add_argument(
        "--cards", action="store_true", help="write the figures into the cards of the checkpoints in use"
    )
    parser.add_argument("--output_dir", required=True, type=Path)
    return parser


def run(main: Callable[[], object]) -> None:
    """Run a script's `main`; an error that this project's own code raises ends it with its sentence and exit code 1.

    An error that a library raises is a defect and keeps its traceback.
    """
    logging.basicConfig(format="%(message)s")
    try:
        main()
    except (RuntimeError, OSError, ValueError) as error:
        raised_in = [frame.f_globals["__name__"] for frame, _ in traceback.walk_tb(error.__traceback__)][-1]
        if raised_in.split(".")[0] not in ("__main__", "hub_models", "train"):
            raise
        raise SystemExit(str(error)) from error
