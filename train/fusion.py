"""Train a fusion of ResNet and CLIP: the ResNet's features scale and shift CLIP's image embedding.

    python -m train.fusion --dataset COVID-QU-Ex --resnet runs/resnet/release --clip runs/clip-finetuned/release \
        --max_train_samples 16 --max_eval_samples 8 --max_steps 4 --output_dir runs/fusion-try
    python -m train.fusion --dataset COVID-QU-Ex --resnet runs/resnet/release --clip runs/clip-finetuned/release \
        --output_dir runs/fusion

Both parts are finished checkpoints and stay as they are; the small network between them learns from their features and
embeddings of every training image, which are computed once. The result is in OUTPUT_DIR/release.
"""

import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import datasets
import torch
from torch import nn
from tqdm.auto import tqdm
from transformers import Trainer, set_seed

from hub_models.checkpoints.folder import weights_digest
from hub_models.checkpoints.resolve import resolve
from hub_models.engines.quiet import no_telemetry
from hub_models.models.clip import ClipClassifier
from hub_models.models.features import SharedFeatures
from hub_models.models.fusion import FusionClassifier
from hub_models.models.resnet import ResnetClassifier
from hub_models.xray.geometry import mask_to_square, to_square
from train.data.augment import Augmentation
from train.data.dataset import load_splits
from train.data.lungs import segment_splits
from train.data.processes import is_first
from train.data.rows import read_mask, read_picture
from train.script.arguments import XrayTrainingArguments, last_complete_checkpoint, parse_arguments, run
from train.script.finish import ClassifierTraining, release
from train.script.repeats import is_repeated, repeat
from train.tasks.classifier_task import ChangesArguments, accuracy, changed, one_class_an_image
from train.tasks.distillation import taught
from train.tasks.together import JointDropout
from train.tasks.trainer import XrayTrainer


@dataclass(kw_only=True)
class FusionArguments(ChangesArguments):
    """The two checkpoints that are joined; each is shown its own view."""

    resnet: str | None = field(default=None, metadata={"help": "ResNet checkpoint: a folder or Hub id."})
    clip: str | None = field(default=None, metadata={"help": "Fine-tuned CLIP checkpoint: a folder or Hub id."})
    label_smoothing: float = field(default=0.1, metadata={"help": "Share of the target spread over all classes."})
    dropout: float = field(default=0.5, metadata={"help": "Share of the ResNet's features left out in each step."})
    mean_teaches: bool = field(
        default=False, metadata={"help": "Learn the mean of both classifiers' answers, too, where it is right."}
    )
    copies: int = field(
        default=0, metadata={"help": "How many copies of each training image, changed at random, to learn from, too."}
    )


