import shutil
from pathlib import Path

import datasets
import pandas as pd
import pytest
from PIL import Image

from tests.support import tiny_models
from tests.support.datasets import dataset, rectangle
from train.data.audit import (
    count_table,
    describe,
    drop_training_copies,
    near_copies,
    patients_on_two_sides,
    report_patients,
)
from train.data.dataset import load

PART = "Lung Segmentation Data"


def with_patients(**patients: list[str | None]) -> datasets.DatasetDict:
    features = datasets.Features({"patient": datasets.Value("string")})
    return datasets.DatasetDict(
        {split: datasets.Dataset.from_dict({"patient": names}, features) for split, names in patients.items()}
    )


@pytest.fixture(scope="module")
def leaky(tmp_path_factory: pytest.TempPathFactory) -> datasets.DatasetDict:
    """Eight X-rays of five patients: copies of the first lie in every split, of the second twice in training, of the
    third in validation and test."""
    folder = tmp_path_factory.mktemp("leaky")
    for seed, places in {
        1: ("Train/a1.png", "Val/b1.png", "Test/c1.png"),
        2: ("Train/a2.png", "Train/a3.png"),
        3: ("Val/b2.png", "Test/c2.png"),
        4: ("Train/a4.png",),
    }.items():
        for number, place in enumerate(places):
            split, name = place.split("/")
            tiny_models.write_row(folder / PART / split / "Normal", name, tiny_models.draw_xray(seed))
            if number:  # not the same bytes
                path = folder / PART / split / "Normal" / "images" / name
                Image.open(path).resize((96, 96)).save(path)
    return load(str(folder))


def files(splits: datasets.DatasetDict) -> dict[str, list[str]]:
    return {split: rows["file"][:] for split, rows in splits.items()}


def test_patients_on_two_sides_are_found():
    splits = with_patients(train=["a", "b", "a", None], validation=["c", None], test=["b", "c", "d", "b"])
    assert patients_on_two_sides(splits) == {"b": ["test", "train"], "c": ["test", "validation"]}


def test_patients_within_a_split_and_rows_without_a_patient_are_no_leak(caplog):
    splits = with_patients(train=["a", "a", None], validation=[None], test=[None, None])
    assert patients_on_two_sides(splits) == {}
    report_patients(splits)
    assert caplog.messages == []


def test_a_warning_counts_the_patients_on_two_sides_and_names_five(caplog):
    names = [f"p{number}" for number in range(7)]
    report_patients(with_patients(train=names, test=names))
    assert caplog.messages == ["7 patients are in more than one split (p0, p1, p2, p3, p4, ...): scores will flatter."]


def test_near_copies_are_told_with_split_position_and_file(leaky):
    pairs = near_copies(leaky)
    assert pairs.columns.tolist() == ["split_a", "position_a", "file_a", "split_b", "position_b", "file_b"]
    assert pairs.values.tolist() == [
        ["train", 0, "a1.png", "validation", 0, "b1.png"],
        ["train", 0, "a1.png", "test", 0, "c1.png"],
        ["train", 1, "a2.png", "train", 2, "a3.png"],
        ["validation", 0, "b1.png", "test", 0, "c1.png"],
        ["validation", 1, "b2.png", "test", 1, "c2.png"],
    ]


def test_only_the_training_copies_of_evaluation_images_are_dropped(leaky, caplog):
    assert files(drop_training_copies(leaky)) == {
        "train": ["a2.png", "a3.png", "a4.png"],
        "validation": ["b1.png", "b2.png"],
        "test": ["c1.png", "c2.png"],
    }
    assert caplog.messages == ["Left out 1 training images that have a near-copy in another split."]


def test_the_order_of_the_splits_makes_no_difference_to_what_is_dropped(leaky):
    backwards = datasets.DatasetDict({split: leaky[split] for split in ("test", "validation", "train")})
    assert files(drop_training_copies(backwards))["train"] == ["a2.png", "a3.png", "a4.png"]


def test_without_a_training_split_nothing_is_dropped(leaky):
    evaluation = datasets.DatasetDict({split: leaky[split] for split in ("validation", "test")})
    assert drop_training_copies(evaluation) is evaluation


def test_images_and_masks_are_counted(covid_qu_ex):
    columns = ["COVID-19", "Non-COVID", "Normal", "lungs", "infection drawn", "infection blank"]
    expected = pd.DataFrame(
        [[4, 4, 4, 4, 2, 1], [2, 2, 2, 3, 2, 1], [2, 2, 2, 3, 2, 1], [8, 8, 8, 10, 6, 3]],
        index=["train", "validation", "test", "all"],
        columns=columns,
    )
    pd.testing.assert_frame_equal(count_table(load(str(covid_qu_ex))), expected)


def test_a_description_counts_what_the_table_counts(covid_qu_ex):
    described = describe(load(str(covid_qu_ex)))
    assert described["images"]["train"] == {"COVID-19": 4, "Non-COVID": 4, "Normal": 4}
    assert described["masks"] == {
        "train": {"lungs": 4, "infection drawn": 2, "infection blank": 1},
        "validation": {"lungs": 3, "infection drawn": 2, "infection blank": 1},
        "test": {"lungs": 3, "infection drawn": 2, "infection blank": 1},
    }


def test_the_fingerprint_is_that_of_the_rows_wherever_they_lie(covid_qu_ex, tmp_path):
    original = describe(load(str(covid_qu_ex)))["fingerprint"]
    assert len(bytes.fromhex(original)) == 8
    elsewhere = tiny_models.write_covid_qu_ex(tmp_path / "flat", doubled=False, metadata=False)
    assert describe(load(str(elsewhere)))["fingerprint"] == original

    changes = {
        "a mask gone": lambda folder: (folder / "Train/COVID-19/lung masks/covid-19_3.png").unlink(),
        "an image gone": lambda folder: (folder / "Test/Normal/images/normal_24.png").unlink(),
        "another class": lambda folder: shutil.move(
            folder / "Test/Normal/images/normal_24.png", folder / "Test/COVID-19/images/normal_24.png"
        ),
        "another split": lambda folder: shutil.move(
            folder / "Test/Normal/images/normal_24.png", folder / "Val/Normal/images/normal_24.png"
        ),
    }
    seen = {original}
    for number, change in enumerate(changes.values()):
        changed = Path(shutil.copytree(elsewhere, tmp_path / str(number)))
        change(changed / PART)
        seen.add(describe(load(str(changed)))["fingerprint"])
    assert len(seen) == 1 + len(changes)


def test_boxes_are_no_masks_in_the_counts():
    rows = dataset(
        {"side": 32, "label": "COVID-19", "infection_boxes": [[1.0, 2.0, 3.0, 4.0]], "lung_boxes": []},
        {"side": 32, "label": "COVID-19", "lung_mask": rectangle(32)},
    )
    assert describe(datasets.DatasetDict(test=rows))["masks"] == {
        "test": {"lungs": 1, "infection drawn": 0, "infection blank": 0}
    }
