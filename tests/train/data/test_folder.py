import csv
import shutil
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from tests.support import tiny_models
from train.data.folder import DATA_FOLDERS, MANIFEST_COLUMNS, MASK_FOLDERS, class_names, read_folder

LUNGS, INFECTION = DATA_FOLDERS


def masks(manifest: pd.DataFrame) -> dict[str, str]:
    """Which masks every image has: "l" for the lungs, "i" for the infection."""
    return {row.file: "l" * bool(row.lung_mask) + "i" * bool(row.infection_mask) for row in manifest.itertuples()}


def write(folder: Path, part: str, place: str, seed: int, name: str = "a.png", **drawn: bool) -> None:
    tiny_models.write_row(folder / part / place, name, tiny_models.draw_xray(seed, 64, opacities=3), **drawn)


def write_metadata(folder: Path, *rows: dict[str, str]) -> None:
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_every_image_is_one_row_with_the_masks_of_both_parts(covid_qu_ex):
    manifest = read_folder(covid_qu_ex)
    assert tuple(manifest.columns) == MANIFEST_COLUMNS
    assert manifest.groupby(["split", "label"]).size().to_dict() == {
        (split, label): count
        for split, count in {"train": 4, "validation": 2, "test": 2}.items()
        for label in ("COVID-19", "Non-COVID", "Normal")
    }
    covid = manifest[manifest["label"] == "COVID-19"]
    assert masks(covid[covid["split"] == "train"]) == {
        "covid-19_1.png": "li",
        "covid-19_2.png": "li",
        "covid-19_3.png": "l",
        "covid-19_4.png": "",
    }
    # The lungs of the last one of each split were drawn in the infection part only.
    assert masks(covid[covid["split"] == "test"]) == {"covid-19_19.png": "li", "covid-19_20.png": "li"}
    assert manifest["file"].is_unique
    for column, name in MASK_FOLDERS.items():
        for image, mask in manifest.dropna(subset=[column])[["image", column]].itertuples(index=False):
            assert (Path(mask).name, Path(mask).parent.name) == (Path(image).name, name)
            assert Path(mask).is_file()


def test_a_mask_that_nobody_drew_is_none_and_one_that_was_drawn_blank_is_not(covid_qu_ex):
    normal = read_folder(covid_qu_ex).query("label == 'Normal' and split == 'train'")
    *others, drawn = normal["infection_mask"]
    assert others == [None] * 3
    assert Image.open(drawn).getextrema() == (0, 0)


def test_the_parts_may_lie_in_a_folder_of_the_same_name_or_not(covid_qu_ex, tmp_path):
    flat, doubled = read_folder(tiny_models.write_covid_qu_ex(tmp_path, doubled=False)), read_folder(covid_qu_ex)
    facts = ["file", "label", "split", "patient", "source", "finding", "caption"]
    pd.testing.assert_frame_equal(flat[facts], doubled[facts])
    assert masks(flat) == masks(doubled)


def test_either_part_will_do_alone(covid_qu_ex, tmp_path):
    lungs, infection = tmp_path / "lungs", tmp_path / "infection"
    shutil.copytree(covid_qu_ex / LUNGS, lungs / LUNGS)
    shutil.copytree(covid_qu_ex / INFECTION, infection / INFECTION)
    masks_of = masks(read_folder(lungs))
    assert len(masks_of) == 24
    assert [file for file, has in masks_of.items() if has] == [f"covid-19_{n}.png" for n in (19, 1, 2, 3, 13)]
    assert set(masks_of.values()) == {"", "l"}
    assert list(masks(read_folder(infection)).values()) == ["li"] * 9


def test_a_folder_may_hold_one_split_only(tmp_path):
    write(tmp_path, LUNGS, "Test/Normal", 1)
    (row,) = read_folder(tmp_path).to_dict("records")
    image = str(tmp_path / LUNGS / "Test/Normal/images/a.png")
    known = {"file": "a.png", "image": image, "label": "Normal", "split": "test"}
    assert row == {**dict.fromkeys(MANIFEST_COLUMNS), **known}


