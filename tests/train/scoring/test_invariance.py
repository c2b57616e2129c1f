"""Answers to X-rays stored otherwise, of pipelines whose answers depend on what a test chooses."""

from collections.abc import Callable
from dataclasses import dataclass

import datasets
import numpy as np
import pytest
from scipy.stats import binomtest

from hub_models.models.labels import LABELS
from hub_models.models.report import Report
from hub_models.models.unet import Masks
from hub_models.xray.images import read_image
from hub_models.xray.masks import measure_involvement
from tests.support.datasets import dataset, rectangle
from train.data.harmless_changes import CHANGES, Change
from train.data.rows import undecoded
from train.scoring.invariance import (
    Answers,
    answer_versions,
    class_figures,
    invariance_figures,
    lungs_dice,
    outline_figures,
    versions,
    wilson,
)

SIDE = 128
LARGER = ["2 times larger", "4 times larger"]


def sure_of(label: str) -> dict[str, float]:
    """The probabilities of a classifier that is nearly sure."""
    return dict.fromkeys(LABELS, 0.125) | {label: 0.75}


@dataclass
class Stand:
    """A stand-in for `XrayPipeline`: one class and one pair of outlines for each image."""

    label: Callable[[np.ndarray], str | None] = lambda image: "Normal"
    lungs: Callable[[np.ndarray], np.ndarray] = lambda image: np.ones(image.shape, bool)
    infected_rows: Callable[[np.ndarray], int] = lambda image: 0

    def report(self, images: list[np.ndarray], anyway: bool) -> list[Report]:
        assert anyway  # a refusal would count as another class
        return [self._answer(image) for image in images]

    def _answer(self, image: np.ndarray) -> Report:
        lungs, infection, label = self.lungs(image), np.zeros(image.shape, bool), self.label(image)
        infection[: self.infected_rows(image)] = True
        involvement = measure_involvement(lungs, infection)
        return Report(image, Masks(lungs, infection), involvement, {"resnet": sure_of(label)} if label else {}, [])


def rows_of(*labels: str, patients: list[str | None] | None = None) -> datasets.Dataset:
    """Drawn X-rays of these classes."""
    people = patients or [None] * len(labels)
    return dataset(
        *({"side": SIDE, "label": label, "patient": patient} for label, patient in zip(labels, people, strict=True))
    )


def measured(stand: Stand, rows: datasets.Dataset) -> dict[str, dict]:
    """The figures of the UNet and of the one classifier."""
    return invariance_figures(answer_versions(stand, rows, ["resnet"]), rows)["checkpoints"]


def test_a_class_that_depends_on_the_height_changes_on_every_larger_picture_and_on_no_other():
    rows = rows_of("Normal", "COVID-19")
    figures = measured(Stand(label=lambda image: "Normal" if len(image) == SIDE else "COVID-19"), rows)["resnet"]
    assert figures["accuracy"] == 0.5
    assert {name: scores["changed"] for name, scores in figures["changes"].items()} == {
        name: 1.0 if name in LARGER else 0.0 for name in CHANGES
    }
    assert {scores["accuracy"] for scores in figures["changes"].values()} == {0.5}  # one right, then the other


def test_a_class_that_depends_on_nothing_changes_on_no_picture():
    rows = rows_of("Normal", "Normal", "COVID-19")
    for scores in measured(Stand(), rows)["resnet"]["changes"].values():
        assert (scores["changed"], scores["accuracy"]) == (0.0, pytest.approx(2 / 3))


def test_an_x_ray_that_is_not_answered_is_wrong_and_has_another_class_than_one_that_is():
    unanswered = Stand(label=lambda image: None if len(image) == 2 * SIDE else "Normal")
    changes = measured(unanswered, rows_of("Normal"))["resnet"]["changes"]
    assert (changes["2 times larger"]["changed"], changes["2 times larger"]["accuracy"]) == (1.0, 0.0)
    assert (changes["4 times larger"]["changed"], changes["4 times larger"]["accuracy"]) == (0.0, 1.0)
    changes = measured(Stand(label=lambda image: None), rows_of("Normal"))["resnet"]["changes"]
    assert {(scores["changed"], scores["accuracy"]) for scores in changes.values()} == {(0.0, 0.0)}


