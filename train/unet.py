"""Teach a UNet to outline the lungs and the infected region of chest X-rays.

    python -m train.unet --dataset COVID-QU-Ex --encoder resnet18 --encoder_weights none --image_size 64 \
        --max_train_samples 16 --max_eval_samples 8 --max_steps 4 --output_dir runs/unet-try
    python -m train.unet --dataset COVID-QU-Ex --encoder_weights lite0 --output_dir runs/unet

The same command goes on after an interruption. The result is in OUTPUT_DIR/release.
"""

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
from torch import nn
from transformers import Trainer, set_seed

from hub_models.checkpoints.resolve import resolve
from hub_models.engines.quiet import no_telemetry
from hub_models.models.unet import Segmenter
from hub_models.xray.masks import MASKS
from train.data.augment import Augmentation
from train.data.boxes import without_boxes, without_outlines
from train.data.dataset import load_splits
from train.data.processes import is_first
from train.data.rows import has_mask, is_scored, positions
from train.data.selftraining import add_healthy, add_taught, repeat_infected
from train.networks import baseline_unet
from train.networks.encoders import load_encoder
from train.scoring.predictions import outlines_record, outlines_scores, save_record
from train.scoring.thresholds import choose_thresholds
from train.script.arguments import XrayTrainingArguments, last_complete_checkpoint, parse_arguments, run
from train.script.release import Training, count_parameters, procedure, release_folder, save_card, started_from
from train.script.repeats import is_repeated, repeat
from train.script.samples import SampleOutlines
from train.script.unet_arguments import LABELLED, RECIPES, UnetArguments
from train.tasks.trainer import XrayTrainer
from train.tasks.unet_task import Rows, SegmentationTask, collate, validation_dice


def new_segmenter(arguments: UnetArguments) -> tuple[Segmenter, str | None]:
    """Make or load a segmenter; returns it and the start in words, None for random weights."""
    segmenter, start = _starting_segmenter(arguments)
    for name in ("detail", "lungs_detail"):
        if getattr(arguments, name) is not None:
            setattr(segmenter.processor, name, getattr(arguments, name))
    return segmenter, start


def _starting_segmenter(arguments: UnetArguments) -> tuple[Segmenter, str | None]:
    if arguments.model_name_or_path is not None:
        folder = resolve("unet", arguments.model_name_or_path).folder
        trained = Segmenter.from_pretrained(folder, engine_name="torch")
        return Segmenter(trained.network.float(), trained.processor), started_from(str(folder))
    if arguments.encoder == baseline_unet.NAME:
        return baseline_unet.new_segmenter(arguments.image_size), None
    segmenter = Segmenter.new(arguments.encoder, arguments.image_size)
    return segmenter, load_encoder(segmenter.network, arguments.encoder, arguments.encoder_weights)


def infection_teacher(arguments: UnetArguments, pupil: Segmenter) -> nn.Module | None:
    """Load the network that teaches infection, or return None if the arguments name none.

    Raises:
        ValueError: it takes its pixels in another way than the pupil.
    """
    if arguments.infection_teacher is None:
        return None
    teacher = Segmenter.from_pretrained(resolve("unet", arguments.infection_teacher).folder, engine_name="torch")
    sizes = [(one.image_size, one.processor.image_mean, one.processor.image_std) for one in (teacher, pupil)]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"The teacher of infection takes {teacher.image_size} pixels, its pupil {pupil.image_size}, or they scale "
            "them differently; name a teacher like the pupil."
        )
    return teacher.network.float()


def training_rows(rows: datasets.Dataset, arguments: UnetArguments, seed: int) -> datasets.Dataset:
    """Return the labelled rows, the infected ones repeated, and as many unlabelled rows as the arguments say.

    Raises:
        ValueError: the share of the labelled rows to use is not in 0..1, or is 0.
    """
    if arguments.supervision == "masks":
        rows = without_boxes(rows)
    is_labelled = LABELLED[arguments.supervision]
    labelled = rows.select(positions(rows, is_labelled))
    if not 0 < arguments.labelled_share <= 1:
        raise ValueError(f"--labelled_share is {arguments.labelled_share}; it takes more than 0, and at most 1.")
    count = max(1, round(arguments.labelled_share * len(labelled)))
    labelled = labelled.shuffle(seed=seed).select(range(count))
    others = rows.select(positions(rows, lambda row: not is_labelled(row)))
    if arguments.supervision == "boxes":
        labelled = without_outlines(labelled, arguments.outlines, seed)
    labelled = repeat_infected(labelled, arguments.repeat_infected)
    if arguments.healthy:
        labelled = add_healthy(labelled, others, arguments.healthy)
    if arguments.taught:
        teacher = Segmenter.from_pretrained(resolve("unet", arguments.teacher).folder)
        labelled = add_taught(labelled, others, teacher, arguments.taught)
    return labelled


def used_rows(arguments: UnetArguments) -> dict[str, Callable[[dict], bool]]:
    """Return split -> the condition on its rows, for `load_splits`: labelled for training, scored for the others.

    All training rows are used where the arguments add unlabelled ones.
    """
    labelled = {} if arguments.healthy or arguments.taught else {"train": LABELLED[arguments.supervision]}
    return {"validation": is_scored, "test": is_scored} | labelled


