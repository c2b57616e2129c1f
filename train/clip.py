"""Teach a CLIP to match segmented chest X-rays with sentences: captions first, then the classes.

    python -m train.clip --dataset COVID-QU-Ex --method captions --text_layers 1 --image_size 64 \
        --max_train_samples 16 --max_eval_samples 8 --max_steps 4 --output_dir runs/clip-try
    python -m train.clip --dataset COVID-QU-Ex --method captions --output_dir runs/clip-zero-shot
    python -m train.clip --dataset COVID-QU-Ex --method full --model_name_or_path runs/clip-zero-shot/release \
        --output_dir runs/clip-finetuned

`captions` learns from sentences that are made of each X-ray's metadata, or that the data bring along, and makes a
zero-shot checkpoint. The others score each image against the prompts of the classes and make a fine-tuned one: `full`
learns all weights, `lora` low-rank additions to them, `probe` one vector a class beside towers that stay as they are.
All start from any CLIP-style model of the Hub, too (--model_name_or_path openai/clip-vit-base-patch32), and keep
answering free prompts. An interrupted run goes on from its last checkpoint. The result is OUTPUT_DIR/release.
"""

import sys
from dataclasses import dataclass, field
from typing import Any

import datasets
import torch
from torch import nn
from transformers import AutoModel, AutoProcessor, PreTrainedModel, Trainer, set_seed

from hub_models.checkpoints.resolve import resolve
from hub_models.engines.quiet import no_telemetry
from hub_models.models.clip import ClipClassifier
from train.data.arguments import check_sharpness
from train.data.augment import Augmentation
from train.data.captions import check_captions, with_findings_of_classes
from train.data.dataset import load_splits
from train.data.lungs import segment_splits
from train.data.processes import is_first
from train.data.rows import class_names
from train.networks.dual_encoder import packaged_clip
from train.networks.encoders import load_tower
from train.script.arguments import XrayTrainingArguments, last_complete_checkpoint, parse_arguments, run
from train.script.finish import ClassifierTraining, release
from train.script.release import started_from
from train.script.repeats import is_repeated, repeat
from train.tasks.classifier_task import PupilArguments, ViewRows, accuracy, one_class_an_image
from train.tasks.clip_tasks import CaptionCollator, CaptionRows, CaptionTask, LoraTask, ProbeTask, PromptTask
from train.tasks.distillation import Teacher
from train.tasks.trainer import XrayTrainer
from train.tasks.weights import KeptStart

PACKAGED = "lite0+minilm"
PACKAGED_SIZE = 224
"""Side of its input in pixels, if no other is wanted."""
TASKS = {"captions": CaptionTask, "full": PromptTask, "lora": LoraTask, "probe": ProbeTask}
METHODS_OF_ARGUMENT = {"average_decay": ["full"], "teacher": ["full", "lora"], "sentence_sharpness": ["captions"]}
"""Argument -> the methods that take it."""
ROLE_OF_METHOD = dict.fromkeys(TASKS, "clip-finetuned") | {"captions": "clip-zero-shot"}


@dataclass(kw_only=True)
class ClipArguments(PupilArguments):
    """The dual encoder, and the method by which it learns."""

    method: str = field(
        metadata={
            "help": "captions (makes the zero-shot checkpoint); full, lora or probe (fine-tune on the classes).",
            "choices": list(ROLE_OF_METHOD),
        }
    )
    model_name_or_path: str = field(
        default=PACKAGED,
        metadata={
            "help": f"A CLIP-style Hub id or folder, or {PACKAGED}: EfficientNet-Lite0 and MiniLM from pip packages."
        },
    )
    image_size: int | None = field(
        default=None,
        metadata={"help": "Side of the input in pixels, of an image tower of timm's; 224 or the model's if not given."},
    )
    text_layers: int = field(
        default=3, metadata={"help": f"How many of MiniLM's six layers to keep ({PACKAGED} only)."}
    )
    text_learning_rate: float = field(default=3e-5, metadata={"help": "Learning rate of the text tower."})
    tower_weights: str | None = field(
        default=None,
        metadata={"help": "UNet checkpoint (folder or Hub id) whose encoder becomes the image tower before training."},
    )
    average_decay: float = field(
        default=0.0,
        metadata={"help": "Decay a step of the running average of the weights that is saved; 0 for none (full only)."},
    )
    sentence_sharpness: float | None = field(
        default=None,
        metadata={
            "help": "How much the nearer of a class's sentences count more; not given, all alike (captions only)."
        },
    )


