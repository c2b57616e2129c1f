"""The surface that the ResNet, the CLIP and the fusion share."""

from collections.abc import Callable

import numpy as np
import pytest

from hub_models.models.classifier import Classifier, Refused
from hub_models.models.features import SharedFeatures
from hub_models.models.fusion import FusionClassifier, NotJoined
from hub_models.models.gradcam import explain
from hub_models.models.views import NoLungs, make_views
from hub_models.xray.geometry import DETAIL, keep_detail, mask_to_square, to_square
from hub_models.xray.phantom import draw_phantom
from tests.support import tiny_models

PHANTOMS = [draw_phantom(seed, size=side) for seed, side in ((1, 128), (2, 96))]
IMAGES = [phantom.image.astype(np.float32) / 255 for phantom in PHANTOMS]
LUNGS = [phantom.lungs for phantom in PHANTOMS]
BLANK = np.zeros_like(LUNGS[1])


def fusion() -> FusionClassifier:
    """A fusion to whose answer both parts contribute."""
    return FusionClassifier.new(tiny_models.resnet(), tiny_models.clip(), {"resnet": "a", "clip-finetuned": "b"})


CLASSIFIERS = {"resnet": tiny_models.resnet, "clip": tiny_models.clip, "fusion": fusion}


@pytest.mark.parametrize("build", CLASSIFIERS.values(), ids=CLASSIFIERS)
class TestSurface:
    def test_several_xrays_are_answered_as_each_alone_in_their_order(self, build: Callable[[], Classifier]):
        classifier = build()
        answers = classifier.classify(IMAGES, LUNGS)
        assert answers[0] != answers[1]
        for image, lungs, answer in zip(IMAGES, LUNGS, answers, strict=True):
            assert list(answer) == classifier.labels
            assert answer == pytest.approx(classifier(image, lungs), abs=1e-6)

    def test_the_answer_is_that_to_the_vectors_of_its_encoders(self, build: Callable[[], Classifier]):
        classifier, features = build(), SharedFeatures(IMAGES, LUNGS)
        vectors = [features.stacked(encoder, [1, 0]) for encoder in classifier.encoders]
        answers = classifier.answer(*vectors)
        assert answers[::-1] == [pytest.approx(answer, abs=1e-6) for answer in classifier.classify(IMAGES, LUNGS)]

    def test_an_xray_without_lungs_is_refused_by_its_position_and_by_a_call(self, build: Callable[[], Classifier]):
        classifier, features = build(), SharedFeatures(IMAGES, [LUNGS[0], BLANK])
        assert classifier.refusals(features) == {1: "No lungs were outlined, and the view 'lungs' needs them."}
        assert classifier.refusals(SharedFeatures(IMAGES, LUNGS)) == {}
        with pytest.raises(NoLungs, match="No lungs were outlined"):
            classifier.classify(IMAGES, [LUNGS[0], BLANK])

    def test_the_logits_are_the_means_over_its_looks(self, build: Callable[[], Classifier]):
        classifier, alone = build(), []
        for widened_by in ([0], [2], [0, 2]):
            for encoder in classifier.encoders:
                encoder.model.config.widened_by = widened_by
            vectors = [SharedFeatures(IMAGES, LUNGS).stacked(encoder, [0, 1]) for encoder in classifier.encoders]
            alone.append(vectors)
        for first, second, both in zip(*alone, strict=True):
            assert np.abs(first - second).max() > 1e-3
            assert np.allclose((first + second) / 2, both, atol=1e-6)
        shared, one = SharedFeatures(IMAGES, LUNGS), classifier.classify(IMAGES, LUNGS)
        assert one == [pytest.approx(answer, abs=1e-6) for answer in classifier.answer_features(shared)[0].values()]

    def test_a_list_of_lungs_of_another_length_is_refused(self, build: Callable[[], Classifier]):
        with pytest.raises(ValueError, match="shorter"):
            build().classify(IMAGES, LUNGS[:1])

    def test_a_view_calibration_and_problem_are_told_by_each(self, build: Callable[[], Classifier]):
        classifier = build()
        assert (classifier.view, classifier.problem, classifier.multi_label) == ("lungs", None, False)
        assert (classifier.calibration.temperature, classifier.calibration.least) == (1, None)
        assert tuple(classifier.networks) == classifier.network_names