class FusionTask(nn.Module):
    """Cross-entropy over the prompts' embeddings; only the network between the two parts learns.

    With `mean_teaches` it learns the mean of the answers of both parts, too, as `train.tasks.distillation.taught` says.
    """

    def __init__(
        self, fusion: FusionClassifier, label_smoothing: float, dropout: float, mean_teaches: bool = False
    ) -> None:
        super().__init__()
        self.mean_teaches = mean_teaches
        _, clip = fusion.encoders
        self.model, self.label_smoothing, self.dropout = fusion.model, label_smoothing, JointDropout(dropout)
        self.register_buffer("texts", torch.from_numpy(clip.embed_classes()[1]), persistent=False)
        self.register_buffer("temperature", torch.tensor(clip.scale).log(), persistent=False)

    def forward(
        self, features: torch.Tensor, embeddings: torch.Tensor, labels: torch.Tensor, answers: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Return loss and logits (N, C) of features float32 (N, F), embeddings float32 (N, D), classes int64 (N,).

        `answers` are the mean probabilities of both parts, float32 (N, C).
        """
        images = self.model(self.dropout(features), embeddings)
        logits = (self.temperature + self.model.logit_scale).exp() * images @ self.texts.T
        teacher = answers if self.mean_teaches and self.training else None
        return {"loss": taught(logits, labels, teacher, self.label_smoothing), "logits": logits}


def new_fusion(arguments: FusionArguments) -> FusionClassifier:
    """Load the two finished checkpoints, and put an untrained fusion between them."""
    folders = {
        "resnet": resolve("resnet", arguments.resnet).folder,
        "clip-finetuned": resolve("clip-finetuned", arguments.clip).folder,
    }
    resnet = ResnetClassifier.from_pretrained(folders["resnet"])
    clip = ClipClassifier.from_pretrained(folders["clip-finetuned"])
    digests = {role: weights_digest(folder) for role, folder in folders.items()}
    return FusionClassifier.new(resnet, clip, digests, resnet.model.config.hidden_sizes[-1])


def load_joined(folder: Path, fusion: FusionClassifier) -> FusionClassifier:
    """Load a saved fusion, and put it between the two classifiers of another one."""
    loaded = FusionClassifier.from_pretrained(folder)
    loaded.join(*fusion.encoders, fusion.model.config.parts)
    return loaded


def embedded(
    rows: datasets.Dataset, fusion: FusionClassifier, augmentation: Augmentation | None = None, copies: int = 0
) -> datasets.Dataset:
    """Turn rows with lungs into the fusion's inputs.

    They are the ResNet's `features`, CLIP's `embeddings`, the `labels`, and `answers`: the mean of the probabilities
    that both give to the image itself, also beside its copies.

    Args:
        rows: the rows.
        fusion: its two classifiers compute the inputs.
        augmentation: changes the copies.
        copies: number of changed copies of each row; they follow all the rows, in the same order.
    """
    vectors, answers = [], []
    for copy in range(copies + 1):
        for row in tqdm(rows, desc=f"Embedding {rows.split}{f', copy {copy}' if copy else ''}"):
            image, lungs = to_square(read_picture(row["image"])), mask_to_square(read_mask(row["lungs"]))
            shared = SharedFeatures(
                *([one] for one in (changed(image, lungs, augmentation) if copy else (image, lungs)))
            )
            vectors.append([shared.vectors(encoder)[0].tolist() for encoder in fusion.encoders])
            if not copy:
                answers.append(_mean_answer(fusion, shared))
    features, embeddings = zip(*vectors, strict=True)
    columns = {"features": features, "embeddings": embeddings}
    columns |= {"labels": rows["label"][:] * (copies + 1), "answers": answers * (copies + 1)}
    return datasets.Dataset.from_dict(columns).with_format("torch")


def _mean_answer(fusion: FusionClassifier, shared: SharedFeatures) -> list[float]:
    """The mean of what both classifiers say of one X-ray, a probability for each class of the fusion's."""
    answers = [encoder.answer_features(shared)[0][0] for encoder in fusion.encoders]
    return [sum(answer[label] for answer in answers) / len(answers) for label in fusion.labels]


def make_trainer(
    fusion: FusionClassifier,
    splits: datasets.DatasetDict,
    arguments: FusionArguments,
    training_args: XrayTrainingArguments,
) -> Trainer:
    """Return the Trainer of the network between the two classifiers, on their features and embeddings of each row."""
    augmentation = Augmentation(flip=0.5, storage=arguments.storage)
    drawn = datasets.concatenate_datasets(
        [splits["train"].select_columns(["label", "source"])] * (1 + arguments.copies)
    )
    return XrayTrainer(
        rows=drawn,
        balance=arguments.balance,
        model=FusionTask(fusion, arguments.label_smoothing, arguments.dropout, arguments.mean_teaches),
        args=training_args,
        train_dataset=embedded(splits["train"], fusion, augmentation, arguments.copies),
        eval_dataset=embedded(splits["validation"], fusion),
        compute_metrics=accuracy,
        callbacks=training_args.callbacks(),
    )


def main(argv: list[str] | None = None) -> dict:
    """Train, measure and save a fusion; returns its scores on the test split, {} in all processes but the first."""
    no_telemetry()
    data_args, fusion_args, training_args = parse_arguments(
        FusionArguments,
        argv,
        metric_for_best_model="accuracy",
        learning_rate=1e-3,
        num_train_epochs=20,
        per_device_train_batch_size=64,
        per_device_eval_batch_size=256,
    )
    if is_repeated(data_args, training_args):
        return repeat("train.fusion", argv or sys.argv[1:], data_args, training_args)
    one_class_an_image(data_args)
    set_seed(training_args.seed)
    # 1. Data: no patient is on two sides
    splits = load_splits(data_args)
    # 2. Model: two finished checkpoints, and the network between them
    fusion = new_fusion(fusion_args)
    # 3. Train on the X-rays with their lungs outlined: keep the epoch with the best validation accuracy
    splits = segment_splits(splits, fusion_args, training_args.seed)
    trainer = make_trainer(fusion, splits, fusion_args, training_args)
    trainer.train(resume_from_checkpoint=last_complete_checkpoint(training_args.output_dir))
    if not is_first():
        return {}
    # 4. Save exactly what the page loads, load it back, measure the test split once, write the card
    return release(
        ClassifierTraining(
            role="fusion",
            classifier=fusion,
            splits=splits,
            trainer=trainer,
            data_args=data_args,
            model_args=fusion_args,
            base_model="the ResNet and the fine-tuned CLIP checkpoint of this project, which stay as they are",
            load=partial(load_joined, fusion=fusion),
        )
    )


if __name__ == "__main__":
    run(main)
