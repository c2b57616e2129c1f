"""Teach a UNet to tell frontal chest X-rays from other pictures, from the features that it computes anyway.

    python -m train.plausibility --dataset COVID-QU-Ex --drop_duplicates --unet runs/unet/release

No other pictures are needed: the distribution of the features is that of the training images, and the threshold is a
distance that only 1 % of the validation images exceed. The UNet's folder gets plausibility.safetensors, and its card
the share of the test images that are refused.
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
from train.data.lungs import BATCH_IMAGES
from train.script.arguments import run

REFUSED = 0.01
"""Share of the validation images that the threshold may refuse."""


def features_of(segmenter: Segmenter, rows: datasets.Dataset) -> np.ndarray:
    """Return the features float32 (N, D) of N rows."""
    batches = [
        segmenter.probabilities_and_features([read_image(image) for image in batch["image"]])[1]
        for batch in tqdm(rows.iter(BATCH_IMAGES), desc="Computing features", total=-(-len(rows) // BATCH_IMAGES))
    ]
    return np.concatenate(batches)


def fit(train: np.ndarray, validation: np.ndarray) -> Plausibility:
    """Fit the distribution to training features, float32 (N, D), and the threshold to validation features, (M, D).

    The covariance is shrunk (Ledoit and Wolf 2004), so that it can be inverted although many features are correlated.
    """
    covariance = LedoitWolf().fit(train)
    values, vectors = np.linalg.eigh(covariance.covariance_)
    whitening = (vectors / np.sqrt(values)) @ vectors.T
    unlimited = Plausibility(covariance.location_.astype(np.float32), whitening.astype(np.float32), np.inf)
    distances = [unlimited.distance(features) for features in validation]
    return Plausibility(unlimited.mean, unlimited.whitening, float(np.quantile(distances, 1 - REFUSED)))


def main(argv: list[str] | None = None) -> dict:
    """Fit, measure and save; returns the figures that the card shows."""
    no_telemetry()
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", required=True, help="as the training scripts take it")
    parser.add_argument("--drop_duplicates", action="store_true", help="leave out training copies of evaluation images")
    parser.add_argument("--unet", required=True, type=Path, help="folder of the UNet, which gets one more file")
    arguments = parser.parse_args(argv)
    # 1. Features of every X-ray, from the UNet itself
    segmenter = Segmenter.from_pretrained(arguments.unet)
    splits = load_splits(DataArguments(arguments.dataset, drop_duplicates=arguments.drop_duplicates))
    features = {split: features_of(segmenter, rows) for split, rows in splits.items()}
    # 2. Fit to the training and validation images
    plausibility = fit(features["train"], features["validation"])
    plausibility.save(arguments.unet)
    # 3. Measure: the test split, once
    images = len(features["test"])
    refused = sum(not plausibility.accepts(vector) for vector in features["test"])
    results = {"threshold": plausibility.threshold, "images": images, "refused": refused / images}
    print(f"{refused} of {images} test images are refused")
    # 4. Write the figures into the card
    facts = CardFacts.load(arguments.unet)
    facts.results["plausibility"] = results
    facts.save(arguments.unet)
    return results


if __name__ == "__main__":
    run(main)
