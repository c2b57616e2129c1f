"""Train a fusion of ResNet and CLIP: how much the answer of each counts where both look at the same X-ray.

    python -m train.fusion --dataset COVID-QU-Ex --resnet runs/resnet/release --clip runs/clip-finetuned/release \
        --output_dir runs/fusion

Both parts are finished checkpoints and stay as they are. Of the images that they learned from they are surer than of
others, each in its own measure, so that the two weights of the fusion are learned from the validation images. The
result is in OUTPUT_DIR/release.
"""

import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import datasets
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from tqdm.auto import tqdm
from transformers import Trainer, set_seed

from hub_models.checkpoints.folder import weights_digest
from hub_models.checkpoints.resolve import resolve
from hub_models.engines.quiet import no_telemetry
from hub_models.models.clip import ClipClassifier
from hub_models.models.features import SharedFeatures
from hub_models.models.fusion import FusionClassifier
from hub_models.models.resnet import ResnetClassifier
from train.data.arguments import ClassifierArguments
from train.data.dataset import load_splits
from train.data.lungs import segment_splits
from train.data.processes import is_first
from train.data.rows import class_names, read_mask, read_picture
from train.scoring.evaluation import check_same_classes
from train.script.arguments import XrayTrainingArguments, last_complete_checkpoint, parse_arguments, run
from train.script.finish import SCORED, ClassifierTraining, release
from train.script.repeats import is_repeated, repeat
from train.tasks.classifier_task import one_class_an_image
from train.tasks.trainer import XrayTrainer

FITTED = "Both weights were learned from the {} validation images, from which neither the ResNet nor the CLIP learned."
"""Note of a fusion's card, with the number of images."""


@dataclass(kw_only=True)
class FusionArguments:
    """The two checkpoints that are joined, each of which is shown its own view, and the UNet for both."""

    resnet: str | None = field(default=None, metadata={"help": "ResNet checkpoint: a folder or Hub id."})
    clip: str | None = field(default=None, metadata={"help": "Fine-tuned CLIP checkpoint: a folder or Hub id."})
    unet: str | None = field(default=None, metadata={"help": "UNet that outlines the lungs: a folder or Hub id."})


class FusionTask(nn.Module):
    """Cross-entropy of the logits of both parts, added with a weight each; only the two weights learn."""

    def __init__(self, fusion: FusionClassifier) -> None:
        super().__init__()
        self.model = fusion.model

    def forward(
        self, resnet_logits: torch.Tensor, clip_logits: torch.Tensor, labels: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return loss and logits, float32 (N, C), of the parts' logits (N, C) and classes, int64 (N,)."""
        logits = self.model(resnet_logits, clip_logits)
        return {"loss": F.cross_entropy(logits, labels), "logits": logits}


def new_fusion(arguments: FusionArguments) -> FusionClassifier:
    """Load the two finished checkpoints, and put an untrained fusion between them.

    Raises:
        ValueError: they answer about different classes.
    """
    folders = {
        "resnet": resolve("resnet", arguments.resnet).folder,
        "clip-finetuned": resolve("clip-finetuned", arguments.clip).folder,
    }
    parts = (
        ResnetClassifier.from_pretrained(folders["resnet"]),
        ClipClassifier.from_pretrained(folders["clip-finetuned"]),
    )
    return FusionClassifier.new(*parts, {role: weights_digest(folder) for role, folder in folders.items()})


def load_joined(folder: Path, fusion: FusionClassifier) -> FusionClassifier:
    """Load a saved fusion, and put it between the two classifiers of another one."""
    loaded = FusionClassifier.from_pretrained(folder)
    loaded.join(*fusion.encoders, fusion.model.config.parts)
    return loaded


def part_answers(rows: datasets.Dataset, fusion: FusionClassifier) -> datasets.Dataset:
    """Turn rows with lungs into the fusion's inputs: `resnet_logits`, `clip_logits`, and `labels`."""
    logits = []
    for row in tqdm(rows, desc=f"Answering {rows.split}"):
        shared = SharedFeatures([read_picture(row["image"])], [read_mask(row["lungs"])])
        logits.append(fusion.part_logits(*(shared.stacked(encoder, [0]) for encoder in fusion.encoders))[1:])
    resnet, clip = (np.float32([pair[part][0] for pair in logits]) for part in (0, 1))
    order = [fusion.labels.index(label) for label in class_names(rows)]
    columns = {"resnet_logits": resnet[:, order], "clip_logits": clip[:, order], "labels": rows["label"][:]}
    return datasets.Dataset.from_dict(columns).with_format("torch")


def make_trainer(fusion: FusionClassifier, rows: datasets.Dataset, training_args: XrayTrainingArguments) -> Trainer:
    """Return the Trainer of the weights of both parts, on what these answer to each row."""
    return XrayTrainer(
        rows=rows,
        model=FusionTask(fusion),
        args=training_args,
        train_dataset=part_answers(rows, fusion),
        callbacks=training_args.callbacks(),
    )


def main(argv: list[str] | None = None) -> dict:
    """Train, measure and save a fusion; returns its scores on the test split, {} in all processes but the first."""
    no_telemetry()
    data_args, fusion_args, training_args = parse_arguments(
        FusionArguments,
        argv,
        eval_strategy="no",
        learning_rate=0.05,
        weight_decay=0.0,
        num_train_epochs=20,
        per_device_train_batch_size=64,
    )
    if is_repeated(data_args, training_args):
        return repeat("train.fusion", argv or sys.argv[1:], data_args, training_args)
    one_class_an_image(data_args)
    set_seed(training_args.seed)
    # 1. Data: no patient is on two sides; the parts have learned from the training images
    splits = load_splits(data_args)
    # 2. Model: two finished checkpoints, and a weight for each
    fusion = new_fusion(fusion_args)
    check_same_classes("The CLIP", fusion, class_names(splits["test"]))
    # 3. Train the weights on what both answer to the validation images
    outlined = datasets.DatasetDict({name: splits[name] for name in SCORED})
    outlined = segment_splits(outlined, ClassifierArguments(unet=fusion_args.unet), training_args.seed)
    trainer = make_trainer(fusion, outlined["validation"], training_args)
    trainer.train(resume_from_checkpoint=last_complete_checkpoint(training_args.output_dir))
    if not is_first():
        return {}
    # 4. Save exactly what the page loads, load it back, measure the test split once, write the card
    return release(
        ClassifierTraining(
            role="fusion",
            classifier=fusion,
            splits=datasets.DatasetDict(splits | outlined),
            trainer=trainer,
            data_args=data_args,
            model_args=fusion_args,
            base_model="the ResNet and the fine-tuned CLIP checkpoint of this project, which stay as they are",
            load=partial(load_joined, fusion=fusion),
            notes=[FITTED.format(len(outlined["validation"]))],
        )
    )


if __name__ == "__main__":
    run(main)
