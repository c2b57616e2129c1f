"""Teach a UNet to tell frontal chest X-rays from other pictures, from the features that it computes anyway.

    python -m train.plausibility --dataset COVID-QU-Ex --drop_duplicates --unet runs/unet/release

No other pictures are needed: the distribution of the features is taken from the training images, and the threshold is
the distance that all but a few of the validation images keep. The UNet's folder gets plausibility.safetensors, and its
card how many test images are refused.
"""

import argparse
from pathlib import Path

import datasets
import numpy as np
from sklearn.covariance import LedoitWolf
from tqdm.auto import tqdm

from hub_models.cards.facts import CardFacts
from hub_models.engines.quiet import no_telemetry
from hub_models.models.plausibility import Plausibility
from hub_models.models.unet import Segmenter
from hub_models.xray.images import read_image
from train.data.arguments import DataArguments
from train.data.dataset import load_splits
from train.data.lungs import BATCH
from train.script.arguments import run

REFUSED = 0.01
"""Share of the validation images that the threshold may refuse."""


def features_of(segmenter: Segmenter, rows: datasets.Dataset) -> np.ndarray:
    """Features float32 (N, D) of N rows."""
    found = [
        segmenter.probabilities_and_features([read_image(image) for image in batch["image"]])[1]
        for batch in tqdm(rows.iter(BATCH), desc="Looking", total=-(-len(rows) // BATCH))
    ]
    return np.concatenate(found)


def fit(train: np.ndarray, validation: np.ndarray) -> Plausibility:
    """The distribution of features float32 (N, D), and the threshold that others, float32 (M, D), set.

    The covariance is shrunk (Ledoit and Wolf 2004), so that it can be inverted although many features say the same.
    """
    covariance = LedoitWolf().fit(train)
    values, vectors = np.linalg.eigh(covariance.covariance_)
    whitening = (vectors / np.sqrt(values)) @ vectors.T
    found = Plausibility(covariance.location_.astype(np.float32), whitening.astype(np.float32), np.inf)
    distances = [found.distance(features) for features in validation]
    return Plausibility(found.mean, found.whitening, float(np.quantile(distances, 1 - REFUSED)))


def main(argv: list[str] | None = None) -> dict:
    """Fit, measure and save; returns what the card is told."""
    no_telemetry()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", required=True, help="as the training scripts take it")
    parser.add_argument("--drop_duplicates", action="store_true", help="leave out training copies of evaluation images")
    parser.add_argument("--unet", required=True, type=Path, help="folder of the UNet, which is added to")
    arguments = parser.parse_args(argv)
    segmenter = Segmenter.from_pretrained(arguments.unet)
    splits = load_splits(DataArguments(arguments.dataset, drop_duplicates=arguments.drop_duplicates))
    features = {split: features_of(segmenter, rows) for split, rows in splits.items()}
    found = fit(features["train"], features["validation"])
    found.save(arguments.unet)
    refused = sum(not found.accepts(one) for one in features["test"])
    told = {"threshold": found.threshold, "images": len(features["test"]), "refused": refused / len(features["test"])}
    print(f"{refused} of {told['images']} test images are refused")
    facts = CardFacts.load(arguments.unet)
    facts.results["plausibility"] = told
    facts.save(arguments.unet)
    return told


if __name__ == "__main__":
    run(main)
