"""Teach a UNet to tell frontal chest X-rays from other pictures, from the features that it computes anyway.

    python -m train.plausibility --dataset COVID-QU-Ex --drop_duplicates --unet runs/unet/release
    python -m train.plausibility --dataset COVID-QU-Ex --drop_duplicates --unet runs/unet/release --negatives not-chest

The distribution of the features comes from training images, and one direction in it from training images against
pictures made wrong out of them (turned, inverted, cut, warped, ...) and, where there are some, against pictures of
other things: a folder with images/ and metadata.csv, whose columns are `file` and `kind`. How many of a kind are
refused is measured without that kind. The thresholds are what nearly all validation images keep. The UNet's folder
gets plausibility.safetensors, and its card what was measured on the test split.
"""

import argparse
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
from sklearn.covariance import LedoitWolf
from sklearn.linear_model import LogisticRegression

from hub_models.cards.facts import CardFacts
from hub_models.engines.quiet import no_telemetry
from hub_models.models.plausibility import FILE, Plausibility, Scale
from hub_models.models.unet import Segmenter
from hub_models.xray.images import read_image
from hub_models.xray.phantom import draw_phantom
from train.data.arguments import DataArguments
from train.data.dataset import load_splits
from train.data.wrong_pictures import WRONG, resized, softened
from train.scoring.orientation import measure_mirrored, measure_orientation
from train.scoring.unet_features import features_of, opened
from train.script.arguments import run

REFUSED = 0.01
"""Share of the validation images that each of the two thresholds, of the distance and of the scale, may refuse."""

MIRRORED = 0.005
"""Share of the validation images that may be said to be mirrored."""

PHANTOMS = 0.05
"""Share of drawn X-rays among those that the distribution is fitted to: the page's examples are to be accepted."""

STRENGTH = 1e-3
"""Inverse strength of the penalty on the weights of whitened features (`C` of scikit-learn)."""

SEED = 0


@dataclass(frozen=True)
class Others:
    """Features of pictures that are not to be accepted, float32 (N, D), and the kind of each, (N,) of str."""

    features: np.ndarray
    kinds: np.ndarray

    def without(self, kind: str) -> np.ndarray:
        """The features of all other kinds."""
        return self.features[self.kinds != kind]


def xrays(rows: datasets.Dataset) -> list[np.ndarray]:
    """Every row's image at the size of `WRONG`, and phantoms, float32 (256, 256) in 0..1 each."""
    drawn = (draw_phantom(seed, opacities=seed % 4).image for seed in range(round(PHANTOMS * len(rows))))
    return [resized(image) for image in (*opened(rows), *map(read_image, drawn))]