def make_trainer(
    segmenter: Segmenter,
    splits: datasets.DatasetDict,
    arguments: UnetArguments,
    training_args: XrayTrainingArguments,
) -> Trainer:
    """Return the Trainer of a segmenter's network, validated on the rows with a drawn mask."""
    losses = (arguments.loss, arguments.infection_loss or arguments.loss)
    augmentation, upright = (
        Augmentation(0.5, arguments.augmentation, upright, arguments.storage) for upright in (False, True)
    )
    inputs = Rows(segmenter, augmentation, upright) if arguments.augmentation else Rows(segmenter)
    validation = splits["validation"].select(positions(splits["validation"], has_mask))
    rows = training_rows(splits["train"], arguments, training_args.seed)
    return XrayTrainer(
        rows=rows,
        model=SegmentationTask(
            segmenter.network, losses, arguments.average_decay, infection_teacher(arguments, segmenter)
        ),
        args=training_args,
        train_dataset=rows.with_transform(inputs),
        eval_dataset=validation.with_transform(Rows(segmenter)),
        data_collator=collate,
        compute_metrics=validation_dice,
        callbacks=training_args.callbacks(),
    )


def save_and_reload(
    segmenter: Segmenter, validation: datasets.Dataset, arguments: UnetArguments, folder: Path
) -> Segmenter:
    """Choose a trained segmenter's thresholds, save it, and load it from the folder."""
    segmenter.processor.mirror = arguments.mirror
    segmenter.processor.thresholds = choose_thresholds(segmenter, validation, arguments.healthy_marked)
    segmenter.network.cpu()
    segmenter.save_pretrained(folder)
    return baseline_unet.load_segmenter(folder)


def main(argv: list[str] | None = None) -> dict:
    """Train, measure and save a UNet; returns the scores on the test split, {} in all processes but the first."""
    no_telemetry()
    data_args, unet_args, training_args = parse_arguments(
        UnetArguments,
        argv,
        recipes=RECIPES,
        metric_for_best_model="dice",
        label_names=["kinds"],
        learning_rate=1e-3,
        num_train_epochs=30,
        per_device_train_batch_size=16,
        per_device_eval_batch_size=16,
    )
    if is_repeated(data_args, training_args):
        return repeat("train.unet", argv or sys.argv[1:], data_args, training_args)
    if unet_args.model_name_or_path:
        unet_args.encoder = unet_args.encoder_weights = unet_args.image_size = None  # those of the model
    set_seed(training_args.seed)
    # 1. Data: X-rays on which somebody drew something, or nothing is to be drawn; no patient is on two sides
    splits = load_splits(data_args, keep=used_rows(unet_args), labelled=False)
    # 2. Model: the network, and the processor that fixes its pixels
    segmenter, base = new_segmenter(unet_args)
    # 3. Train: keep the weights with the best validation Dice
    trainer = make_trainer(segmenter, splits, unet_args, training_args)
    trainer.add_callback(SampleOutlines(trainer, segmenter, splits["validation"]))
    trainer.train(resume_from_checkpoint=last_complete_checkpoint(training_args.output_dir))
    dice = {re.sub("^eval_", "", name): value for name, value in trainer.evaluate().items() if "dice" in name}
    if not is_first():
        return {}
    # 4. Choose the thresholds, save exactly what the page loads, and load it back
    folder = release_folder(training_args)
    trained = Segmenter(trainer.model.result, segmenter.processor)
    segmenter = save_and_reload(trained, splits["validation"], unet_args, folder)
    # 5. Measure: the test split, once
    measured = splits[unet_args.measure_on]
    scores = outlines_scores(save_record(outlines_record(measured, segmenter), folder))
    # 6. A card made from these numbers
    training = Training(
        role="unet", splits=splits, trainer=trainer, data_args=data_args, model_args=unet_args, base_model=base
    )
    results = {"split": unet_args.measure_on, "images": len(measured), "validation": dice, **scores}
    is_baseline = unet_args.encoder == baseline_unet.NAME
    save_card(folder, training, is_baseline, results=results, **network_facts(segmenter, training))
    return scores


def network_facts(segmenter: Segmenter, training: Training) -> dict[str, Any]:
    """Return the facts of a UNet's card that describe its network and how it was trained."""
    thresholds = {f"threshold of {name}": value for name, value in segmenter.thresholds.items()}
    return {
        "architecture": architecture(segmenter, training.model_args),
        "parameters": count_parameters(segmenter.network),
        "labels": list(MASKS),
        "image_size": segmenter.image_size,
        "view": None,
        "detail": segmenter.detail,
        "procedure": procedure(training.model_args, training.trainer) | thresholds,
    }


def architecture(segmenter: Segmenter, arguments: UnetArguments) -> str:
    """Describe the network in one line."""
    name = getattr(segmenter.network, "name", "")  # segmentation_models_pytorch: "u-ENCODER"
    encoder = "" if arguments.encoder == baseline_unet.NAME else f", encoder {name.removeprefix('u-')}"
    kind = "smp.Unet" if encoder else type(segmenter.network).__name__
    return f"{kind}{encoder}, one input channel, outputs {' and '.join(MASKS)}"


if __name__ == "__main__":
    run(main)