def test_what_is_no_image_is_passed_over(tmp_path):
    write(tmp_path, LUNGS, "Test/Normal", 1, name="A.PNG")
    (tmp_path / LUNGS / "Test/Normal/images/Thumbs.db").write_bytes(b"")
    (tmp_path / LUNGS / "Test/ReadMe.txt").write_text("")
    assert read_folder(tmp_path)["file"].tolist() == ["A.PNG"]


def test_a_folder_without_images_is_refused_with_the_layout_that_is_wanted(tmp_path):
    (tmp_path / LUNGS / "Train" / "Normal" / "images").mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"holds no image as Lung Segmentation Data/{Train,Val,Test}/CLASS/"):
        read_folder(tmp_path)


def test_two_images_of_one_name_stay_two_rows(tmp_path):
    write(tmp_path, LUNGS, "Train/Normal", 1, lungs=True)
    write(tmp_path, INFECTION, "Train/Normal", 2, infection=True)
    write(tmp_path, LUNGS, "Train/COVID-19", 1)
    manifest = read_folder(tmp_path)
    assert manifest[["label", "file"]].values.tolist() == [
        ["COVID-19", "a.png"],
        ["Normal", "a.png"],
        ["Normal", "a.png"],
    ]
    normal = manifest[manifest["label"] == "Normal"]
    assert sorted((row.lung_mask is None, row.infection_mask is None) for row in normal.itertuples()) == [
        (False, True),
        (True, False),
    ]


def test_an_image_in_two_splits_stays_in_that_of_the_lung_part_and_is_told(tmp_path, caplog):
    write(tmp_path, LUNGS, "Test/COVID-19", 1)
    write(tmp_path, INFECTION, "Train/COVID-19", 1, lungs=True, infection=True)
    write(tmp_path, INFECTION, "Train/COVID-19", 2, name="b.png")
    manifest = read_folder(tmp_path)
    assert manifest[["file", "split"]].values.tolist() == [["a.png", "test"], ["b.png", "train"]]
    assert masks(manifest) == {"a.png": "li", "b.png": ""}
    assert caplog.messages == ["a.png is in test and in train; it stays in the first."]


def test_own_classes_come_after_the_default_ones(tmp_path):
    for seed, label in enumerate(("Tuberculosis", "Normal", "Asthma", "COVID-19")):
        write(tmp_path, LUNGS, f"Val/{label}", seed)
    assert class_names(read_folder(tmp_path)) == ["COVID-19", "Normal", "Asthma", "Tuberculosis"]


def test_metadata_tells_patient_source_and_finding_of_its_image_only(tmp_path):
    for seed, place in enumerate(("Train/Normal", "Train/COVID-19", "Val/Normal")):
        write(tmp_path, LUNGS, place, seed)
    key = {"file": "a.png", "label": "Normal"}
    facts = {"patient": "007", "source": "NA", "finding": "No Finding", "view": "PA", "sex": "F", "age": "54.0"}
    write_metadata(tmp_path, {**key, "split": "Train", **facts}, {**key, "split": "test", **facts})
    manifest = read_folder(tmp_path).set_index(["split", "label"])
    known = ["patient", "source", "finding", "view", "sex", "age", "caption"]
    assert manifest.loc[("train", "Normal"), known].tolist() == ["007", "NA", "No Finding", "PA", "F", "54.0", None]
    for other in (("train", "COVID-19"), ("validation", "Normal")):
        assert manifest.loc[other, known].tolist() == [None] * 7


def test_a_caption_is_read_where_somebody_wrote_one_and_notes_are_not(tmp_path):
    write(tmp_path, LUNGS, "Train/Normal", 1)
    key = {"file": "a.png", "split": "Train", "label": "Normal", "notes": "Stored at the Hospital of Nowhere."}
    write_metadata(tmp_path, {**key, "caption": "Clear lungs."})
    (row,) = read_folder(tmp_path).to_dict("records")
    assert row["caption"] == "Clear lungs."
    assert not any("Nowhere" in str(value) for value in row.values())


def test_metadata_that_does_not_say_which_image_is_refused(tmp_path):
    write(tmp_path, LUNGS, "Train/Normal", 1)
    write_metadata(tmp_path, {"file": "a.png", "patient": "1"})
    with pytest.raises(ValueError, match=r"metadata.csv has no column split, label; it needs file, split, label\.$"):
        read_folder(tmp_path)