def test_the_infected_share_changes_by_percentage_points():
    quarter = {SIDE: SIDE // 4, 2 * SIDE: SIDE, 4 * SIDE: SIDE}  # 25 %, 50 %, 25 %
    stand = Stand(infected_rows=lambda image: quarter[len(image)])
    changes = measured(stand, rows_of("Normal", "Normal"))["unet"]["changes"]
    assert changes["2 times larger"]["infected_median"] == changes["2 times larger"]["infected_percentile_95"] == 25
    assert changes["4 times larger"]["infected_median"] == 0
    assert changes["2 times larger"]["infected_images"] == 2


def test_median_and_percentile_are_over_the_x_rays_with_lungs_before_and_after():
    infected = np.zeros((101, 1 + len(CHANGES)))
    infected[:, 1] = np.arange(101) / 1000  # 0 to 10 percentage points
    infected[:, 2] = np.nan
    infected[:50, 3] = np.nan
    changes = list(outline_figures(infected, np.full(infected.shape, 0.75))["changes"].values())
    assert changes[0] == {
        "infected_images": 101,
        "infected_median": pytest.approx(5),
        "infected_percentile_95": pytest.approx(9.5),
        "lungs_dice": 0.75,
    }
    assert changes[1] | {"lungs_dice": 0} == {
        "infected_images": 0,
        "infected_median": None,
        "infected_percentile_95": None,
        "lungs_dice": 0,
    }
    assert changes[2]["infected_images"] == 51


def bright(image: np.ndarray) -> np.ndarray:
    """Lungs that follow the picture."""
    return image > 0.5


def test_outlines_that_move_with_the_picture_are_the_same_and_fixed_ones_are_not():
    rows = rows_of("Normal")
    with_it = measured(Stand(lungs=bright), rows)["unet"]["changes"]
    assert with_it["moved by 4 of 256 pixels"]["lungs_dice"] > 0.995
    assert with_it["turned by 3 degrees"]["lungs_dice"] > 0.95
    assert with_it["mirrored and mirrored back"]["lungs_dice"] == with_it["DICOM of 16 bits"]["lungs_dice"] == 1.0
    fixed = rectangle(SIDE, slice(32, 64), slice(32, 64))
    still = Stand(lungs=lambda image: fixed.repeat(len(image) // SIDE, axis=0).repeat(len(image) // SIDE, axis=1))
    changes = measured(still, rows)["unet"]["changes"]
    assert changes["moved by 4 of 256 pixels"]["lungs_dice"] == pytest.approx(30 / 32)  # 2 of 32 columns
    assert changes["2 times larger"]["lungs_dice"] == changes["4 times larger"]["lungs_dice"] == 1.0


def test_the_dice_of_blank_lungs_is_1_with_blank_ones_and_0_with_others():
    blank, whole = np.zeros((64, 64), bool), np.ones((512, 512), bool)
    assert (lungs_dice(blank, blank), lungs_dice(blank, whole), lungs_dice(whole, whole)) == (1.0, 0.0, 1.0)
    half = rectangle(64, slice(32))
    assert lungs_dice(half, whole) == pytest.approx(2 / 3)


def test_versions_are_the_file_as_it_is_and_after_each_change_read_again():
    (row,) = undecoded(rows_of("Normal"))
    stored, *others = versions(row)
    np.testing.assert_array_equal(stored, read_image(row["image"]["bytes"]))
    assert [image.shape[0] // SIDE for image in others] == [2, 4, 1, 1, 1, 1, 1, 1, 1]
    np.testing.assert_array_equal(others[-1], stored)
    for image in others[2:-3]:
        assert 0.001 < np.abs(image - stored).mean() < 0.1


def test_versions_of_a_file_on_the_disk_are_those_of_its_bytes(tmp_path):
    (row,) = undecoded(rows_of("Normal"))
    (tmp_path / "xray.png").write_bytes(row["image"]["bytes"])
    from_disk = versions({**row, "image": {"bytes": None, "path": str(tmp_path / "xray.png")}})
    for one, other in zip(from_disk, versions(row), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_change_that_cannot_be_read_is_told_with_the_file_and_the_change(monkeypatch):
    monkeypatch.setitem(CHANGES, "gamma 1.2", Change(lambda grey: b""))
    told = r"^0\.png, gamma 1\.2: The image is empty .* take this image out of the data\.$"
    with pytest.raises(ValueError, match=told):
        versions(next(iter(undecoded(rows_of("Normal")))))


@pytest.mark.parametrize(("hits", "trials"), [(0, 150), (3, 150), (75, 150), (150, 150), (1, 1)])
def test_the_interval_is_wilsons(hits, trials):
    known = binomtest(hits, trials).proportion_ci(method="wilson")
    assert wilson(hits / trials, trials) == pytest.approx([known.low, known.high], abs=1e-9)


def test_intervals_are_those_of_patients():
    predictions = np.zeros((40, 1 + len(CHANGES)), int)
    predictions[:10, 1] = 1
    patients = np.repeat(np.arange(20), 2)
    figures = class_figures(predictions, np.zeros(40, int), patients)
    scores = figures["changes"]["2 times larger"]
    assert (scores["changed"], scores["accuracy"]) == (0.25, 0.75)
    assert scores["intervals"]["changed"] == wilson(0.25, 20)
    low, high = scores["intervals"]["accuracy"]
    assert 0.4 < low < 0.65 < 0.85 < high <= 0.95
    assert figures["intervals"]["accuracy"] == [1, 1]


def test_x_rays_and_patients_are_counted():
    rows = rows_of("Normal", "Normal", "COVID-19", "Normal", patients=["a", "a", None, None])
    blank = np.zeros((4, 1 + len(CHANGES)))
    figures = invariance_figures(Answers({}, blank, blank), rows)
    assert (figures["images"], figures["patients"], list(figures["checkpoints"])) == (4, 3, ["unet"])


def test_one_patient_has_no_bootstrap_interval():
    predictions = np.zeros((3, 1 + len(CHANGES)), int)
    figures = class_figures(predictions, np.zeros(3, int), np.zeros(3, int))
    assert figures["intervals"] == {}
    assert list(figures["changes"]["gamma 1.2"]["intervals"]) == ["changed"]
