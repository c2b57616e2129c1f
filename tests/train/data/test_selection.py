"""Choosing the classes and the sources to learn from."""

import shutil

import datasets
import pandas as pd
import pytest

from train.data.arguments import DataArguments
from train.data.dataset import load, load_splits
from train.data.rows import class_names, true_classes
from train.data.selection import leave_source_out, with_classes, with_findings, without_doubtful, without_sources


@pytest.fixture
def splits() -> datasets.DatasetDict:
    """Two splits of two classes, with findings and sources."""
    features = datasets.Features(
        {
            "label": datasets.ClassLabel(names=["sick", "well"]),
            "finding": datasets.Value("string"),
            "source": datasets.Value("string"),
        }
    )
    columns = {
        "train": ([0, 0, 1, 0], ["SARS", "COVID-19", "none", None], ["a", "b", "a", "a"]),
        "test": ([1, 0, 0], ["none", "SARS", "COVID-19"], ["a", "b", "b"]),
    }
    return datasets.DatasetDict(
        {
            split: datasets.Dataset.from_dict(dict(zip(features, values, strict=True)), features, split=split)
            for split, values in columns.items()
        }
    )


def named(rows: datasets.Dataset) -> list[str]:
    return [rows.features["label"].names[i] for i in rows["label"]]


def test_the_values_of_a_column_become_the_classes_by_name(splits):
    chosen = with_classes(splits, "finding", None)
    assert chosen["train"].features["label"].names == ["COVID-19", "SARS", "none"]
    assert named(chosen["train"]) == ["SARS", "COVID-19", "none"]
    assert chosen["train"]["source"][:] == ["a", "b", "a"]


def test_the_order_of_the_classes_is_that_in_which_they_are_named_and_others_are_left_out(splits, caplog):
    chosen = with_classes(splits, "finding", "none, SARS")
    assert chosen["test"].features["label"].names == ["none", "SARS"]
    assert named(chosen["test"]) == ["none", "SARS"]
    assert "Left out 2 of 4 images of train: of no class." in caplog.messages


def test_the_class_names_themselves_can_be_reordered(splits):
    chosen = with_classes(splits, "label", "well,sick")
    assert chosen["train"]["label"][:] == [1, 1, 0, 1]


@pytest.mark.parametrize(
    ("column", "labels", "sentence"),
    [
        ("view", None, r"^There is no column view; the columns are label, finding, source\.$"),
        (
            "finding",
            "SARS,Flu",
            r"^No image has 'Flu' in the column finding; --labels takes 'COVID-19', 'SARS', 'none'",
        ),
        ("finding", "SARS", r"^--labels names SARS; a classifier needs at least two classes\.$"),
        ("finding", "SARS,none,SARS", "name each class once"),
    ],
)
def test_a_column_or_class_that_is_not_there_is_refused_with_those_that_are(splits, column, labels, sentence):
    with pytest.raises(ValueError, match=sentence):
        with_classes(splits, column, labels)


def test_an_image_may_show_no_class_one_or_several(splits):
    rows = splits["train"].remove_columns("finding").add_column("finding", ["Edema|Mass", "Mass", None, "Hernia"])
    chosen = with_findings(datasets.DatasetDict(train=rows), "finding", "Mass,Edema")["train"]
    assert class_names(chosen) == ["Mass", "Edema"]
    assert true_classes(chosen).tolist() == [[1, 1], [1, 0], [0, 0], [0, 0]]
    lists = rows.remove_columns("finding").add_column("finding", [["Edema", "Mass"], ["Mass"], [], ["Hernia"]])
    chosen = with_findings(datasets.DatasetDict(train=lists), "finding", None)["train"]
    assert class_names(chosen) == ["Edema", "Hernia", "Mass"]
    assert true_classes(chosen).tolist() == [[1, 0, 1], [0, 0, 1], [0, 0, 0], [0, 1, 0]]
    assert class_names(splits["test"]) == ["sick", "well"]
    assert true_classes(splits["test"]).tolist() == [1, 0, 0]


def test_a_source_that_is_left_out_is_tested_alone(splits):
    chosen = leave_source_out(splits, "a")
    assert chosen["train"]["source"][:] == ["b"]
    assert named(chosen["test"]) == ["sick", "well", "sick", "well"]
    assert set(chosen["test"]["source"]) == {"a"}
    with pytest.raises(ValueError, match=r"^No image is of the source c; the sources are a, b\.$"):
        leave_source_out(splits, "c")


def test_what_is_chosen_by_a_source_that_is_left_out_does_not_know_its_test_images(splits):
    assert leave_source_out(splits, "b", keep_test=True)["test"]["finding"][:] == ["COVID-19"]
    only_tested = splits["test"].select([1, 2])
    both = datasets.DatasetDict(train=splits["train"].select([0, 2, 3]), test=only_tested)
    assert len(leave_source_out(both, "b", keep_test=True)["test"]) == 0


def test_sources_and_doubtful_rows_can_be_skipped(splits, caplog):
    rows = splits["train"]
    assert without_sources(rows, "b")["source"][:] == ["a", "a", "a"]
    assert len(without_sources(rows, "a, b")) == 0
    with pytest.raises(ValueError, match=r"^No training image is of the source c; the sources are a, b\.$"):
        without_sources(rows, "a,c")
    doubted = rows.add_column("doubt", [None, "readers disagree", "", "text"])
    assert without_doubtful(doubted)["finding"][:] == ["SARS", "none"]
    assert "Left out 2 of 4 training images whose class is doubted." in caplog.text


def test_any_column_of_a_folders_metadata_can_be_the_classes(covid_qu_ex, tmp_path):
    folder = shutil.copytree(covid_qu_ex, tmp_path / "wards")
    metadata = pd.read_csv(folder / "metadata.csv", dtype=str)
    metadata.assign(ward=metadata["age"]).to_csv(folder / "metadata.csv", index=False)
    assert "ward" not in load(str(folder))["train"].column_names
    chosen = load_splits(DataArguments(str(folder), label_column="ward", labels="21.0,22.0"), ["train"])
    assert named(chosen["train"]) == ["21.0", "22.0"]
