"""A finished classifier is calibrated in its own folder."""

from dataclasses import replace

import pytest

from hub_models.cards.facts import CardFacts
from hub_models.models.calibration import Calibration
from hub_models.models.labels import LABELS
from hub_models.models.resnet import ResnetClassifier
from tests.support import tiny_models
from train import calibrate

AWAY = {"images": 3, "balanced_accuracy": 0.5, "healthy_called": {}}
LEFT_OUT = {"sources": {"away": AWAY}, "means": AWAY, "set_least": None, "steps": 1}


def test_a_finished_checkpoint_is_calibrated_and_measured_again(covid_qu_ex, checkpoints, folder, tmp_path):
    classifier = tiny_models.resnet()
    Calibration(temperature=2.0, least_elsewhere=0.1).write(classifier.model.config)
    classifier.save_pretrained(tmp_path / "bare")
    facts = replace(CardFacts.load(folder), labels=list(LABELS))
    facts.results["left_out"] = LEFT_OUT
    mine = tiny_models.write_release("resnet", tmp_path / "bare", facts, tmp_path / "mine")

    words = [f"--dataset={covid_qu_ex}", "--role=resnet", f"--checkpoint={mine}", f"--unet={checkpoints['unet']}"]
    results = calibrate.main([*words, "--widened_by", "0", "2", "--detail", "128"])

    calibrated = ResnetClassifier.from_pretrained(mine)
    calibration = calibrated.calibration
    assert (calibrated.widened_by, calibrated.detail) == ((0, 2), 128)
    assert calibration.least is not None
    assert calibration.least_elsewhere == 0.1
    assert calibration.temperature == results["temperature"] != 2.0  # of both calibrations together
    updated = CardFacts.load(mine)
    assert updated.results["accuracy"] == results["accuracy"]
    assert updated.results["images"] == 6
    assert updated.results["left_out"] == LEFT_OUT
    assert updated.procedure == facts.procedure | {"widened by": "0, 2", "detail": 128}
    assert updated.detail == 128
    assert (mine / "predictions.csv").is_file()


def test_a_checkpoint_of_other_classes_is_refused(covid_qu_ex, checkpoints, folder):
    words = [f"--dataset={covid_qu_ex}", "--role=resnet", f"--checkpoint={folder}", f"--unet={checkpoints['unet']}"]
    with pytest.raises(ValueError, match="scores COVID-19, Normal, and the data's classes are COVID-19, Non-COVID"):
        calibrate.main(words)
