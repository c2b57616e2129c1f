"""Figures of a model on the validation images of the drawn data set."""

import logging
import shutil
from collections.abc import Callable

import numpy as np
import pytest

from hub_models.checkpoints.choices import variable
from hub_models.xray.geometry import SIDE
from tests.support import tiny_models
from train.data.rows import read_mask
from train.scoring.quality import Quality

LABELS = ("Normal", "COVID-19", "Non-COVID")  # in another order than the data's


@pytest.fixture(scope="module")
def quality(covid_qu_ex, checkpoints) -> Quality:
    """Of a classifier, the lungs outlined by the tiny UNet."""
    with pytest.MonkeyPatch.context() as chosen:
        chosen.setenv(variable("unet"), str(checkpoints["unet"]))
        return Quality(str(covid_qu_ex), tiny_models.resnet(LABELS))


def answering(answer: Callable[[], str]) -> Callable:
    """A classifier that is sure of what `answer` says."""

    def classifier(image, lungs) -> dict[str, float]:
        return dict.fromkeys(LABELS, 0.0) | {answer(): 1.0}

    classifier.labels = list(LABELS)
    return classifier


def test_of_a_unet_it_is_the_dice_of_each_mask_on_the_images_that_have_one(covid_qu_ex):
    quality = Quality(str(covid_qu_ex), tiny_models.unet())
    files = [file.split("/")[-1] for file in quality.validation["file"]]
    assert (quality.images, len(files)) == (3, 3)  # two COVID-19 images, and a healthy one with a blank infection mask
    measured = quality.measure(tiny_models.unet())
    areas = [read_mask(mask).mean() for mask in quality.validation["lung_mask"]]
    everything = np.mean([2 * area / (area + 1) for area in areas])
    assert measured == {"lungs dice": pytest.approx(everything, abs=0.02), "infection dice": 0.0}


def test_of_a_classifier_it_is_the_accuracy_and_how_often_it_answers_as_at_first(quality):
    assert quality.images == 6
    assert quality.measure(answering(lambda: "Normal")) == {"accuracy": pytest.approx(1 / 3), "agreement": 1}
    names = quality.validation.features["label"].names
    right = iter([names[label] for label in quality.validation["label"]])
    assert quality.measure(answering(lambda: next(right))) == {"accuracy": 1.0, "agreement": pytest.approx(1 / 3)}


def test_a_model_is_shown_training_images_with_the_lungs_that_were_outlined(quality):
    images = list(quality.training_images(5))
    assert len(images) == 5
    assert len(list(quality.training_images(100))) == len(quality.training) == 12
    for image, lungs in images:
        assert (image.shape, image.dtype, lungs.shape, lungs.dtype) == ((128, 128), np.float32, (SIDE, SIDE), bool)
        assert lungs.mean() > 0.5
    ((again, _),) = quality.training_images(1)
    np.testing.assert_array_equal(again, images[0][0])


def test_data_of_other_classes_is_refused(covid_qu_ex):
    with pytest.raises(
        ValueError, match="has the classes COVID-19, Non-COVID, Normal; this model scores Normal, Other"
    ):
        Quality(str(covid_qu_ex), tiny_models.resnet(("Normal", "Other")))


def test_a_model_of_several_findings_an_image_is_refused(covid_qu_ex):
    model = tiny_models.resnet()
    model.model.config.problem_type = "multi_label_classification"
    with pytest.raises(ValueError, match="has no accuracy to be measured"):
        Quality(str(covid_qu_ex), model)


def test_a_unet_is_not_measured_on_data_without_masks(tmp_path, caplog):
    folder = tiny_models.write_covid_qu_ex(tmp_path)
    for kind in ("lung masks", "infection masks"):
        for masks in folder.rglob(kind):
            shutil.rmtree(masks)
    with caplog.at_level(logging.ERROR), pytest.raises(ValueError, match=r"The split validation of .* holds no image"):
        Quality(str(folder), tiny_models.unet())
