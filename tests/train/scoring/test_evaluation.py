from pathlib import Path

import datasets
import numpy as np
import pytest

from hub_models.models.views import NoLungs
from hub_models.xray.images import read_image
from tests.support import tiny_models
from tests.support.datasets import halves, rectangle
from train.data.dataset import load
from train.data.lungs import drop_without_lungs, outline_lungs
from train.data.rows import read_mask, read_picture
from train.scoring.evaluation import class_probabilities, classification_results

SIDES = {"a.png": 64, "b.png": 96, "c.png": 128, "d.png": 80}


class Brightness:
    """A stand-in for a classifier: how bright the lungs are is how probable the second class is."""

    labels, problem, multi_label = ("dark", "bright"), None, False

    def __call__(self, image: np.ndarray, lungs: np.ndarray) -> dict[str, float]:
        if not lungs.any():
            raise NoLungs("none")
        bright = float(image[lungs].mean())
        return {"bright": bright, "dark": 1 - bright}


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> datasets.Dataset:
    """Four X-rays of four sizes."""
    folder = tmp_path_factory.mktemp("rows")
    for seed, (name, side) in enumerate(SIDES.items()):
        tiny_models.write_row(
            folder / "Lung Segmentation Data" / "Test" / "COVID-19", name, tiny_models.draw_xray(seed, side)
        )
    return load(str(folder))["test"]


def test_the_lungs_are_outlined_at_the_size_of_every_image(rows):
    outlined = outline_lungs(rows, halves(blind=96))
    assert outlined.column_names == [*rows.column_names, "lungs"]
    assert outlined["file"][:] == list(SIDES)
    for row in outlined:
        side = SIDES[row["file"]]
        expected = rectangle(side, slice(0, 0 if side == 96 else side // 2))
        assert np.array_equal(read_mask(row["lungs"]), expected)


def test_outlines_are_what_the_saved_segmenter_says_of_the_file(covid_qu_ex):
    segmenter, rows = tiny_models.unet(), load(str(covid_qu_ex))["train"].select(range(2, 5))
    folders = {"COVID-19": covid_qu_ex / "Lung Segmentation Data" / "Lung Segmentation Data" / "Train" / "COVID-19"}
    for row in outline_lungs(rows, segmenter).select([0, 1]):
        path = Path(folders["COVID-19"], "images", row["file"])
        assert np.array_equal(read_mask(row["lungs"]), segmenter(read_image(path)).lungs)


def test_rows_without_outlined_lungs_are_dropped_and_counted(rows, caplog):
    outlined = outline_lungs(rows, halves(blind=96))
    assert drop_without_lungs(outlined)["file"][:] == ["a.png", "c.png", "d.png"]
    assert caplog.messages == ["No lungs found on 1 of 4 images of test."]
    caplog.clear()
    assert len(drop_without_lungs(outline_lungs(rows, halves()))) == 4
    assert caplog.messages == []


def test_probabilities_stand_in_the_order_of_the_labels_and_are_nan_without_lungs(rows, caplog):
    answers = class_probabilities(Brightness(), outline_lungs(rows, halves(blind=128)), "resnet")
    for row, answer in zip(rows, answers, strict=True):
        image = read_picture(row["image"])
        bright = float(image[:, : len(image) // 2].mean())
        expected = [np.nan, np.nan] if row["file"] == "c.png" else [1 - bright, bright]
        np.testing.assert_array_equal(answer, expected)
    assert caplog.messages == ["resnet: no lungs found on c.png; that counts as a wrong answer."]


def test_a_row_of_nan_is_an_answer_that_is_always_wrong():
    probabilities = np.array([[0.7, 0.3], [np.nan, np.nan], [0.2, 0.8], [np.nan, np.nan], [0.6, 0.4]])
    results = classification_results(probabilities, [0, 0, 1, 1, 1])
    assert (results["accuracy"], results["no_answer"]) == (0.4, 2)
    assert results["recall_per_class"] == pytest.approx([1 / 2, 1 / 3])
    assert results["precision_per_class"] == pytest.approx([1 / 2, 1])
    assert results["confusion"] == [[1, 0], [1, 1]]


def test_with_an_answer_for_every_row_the_most_probable_class_counts():
    results = classification_results(np.array([[0.1, 0.2, 0.7], [0.4, 0.35, 0.25]]), [2, 1])
    assert (results["accuracy"], results["no_answer"]) == (0.5, 0)
    assert results["confusion"] == [[0, 0, 0], [1, 0, 0], [0, 0, 1]]
