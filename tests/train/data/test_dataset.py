import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import datasets
import pandas as pd
import pytest
from PIL import Image

from tests.support import tiny_models
from tests.support.fake_hub import WRITE_TOKEN, LoopbackHub, Repository, start, used
from train.data.__main__ import main
from train.data.arguments import DataArguments
from train.data.captions import CAPTION_COLUMNS, caption, check_captions
from train.data.dataset import load, load_splits
from train.data.rows import BOX_COLUMNS, COLUMNS, IMAGE_COLUMNS, undecoded
from train.script.arguments import run

PART = "Lung Segmentation Data"
REPO = "someone/lung-xrays"
TEXTS = ("file", "patient", "source", "finding", "caption", "doubt", "view", "sex", "age")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    """An empty Hub, used with a token that may write."""
    with start() as hub, used(hub.url, tmp_path / "cache", WRITE_TOKEN):
        yield hub


@pytest.fixture
def leaky(tmp_path: Path) -> Path:
    """A training image and a test image that are copies, one of each that is not, and one that cannot be read."""
    for seed, place in ((1, "Train/a.png"), (2, "Train/b.png"), (1, "Test/c.png"), (3, "Test/d.png")):
        split, name = place.split("/")
        tiny_models.write_row(tmp_path / "leaky" / PART / split / "Normal", name, tiny_models.draw_xray(seed))
    (tmp_path / "leaky" / PART / "Train" / "Normal" / "images" / "e.png").write_bytes(b"no image")
    return tmp_path / "leaky"


def contents(splits: datasets.DatasetDict) -> dict[tuple[str, str], dict]:
    """(split, file) -> the row, every image as the bytes of its file."""
    rows = {(split, row["file"]): row for split, dataset in splits.items() for row in undecoded(dataset)}
    for row in rows.values():
        for name in IMAGE_COLUMNS:
            row[name] = row[name] and (row[name]["bytes"] or Path(row[name]["path"]).read_bytes())
    return rows


def files(splits: datasets.DatasetDict) -> dict[str, list[str]]:
    return {split: rows["file"][:] for split, rows in splits.items()}


def test_a_folder_becomes_splits_of_images_class_names_and_words(covid_qu_ex):
    splits = load(str(covid_qu_ex))
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 12, "validation": 6, "test": 6}
    for split, rows in splits.items():
        assert str(rows.split) == split
        assert rows.features == {
            **dict.fromkeys(IMAGE_COLUMNS, datasets.Image(decode=False)),
            **dict.fromkeys(("lung_boxes", "infection_boxes"), datasets.List(datasets.List(datasets.Value("float32")))),
            "label": datasets.ClassLabel(names=["COVID-19", "Non-COVID", "Normal"]),
            **dict.fromkeys(TEXTS, datasets.Value("string")),
        }
    place = covid_qu_ex / PART / PART / "Train" / "Non-COVID" / "images" / "non-covid_5.png"
    assert contents(splits)["train", "non-covid_5.png"] == {
        "image": place.read_bytes(),
        "lung_mask": None,
        "infection_mask": None,
        "lung_boxes": None,
        "infection_boxes": None,
        "label": 1,
        "file": "non-covid_5.png",
        "patient": "patient-5",
        "source": "phantom",
        "finding": "Pneumonia",
        "caption": None,
        "doubt": None,
        "view": "PA",
        "sex": None,
        "age": "25.0",
    }


def test_the_splits_are_those_that_the_folder_has(tmp_path):
    tiny_models.write_row(tmp_path / PART / "Test" / "Asthma", "a.png", tiny_models.draw_xray(1, 64))
    splits = load(str(tmp_path))
    assert list(splits) == ["test"]
    assert splits["test"].features["label"].names == ["Asthma"]


def test_a_saved_data_set_comes_back_whole_without_the_files_it_was_made_of(covid_qu_ex, tmp_path):
    folder = shutil.copytree(covid_qu_ex, tmp_path / "original")
    splits = load(str(folder))
    expected = contents(splits)
    splits.save_to_disk(tmp_path / "saved")
    shutil.rmtree(folder)
    loaded = load(str(tmp_path / "saved"))
    assert contents(loaded) == expected
    assert loaded["train"].features == splits["train"].features
    assert sum(row["infection_mask"] is None for row in expected.values()) == 15


