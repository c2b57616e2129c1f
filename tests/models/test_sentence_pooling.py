"""Classes of several sentences, of which the nearer ones count more."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from hub_models.models.clip import ClipClassifier
from hub_models.models.gradcam import explain
from hub_models.models.sentence_pooling import pool, vector_near
from hub_models.xray.phantom import draw_phantom
from tests.support import tiny_models

PHANTOM = draw_phantom(1, size=128)
IMAGE, LUNGS = PHANTOM.image.astype(np.float32) / 255, PHANTOM.lungs
PROMPTS = {"ill": ["COVID-19 lungs", "a chest X-ray of COVID-19", "Non-COVID"], "well": ["Normal"]}


def units(count: int, seed: int = 0) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, 9)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def sharp(sharpness: float | None, view: str = "lungs") -> ClipClassifier:
    clip = tiny_models.clip(view=view)
    clip.model.config.sentence_sharpness = sharpness
    return clip


def test_the_similarity_is_between_the_mean_and_the_nearest_sentence():
    cosines = units(5) @ units(4, seed=1).T
    for sharpness in (0.5, 2.0, 30.0):
        by_hand = np.log(np.exp(sharpness * np.float64(cosines)).mean(axis=1)) / sharpness
        assert pool(cosines, sharpness) == pytest.approx(by_hand, abs=1e-6)
    assert pool(cosines, 1e-3) == pytest.approx(cosines.mean(axis=1), abs=1e-3)
    assert pool(cosines, 1e5) == pytest.approx(cosines.max(axis=1), abs=1e-3)
    assert pool(cosines[:, :1], 7.0) == pytest.approx(cosines[:, 0], abs=1e-6)


def test_the_vector_beside_an_image_has_its_similarity_and_its_gradient():
    sentences, (image,) = units(4), units(1, seed=5)
    vector = vector_near(image, sentences, 12.0)
    assert vector @ image == pytest.approx(pool(sentences @ image, 12.0), abs=1e-6)
    raw = torch.from_numpy(1.7 * image).double().requires_grad_()
    cosines = torch.from_numpy(sentences).double() @ F.normalize(raw, dim=0)
    ((12.0 * cosines).exp().mean().log() / 12.0).backward()
    through_vector = torch.from_numpy(1.7 * image).double().requires_grad_()
    (torch.from_numpy(vector).double() @ F.normalize(through_vector, dim=0)).backward()
    assert through_vector.grad.numpy() == pytest.approx(raw.grad.numpy(), abs=1e-6)


def test_a_sharp_clip_answers_by_the_formula_and_a_class_of_one_sentence_as_ever():
    clip = sharp(9.0)
    vectors = clip.embed(clip.network_input(IMAGE, LUNGS))
    read = {label: np.array(clip.similarities(vectors, texts)) for label, texts in PROMPTS.items()}
    logits = [clip.scale * np.log(np.exp(9.0 * cosines).mean()) / 9.0 for cosines in read.values()]
    expected = np.exp(logits) / np.exp(logits).sum()
    assert list(clip(IMAGE, LUNGS, PROMPTS).values()) == pytest.approx(expected, abs=1e-6)
    single = {label: texts[:1] for label, texts in PROMPTS.items()}
    answers = [clip(IMAGE, LUNGS, prompts) for prompts in (PROMPTS, single)]
    clip.model.config.sentence_sharpness = None
    several, one = (clip(IMAGE, LUNGS, prompts) for prompts in (PROMPTS, single))
    assert answers[0] != pytest.approx(several, abs=1e-4)
    assert answers[1] == pytest.approx(one, abs=1e-6)


def test_sharpness_is_saved_and_the_temperature_divides_the_logits_all_the_same(tmp_path):
    clip = sharp(9.0)
    before = np.log(list(clip(IMAGE, LUNGS).values()))
    clip.divide_logits(2.0)
    clip.save_pretrained(tmp_path)
    again = ClipClassifier.from_pretrained(tmp_path)
    assert again.sentence_sharpness == 9.0
    after = np.log(list(again(IMAGE, LUNGS).values()))
    assert np.diff(after) == pytest.approx(np.diff(before) / 2, rel=1e-2, abs=1e-4)


def test_heat_follows_the_gradient_of_the_pooled_similarity():
    clip = sharp(9.0, view="full")
    near = clip.embed(clip.network_input(IMAGE, LUNGS))[0]
    vectors = clip.embed_classes(PROMPTS, near=near)[1]
    heat, answer = clip.explain(IMAGE, LUNGS, "ill", PROMPTS).heat, clip(IMAGE, LUNGS, PROMPTS)
    assert explain(clip, IMAGE, LUNGS, prompts=PROMPTS).label == max(answer, key=answer.get)
    clip.embed_classes = lambda prompts=None, near=None: (list(PROMPTS), vectors)
    np.testing.assert_allclose(clip.explain(IMAGE, LUNGS, "ill", PROMPTS).heat, heat, atol=1e-5)
    clip.embed_classes = lambda prompts=None, near=None: (list(PROMPTS), clip.embed_prompts(PROMPTS))
    assert np.abs(clip.explain(IMAGE, LUNGS, "ill", PROMPTS).heat - heat).max() > 1e-3
