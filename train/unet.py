"""Teach a UNet to outline the lungs and the infected region of chest X-rays.

    python -m train.unet --dataset COVID-QU-Ex --encoder resnet18 --encoder_weights none --image_size 64 \
        --max_train_samples 16 --max_eval_samples 8 --max_steps 4 --output_dir runs/unet-try
    python -m train.unet --dataset COVID-QU-Ex --encoder_weights lite0 --output_dir runs/unet

An interrupted run goes on from its last checkpoint when the same command is given again. The result is in
OUTPUT_DIR/release.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import datasets
import numpy as np
import segmentation_models_pytorch as smp
import torch
from safetensors.torch import load_file
from segmentation_models_pytorch.losses import DiceLoss
from torch import nn
from torch.nn import functional as F
from transformers import EvalPrediction, Trainer, set_seed

from hub_models.labels import MASKS
from hub_models.unet import Segmenter
from train.arguments import last_complete_checkpoint, parse_arguments, run
from train.augment import Augmentation
from train.data import load_splits
from train.evaluation import MASK_COLUMNS, segmentation_counts
from train.layout import use_channels_last
from train.metrics import segmentation_scores
from train.record import outlines_record, outlines_scores, save_record
from train.release import count_parameters, procedure, release_folder, save_card
from train.rows import image_tensor, mask_tensor, read_mask
from train.towers import LITE0, lite0_weights


@dataclass
class UnetArguments:
    """The network, and how it is shown the images."""

    encoder: str = field(default=f"tu-{LITE0}", metadata={"help": "Encoder name of segmentation_models_pytorch."})
    encoder_weights: str = field(
        default="imagenet",
        metadata={
            "help": "imagenet (from the Hub), lite0 (a pip package, for the default encoder), none, or a weights file."
        },
    )
    image_size: int = field(default=256, metadata={"help": "Side of the network's input in pixels, a multiple of 32."})
    repeat_infected: int = field(
        default=3, metadata={"help": "How often an epoch shows an image with a drawn infection."}
    )


class SegmentationTask(nn.Module):
    """The network with its loss: Dice + binary cross-entropy of each mask, over the images that have it."""

    def __init__(self, network: smp.Unet) -> None:
        super().__init__()
        self.network = network
        self.dice = DiceLoss("binary", from_logits=True)
        use_channels_last(self)

    def forward(
        self, pixel_values: torch.Tensor, masks: torch.Tensor, labelled: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Loss, and pixel counts at probability 0.5.

        Args:
            pixel_values: float32 (N, 1, S, S), normalised.
            masks: int8 (N, 2, S, S) of 0 and 1; anything where not labelled.
            labelled: bool (N, 2): which masks were drawn.

        Returns:
            loss: float32 scalar; counts: int64 (N, 2, 3), true positive, false positive, false negative pixels.
        """
        logits = self.network(pixel_values)
        loss = logits.sum() * 0
        for i in range(len(MASKS)):
            if labelled[:, i].any():
                given, wanted = logits[labelled[:, i], i], masks[labelled[:, i], i].float()
                loss = loss + self.dice(given, wanted) + F.binary_cross_entropy_with_logits(given, wanted)
        found, drawn = logits > 0, masks > 0
        counts = torch.stack([(found & drawn), (found & ~drawn), (~found & drawn)], dim=-1).sum(dim=(2, 3))
        return {"loss": loss, "counts": counts}


class Rows:
    """Rows of the data set as the task's inputs."""

    def __init__(self, segmenter: Segmenter, augmentation: Augmentation | None = None) -> None:
        self.segmenter, self.augmentation = segmenter, augmentation

    def __call__(self, batch: dict[str, list]) -> dict[str, list]:
        """Pixels float32 (1, S, S), masks int8 (2, S, S) and which were drawn, bool (2,), one a row."""
        size = self.segmenter.image_size
        images = [image_tensor(image, size) for image in batch["image"]]
        columns = (batch[column] for column in MASK_COLUMNS.values())
        masks = [torch.cat([mask_tensor(mask, size) for mask in drawn]) for drawn in zip(*columns, strict=True)]
        labelled = [mask[:, 0, 0] >= 0 for mask in masks]
        if self.augmentation is not None:
            images, masks = zip(*map(self.augmentation, images, masks), strict=True)
        pixels = self.segmenter.pixel_values(list(images))
        return {"pixel_values": list(pixels), "masks": list(masks), "labelled": labelled}


def collate(rows: list[dict]) -> dict[str, torch.Tensor]:
    """Stack rows into a batch."""
    return {name: torch.stack([row[name] for row in rows]) for name in rows[0]}


def validation_dice(prediction: EvalPrediction) -> dict[str, float]:
    """Mean per-image Dice of each mask over the labelled images with a non-blank mask, and the mean of the two."""
    counts, labelled = prediction.predictions, prediction.label_ids.astype(bool)
    scores = {
        f"dice_{name}": segmentation_scores(counts[labelled[:, i], i])["dice_mean_per_image"]
        for i, name in enumerate(MASKS)
    }
    measured = [score for score in scores.values() if score is not None]
    return {name: score for name, score in scores.items() if score is not None} | {
        "dice": float(np.mean(measured or [0.0]))
    }


