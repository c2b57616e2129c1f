"""Teach a fusion of ResNet and CLIP: what the ResNet saw bends CLIP's image embedding before it meets the prompts.

    python -m train.fusion --dataset COVID-QU-Ex --resnet runs/resnet/release --clip runs/clip-finetuned/release \
        --max_train_samples 16 --max_eval_samples 8 --max_steps 4 --output_dir runs/fusion-try
    python -m train.fusion --dataset COVID-QU-Ex --resnet runs/resnet/release --clip runs/clip-finetuned/release \
        --output_dir runs/fusion

Both parts are finished checkpoints and stay as they are; the small network between them learns from their answers to
every training image, which are computed once. The result is in OUTPUT_DIR/release.
"""

from dataclasses import dataclass, field
from pathlib import Path

import datasets
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
from hub_models.xray.images import read_image
from train.data.arguments import ClassifierArguments
from train.data.dataset import load_splits
from train.data.lungs import segment_splits
from train.data.rows import read_mask
from train.script.arguments import last_complete_checkpoint, parse_arguments, run
from train.script.finish import release
from train.tasks.classifier_task import accuracy, one_class_an_image


@dataclass(kw_only=True)
class FusionArguments(ClassifierArguments):
    """The two checkpoints that are joined; each is shown its own view."""

    resnet: str | None = field(default=None, metadata={"help": "ResNet checkpoint: a folder or Hub id."})
    clip: str | None = field(default=None, metadata={"help": "Fine-tuned CLIP checkpoint: a folder or Hub id."})
    label_smoothing: float = field(default=0.1, metadata={"help": "Share of the target spread over all classes."})
    dropout: float = field(default=0.5, metadata={"help": "Share of the ResNet's features left out in each step."})


class FusionTask(nn.Module):
    """Cross-entropy over the prompts' embeddings; only what stands between the two parts learns."""

    def __init__(self, fusion: FusionClassifier, label_smoothing: float, dropout: float) -> None:
        super().__init__()
        _, clip = fusion.encoders
        self.model, self.label_smoothing, self.dropout = fusion.model, label_smoothing, nn.Dropout(dropout)
        self.register_buffer("texts", clip.embed_classes()[1].clone(), persistent=False)
        self.register_buffer("temperature", clip.model.logit_scale.detach().clone(), persistent=False)

    def forward(
        self, features: torch.Tensor, embeddings: torch.Tensor, labels: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Loss and logits (N, C) of features float32 (N, F), embeddings float32 (N, D) and classes int64 (N,)."""
        images = self.model(self.dropout(features), embeddings)
        logits = (self.temperature + self.model.logit_scale).exp() * images @ self.texts.T
        return {"loss": F.cross_entropy(logits, labels, label_smoothing=self.label_smoothing), "logits": logits}


def embedded(rows: datasets.Dataset, fusion: FusionClassifier) -> datasets.Dataset:
    """What both parts make of each row with lungs: `features`, `embeddings` and `labels`."""
    found = []
    for row in tqdm(rows, desc=f"Embedding {rows.split}"):
        features = SharedFeatures([read_image(row["image"])], [read_mask(row["lungs"])])
        found.append([features.vectors(encoder)[0].tolist() for encoder in fusion.encoders])
    features, embeddings = zip(*found, strict=True)
    columns = {"features": features, "embeddings": embeddings, "labels": rows["label"][:]}
    return datasets.Dataset.from_dict(columns).with_format("torch")


def main(argv: list[str] | None = None) -> dict:
    """Train, measure and save a fusion; returns its scores on the test split."""
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
    one_class_an_image(data_args)
    set_seed(training_args.seed)
    # 1. Data: the X-rays with their lungs outlined; no patient is on two sides
    splits = segment_splits(load_splits(data_args), fusion_args, training_args.seed)
    # 2. Model: two finished checkpoints, and what stands between them
    folders = {
        "resnet": resolve("resnet", fusion_args.resnet).folder,
        "clip-finetuned": resolve("clip-finetuned", fusion_args.clip).folder,
    }
    resnet = ResnetClassifier.from_pretrained(folders["resnet"])
    clip = ClipClassifier.from_pretrained(folders["clip-finetuned"])
    parts = {role: weights_digest(folder) for role, folder in folders.items()}
    fusion = FusionClassifier.new(resnet, clip, parts, resnet.model.config.hidden_sizes[-1])
    # 3. Train: keep the epoch with the best validation accuracy
    trainer = Trainer(
        model=FusionTask(fusion, fusion_args.label_smoothing, fusion_args.dropout),
        args=training_args,
        train_dataset=embedded(splits["train"], fusion),
        eval_dataset=embedded(splits["validation"], fusion),
        compute_metrics=accuracy,
        callbacks=training_args.callbacks(),
    )
    trainer.train(resume_from_checkpoint=last_complete_checkpoint(training_args.output_dir))

    # 4. Save exactly what the page loads, load it back, measure the test split once, write the card
    def load(folder: Path) -> FusionClassifier:
        loaded = FusionClassifier.from_pretrained(folder)
        loaded.join(resnet, clip, parts)
        return loaded

    base = "the ResNet and the fine-tuned CLIP checkpoint of this project, which stay as they are"
    return release("fusion", fusion, splits, trainer, data_args, fusion_args, base, notes=[], load=load)


if __name__ == "__main__":
    run(main)