def starting_classifier(arguments: ClipArguments, labels: list[str]) -> ClipClassifier:
    """Return the classifier that training starts from.

    Raises:
        ValueError: there are tower weights, or there is a size for a model to go on from, and the image tower is not
            one of timm.
    """
    if arguments.model_name_or_path == PACKAGED:
        model, processor = packaged_clip(arguments.image_size or PACKAGED_SIZE, arguments.text_layers)
    else:
        model = AutoModel.from_pretrained(arguments.model_name_or_path, dtype=torch.float32)
        processor = AutoProcessor.from_pretrained(arguments.model_name_or_path)
        if arguments.image_size:
            _timm_tower(model, "--image_size")
            processor.image_processor.size = {"height": arguments.image_size, "width": arguments.image_size}
    if arguments.tower_weights:
        load_tower(_timm_tower(model, "--tower_weights"), resolve("unet", arguments.tower_weights).folder)
    model.config.calibration = None  # that of a model to go on from does not hold any more
    model.config.widened_by = arguments.widened_by
    classifier = ClipClassifier.new(model, processor, labels, arguments.view)
    classifier.model.config.sentence_sharpness = arguments.sentence_sharpness
    return classifier


def _timm_tower(model: PreTrainedModel, argument: str) -> nn.Module:
    tower = getattr(model.vision_model, "timm_model", None)
    if tower is None:
        raise ValueError(f"{argument} is for an image tower of timm's, and this one is not; leave it out.")
    return tower


def make_trainer(
    task: nn.Module, splits: datasets.DatasetDict, arguments: ClipArguments, training_args: XrayTrainingArguments
) -> Trainer:
    """Return the Trainer of the method's task, one of `TASKS`, with a learning rate for each tower."""
    classifier = task.classifier
    if arguments.method == "captions":
        training_args.metric_for_best_model, training_args.greater_is_better = "loss", False
        training_args.label_names = ["findings"]
        findings = sorted({finding for split in ("train", "validation") for finding in splits[split]["finding"]})
        changes = Augmentation(flip=0.0, storage=arguments.storage)  # captions that somebody wrote may name sides
        shown, rows = CaptionRows(classifier, changes), CaptionRows(classifier)
        extra = {"data_collator": CaptionCollator(classifier, findings)}
    else:
        changes = Augmentation(flip=0.5, storage=arguments.storage)
        shown, rows = ViewRows(classifier, changes, task.teacher), ViewRows(classifier)
        extra = {"compute_metrics": accuracy}
    learned = [(name, parameter) for name, parameter in task.named_parameters() if parameter.requires_grad]
    groups = {True: training_args.learning_rate, False: arguments.text_learning_rate}
    parameters = [
        {"params": [p for name, p in learned if ("text_model" not in name) == is_image], "lr": rate}
        for is_image, rate in groups.items()
    ]
    return XrayTrainer(
        rows=splits["train"],
        balance=arguments.balance,
        model=task,
        args=training_args,
        train_dataset=splits["train"].with_transform(shown),
        eval_dataset=splits["validation"].with_transform(rows),
        optimizers=(torch.optim.AdamW(parameters, weight_decay=training_args.weight_decay), None),
        callbacks=training_args.callbacks(),
        **extra,
    )


