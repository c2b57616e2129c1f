"""A finished classifier is calibrated in its own folder."""

from dataclasses import replace

import pytest

from hub_models.cards.facts import CardFacts
from hub_models.models.calibration import Calibration
from hub_models.models.labels import LABELS
from hub_models.models.resnet import ResnetClassifier
from tests.support import tiny_models
from train import calibrate


def test_a_finished_checkpoint_is_calibrated_and_measured_again(covid_qu_ex, checkpoints, folder, tmp_path):
    classifier = tiny_models.resnet()
    Calibration(temperature=2.0).write(classifier.model.config)
    classifier.save_pretrained(tmp_path / "bare")
    facts = replace(CardFacts.load(folder), labels=list(LABELS))
    mine = tiny_models.write_release("resnet", tmp_path / "bare", facts, tmp_path / "mine")

    words = [f"--dataset={covid_qu_ex}", "--role=resnet", f"--checkpoint={mine}", f"--unet={checkpoints['unet']}"]
    results = calibrate.main(words)

    calibration = ResnetClassifier.from_pretrained(mine).calibration
    assert calibration.least is not None
    assert calibration.temperature == results["temperature"] != 2.0  # of both calibrations together
    updated = CardFacts.load(mine)
    assert updated.results["accuracy"] == results["accuracy"]
    assert updated.results["images"] == 6
    assert updated.procedure == facts.procedure
    assert (mine / "predictions.csv").is_file()


def test_a_checkpoint_of_other_classes_is_refused(covid_qu_ex, checkpoints, folder):
    words = [f"--dataset={covid_qu_ex}", "--role=resnet", f"--checkpoint={folder}", f"--unet={checkpoints['unet']}"]
    with pytest.raises(ValueError, match="scores COVID-19, Normal, and the data's classes are COVID-19, Non-COVID"):
        calibrate.main(words)
