"""Calibration: what is fitted to the validation split, saved with a classifier, and told of other images."""

import numpy as np
import pytest
import torch

from hub_models.models.calibration import Calibration
from hub_models.xray.phantom import draw_phantom
from tests.support import tiny_models
from train.scoring.calibration import SET_LEVEL, calibration_results, fit_calibration, with_temperature

PHANTOM = draw_phantom(2, size=128)
IMAGE = PHANTOM.image.astype(np.float32) / 255


def softmax(logits: np.ndarray) -> np.ndarray:
    return torch.from_numpy(logits).softmax(-1).numpy()


def overconfident(images: int, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Answers whose logits are `factor` times those that the classes were drawn from."""
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(images, 3)) * 2
    references = np.array([rng.choice(3, p=p) for p in softmax(logits)])
    return softmax(logits * factor), references


def test_cooling_is_dividing_the_logits():
    logits = np.random.default_rng(1).normal(size=(5, 3))
    assert with_temperature(softmax(logits), 2.5) == pytest.approx(softmax(logits / 2.5))


@pytest.mark.parametrize("factor", [0.4, 1.0, 3.0])
def test_the_temperature_undoes_what_made_the_answers_too_sure_or_too_unsure(factor):
    assert fit_calibration(*overconfident(4000, factor)).temperature == pytest.approx(factor, rel=0.08)


def test_images_without_an_answer_take_no_part_and_nothing_but_them_is_refused():
    answers, references = overconfident(300, 2.0)
    blank = np.full((1, 3), np.nan)
    assert fit_calibration(np.concatenate([answers, blank]), [*references, 0]) == fit_calibration(answers, references)
    with pytest.raises(ValueError, match=r"^No image of the validation split has an answer"):
        fit_calibration(blank, [0])


def test_sets_hold_the_true_class_of_other_images_as_often_as_they_promise():
    answers, references = overconfident(6000, 2.0)
    calibration = fit_calibration(answers[:3000], references[:3000])
    others = with_temperature(answers[3000:], calibration.temperature)
    results = calibration_results(others, references[3000:], calibration)
    assert results["set_coverage"] == pytest.approx(SET_LEVEL, abs=0.015)
    assert results["ece_before"] > 0.08
    assert sum(results["set_sizes"]) == 3000
    assert results["set_size_mean"] == pytest.approx(np.dot(results["set_sizes"], [1, 2, 3]) / 3000)


def test_the_least_probability_of_a_set_is_that_of_the_rank_the_level_asks_for():
    right = np.linspace(0.05, 0.95, 19)  # ceil(20 * 0.9) = 18: the second smallest
    calibration = fit_calibration(np.stack([right, 1 - right], axis=1), [0] * 19)
    assert calibration.least == pytest.approx(with_temperature(np.array([[0.1, 0.9]]), calibration.temperature)[0, 0])
    few = fit_calibration(np.array([[0.6, 0.4], [0.3, 0.7]]), [0, 0])
    assert few.least == 0.0  # two images promise nothing: every class belongs to the set


def test_a_set_lists_the_likely_classes_first_and_is_never_empty():
    answer = {"a": 0.15, "b": 0.5, "c": 0.35}
    assert Calibration(1.0, 0.3).likely(answer) == ["b", "c"]
    assert Calibration(1.0, 0.9).likely(answer) == ["b"]
    assert Calibration(1.0, 0.0).likely(answer) == ["b", "c", "a"]
    assert Calibration().likely(answer) == ["b"]
    assert Calibration(1.0, 0.9, least_elsewhere=0.3).likely(answer) == ["b", "c"]
    assert Calibration(1.0, 0.3, least_elsewhere=0.9).likely(answer) == ["b", "c"]  # never narrower than at home
    assert calibration_results(np.array([[0.5, 0.5]]), [0], Calibration()) == {}


@pytest.mark.parametrize("build", [tiny_models.resnet, tiny_models.clip])
def test_divided_logits_and_the_calibration_are_saved_with_a_classifier(build, tmp_path):
    classifier = build()
    before = np.array([list(classifier(IMAGE, PHANTOM.lungs).values())])
    classifier.divide_logits(0.5)
    Calibration(0.5, 0.2).write(classifier.model.config)
    classifier.save_pretrained(tmp_path)
    again = type(classifier).from_pretrained(tmp_path)
    assert again.calibration == Calibration(0.5, 0.2, 0.9)
    after = list(again(IMAGE, PHANTOM.lungs).values())
    assert after == pytest.approx(with_temperature(before, 0.5)[0], abs=2e-3)  # float16 weights
    assert build().calibration == Calibration()