def task_options(arguments: ClipArguments, classifier: ClipClassifier) -> dict[str, Any]:
    """Return the arguments that the method's task takes beside the classifier.

    Raises:
        ValueError: an argument is for other methods.
    """
    options = {"average_decay": arguments.average_decay, "teacher": arguments.teacher}
    for name in METHODS_OF_ARGUMENT:
        if getattr(arguments, name) and arguments.method not in METHODS_OF_ARGUMENT[name]:
            methods = " or ".join(METHODS_OF_ARGUMENT[name])
            raise ValueError(f"--{name} is for --method {methods}, and the method is {arguments.method}; leave it out.")
    if arguments.sentence_sharpness is not None:
        check_sharpness(arguments.sentence_sharpness)
    if arguments.teacher:
        options["teacher"] = Teacher(arguments.teacher, classifier.labels)
    return {name: value for name, value in options.items() if value}


def main(argv: list[str] | None = None) -> dict:
    """Train, measure and save a CLIP; returns its scores on the test split, {} in all processes but the first."""
    no_telemetry()
    data_args, clip_args, training_args = parse_arguments(
        ClipArguments,
        argv,
        metric_for_best_model="accuracy",
        learning_rate=3e-4,
        num_train_epochs=8,
        per_device_train_batch_size=32,
        per_device_eval_batch_size=32,
    )
    if is_repeated(data_args, training_args):
        return repeat("train.clip", argv or sys.argv[1:], data_args, training_args)
    one_class_an_image(data_args)
    set_seed(training_args.seed)
    # 1. Data: no patient is on two sides
    splits = load_splits(data_args)
    if clip_args.method == "captions":
        splits = with_findings_of_classes(splits)
        check_captions(splits["train"])
        check_captions(splits["validation"])
    # 2. Model: two towers, and the sentences of each class
    classifier = starting_classifier(clip_args, class_names(splits["train"]))
    kept = KeptStart(classifier.model, clip_args.keep_start)
    options = task_options(clip_args, classifier)
    # 3. Train on the X-rays with their lungs outlined: keep the best epoch on the validation split
    splits = segment_splits(splits, clip_args, training_args.seed)
    trainer = make_trainer(TASKS[clip_args.method](classifier, **options), splits, clip_args, training_args)
    trainer.train(resume_from_checkpoint=last_complete_checkpoint(training_args.output_dir))
    trainer.model.finish()
    kept.mix_into(classifier.model)
    if not is_first():
        return {}
    # 4. Save exactly what the page loads, load it back, measure the test split once, write the card
    return release(
        ClassifierTraining(
            role=ROLE_OF_METHOD[clip_args.method],
            classifier=classifier,
            splits=splits,
            trainer=trainer,
            data_args=data_args,
            model_args=clip_args,
            base_model=_base(clip_args),
            notes=_notes(clip_args, splits),
        )
    )


def _base(arguments: ClipArguments) -> str:
    if arguments.model_name_or_path == PACKAGED:
        return (
            "EfficientNet-Lite0 trained on ImageNet (image tower) and "
            f"the first {arguments.text_layers} layers of all-MiniLM-L6-v2 (text tower)"
        )
    tower = ", its image tower replaced by the encoder of a UNet" if arguments.tower_weights else ""
    return started_from(arguments.model_name_or_path) + tower


def _notes(arguments: ClipArguments, splits: datasets.DatasetDict) -> list[str]:
    prompts = (
        "The class probabilities were measured with the prompts that stand in config.json, averaged for each class."
    )
    if arguments.method == "probe":
        return ["Its own classes are compared with one learned vector each, other prompts with their sentences."]
    if arguments.method != "captions":
        return [prompts]
    findings = ", ".join(sorted({finding for finding in splits["train"]["finding"] if finding}))
    return [
        prompts,
        "Zero-shot means here that it was never trained to choose among these classes and their prompts. It has seen "
        f"X-rays of the same sources with captions, and the captions name their finding: {findings}. Captions "
        "made of metadata name view, sex and age group, too, where they are known.",
        "The best epoch was chosen by the caption loss on the validation split, not by its accuracy.",
    ]


if __name__ == "__main__":
    run(main)