def with_boxes(splits: datasets.DatasetDict) -> datasets.DatasetDict:
    """The same with a box of infection on the first row of each split, and none, which is no None, on the second."""
    boxes = [[[8.5, 16.0, 40.25, 64.0]], []]
    return datasets.DatasetDict(
        {
            split: rows.map(
                lambda row, position: {"infection_boxes": boxes[position] if position < 2 else None},
                with_indices=True,
                features=rows.features,
            )
            for split, rows in splits.items()
        }
    )


def test_boxes_are_kept_when_a_data_set_is_saved_or_pushed_and_no_box_is_not_an_unknown_one(hub, covid_qu_ex, tmp_path):
    splits = with_boxes(load(str(covid_qu_ex)))
    splits.save_to_disk(tmp_path / "saved")
    splits.push_to_hub(REPO)
    for name in (str(tmp_path / "saved"), REPO):
        rows = load(name)["validation"]
        assert rows["infection_boxes"][:] == [[[8.5, 16.0, 40.25, 64.0]], [], None, None, None, None]
        assert rows["lung_boxes"][:] == [None] * 6
        assert rows.features == splits["validation"].features


def test_a_pushed_data_set_comes_back_from_the_hub_at_its_revision(hub, covid_qu_ex):
    splits = load(str(covid_qu_ex))
    splits.push_to_hub(REPO)
    pushed = hub.repositories[f"datasets/{REPO}"].commits[-1].sha
    loaded = load(f"{REPO}@{pushed}")
    assert contents(loaded) == contents(splits)
    assert loaded["test"].features == splits["test"].features
    splits["test"] = splits["test"].select([0])
    splits.push_to_hub(REPO)
    assert len(load(f"{REPO}@{hub.repositories[f'datasets/{REPO}'].commits[-1].sha}")["test"]) == 1
    assert len(load(f"{REPO}@{pushed}")["test"]) == 6


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("nowhere", "There is no folder nowhere; --dataset takes a folder or a Hub id such as USER/NAME."),
        ("./no/where", "There is no folder ./no/where; --dataset takes a folder or a Hub id such as USER/NAME."),
        ("nowhere/", "nowhere/ is no folder here, and the Hub did not give it: Repo id must"),
        ("no where/at-all", "no where/at-all is no folder here, and the Hub did not give it: Repo id must"),
        ("someone/nothing", "someone/nothing is no folder here, and the Hub did not give it: Dataset 'someone/nothi"),
        (f"{REPO}@v9", f"{REPO}@v9 is no folder here, and the Hub did not give it: Revision 'v9' doesn't exist"),
    ],
)
def test_a_wrong_data_set_gets_a_sentence_and_no_traceback(hub, monkeypatch, name, sentence):
    monkeypatch.setattr("sys.argv", ["train.data", "--dataset", name])
    hub.repositories[f"datasets/{REPO}"] = Repository()
    with pytest.raises(SystemExit) as error:
        run(main)
    assert str(error.value.code).startswith(sentence)


def test_a_data_set_without_images_is_refused_and_one_without_classes_is_unlabelled(tmp_path):
    picture = Image.fromarray(tiny_models.draw_xray(1, 64).image)
    datasets.DatasetDict(train=datasets.Dataset.from_dict({"label": [0]})).save_to_disk(tmp_path / "0")
    with pytest.raises(
        ValueError, match="has the columns label; name the one that holds the image with --image_column"
    ):
        load(str(tmp_path / "0"))
    datasets.DatasetDict(train=datasets.Dataset.from_dict({"image": [picture]})).save_to_disk(tmp_path / "1")
    assert load(str(tmp_path / "1"))["train"].features["label"].names == ["unlabelled"]


