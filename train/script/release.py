"""The last steps of every training script: the folder that the page loads, and the facts of its model card."""

import importlib.metadata
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import datasets
import torch
from torch import nn
from transformers import Trainer, TrainingArguments

from hub_models.cards.facts import CARD_FILE, FACTS_FILE, CardFacts
from hub_models.checkpoints.choices import variable
from train.data.arguments import DataArguments
from train.data.audit import describe
from train.script.clock import elapsed
from train.script.hub import publish_release, target

DATA_NAME = "chest X-rays"
"""The name of data that nobody named."""


@dataclass(kw_only=True)
class Training:
    """A finished training, with everything that its model card says of it beside the results.

    Attributes:
        role: the role of the checkpoint, one of `ROLES`.
        splits: the data set that it used.
        trainer: the Trainer that ran it; `release_folder` is in its output folder.
        data_args: the arguments that chose the data.
        model_args: the script's own arguments, a dataclass.
        base_model: the start of the training in words (a Hub id, ...); None for random weights.
        notes: plain sentences that the card shows beside the figures.
    """

    role: str
    splits: datasets.DatasetDict
    trainer: Trainer
    data_args: DataArguments
    model_args: Any
    base_model: str | None = None
    notes: Sequence[str] = ()


def release_folder(training_args: TrainingArguments) -> Path:
    """Return the folder of the finished checkpoint: `OUTPUT_DIR/release`."""
    return Path(training_args.output_dir, "release")


def data_facts(data_args: DataArguments, splits: datasets.DatasetDict) -> dict:
    """Return the facts of a card about the training data: what the arguments say of it, counts and fingerprint."""
    is_hub_id = not Path(data_args.dataset).exists()
    name = data_args.data_name or (data_args.dataset.partition("@")[0] if is_hub_id else DATA_NAME)
    said = {"citations": list(data_args.citation)} if data_args.citation else {}
    return {"name": name, "license": data_args.license, **said, **describe(splits)}


def procedure(model_args, trainer: Trainer) -> dict[str, str | int | float]:
    """Return the settings of a training as a card lists them: the script's own, the Trainer's, and versions."""
    args = trainer.args
    trained = {
        "epochs run": round(trainer.state.epoch or 0, 2),
        "epochs planned": args.num_train_epochs,
        "steps run": trainer.state.global_step,
        "best step": trainer.state.best_global_step or trainer.state.global_step,
        "batch size": args.train_batch_size * args.gradient_accumulation_steps * args.world_size,
        "optimizer": str(args.optim.value),
        "learning rate": args.learning_rate,
        "schedule": f"{args.lr_scheduler_type.value}, warm-up {args.warmup_steps}",
        "weight decay": args.weight_decay,
        "seed": args.seed,
    }
    versions = {name: importlib.metadata.version(name) for name in ("torch", "transformers", "datasets")}
    settings = {
        name.replace("_", " "): without_path(value) for name, value in vars(model_args).items() if value is not None
    }
    return settings | trained | versions


def without_path(value: Any) -> str | int | float:
    """Return a setting for a card: of a path on this machine only the last name, without `release`; of a list all."""
    if isinstance(value, list):
        return ", ".join(str(without_path(item)) for item in value)
    if not isinstance(value, str) or not Path(value).exists():
        return value
    path = Path(value).resolve()
    return f"local {path.parent.name if path.name == 'release' else path.name}"


def started_from(model: str) -> str:
    """Describe the Hub id or folder that a training started from, without paths of this machine."""
    folder = Path(model)
    if (folder / FACTS_FILE).is_file():
        facts = CardFacts.load(folder)
        return f"the {facts.role} checkpoint of this project, itself from {facts.base_model or 'random weights'}"
    return folder.name if folder.is_dir() else model


def hardware() -> str:
    """Return the name of the GPU, or the number of CPU threads."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{torch.get_num_threads()} CPU threads ({platform.machine()})"


def count_parameters(model: nn.Module) -> int:
    """Count the weights of a model."""
    return sum(parameter.numel() for parameter in model.parameters())


def copies_note(data_args: DataArguments) -> str:
    """Return a card's sentence about X-rays that stand in more than one split of the data."""
    if data_args.drop_duplicates:
        return "Training images that the near-duplicate search found again in another split were left out of training."
    return (
        "Near-copies of test images were not looked for among the training images (--drop_duplicates leaves them out): "
        "the scores may flatter."
    )


def save_card(folder: Path, training: Training, baseline: bool = False, **facts) -> None:
    """Write metrics.json and README.md beside the saved weights, say how to use the folder, and publish it if asked.

    Args:
        folder: the checkpoint's folder.
        training: the training that made it.
        baseline: write no README.md, for a checkpoint that neither the page nor a public library loads.
        facts: the fields of `CardFacts` that the training does not give.
    """
    data_args = training.data_args
    CardFacts(
        role=training.role,
        base_model=training.base_model,
        data=data_facts(data_args, training.splits),
        seconds=elapsed(training.trainer.state),
        hardware=hardware(),
        notes=[copies_note(data_args), *training.notes],
        **facts,
    ).save(folder)
    if baseline:
        (folder / CARD_FILE).unlink()
        print(f"Saved {folder}; measure it beside another with python -m train.compare --baseline {folder}")
    else:
        print(f"Saved {folder}; see it on the page with {variable(training.role)}={folder} python app.py")
    wanted = target(training.trainer.args)
    if wanted is not None and not baseline:
        publish_release(folder, wanted)