def load_encoder(network: smp.Unet, encoder: str, weights: str) -> str | None:
    """Fill a UNet's encoder with pretrained weights; colour weights are summed over the channels to fit one.

    Args:
        weights: "imagenet", "lite0", "none" or a file (.safetensors, or .pth of tensors only) of the encoder's tensors.

    Returns:
        What it starts from, in words; None for random weights.

    Raises:
        ValueError: if the tensors do not fit the encoder, or the Hub does not give them.
    """
    if weights == "none":
        return None
    if weights == "imagenet":
        state, words = _imagenet(encoder), f"ImageNet weights of {encoder}"
    elif weights == "lite0":
        state, words = (
            {f"model.{name}": tensor for name, tensor in lite0_weights().items()},
            "ImageNet weights of EfficientNet-Lite0",
        )
    else:
        state, words = _weights_file(Path(weights)), f"encoder weights from {Path(weights).name}"
    own = network.encoder.state_dict()
    if missing := sorted(own.keys() - state.keys()):
        raise ValueError(
            f"{weights} does not fit the encoder {encoder}: it lacks {len(missing)} tensors, first {missing[0]}."
        )
    fitted = {name: _to_one_channel(state[name], tensor) for name, tensor in own.items()}
    network.encoder.load_state_dict(fitted)
    return words


def _imagenet(encoder: str) -> dict[str, torch.Tensor]:
    try:
        return smp.encoders.get_encoder(encoder, in_channels=3, weights="imagenet").state_dict()
    except OSError as error:
        raise ValueError(
            f"The Hub gives no ImageNet weights for {encoder} ({error}); use --encoder_weights lite0, none, or a file."
        ) from error


def _weights_file(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise ValueError(f"There are no encoder weights {path}; choose imagenet, lite0, none or a file.")
    return load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)


def _to_one_channel(given: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    is_stem = given.ndim == 4 and given.shape[1] == 3 and wanted.shape[1] == 1
    return given.sum(dim=1, keepdim=True) if is_stem else given


def has_mask(row: dict) -> bool:
    """Whether anybody drew a mask on this row."""
    return any(row[column] is not None for column in MASK_COLUMNS.values())


def repeat_infected(rows: datasets.Dataset, times: int) -> datasets.Dataset:
    """Rows with those that have a drawn, non-blank infection mask repeated, so that few outlines are seen often."""
    infected = [i for i, mask in enumerate(rows["infection_mask"]) if mask is not None and read_mask(mask).any()]
    return rows.select([*range(len(rows)), *infected * (times - 1)])


def main(argv: list[str] | None = None) -> dict:
    """Train, measure and save a UNet; returns the scores on the test split."""
    data_args, unet_args, training_args = parse_arguments(
        UnetArguments,
        argv,
        metric_for_best_model="dice",
        label_names=["labelled"],
        learning_rate=1e-3,
        num_train_epochs=30,
        per_device_train_batch_size=16,
        per_device_eval_batch_size=16,
    )
    set_seed(training_args.seed)
    # 1. Data: X-rays on which somebody drew a mask; no patient is on two sides
    splits = load_splits(data_args, keep=has_mask)
    # 2. Model: the network, and the processor that fixes its pixels
    segmenter = Segmenter.new(unet_args.encoder, unet_args.image_size)
    base = load_encoder(segmenter.network, unet_args.encoder, unet_args.encoder_weights)
    # 3. Train: keep the epoch with the best validation Dice
    trainer = Trainer(
        model=SegmentationTask(segmenter.network),
        args=training_args,
        train_dataset=repeat_infected(splits["train"], unet_args.repeat_infected).with_transform(
            Rows(segmenter, Augmentation(flip=0.5))
        ),
        eval_dataset=splits["validation"].with_transform(Rows(segmenter)),
        data_collator=collate,
        compute_metrics=validation_dice,
        callbacks=training_args.callbacks(),
    )
    trainer.train(resume_from_checkpoint=last_complete_checkpoint(training_args.output_dir))
    validation = trainer.evaluate()
    # 4. Save exactly what the page loads, and load it back
    folder = release_folder(training_args)
    segmenter.network.cpu()
    segmenter.save_pretrained(folder)
    segmenter = Segmenter.from_pretrained(folder)
    # 5. Measure: the test split, once
    record = outlines_record(splits["test"], segmentation_counts(segmenter, splits["test"]))
    results = outlines_scores(save_record(record, folder))
    # 6. A card made from these numbers
    save_card(
        folder,
        trainer,
        data_args,
        splits,
        role="unet",
        architecture=f"smp.Unet, encoder {unet_args.encoder}, one input channel, outputs {' and '.join(MASKS)}",
        base_model=base,
        parameters=count_parameters(segmenter.network),
        labels=list(MASKS),
        image_size=unet_args.image_size,
        view=None,
        procedure=procedure(unet_args, trainer),
        results={
            "split": "test",
            "images": len(splits["test"]),
            "validation": {re.sub("^eval_", "", name): validation[name] for name in validation if "dice" in name},
            **results,
        },
    )
    return results


if __name__ == "__main__":
    run(main)
