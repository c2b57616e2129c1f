"""Data sets in twelve shapes, each read or refused with the cure; and file kinds whose pixels are those of the page."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hub_models.publish.check import check_folder
from hub_models.xray.images import read_image
from tests.support import bad_files, tiny_models
from train import resnet
from train.data.__main__ import main as look
from train.data.arguments import DataArguments
from train.data.columns import UNLABELLED
from train.data.dataset import load, load_splits
from train.data.rows import read_mask, read_picture
from train.script.arguments import run

SPLITS = {"train": 6, "validation": 2, "test": 2}
CLASSES = ("Healthy", "Tuberculosis")


def picture(seed: int) -> Image.Image:
    return Image.fromarray(tiny_models.draw_xray(seed, 64).image)


def seeds():
    """(split, number in it, seed) of each X-ray."""
    seed = 0
    for split, count in SPLITS.items():
        for number in range(count):
            seed += 1
            yield split, number, seed


def class_folders(folder: Path, with_splits: bool = True, val: str = "val") -> Path:
    names = {"validation": val}
    for split, number, seed in seeds():
        place = folder / names.get(split, split) / CLASSES[number % 2] if with_splits else folder / CLASSES[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        picture(seed).save(place / f"{seed}.png")
    return folder


def kaggle(folder: Path) -> Path:
    return tiny_models.write_covid_qu_ex(folder, metadata=False)


def unpacked_one_deeper(folder: Path) -> Path:
    tiny_models.write_covid_qu_ex(folder / "COVID-QU-Ex", metadata=False)
    return folder


def image_folder(folder: Path) -> Path:
    """Images with a metadata.csv in each split, masks in mask_file_name, and a patient."""
    for split in SPLITS:
        rows = []
        for name, number, seed in seeds():
            if name != split:
                continue
            (folder / split / "masks").mkdir(parents=True, exist_ok=True)
            drawn = tiny_models.draw_xray(seed, 64)
            Image.fromarray(drawn.image).save(folder / split / f"{seed}.png")
            Image.fromarray(drawn.lungs.astype(np.uint8)).save(folder / split / "masks" / f"{seed}.png")
            mask = f"masks/{seed}.png" if number else ""
            rows.append(
                {"file_name": f"{seed}.png", "mask_file_name": mask, "label": CLASSES[number % 2], "subject": seed}
            )
        pd.DataFrame(rows).to_csv(folder / split / "metadata.csv", index=False)
    return folder


def table(folder: Path, ending: str = ".csv") -> Path:
    class_folders(folder / "files")
    rows = [
        {"image_path": str(path.relative_to(folder)), "diagnosis": path.parent.name, "split": path.parent.parent.name}
        for path in sorted((folder / "files").rglob("*.png"))
    ]
    made = pd.DataFrame(rows)
    made.to_csv(folder / f"rows{ending}", index=False) if ending == ".csv" else made.to_parquet(
        folder / f"rows{ending}"
    )
    return folder / f"rows{ending}"


def saved(
    folder: Path, labels: Callable, feature, column: str = "label", image: str = "image", val: str = "validation"
):
    splits = {}
    for split, count in SPLITS.items():
        chosen = [(number, seed) for name, number, seed in seeds() if name == split]
        columns = {image: [picture(seed) for _, seed in chosen], column: [labels(number) for number, _ in chosen]}
        features = datasets.Features({image: datasets.Image(), column: feature})
        splits[val if split == "validation" else split] = datasets.Dataset.from_dict(columns, features=features)
        assert len(chosen) == count
    datasets.DatasetDict(splits).save_to_disk(folder)
    return folder


def named(number: int) -> str:
    return CLASSES[number % 2]


TEXT, WHOLE = datasets.Value("string"), datasets.Value("int64")
SHAPES = {
    "COVID-QU-Ex as Kaggle unpacks it": (kaggle, {}, ["COVID-19", "Non-COVID", "Normal"]),
    "the same, one folder deeper": (unpacked_one_deeper, {}, ["COVID-19", "Non-COVID", "Normal"]),
    "images with metadata and masks": (
        image_folder,
        {"lung_mask_column": "mask", "patient_column": "subject"},
        list(CLASSES),
    ),
    "class folders in splits": (class_folders, {}, list(CLASSES)),
    "class folders without splits": (lambda folder: class_folders(folder, with_splits=False), {}, list(CLASSES)),
    "CSV of paths": (table, {"label_column": "diagnosis"}, list(CLASSES)),
    "Parquet of paths": (lambda folder: table(folder, ".parquet"), {"label_column": "diagnosis"}, list(CLASSES)),
    "saved, text labels": (lambda folder: saved(folder, named, TEXT), {}, list(CLASSES)),
    "saved, numbers as labels": (lambda folder: saved(folder, lambda n: 1 + n % 2, WHOLE), {}, ["1", "2"]),
    "saved, other column names": (
        lambda folder: saved(folder, named, TEXT, column="what", image="radiograph"),
        {"image_column": "radiograph", "label_column": "what"},
        list(CLASSES),
    ),
    "saved, a split called val": (lambda folder: saved(folder, named, TEXT, val="val"), {}, list(CLASSES)),
    "saved, class names with -1": (
        lambda folder: saved(folder, lambda n: -1 if n == 4 else n % 2, datasets.ClassLabel(names=list(CLASSES))),
        {},
        list(CLASSES),
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_data_set_of_any_shape_is_read(shape, tmp_path):
    make, words, classes = SHAPES[shape]
    splits = load_splits(DataArguments(str(make(tmp_path / "data")), **words))
    assert list(splits) == ["train", "validation", "test"]
    for rows in splits.values():
        assert rows.features["label"].names == classes
        assert set(rows["label"]) == set(range(len(classes)))
        assert all(read_picture(image).shape in ((64, 64), (128, 128)) for image in rows["image"])
    whole = 24 if "COVID" in shape or "deeper" in shape else 10
    assert sum(map(len, splits.values())) == whole - ("-1" in shape)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_resnet_is_trained_on_data_of_any_shape(shape, checkpoints, tmp_path):
    make, words, classes = SHAPES[shape]
    command = ["--dataset", str(make(tmp_path / "data")), "--output_dir", str(tmp_path / "run"), "--use_cpu", "True"]
    command += ["--unet", str(checkpoints["unet"])]
    command += [f"--{name}={value}" for name, value in words.items()]
    resnet.main([*command, "--depth", "10", "--image_size", "32", "--max_steps", "1", "--save_strategy", "no"])
    facts = check_folder(tmp_path / "run" / "release")
    assert facts.labels == classes
    assert list(facts.data["images"]["train"]) == classes
    card = (tmp_path / "run" / "release" / "README.md").read_text()
    assert ("covid" in card.lower()) == ("COVID-19" in classes)
    assert (facts.data["license"], facts.data["name"]) == (None, "chest X-rays")


def test_a_folder_around_splits_or_classes_is_looked_into(tmp_path):
    class_folders(tmp_path / "archive" / "data", val="Valid")
    assert {split: len(rows) for split, rows in load(str(tmp_path / "archive")).items()} == SPLITS
    for split in ("train", "Valid"):
        shutil.rmtree(tmp_path / "archive" / "data" / split)
    assert list(load(str(tmp_path / "archive"))) == ["test"]


def test_the_command_takes_the_columns_by_their_names(tmp_path):
    folder = saved(tmp_path / "data", named, TEXT, column="what", image="radiograph")
    shown = look(["--dataset", str(folder), "--label_column", "what", "--image_column", "radiograph"])
    assert shown[list(CLASSES)].loc["all"].tolist() == [5, 5]


def test_masks_and_patients_of_a_metadata_file_are_taken_by_their_names(tmp_path):
    words = {"lung_mask_column": "mask", "patient_column": "subject"}
    rows = load_splits(DataArguments(str(image_folder(tmp_path)), **words))["train"]
    assert rows["patient"][:] == ["1", "2", "3", "4", "5", "6"]
    assert rows["lung_mask"][0] is None
    assert (read_mask(rows["lung_mask"][1]) == tiny_models.draw_xray(2, 64).lungs).all()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ({}, r"data has no column label with classes; its columns are image, what, .* Name one with --label_column\.$"),
        ({"label_column": "who"}, r"^There is no column who; the columns are"),
        ({"image_column": "picture"}, r"data has no column picture; its columns are image, what\.$"),
        ({"label_column": "what", "labels": "TB,Healthy"}, r"^No image has 'TB' in the column what; --labels takes"),
    ],
)
def test_data_that_cannot_be_learned_from_is_refused_with_the_cure(tmp_path, words, sentence):
    folder = saved(tmp_path / "data", named, TEXT, column="what")
    with pytest.raises(ValueError, match=sentence):
        load_splits(DataArguments(str(folder), **words))


def test_two_pictures_and_folders_that_are_not_classes_are_refused(tmp_path):
    kinds = datasets.Features({"front": datasets.Image(), "side": datasets.Image(), "label": TEXT})
    columns = {"front": [picture(1)], "side": [picture(2)], "label": ["Healthy"]}
    datasets.DatasetDict(train=datasets.Dataset.from_dict(columns, features=kinds)).save_to_disk(tmp_path / "two")
    with pytest.raises(ValueError, match="name the one that holds the image with --image_column"):
        load(str(tmp_path / "two"))
    for kind in ("images", "masks"):
        (tmp_path / "pairs" / kind).mkdir(parents=True)
        picture(1).save(tmp_path / "pairs" / kind / "1.png")
    with pytest.raises(ValueError, match=r"folders called images, masks, which are not classes; write a metadata.csv"):
        load(str(tmp_path / "pairs"))
    with pytest.raises(FileNotFoundError, match=r"There is no file .*none.csv; --dataset takes"):
        load(str(tmp_path / "none.csv"))


def test_missing_splits_are_taken_by_patient_always_the_same_and_said(tmp_path, caplog):
    rows = []
    (tmp_path / "files").mkdir()
    for seed in range(40):
        picture(seed % 5).save(tmp_path / "files" / f"{seed}.png")
        rows.append({"path": f"files/{seed}.png", "label": CLASSES[seed // 2 % 2], "patient": f"p{seed // 2}"})
    pd.DataFrame(rows).to_csv(tmp_path / "rows.csv", index=False)
    arguments = DataArguments(str(tmp_path / "rows.csv"))
    splits = load_splits(arguments)
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 24, "validation": 8, "test": 8}
    patients = {split: set(rows["patient"]) for split, rows in splits.items()}
    assert sum(map(len, patients.values())) == len(set.union(*patients.values())) == 20
    assert all(set(rows["label"]) == {0, 1} for rows in splits.values())
    assert (
        "The data has no split validation and no test: of 40 training images 8 for validation and 8 for test"
        in caplog.text
    )
    assert "are taken, by patient." in caplog.text
    assert load_splits(arguments, ["test"])["test"]["file"][:] == splits["test"]["file"][:]


def test_every_file_and_row_that_is_not_used_is_counted_and_named_with_its_reason(tmp_path, caplog):
    folder = tiny_models.write_covid_qu_ex(tmp_path)
    place = folder / "Lung Segmentation Data" / "Lung Segmentation Data" / "Train" / "Normal" / "images"
    (place / "notes.txt").write_text("")
    (place.parent / "lung masks").mkdir()
    picture(1).save(place.parent / "lung masks" / "nobody.png")
    with (folder / "metadata.csv").open("a") as stream:
        stream.write("gone.png,Train,Normal,,,,p-77,,\n")
    load(str(folder))
    assert "Not used, 1: not an image of a known format (Train/Normal/images/notes.txt)." in caplog.messages
    assert "Not used, 1: a mask of no image (Train/Normal/lung masks/nobody.png)." in caplog.messages
    assert "Not used, 1: a row of metadata.csv without an image (train/Normal/gone.png)." in caplog.messages


def test_unlabelled_rows_are_counted_and_left_out_of_classes_and_stay_for_outlines(tmp_path, caplog):
    folder = saved(tmp_path / "data", lambda n: None if n in (1, 4) else named(n), TEXT)
    splits = load_splits(DataArguments(str(folder)))
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 4, "validation": 1, "test": 1}
    assert "Left out 4 of 10 images: unlabelled (no class, or -1)." in caplog.messages
    whole = load_splits(DataArguments(str(folder)), labelled=False)
    assert whole["train"].features["label"].names == [*CLASSES, UNLABELLED]
    assert len(whole["train"]) == 6


@pytest.mark.parametrize("encoding", ["utf-8-sig", "cp1252", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_metadata_is_read_as_spreadsheets_write_it(tmp_path, encoding, separator):
    tiny_models.write_row(
        tmp_path / "Lung Segmentation Data" / "Test" / "Normal", "a.png", tiny_models.draw_xray(1, 64)
    )
    rows = [["file", "split", "label", "source"], ["a.png", "Test", "Normal", "Köln"]]
    (tmp_path / "metadata.csv").write_text("\n".join(separator.join(row) for row in rows), encoding=encoding)
    assert load(str(tmp_path))["test"]["source"][:] == ["Köln"]


def tiff_white_is_zero(path: Path) -> None:
    Image.fromarray(255 - tiny_models.draw_xray(3, 64).image).save(path, tiffinfo={262: 0})


def deep(path: Path) -> None:
    Image.fromarray(tiny_models.draw_xray(3, 64).image.astype(np.uint16) * 250 + 11).save(path)


def turned(path: Path) -> None:
    exif = Image.Exif()
    exif[0x112] = 6
    picture(3).save(path, exif=exif, quality=95)


KINDS: dict[str, Callable[[Path], object]] = {
    "8.png": lambda path: picture(3).save(path),
    "16.png": deep,
    "palette.png": lambda path: picture(3).convert("P").save(path),
    "colour.png": lambda path: picture(3).convert("RGB").save(path),
    "opacity.png": lambda path: picture(3).convert("LA").save(path),
    "turned.jpg": turned,
    "a.webp": lambda path: picture(3).save(path, lossless=True),
    "a.gif": lambda path: picture(3).save(path),
    "a.bmp": lambda path: picture(3).save(path),
    "white_is_zero.tif": tiff_white_is_zero,
    "16.tiff": deep,
    "a.jp2": lambda path: picture(3).save(path),
    "a.dcm": lambda path: path.write_bytes(bad_files.dicom(bad_files.fine())),
}


@pytest.mark.parametrize("name", KINDS)
def test_training_sees_the_pixels_that_the_page_sees(name, tmp_path):
    for label in CLASSES:
        (tmp_path / "data" / "test" / label).mkdir(parents=True)
    path = tmp_path / "data" / "test" / "Healthy" / name
    KINDS[name](path)
    shutil.copy(path, tmp_path / "data" / "test" / "Tuberculosis" / name)
    splits = load_splits(DataArguments(str(tmp_path / "data")), ["test"])
    splits.save_to_disk(tmp_path / "saved")
    expected = read_image(path)
    for rows in (splits["test"], load(str(tmp_path / "saved"))["test"]):
        assert len(rows) == 2
        np.testing.assert_array_equal(read_picture(rows[0]["image"]), expected)


INSIDE = np.zeros((32, 32), bool)
INSIDE[8:20, 4:28] = True


def in_colours(inside: tuple, outside: tuple, mode: str) -> Image.Image:
    return Image.fromarray(np.where(INSIDE[..., None], np.array(inside, np.uint8), np.array(outside, np.uint8)), mode)


def in_palette(inside: tuple, outside: tuple = (0, 0, 0), flipped: bool = False) -> Image.Image:
    image = Image.fromarray((flipped != INSIDE).astype(np.uint8))
    first, second = (inside, outside) if flipped else (outside, inside)
    image.putpalette([*first, *second] + [0] * 750)
    return image


def in_jpeg() -> Image.Image:
    stream = io.BytesIO()
    Image.fromarray(INSIDE).convert("L").resize((256, 256)).save(stream, "JPEG")
    return Image.open(stream)


@pytest.mark.parametrize(
    "mask",
    [
        Image.fromarray(INSIDE),
        Image.fromarray(INSIDE.astype(np.uint8)),
        Image.fromarray(INSIDE.astype(np.uint16)),
        Image.fromarray(INSIDE.astype(np.uint16) * 65535),
        Image.fromarray(INSIDE.astype(np.uint8) * 100 + 38),
        in_colours((0, 200, 0), (0, 0, 0), "RGB"),
        in_colours((255, 255, 255, 255), (255, 255, 255, 0), "RGBA"),
        in_colours((255, 0, 0, 255), (0, 0, 0, 0), "RGBA"),
        in_colours((255, 255, 255, 255), (0, 0, 0, 255), "RGBA"),
        in_palette((128, 0, 0)),
        in_palette((0, 0, 200), flipped=True),
        in_jpeg(),
    ],
    ids=[
        "bool",
        "0/1",
        "16 bits 0/1",
        "16 bits",
        "38/138",
        "green",
        "opacity",
        "red, clear",
        "RGBA",
        "VOC",
        "flip",
        "JPEG",
    ],
)
def test_a_mask_is_read_as_it_was_drawn(mask):
    read = read_mask(mask)
    expected = np.asarray(Image.fromarray(INSIDE).resize(read.shape[::-1], Image.Resampling.NEAREST))
    assert (read == expected).mean() > 0.995
    if read.shape == INSIDE.shape:
        assert (read == INSIDE).all()


@pytest.mark.parametrize(("value", "full"), [(0, False), (1, True), (255, True)])
def test_a_mask_of_one_grey_is_blank_or_full(value, full):
    assert (read_mask(Image.new("L", (4, 4), value)) == full).all()


LABELS3 = INSIDE.astype(np.uint8)
LABELS3[10:12, 6:9] = 2


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [
        (Image.fromarray(LABELS3), "3 greys from 0 to 2"),
        (Image.fromarray(tiny_models.draw_xray(1, 64).image), "is not a mask of one region"),
        (Image.new("L", (4, 4), 77), "it is one grey, 77"),
        (
            Image.fromarray(np.stack([LABELS3 == 1, LABELS3 == 2, LABELS3 > 9], 2).astype(np.uint8) * 255),
            "several colours",
        ),
    ],
)
def test_a_picture_that_is_no_mask_of_one_region_is_refused(mask, sentence):
    with pytest.raises(ValueError, match=sentence):
        read_mask(mask)


def test_a_data_set_that_is_not_there_ends_with_one_sentence(tmp_path):
    with pytest.raises(SystemExit, match=r"holds no image as SPLIT/CLASS/NAME.png"):
        run(lambda: load_splits(DataArguments(str(tmp_path))))