def test_columns_that_a_data_set_lacks_are_added_without_a_guess(tmp_path):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["Normal"])})
    picture = Image.fromarray(tiny_models.draw_xray(1, 64).image)
    rows = datasets.Dataset.from_dict({"image": [picture] * 2, "label": [0, 0]}, features, split="train")
    datasets.DatasetDict(train=rows).save_to_disk(tmp_path)
    loaded = contents(load(str(tmp_path)))
    assert list(loaded) == [("train", "train-0"), ("train", "train-1")]
    for row in loaded.values():
        missing = ("lung_mask", "infection_mask", *BOX_COLUMNS.values(), *(name for name in TEXTS if name != "file"))
        assert [row[name] for name in missing] == [None] * 12


def test_a_data_set_that_was_saved_with_captions_only_keeps_them(covid_qu_ex, tmp_path):
    rows = load(str(covid_qu_ex))["validation"].remove_columns(["caption", "doubt", "view", "sex", "age"])
    old = [f"Chest X-ray of {finding}. PA view. Age 25. Drawn by a program." for finding in rows["finding"]]
    datasets.DatasetDict(validation=rows.add_column("caption", old)).save_to_disk(tmp_path)
    loaded = load(str(tmp_path))["validation"]
    check_captions(loaded)
    assert [caption(row) for row in loaded.select_columns(list(CAPTION_COLUMNS))] == old


def test_a_script_gets_the_splits_it_wants_up_to_its_limits(covid_qu_ex):
    arguments = DataArguments(str(covid_qu_ex), max_train_samples=5, max_eval_samples=3)
    splits = load_splits(arguments)
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 5, "validation": 3, "test": 3}
    assert len(set(splits["train"]["label"])) > 1  # not the first five of a sorted list
    assert files(load_splits(arguments, ["test"])) == {"test": splits["test"]["file"][:]}


def test_a_script_gets_the_rows_of_each_split_that_it_can_use(covid_qu_ex):
    arguments = DataArguments(str(covid_qu_ex), max_train_samples=3)
    splits = load_splits(
        arguments,
        keep={
            "train": lambda row: row["infection_mask"] is not None,
            "validation": lambda row: row["label"] == "Non-COVID",  # the class by its name
        },
    )
    assert sorted(splits["train"]["file"]) == ["covid-19_1.png", "covid-19_2.png", "normal_9.png"]
    assert set(splits["validation"]["label"]) == {1}
    assert len(splits["validation"]) == 2
    assert len(splits["test"]) == 6


def test_a_limit_is_taken_from_the_rows_that_a_script_can_use(covid_qu_ex):
    arguments = DataArguments(str(covid_qu_ex), max_train_samples=2)
    rows = load_splits(arguments, ["train"], {"train": lambda row: row["label"] == "Normal"})["train"]
    assert rows["label"][:] == [2, 2]


def test_a_split_that_is_missing_or_has_nothing_usable_is_refused(leaky, covid_qu_ex):
    shutil.rmtree(leaky / PART / "Train")
    with pytest.raises(ValueError, match="There is no split train, validation, and no training split; there is test"):
        load_splits(DataArguments(str(leaky)))
    with pytest.raises(ValueError, match=r"The split train of .* holds no image that this script can use"):
        load_splits(DataArguments(str(covid_qu_ex)), keep={"train": lambda row: False})


def test_what_cannot_be_read_is_skipped_or_stops_and_copies_go_when_asked(leaky):
    names = ["train", "test"]
    assert files(load_splits(DataArguments(str(leaky)), names)) == {
        "train": ["a.png", "b.png"],
        "test": ["c.png", "d.png"],
    }
    without = load_splits(DataArguments(str(leaky), drop_duplicates=True), names)
    assert files(without) == {"train": ["b.png"], "test": ["c.png", "d.png"]}
    with pytest.raises(ValueError, match=r"^The image of e.png cannot be read"):
        load_splits(DataArguments(str(leaky), strict=True), names)


def test_a_script_is_warned_of_patients_on_two_sides(leaky, caplog):
    (leaky / "metadata.csv").write_text(
        "file,split,label,patient\na.png,Train,Normal,7\nd.png,Test,Normal,7\nb.png,Train,Normal,8\n"
    )
    load_splits(DataArguments(str(leaky)), ["train", "test"])
    assert "1 patients are in more than one split (7, ...): scores will flatter." in caplog.messages


