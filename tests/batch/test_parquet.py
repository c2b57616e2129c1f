"""Pictures in Parquet files, also of data sets of the Hub, are answered like the same files in a folder."""

import csv
import io
from pathlib import Path

import datasets
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from hub_models.batch.archives import Item, find
from hub_models.batch.parquet import pictures_in
from hub_models.predict import TABLES, main
from hub_models.xray.images import ImageRefused
from hub_models.xray.phantom import draw_phantom
from tests.support.fake_hub import WRITE_TOKEN, start, used


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    """Name -> bytes of five drawn X-rays."""
    made = {}
    for number in range(5):
        Image.fromarray(draw_phantom(number, size=64).image).save(tmp_path / "x.png")
        made[f"{number}.png"] = (tmp_path / "x.png").read_bytes()
    return made


def found(path: Path) -> list[Item]:
    return list(find([("a", path)], None, TABLES))


def write(path: Path, **columns: list) -> Path:
    parquet.write_table(pyarrow.table(columns), path, row_group_size=2)
    return path


def test_a_column_of_pictures_is_read_row_by_row_with_its_names(files, tmp_path):
    values = [{"bytes": data, "path": f"secret/{name}"} for name, data in files.items()]
    items = found(write(tmp_path / "a.parquet", label=[1] * 5, image=values))
    assert [item.name for item in items] == [f"a/{name}" for name in files]
    assert [item.load() for item in items] == list(files.values())


def test_bytes_without_names_are_numbered_and_paths_are_read_from_the_files_folder(files, tmp_path):
    items = found(write(tmp_path / "a.parquet", picture=list(files.values())))
    assert [item.name for item in items] == ["a/0-0", "a/0-1", "a/1-0", "a/1-1", "a/2-0"]
    assert [item.load() for item in items] == list(files.values())
    (tmp_path / "0.png").write_bytes(files["0.png"])
    for values in (["0.png", "missing.png"], [{"bytes": None, "path": "0.png"}, {"bytes": None, "path": "b.png"}]):
        there, missing = found(write(tmp_path / "a.parquet", image=values))
        assert there.load() == files["0.png"]
        with pytest.raises(ImageRefused, match="cannot be opened"):
            missing.load()


def test_a_row_without_a_picture_a_column_that_cannot_be_told_and_a_torn_file_are_said(files, tmp_path):
    values = [None, {"bytes": files["0.png"], "path": None}]
    empty, full = found(write(tmp_path / "a.parquet", image=values))
    with pytest.raises(ImageRefused, match=r"The row holds no picture\."):
        empty.load()
    assert full.load() == files["0.png"]
    (item,) = found(write(tmp_path / "a.parquet", one=[b"1"], two=[b"2"]))
    assert item.problem == "No column of one, two holds pictures; call the one that does `image`."
    (tmp_path / "a.parquet").write_bytes(b"PAR1 and no more")
    (item,) = found(tmp_path / "a.parquet")
    assert item.problem.startswith("The Parquet file cannot be read (")


def test_where_tables_are_not_asked_for_a_parquet_file_is_a_file(files, tmp_path):
    path = write(tmp_path / "a.parquet", image=list(files.values()))
    (item,) = find([("a", path)])
    assert (item.name, item.load()) == ("a", path.read_bytes())


def test_pyarrow_is_asked_for_where_it_is_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    (item,) = pictures_in("a", tmp_path / "a.parquet")
    assert "pip install -r hub_models/requirements-ray.txt" in item.problem


@pytest.mark.usefixtures("chosen_checkpoints")
def test_a_data_set_of_the_hub_is_answered_like_its_files(files, tmp_path):
    (tmp_path / "xrays").mkdir()
    for name, data in files.items():
        (tmp_path / "xrays" / name).write_bytes(data)
    pictures = datasets.Dataset.from_dict(
        {"image": [str(tmp_path / "xrays" / name) for name in files]},
        features=datasets.Features({"image": datasets.Image()}),
    )
    with start() as hub, used(hub.url, tmp_path / "cache", WRITE_TOKEN):
        pictures.push_to_hub("someone/xrays")
        assert main(["hf://datasets/someone/xrays", "--output_dir", str(tmp_path / "out")]) == 0
        with pytest.raises(SystemExit):
            main(["hf://datasets/someone/none", "--output_dir", str(tmp_path / "none")])
    assert main([str(tmp_path / "xrays"), "--output_dir", str(tmp_path / "files")]) == 0
    hub_rows, rows = (
        list(csv.DictReader(io.StringIO((tmp_path / out / "summary.csv").read_text(encoding="utf-8-sig"))))
        for out in ("out", "files")
    )
    assert [row.pop("file") for row in hub_rows] == [
        f"someone/xrays/data/train-00000-of-00001.parquet/{name}" for name in files
    ]
    for row in rows:
        del row["file"]
    assert hub_rows == rows
