"""Telling X-rays from other pictures by a UNet's features: fitted, saved, and measured in a script."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from hub_models.cards.facts import CardFacts
from hub_models.checkpoints.resolve import EMBEDDED
from hub_models.models.plausibility import FILE, MAP_FEATURES, Plausibility, Scale, mask_features
from hub_models.models.unet import Segmenter
from hub_models.xray.images import read_image
from hub_models.xray.phantom import draw_phantom
from tests.support import tiny_models
from train import plausibility
from train.plausibility import REFUSED, fit, fit_scale, look_at_others


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
    assert features.shape == (MAP_FEATURES,)
    assert features[[area, doubt]].tolist() == [0.5, 0.0]
    assert features[border] == pytest.approx(4 / 12)
    assert features[[area + 1, doubt + 1, border + 1]].tolist() == [0.5, 0.25, 0.0]


def test_looking_gives_the_probabilities_and_the_encoders_means_in_one_pass():
    segmenter = tiny_models.unet()
    images = [tiny_models.draw_xray(seed, 64).image.astype(np.float32) / 255 for seed in range(2)]
    found, features = segmenter.probabilities_and_features(images)
    assert np.array_equal(found, segmenter.probabilities(images))
    with torch.inference_mode():
        pixels = torch.from_numpy(segmenter.pixel_values([segmenter.square(image) for image in images]))
        means = segmenter.network.encoder(pixels)[-1].mean(dim=(2, 3)).numpy()
    assert features[:, :-MAP_FEATURES] == pytest.approx(means, abs=1e-6)
    assert np.array_equal(features[1, -MAP_FEATURES:], mask_features(found[1]))
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


def test_a_scale_is_0_for_the_usual_picture_and_1_at_its_limit(gaussian):
    found = fit(gaussian[:3000], gaussian[3000:])
    right, validation = found.whiten(gaussian[:3000]), found.whiten(gaussian[3000:])
    wrong = right + np.float32([4, 0, 0, 0, 0, 0])  # a distance of less than 2: the covariance alone accepts half
    scale = fit_scale(right, wrong, validation, 0.01)
    assert scale.usual == pytest.approx(np.median(validation @ scale.weights), rel=1e-5)
    assert np.mean([scale(one) >= 1 for one in validation]) == pytest.approx(0.01, abs=0.002)
    assert np.mean([scale(one) >= 1 for one in wrong]) > 0.9
    assert Scale(np.float32([1, 0]), 2.0, 4.0)(np.float32([3, 9])) == pytest.approx(0.5)
    assert Scale(np.float32([1, 0]), 2.0, 4.0)(np.float32([-3, 9])) == 0.0


def test_the_strangeness_is_the_larger_of_the_distance_and_the_scale():
    unit = np.eye(4, dtype=np.float32)
    plain = Plausibility(np.zeros(4, np.float32), unit, 2.0)
    told = Plausibility(plain.mean, unit, 2.0, wrong=Scale(unit[0], 0.0, 1.5))
    along, across = 3 * unit[0], 3 * unit[1]  # both at a distance of 1.5
    assert (plain.strangeness(along), plain.accepts(along)) == (0.75, True)
    assert (told.strangeness(along), told.accepts(along)) == (2.0, False)
    assert (told.strangeness(across), told.accepts(across)) == (0.75, True)


def test_scales_are_the_same_when_read_back(gaussian, tmp_path):
    found = fit(gaussian[:3000], gaussian[3000:])
    weights = np.arange(6, dtype=np.float32)
    Plausibility(found.mean, found.whitening, 1.5, mirrored=Scale(weights, -0.5, 2.0)).save(tmp_path)
    again = Plausibility.load(tmp_path)
    assert again.wrong is None
    assert (again.mirrored.usual, again.mirrored.limit) == (-0.5, 2.0)
    assert np.array_equal(again.mirrored.weights, weights)


WHOLE = {"mean": np.zeros(3), "whitening": np.eye(3), "threshold": np.ones(1)}


@pytest.mark.parametrize(
    "damage",
    [
        {"whitening": np.eye(2)},
        {"mean": np.array([0, np.nan, 0])},
        {"threshold": np.ones(2)},
        {"wrong": np.ones(3)},
        {"wrong": np.ones(2), "wrong_range": np.array([0, 1])},
        {"wrong": np.ones(3), "wrong_range": np.array([1, 1])},
    ],
    ids=["shape", "nan", "two thresholds", "no range", "other length", "empty range"],
)
def test_a_damaged_file_is_refused(damage, tmp_path):
    save_file({name: array.astype(np.float32) for name, array in (WHOLE | damage).items()}, tmp_path / FILE)
    with pytest.raises(ValueError, match="does not hold the features of this UNet"):
        Plausibility.load(tmp_path)


def test_a_torn_file_is_refused(tmp_path):
    Plausibility(*(array.astype(np.float32) for array in WHOLE.values())).save(tmp_path)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[:-7])
    with pytest.raises(ValueError, match="does not hold the features of this UNet"):
        Plausibility.load(tmp_path)


def test_a_file_of_another_unet_is_refused_with_both_counts(checkpoints, tmp_path):
    Segmenter.from_pretrained(checkpoints["unet"]).save_pretrained(tmp_path)
    Plausibility(*(array.astype(np.float32) for array in WHOLE.values())).save(tmp_path)
    with pytest.raises(ValueError, match=r"tells of 3 features; this UNet has \d+\. Fit it again"):
        Segmenter.from_pretrained(tmp_path)


@pytest.fixture(scope="module")
def embedded() -> Segmenter:
    """The UNet that ships."""
    return Segmenter.from_pretrained(EMBEDDED / "unet")


@pytest.mark.parametrize(("seed", "opacities", "size"), [(500, 0, 256), (501, 2, 256), (502, 1, 512), (503, 3, 180)])
def test_the_embedded_unet_accepts_phantoms(embedded, seed, opacities, size):
    assert embedded(read_image(draw_phantom(seed, size, opacities).image)).strangeness < 1


def other_pictures() -> dict[str, np.ndarray]:
    """Pictures that are not frontal chest X-rays, and phantoms that were made wrong."""
    rng, phantom = np.random.default_rng(5), read_image(draw_phantom(504).image)
    ramp = np.linspace(0, 1, 256, dtype=np.float32)
    return {
        "noise": rng.uniform(size=(256, 256)).astype(np.float32),
        "gradient": np.outer(ramp, ramp),
        "black": np.zeros((256, 256), np.float32),
        "chessboard": np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((32, 32))).astype(np.float32),
        "upside down": np.ascontiguousarray(phantom[::-1, ::-1]),
        "sideways": np.ascontiguousarray(np.rot90(phantom)),
        "negative, upside down": np.ascontiguousarray(1 - phantom[::-1, ::-1]),
        "one half": np.repeat(phantom[:, :128], 2, axis=1),
    }


@pytest.mark.parametrize("name", other_pictures())
def test_the_embedded_unet_refuses_other_pictures(embedded, name):
    assert embedded(other_pictures()[name]).strange


def test_the_script_adds_it_to_a_unets_folder_and_tells_its_card(covid_qu_ex, checkpoints, folder, tmp_path):
    unet = tiny_models.write_release("unet", checkpoints["unet"], CardFacts.load(folder), tmp_path / "unet")
    told = plausibility.main(["--dataset", str(covid_qu_ex), "--unet", str(unet)])
    assert Plausibility.load(unet).threshold == pytest.approx(told["threshold"], rel=1e-6)
    assert told["images"] == 6
    assert CardFacts.load(unet).results["plausibility"] == told
    assert told["kinds"] == {}
    assert told["orientation"]["images"] == told["mirrored"]["images"] == 6
    assert set(told["orientation"]["recognised"]) >= {"turned by 180", "negative, turned by 0"}
    assert f"{told['refused']:.3f}" in (unet / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def negatives(tmp_path) -> Path:
    """Ten pictures of two kinds in a folder with a table."""
    (tmp_path / "others" / "images").mkdir(parents=True)
    rng, rows = np.random.default_rng(3), ["file,kind"]
    for number in range(10):
        kind = ("noise", "stripes")[number % 2]
        lines = np.repeat(rng.integers(0, 256, (64, 1)), 64, axis=1)
        pixels = rng.integers(0, 256, (64, 64)) if kind == "noise" else lines
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "others" / "images" / f"{number}.png")
        rows.append(f"{number}.png,{kind}")
    (tmp_path / "others" / "metadata.csv").write_text("\n".join(rows), encoding="utf-8")
    return tmp_path / "others"


def test_the_script_measures_each_kind_without_that_kind(covid_qu_ex, checkpoints, folder, negatives, tmp_path):
    unet = tiny_models.write_release("unet", checkpoints["unet"], CardFacts.load(folder), tmp_path / "unet")
    options = ["--negatives", str(negatives), "--samples", "8", "--turned", "2"]
    told = plausibility.main(["--dataset", str(covid_qu_ex), "--unet", str(unet), *options])
    assert {kind: one["pictures"] for kind, one in told["kinds"].items()} == {"noise": 5, "stripes": 5}
    assert all(0 <= one["refused"] <= 1 and 0 <= one["refused_unseen"] <= 1 for one in told["kinds"].values())
    assert (told["xrays_learned_from"], told["orientation"]["images"]) == (8, 2)
    assert "stripes" in (unet / "README.md").read_text(encoding="utf-8")
    assert Plausibility.load(unet).wrong is not None


def test_others_without_kinds_are_refused_and_one_kind_can_be_left_out(negatives):
    others = look_at_others(tiny_models.unet(), negatives)
    assert len(others.features) == len(others.kinds) == 20  # each also softened
    assert np.array_equal(others.without("noise"), others.features[1::2])
    (negatives / "metadata.csv").write_text("file,label\n0.png,noise", encoding="utf-8")
    with pytest.raises(ValueError, match="has the columns file, label; wanted are file and kind"):
        look_at_others(tiny_models.unet(), negatives)