def test_the_command_prints_the_counts_and_writes_the_manifest_and_the_data_set(covid_qu_ex, tmp_path, capsys):
    manifest, saved = tmp_path / "manifest.csv", tmp_path / "saved"
    table = main(["--dataset", str(covid_qu_ex), "--manifest", str(manifest), "--save_to", str(saved)])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[:5] == [
        ["COVID-19", "Non-COVID", "Normal", "lungs", "infection", "drawn", "infection", "blank"],
        ["train", "4", "4", "4", "4", "2", "1"],
        ["validation", "2", "2", "2", "3", "2", "1"],
        ["test", "2", "2", "2", "3", "2", "1"],
        ["all", "8", "8", "8", "10", "6", "3"],
    ]
    assert [" ".join(line) for line in lines[5:]] == [
        "Patients in more than one split: 0",
        "Near-duplicate pairs: 0 within a split, 0 across splits",
        f"Wrote 24 rows to {manifest}",
        f"Saved to {saved}; use it with --dataset {saved}",
    ]
    assert table.loc["all"].tolist() == [8, 8, 8, 10, 6, 3]
    assert contents(load(str(saved))) == contents(load(str(covid_qu_ex)))
    written = pd.read_csv(manifest)
    assert written.columns.tolist() == [*COLUMNS, "split"]
    assert written["infection_mask"].isna().sum() == 15
    (row,) = written[written["file"] == "covid-19_1.png"].to_dict("records")
    assert (row["label"], row["split"], row["patient"]) == ("COVID-19", "train", "patient-1")
    assert Path(row["image"]).read_bytes() == contents(load(str(covid_qu_ex)))["train", "covid-19_1.png"]["image"]


def test_the_command_tells_what_leaks_and_leaves_it_out_when_asked(leaky, capsys):
    assert main(["--dataset", str(leaky)]).loc["train", "Normal"] == 2
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "Patients in more than one split: 0 (the patient of 0 of 4 images is known)",
        "Near-duplicate pairs: 0 within a split, 1 across splits",
        "  train/a.png ~ test/c.png",
    ]
    assert main(["--dataset", str(leaky), "--drop_duplicates"])["Normal"].to_dict() == {
        "train": 1,
        "test": 2,
        "all": 3,
    }
    assert capsys.readouterr().out.splitlines()[-1] == "Near-duplicate pairs: 0 within a split, 0 across splits"
    with pytest.raises(ValueError, match=r"^The image of e.png cannot be read"):
        main(["--dataset", str(leaky), "--strict"])


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    """A file with boxes of infection on one image of the drawn folder, none on another, and some on one not in it."""
    images = [{"id": i, "file_name": name} for i, name in enumerate(("normal_9.png", "normal_24.png", "stray.png"))]
    things = [
        {"image_id": 0, "category_id": 7, "bbox": [1, 2, 3, 4]},
        {"image_id": 2, "category_id": 7, "bbox": [0] * 4},
    ]
    content = {"images": images, "annotations": things, "categories": [{"id": 7, "name": "infection"}]}
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    return tmp_path / "boxes.json"


def test_boxes_from_a_file_stand_beside_their_images(covid_qu_ex, boxes, tmp_path, caplog):
    main(["--dataset", str(covid_qu_ex), "--boxes", str(boxes), "--save_to", str(tmp_path / "saved")])
    loaded = {row["file"]: row for rows in load(str(tmp_path / "saved")).values() for row in rows}
    assert loaded["normal_9.png"]["infection_boxes"] == [[1, 2, 4, 6]]
    assert loaded["normal_24.png"]["infection_boxes"] == []
    others = [row for name, row in loaded.items() if name not in ("normal_9.png", "normal_24.png")]
    assert {row["infection_boxes"] for row in others} == {row["lung_boxes"] for row in loaded.values()} == {None}
    assert f"{boxes} has boxes for 1 images that are not in the data, first stray.png." in caplog.messages


def test_boxes_of_other_images_are_refused(leaky, boxes):
    with pytest.raises(ValueError, match=r"boxes for 3 images that are not in the data, first normal_24.png\.$"):
        load_splits(DataArguments(str(leaky), boxes=str(boxes)), ["train", "test"])