def test_a_fusion_without_parts_refuses_every_xray_by_its_problem(tmp_path):
    fusion().save_pretrained(tmp_path)
    loaded = FusionClassifier.from_pretrained(tmp_path)
    assert loaded.refusals(SharedFeatures(IMAGES, LUNGS)) == {0: loaded.problem, 1: loaded.problem}
    assert loaded.problem.startswith("The fusion is not joined")
    with pytest.raises(NotJoined, match="The fusion is not joined"):
        loaded.classify(IMAGES, LUNGS)


def test_a_resnet_refuses_sentences_and_the_others_answer_about_their_classes():
    prompts = {"ill": ["COVID-19 lungs"], "well": ["Normal lungs"]}
    resnet = tiny_models.resnet()
    for refused in (resnet, resnet.explain):
        with pytest.raises(ValueError, match="A ResNet knows its own labels only"):
            refused(IMAGES[0], LUNGS[0], prompts=prompts)
    for build in (tiny_models.clip, fusion):
        assert [list(answer) for answer in build().classify(IMAGES, LUNGS, prompts)] == [["ill", "well"]] * 2


def test_a_classifier_explains_itself_and_a_fusion_has_nothing_to_look_into():
    clip = tiny_models.clip()
    explanation, expected = (
        clip.explain(IMAGES[0], LUNGS[0]),
        explain(clip, keep_detail(to_square(IMAGES[0]), DETAIL), mask_to_square(LUNGS[0])),
    )
    assert (explanation.label, explanation.inside_lungs) == (expected.label, expected.inside_lungs)
    assert np.array_equal(explanation.heat, expected.heat)
    assert fusion().explain(IMAGES[0], LUNGS[0]) is None


def test_the_network_input_of_one_xray_is_that_of_its_view():
    resnet, unet = tiny_models.resnet(), tiny_models.unet()
    views = make_views(IMAGES[0], LUNGS[0], "lungs", DETAIL)
    assert np.array_equal(resnet.network_input(IMAGES[0], LUNGS[0]), resnet.pixel_values(views))
    assert np.array_equal(unet.network_input(IMAGES[0]), unet.pixel_values([unet.square(IMAGES[0])]))


def test_a_refusal_is_one_sentence_with_its_role():
    refused = Refused("resnet", "No lungs were outlined.")
    assert str(refused) == "resnet gave no answer: No lungs were outlined."
    assert refused == Refused("resnet", "No lungs were outlined.")


def test_every_view_and_network_is_run_once_however_many_classifiers_share_it(monkeypatch):
    runs = []
    resnet = tiny_models.resnet()
    original = resnet.embed
    monkeypatch.setattr(resnet, "embed", lambda pixels: (runs.append(len(pixels)), original(pixels))[1])
    features = SharedFeatures(IMAGES, [LUNGS[0], BLANK])
    assert list(features.vectors(resnet)) == [0]
    assert np.array_equal(features.stacked(resnet, [0])[0], features.vectors(resnet)[0])
    assert runs == [1]


def test_a_heat_map_explains_the_class_of_the_mean_over_the_looks(monkeypatch):
    resnet = tiny_models.resnet()
    resnet.model.config.widened_by = [0, 2]
    monkeypatch.setattr(type(resnet), "answer", lambda *_, **__: [{"COVID-19": 0.2, "Non-COVID": 0.3, "Normal": 0.5}])
    assert resnet.explain(IMAGES[0], LUNGS[0]).label == "Normal"
    assert resnet.explain(IMAGES[0], LUNGS[0], "COVID-19").label == "COVID-19"
