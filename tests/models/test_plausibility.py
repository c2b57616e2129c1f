"""Telling X-rays from other pictures by a UNet's features: fitted, saved, and measured in a script."""

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from hub_models.cards.facts import CardFacts
from hub_models.models.plausibility import FILE, Plausibility, mask_features
from tests.support import tiny_models
from train import plausibility
from train.plausibility import REFUSED, fit


@pytest.fixture(scope="module")
def gaussian() -> np.ndarray:
    """4,000 vectors of 6 correlated features."""
    rng = np.random.default_rng(0)
    return (rng.normal(size=(4000, 6)) @ rng.normal(size=(6, 6)) + 3).astype(np.float32)


def test_the_distance_counts_in_standard_deviations_along_every_direction(gaussian):
    found = fit(gaussian[:3000], gaussian[3000:])
    distances = np.array([found.distance(one) for one in gaussian[3000:]])
    assert np.sqrt((distances**2).mean()) == pytest.approx(1, abs=0.03)
    assert found.distance(found.mean) == 0
    refused = np.mean([not found.accepts(one) for one in gaussian[3000:]])
    assert refused == pytest.approx(REFUSED, abs=0.002)


def test_a_vector_that_breaks_a_correlation_is_far_though_each_feature_is_ordinary():
    rng = np.random.default_rng(1)
    first = rng.normal(size=3000)
    both = np.stack([first, first + 0.1 * rng.normal(size=3000)], axis=1).astype(np.float32)
    found = fit(both[:2000], both[2000:])
    assert found.accepts(np.float32([1.5, 1.5]))
    assert not found.accepts(np.float32([1.5, -1.5]))


def test_it_is_the_same_when_read_back_and_a_folder_without_it_has_none(gaussian, tmp_path):
    assert Plausibility.load(tmp_path) is None
    found = fit(gaussian[:3000], gaussian[3000:])
    found.save(tmp_path)
    again = Plausibility.load(tmp_path)
    assert again.threshold == pytest.approx(found.threshold)
    assert again.distance(gaussian[0]) == pytest.approx(found.distance(gaussian[0]), rel=1e-5)
    save_file({"mean": found.mean}, tmp_path / FILE)
    with pytest.raises(ValueError, match="does not hold the features of this UNet"):
        Plausibility.load(tmp_path)


def test_mask_features_are_areas_doubts_and_borders():
    maps = np.zeros((2, 4, 4), np.float32)
    maps[0, :2] = 1  # half of the picture, one border of four pixels
    maps[1] = 0.5
    area, doubt, border = 0, 2, 4
    features = mask_features(maps)
    assert features[[area, doubt]].tolist() == [0.5, 0.0]
    assert features[border] == pytest.approx(4 / 12)
    assert features[[area + 1, doubt + 1, border + 1]].tolist() == [0.5, 0.25, 0.0]


def test_looking_gives_the_probabilities_and_the_encoders_means_in_one_pass():
    segmenter = tiny_models.unet()
    images = [tiny_models.draw_xray(seed, 64).image.astype(np.float32) / 255 for seed in range(2)]
    found, features = segmenter.probabilities_and_features(images)
    assert np.array_equal(found, segmenter.probabilities(images))
    with torch.inference_mode():
        pixels = segmenter.pixel_values([torch.from_numpy(image)[None] for image in images])
        means = segmenter.network.encoder(pixels)[-1].mean(dim=(2, 3)).numpy()
    assert features[:, :-6] == pytest.approx(means, abs=1e-6)
    assert np.array_equal(features[1, -6:], mask_features(found[1]))
    assert not segmenter.network.encoder._forward_hooks


def test_a_unet_that_was_taught_to_tell_says_how_strange_a_picture_is():
    segmenter = tiny_models.unet()
    image = tiny_models.draw_xray(1, 96).image.astype(np.float32) / 255
    plain = segmenter(image)
    assert (plain.strangeness, plain.strange) == (None, False)
    _, (features,) = segmenter.probabilities_and_features([image])
    step = np.zeros_like(features)
    step[0] = np.sqrt(len(step))  # a distance of 1
    for threshold, strange in ((2.0, False), (0.5, True)):
        segmenter.plausibility = Plausibility(features + step, np.eye(len(step), dtype=np.float32), threshold)
        masks = segmenter(image)
        assert masks.strangeness == pytest.approx(1 / threshold, rel=1e-5)
        assert masks.strange == strange
        assert np.array_equal(masks.lungs, plain.lungs)


def test_the_script_adds_it_to_a_unets_folder_and_tells_its_card(covid_qu_ex, checkpoints, folder, tmp_path):
    unet = tiny_models.write_release("unet", checkpoints["unet"], CardFacts.load(folder), tmp_path / "unet")
    told = plausibility.main(["--dataset", str(covid_qu_ex), "--unet", str(unet)])
    assert Plausibility.load(unet).threshold == pytest.approx(told["threshold"], rel=1e-6)
    assert told["images"] == 6
    assert CardFacts.load(unet).results["plausibility"] == told
