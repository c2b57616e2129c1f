"""Teach a ResNet to classify segmented chest X-rays.

    python -m train.resnet --dataset COVID-QU-Ex --depth 10 --image_size 64 \
        --max_train_samples 16 --max_eval_samples 8 --max_steps 4 --output_dir runs/resnet-try
    python -m train.resnet --dataset COVID-QU-Ex --model_name_or_path microsoft/resnet-50 --output_dir runs/resnet

With --multi_label an image may have several classes; each then has a probability of its own. An interrupted run goes on
from its last checkpoint when the same command is given again. The result is in OUTPUT_DIR/release.
"""

import sys
from dataclasses import dataclass, field

import datasets
import torch
from torch import nn
from torch.nn import functional as F
from transformers import AutoImageProcessor, AutoModelForImageClassification, Trainer, set_seed

from hub_models.engines.pytorch.new import DEPTHS
from hub_models.engines.quiet import no_telemetry
from hub_models.models.resnet import ResnetClassifier
from hub_models.xray.geometry import DETAIL
from train.data.augment import Augmentation
from train.data.dataset import load_splits
from train.data.lungs import segment_splits
from train.data.processes import is_first
from train.data.rows import class_names
from train.script.arguments import XrayTrainingArguments, last_complete_checkpoint, parse_arguments, run
from train.script.finish import ClassifierTraining, release
from train.script.release import started_from
from train.script.repeats import is_repeated, repeat
from train.tasks.classifier_task import PupilArguments, ViewRows, accuracy
from train.tasks.distillation import Teacher, cross_entropy
from train.tasks.trainer import XrayTrainer
from train.tasks.weights import KeptStart, use_channels_last


@dataclass(kw_only=True)
class ResnetArguments(PupilArguments):
    """The network, and what it starts from."""

    model_name_or_path: str | None = field(
        default=None,
        metadata={"help": "Hub id or folder to start from (microsoft/resnet-50, ...); random weights if not given."},
    )
    depth: int | None = field(
        default=18, metadata={"help": f"Depth of a ResNet with random weights: {', '.join(map(str, DEPTHS))}."}
    )
    image_size: int | None = field(default=224, metadata={"help": "Side of the input in pixels, with random weights."})
    label_smoothing: float = field(default=0.1, metadata={"help": "Share of the target spread over all classes."})


