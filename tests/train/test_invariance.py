"""The command that measures whether an X-ray stored otherwise gets the same answer."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from hub_models.cards.facts import CardFacts
from hub_models.checkpoints.folder import Checkpoint
from hub_models.models.labels import LABELS
from hub_models.publish.check import check_card
from tests.support import tiny_models
from train import invariance
from train.data.harmless_changes import CHANGES


@pytest.fixture(scope="module")
def released(checkpoints, tmp_path_factory) -> dict[str, Path]:
    """Role -> folder of a tiny checkpoint with a card that knows nothing of the measurement."""
    facts = replace(tiny_models.facts(), labels=list(LABELS))
    facts.results["confusion"] = [[2, 0, 0], [1, 1, 0], [0, 0, 0]]
    folder = tmp_path_factory.mktemp("released")
    return {role: tiny_models.write_release(role, made, facts, folder / role) for role, made in checkpoints.items()}


def words(folders: dict[str, Path], dataset: Path, *more: str) -> list[str]:
    """The command line that measures these checkpoints."""
    named = [word for role, folder in folders.items() for word in (f"--{role.replace('-', '_')}", str(folder))]
    return ["--dataset", str(dataset), *named, *more]


def test_the_figures_are_written_returned_printed_and_stand_in_the_cards(released, covid_qu_ex, tmp_path, capsys):
    before = {role: (folder / "README.md").read_text() for role, folder in released.items()}
    assert not any("stored otherwise" in card for card in before.values())
    returned = invariance.main(words(released, covid_qu_ex, "--cards", "--output_dir", str(tmp_path / "out")))
    assert json.loads((tmp_path / "out" / "invariance.json").read_text()) == returned
    assert (returned["split"], returned["images"], returned["patients"]) == ("test", 6, 6)
    assert list(returned["checkpoints"]) == list(released)
    text = (tmp_path / "out" / "invariance.md").read_text()
    assert text in capsys.readouterr().out
    assert "6 X-rays (6 patients) of the test split" in text
    unchanged = "0.000 (0.00-0.39)"  # Wilson, 0 of 6
    assert f"| mirrored and mirrored back | {' | '.join([unchanged] * 4)} |" in text
    assert "| mirrored and mirrored back | 0.000 | 0.000 | 6 | 1.000 |" in text

    for role, folder in released.items():
        facts, card = CardFacts.load(folder), (folder / "README.md").read_text()
        recorded = facts.results["invariance"]
        assert recorded == {"split": "test", "images": 6, "patients": 6, **returned["checkpoints"][role]}
        assert list(recorded["changes"]) == list(CHANGES)
        assert "### The same X-ray stored otherwise\n\nEach of 6 X-rays of the test split (6 patients)" in card
        row = "0.000 | 0.000 | 6 | 1.000" if role == "unet" else f"0.000 | 0.000 to 0.390 | {recorded_accuracy(facts)}"
        assert f"| mirrored and mirrored back | {row} |\n" in card
        check_card(folder, facts)
        del facts.results["invariance"]  # without the measurement the card is what it was
        facts.save(folder)
        assert (folder / "README.md").read_text() == before[role]


def recorded_accuracy(facts: CardFacts) -> str:
    """The accuracy on the files as stored, as a card writes it."""
    return f"{facts.results['invariance']['accuracy']:.3f}"


def test_a_sample_is_the_same_at_each_run_and_no_card_is_touched_unasked(released, covid_qu_ex, tmp_path):
    before = {path: path.read_bytes() for folder in released.values() for path in folder.glob("[Rm]*")}
    more = ("--split", "validation", "--images", "2", "--output_dir", str(tmp_path))
    first = invariance.main(words(released, covid_qu_ex, *more))
    assert (first["split"], first["images"]) == ("validation", 2)
    assert invariance.main(words(released, covid_qu_ex, *more)) == first
    assert {path: path.read_bytes() for path in before} == before


def test_a_card_that_cannot_be_written_is_told_before_anything_is_measured(checkpoints, covid_qu_ex):
    with pytest.raises(ValueError, match=r"card of the unet, and .* has no metrics\.json .* or leave out --cards\.$"):
        invariance.main(words(checkpoints, covid_qu_ex / "no such folder", "--cards"))
    of_hub = {"resnet": Checkpoint("resnet", checkpoints["resnet"], "hub", "someone/resnet", "c0ffee")}
    with pytest.raises(ValueError, match=r"someone/resnet is in the Hub's cache; .* or leave out --cards\.$"):
        invariance.check_cards(of_hub)


def test_less_than_one_image_is_refused(capsys):
    with pytest.raises(SystemExit):
        invariance.main(["--dataset", "any", "--images", "0"])
    assert "--images is 0; give at least 1, or leave it out for all images." in capsys.readouterr().err


def test_a_report_without_comparable_classifiers_tells_the_outlines_alone():
    scores = {"infected_images": 3, "infected_median": 1.25, "infected_percentile_95": None, "lungs_dice": 0.875}
    measured = {"split": "test", "images": 4, "patients": 2}
    text = invariance.report(measured | {"checkpoints": {"unet": {"changes": {"gamma 1.2": scores}}}})
    assert "| gamma 1.2 | 1.250 | not measured | 3 | 0.875 |" in text
    assert "Accuracy" not in text
