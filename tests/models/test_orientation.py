"""Suggestions for pictures that lie wrong, and none for those that do not."""

import numpy as np
import pytest

from hub_models.checkpoints.resolve import EMBEDDED
from hub_models.models.orientation import CORRECTIONS, Suggestion, best_correction, correct, suggest
from hub_models.models.plausibility import Plausibility, Scale
from hub_models.models.unet import Segmenter
from hub_models.xray.images import read_image
from hub_models.xray.phantom import draw_phantom
from tests.support import tiny_models


@pytest.fixture(scope="module")
def embedded() -> Segmenter:
    """The UNet that ships."""
    return Segmenter.from_pretrained(EMBEDDED / "unet")


def upright(seed: int) -> np.ndarray:
    """A phantom as the pipeline reads it."""
    return read_image(draw_phantom(seed).image)


def test_a_turn_is_counter_clockwise_and_inverting_exchanges_dark_and_light():
    image = np.float32([[0, 0.25, 1], [0, 0, 0]])
    assert correct(image, 90, False).tolist() == [[1, 0], [0.25, 0], [0, 0]]
    assert correct(image, 180, True).tolist() == [[1, 1, 1], [0, 0.75, 1]]
    assert Suggestion(0, False, True, "").apply(image).tolist() == [[1, 0.25, 0], [0, 0, 0]]
    assert Suggestion(270, True, False, "").apply(image).tolist() == [[1, 1], [1, 0.75], [1, 0]]


@pytest.mark.parametrize(
    ("strangeness", "best"),
    [
        ([0.9, 0.1, 2, 2, 2, 2, 2, 2], None),  # accepted as it is
        ([1.0, 3, 0.8, 0.9, 2, 2, 2, 2], 2),
        ([5.0, 3, 1.1, 1.2, 2, 2, 2, 1.0], None),  # refused however it is turned
    ],
)
def test_only_a_refused_picture_is_corrected_and_only_into_an_accepted_one(strangeness, best):
    assert best_correction(strangeness) == best


@pytest.mark.parametrize("seed", [510, 511])
def test_the_embedded_unet_suggests_nothing_for_an_upright_phantom(embedded, seed):
    assert suggest(embedded, upright(seed)) is None


@pytest.mark.parametrize(("turn", "invert"), [(90, False), (180, False), (270, False), (90, True), (180, True)])
def test_the_embedded_unet_puts_a_phantom_right(embedded, turn, invert):
    image = upright(512)
    lying = correct(image, (360 - turn) % 360, invert)
    found = suggest(embedded, lying)
    assert (found.turn_degrees, found.invert, found.mirror) == (turn, invert, False)
    assert found.apply(lying) == pytest.approx(image, abs=1e-6)


def test_the_sentence_says_how_the_picture_lies(embedded):
    head_right = np.ascontiguousarray(np.rot90(upright(512), -1))  # turned clockwise: what was above is on the right
    assert "with the head to the right" in suggest(embedded, head_right).sentence
    negative = correct(upright(512), 180, True)
    assert suggest(embedded, negative).sentence.startswith("The picture seems to be upside down and a negative")


def test_noise_cannot_be_put_right(embedded):
    assert suggest(embedded, np.random.default_rng(0).uniform(size=(128, 128)).astype(np.float32)) is None


def test_a_unet_that_cannot_tell_suggests_nothing_and_a_scale_tells_mirror_images():
    segmenter, image = tiny_models.unet(), upright(1)
    assert suggest(segmenter, image) is None
    features = segmenter.probabilities_and_features([image])[1][0]
    mean = features - np.eye(len(features), dtype=np.float32)[0]  # so that the picture is at 1 along the first axis
    unit = np.eye(len(mean), dtype=np.float32)
    for limit, mirrored in ((0.5, True), (2.0, False)):
        segmenter.plausibility = Plausibility(mean, unit, 1.0, mirrored=Scale(unit[0], 0.0, limit))
        found = suggest(segmenter, image)
        assert (found is not None) == mirrored
        if mirrored:
            assert (found.turn_degrees, found.invert, found.mirror) == (0, False, True)
            assert np.array_equal(found.apply(image), image[:, ::-1])


def test_there_are_eight_positions_and_the_first_is_the_pictures_own():
    assert len(set(CORRECTIONS)) == 8
    assert CORRECTIONS[0] == (0, False)