class ClassificationTask(nn.Module):
    """The network with cross-entropy, weights in the order that trains fastest on a CPU."""

    def __init__(self, classifier: ResnetClassifier, label_smoothing: float, teacher: Teacher | None = None) -> None:
        super().__init__()
        self.model, self.label_smoothing, self.teacher = classifier.model, label_smoothing, teacher
        use_channels_last(self)

    def forward(
        self, pixel_values: torch.Tensor, labels: torch.Tensor, teacher_pixel_values: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """Return loss and logits (N, C) of pixels float32 (N, 3, S, S) and `true_classes`, (N,) or (N, C).

        `teacher_pixel_values` are as in `cross_entropy`.
        """
        logits = self.model(pixel_values).logits
        if labels.ndim == 2:
            return {"loss": F.binary_cross_entropy_with_logits(logits, labels), "logits": logits}
        return {
            "loss": cross_entropy(self, logits, labels, teacher_pixel_values, self.label_smoothing),
            "logits": logits,
        }


def starting_classifier(arguments: ResnetArguments, labels: list[str]) -> ResnetClassifier:
    """Return the classifier that training starts from: pretrained with a new head, or all random."""
    classifier = _starting_classifier(arguments, labels)
    classifier.model.config.widened_by = arguments.widened_by
    return classifier


def _starting_classifier(arguments: ResnetArguments, labels: list[str]) -> ResnetClassifier:
    if arguments.model_name_or_path is None:
        return ResnetClassifier.new(arguments.depth, labels, arguments.view, arguments.image_size)
    model = AutoModelForImageClassification.from_pretrained(
        arguments.model_name_or_path,
        id2label=dict(enumerate(labels)),
        label2id={label: i for i, label in enumerate(labels)},
        ignore_mismatched_sizes=True,
        dtype=torch.float32,
    )
    model.config.view, model.config.detail, model.config.calibration = arguments.view, DETAIL, None
    return ResnetClassifier(model, AutoImageProcessor.from_pretrained(arguments.model_name_or_path))


def make_teacher(arguments: ResnetArguments, classifier: ResnetClassifier, multi_label: bool) -> Teacher | None:
    """Load the teacher that the arguments name, or return None if they name none.

    Raises:
        ValueError: an image may have several classes, which a teacher does not know.
    """
    if not arguments.teacher:
        return None
    if multi_label:
        raise ValueError("--teacher gives one class an image; it cannot teach with --multi_label.")
    return Teacher(arguments.teacher, classifier.labels)


def make_trainer(
    task: ClassificationTask,
    classifier: ResnetClassifier,
    splits: datasets.DatasetDict,
    arguments: ResnetArguments,
    training_args: XrayTrainingArguments,
) -> Trainer:
    """Return the Trainer of a classifier's task, on rows in the classifier's view."""
    changes = Augmentation(flip=0.5, storage=arguments.storage)
    return XrayTrainer(
        rows=splits["train"],
        balance=arguments.balance,
        model=task,
        args=training_args,
        train_dataset=splits["train"].with_transform(ViewRows(classifier, changes, task.teacher)),
        eval_dataset=splits["validation"].with_transform(ViewRows(classifier)),
        compute_metrics=accuracy,
        callbacks=training_args.callbacks(),
    )


def main(argv: list[str] | None = None) -> dict:
    """Train, measure and save a ResNet; returns its scores on the test split, {} in all processes but the first."""
    no_telemetry()
    data_args, resnet_args, training_args = parse_arguments(
        ResnetArguments,
        argv,
        metric_for_best_model="accuracy",
        learning_rate=1e-3,
        num_train_epochs=20,
        per_device_train_batch_size=32,
        per_device_eval_batch_size=32,
    )
    if is_repeated(data_args, training_args):
        return repeat("train.resnet", argv or sys.argv[1:], data_args, training_args)
    if resnet_args.model_name_or_path:
        resnet_args.depth = resnet_args.image_size = None  # those of the model; a card lists what was used
    set_seed(training_args.seed)
    # 1. Data: no patient is on two sides
    splits = load_splits(data_args)
    # 2. Model: the network, and the processor that fixes its pixels
    classifier = starting_classifier(resnet_args, class_names(splits["train"]))
    teacher = make_teacher(resnet_args, classifier, data_args.multi_label)
    if data_args.multi_label:
        classifier.model.config.problem_type = "multi_label_classification"
        training_args.metric_for_best_model = "auroc_macro"
    kept = KeptStart(classifier.model, resnet_args.keep_start)
    # 3. Train on the X-rays with their lungs outlined: keep the epoch with the best validation accuracy
    splits = segment_splits(splits, resnet_args, training_args.seed)
    task = ClassificationTask(classifier, resnet_args.label_smoothing, teacher)
    trainer = make_trainer(task, classifier, splits, resnet_args, training_args)
    trainer.train(resume_from_checkpoint=last_complete_checkpoint(training_args.output_dir))
    kept.mix_into(classifier.model)
    if not is_first():
        return {}
    # 4. Save exactly what the page loads, load it back, measure the test split once, write the card
    return release(
        ClassifierTraining(
            role="resnet",
            classifier=classifier,
            splits=splits,
            trainer=trainer,
            data_args=data_args,
            model_args=resnet_args,
            base_model=resnet_args.model_name_or_path and started_from(resnet_args.model_name_or_path),
        )
    )


if __name__ == "__main__":
    run(main)