def half_softened(images: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """The images, a random half of them without their fine detail."""
    rng = np.random.default_rng(SEED)
    return (softened(image, rng) if rng.random() < 0.5 else image for image in images)


def made_wrong(images: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Each image made wrong in one way, the ways of `WRONG` in turn."""
    rng, ways = np.random.default_rng(SEED), list(WRONG.values())
    return (ways[number % len(ways)](image, rng) for number, image in enumerate(images))


def look_at_others(segmenter: Segmenter, folder: Path) -> Others:
    """Look at the pictures of a folder, each as it is and softened.

    Raises:
        ValueError: if its metadata.csv has no columns `file` and `kind`.
    """
    table = pd.read_csv(folder / "metadata.csv")
    if not {"file", "kind"} <= set(table):
        raise ValueError(f"{folder / 'metadata.csv'} has the columns {', '.join(table)}; wanted are file and kind.")
    rng = np.random.default_rng(SEED)
    images = [resized(read_image(str(folder / "images" / file))) for file in table["file"]]
    twice = images + [softened(image, rng) for image in images]
    features = features_of(segmenter, twice, len(twice), "Other pictures")
    return Others(features, np.tile(table["kind"].to_numpy(str), 2))


def fit(train: np.ndarray, validation: np.ndarray) -> Plausibility:
    """Fit the distribution of features float32 (N, D), and the threshold that others, float32 (M, D), set.

    The covariance of the standardised features is shrunk (Ledoit and Wolf 2004), so that it can be inverted although
    many features say the same.
    """
    deviation = train.std(axis=0, dtype=float) + 1e-3  # a feature that hardly varies must not decide
    covariance = LedoitWolf().fit(train / deviation)
    values, vectors = np.linalg.eigh(covariance.covariance_)
    whitening = (vectors / np.sqrt(values)) @ vectors.T / deviation
    found = Plausibility(train.mean(axis=0), whitening.astype(np.float32), np.inf)
    distances = [found.distance(features) for features in validation]
    return replace(found, threshold=float(np.quantile(distances, 1 - REFUSED)))


def fit_scale(right: np.ndarray, wrong: np.ndarray, validation: np.ndarray, refused: float) -> Scale:
    """Fit a direction from whitened features float32 (N, D) to (K, D); the limit is what others, (M, D), keep.

    Args:
        right, wrong: what it is to tell apart.
        validation: more of what is right.
        refused: share of `validation` beyond the limit.
    """
    labels = np.repeat([0, 1], [len(right), len(wrong)])
    model = LogisticRegression(C=STRENGTH, class_weight="balanced", solver="newton-cholesky", max_iter=100)
    weights = model.fit(np.concatenate([right, wrong]).astype(float), labels).coef_[0].astype(np.float32)
    usual, limit = np.quantile(validation @ weights, [0.5, 1 - refused])
    return Scale(weights, float(usual), float(limit))


def refused_share(found: Plausibility, features: np.ndarray) -> float:
    """Share of pictures with features float32 (N, D) that are refused."""
    return float(np.mean([not found.accepts(one) for one in features]))


def validate_kinds(found: Plausibility, right: np.ndarray, made: np.ndarray, others: Others, val: np.ndarray) -> dict:
    """Measure kind by kind how many pictures are refused by a scale that was fitted without that kind.

    Args:
        found: the distribution, and the scale that was fitted without any of the others.
        right, made, val: whitened features float32 (N, D) of X-rays, of those made wrong, and of validation images.

    Returns:
        Kind -> "pictures" (each also softened), the shares "refused", and "refused_unseen" without any other kind.
    """
    figures = {}
    for kind in sorted(set(others.kinds)):
        wrong = np.concatenate([made, found.whiten(others.without(kind))])
        scale = fit_scale(right, wrong, val, REFUSED)
        left_out = others.features[others.kinds == kind]
        figures[kind] = {
            "pictures": len(left_out) // 2,
            "refused": refused_share(replace(found, wrong=scale), left_out),
            "refused_unseen": refused_share(found, left_out),
        }
        print(f"{kind}: {figures[kind]['refused']:.3f} of {len(left_out)} refused, fitted without them")
    return figures


def learn(segmenter: Segmenter, splits: datasets.DatasetDict, others: Others | None, samples: int) -> tuple:
    """Fit everything on the training images, and its thresholds on the validation images.

    Returns:
        The `Plausibility`, and what `validate_kinds` tells, {} without others.
    """
    chosen = np.random.default_rng(SEED).permutation(len(splits["train"]))[:samples].tolist()
    images = xrays(splits["train"].select(chosen))
    looks = {
        "X-rays": half_softened(images),
        "Made wrong": half_softened(made_wrong(images)),
        "Mirrored": half_softened(image[:, ::-1] for image in images),
    }
    right, made, mirrored = (features_of(segmenter, look, len(images), title) for title, look in looks.items())
    validation = features_of(segmenter, opened(splits["validation"]), len(splits["validation"]), "Validation")
    found = fit(np.concatenate([right, mirrored]), validation)  # a mirror image is a chest X-ray, too
    right, made, mirrored, validation = map(found.whiten, (right, made, mirrored, validation))
    found = replace(found, mirrored=fit_scale(right, mirrored, validation, MIRRORED))
    right = np.concatenate([right, mirrored])
    found = replace(found, wrong=fit_scale(right, made, validation, REFUSED))
    if others is None:
        return found, {}
    kinds = validate_kinds(found, right, made, others, validation)
    wrong = np.concatenate([made, found.whiten(others.features)])
    return replace(found, wrong=fit_scale(right, wrong, validation, REFUSED)), kinds


def main(argv: list[str] | None = None) -> dict:
    """Fit, measure and save; returns the figures for the card."""
    no_telemetry()
    arguments = parse(argv)
    # 1. Data, and the UNet that looks at it
    (arguments.unet / FILE).unlink(missing_ok=True)  # one of other features would not load
    segmenter = Segmenter.from_pretrained(arguments.unet)
    splits = load_splits(DataArguments(arguments.dataset, drop_duplicates=arguments.drop_duplicates), labelled=False)
    others = look_at_others(segmenter, arguments.negatives) if arguments.negatives else None
    # 2. Fit on training images, thresholds on validation images
    found, kinds = learn(segmenter, splits, others, arguments.samples)
    found.save(arguments.unet)
    segmenter.plausibility = found
    # 3. Measure on the test split, once
    test = splits["test"]
    features = features_of(segmenter, opened(test), len(test), "Test")
    drawn = test.select(range(min(arguments.turned, len(test))))
    flipped = features_of(segmenter, (image[:, ::-1] for image in opened(drawn)), len(drawn), "Test, mirrored")
    figures = {
        "threshold": found.threshold,
        "images": len(test),
        "refused": refused_share(found, features),
        "xrays_learned_from": min(arguments.samples, len(splits["train"])),
        "kinds": kinds,
        "orientation": measure_orientation(segmenter, test, features, arguments.turned, SEED),
        "mirrored": measure_mirrored(found, features, flipped),
    }
    print(f"{figures['refused']:.3f} of {len(test)} test images are refused")
    # 4. Tell the card
    facts = CardFacts.load(arguments.unet)
    facts.results["plausibility"] = figures
    facts.save(arguments.unet)
    return figures


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dataset", required=True, help="as the training scripts take it")
    parser.add_argument("--drop_duplicates", action="store_true", help="leave out training copies of evaluation images")
    parser.add_argument("--unet", required=True, type=Path, help="folder of the UNet, which is added to")
    parser.add_argument("--negatives", type=Path, help="folder of other pictures: images/, metadata.csv (file, kind)")
    parser.add_argument("--samples", type=int, default=700, help="training images to fit to, drawn at random")
    parser.add_argument("--turned", type=int, default=50, help="test images to turn, invert and mirror")
    return parser.parse_args(argv)


if __name__ == "__main__":
    run(main)
