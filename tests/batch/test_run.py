"""Many X-rays: each is answered as it would be alone, whatever lies beside it, and nothing is written elsewhere."""

import csv
import io
import threading
import tracemalloc
import weakref
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hub_models.batch import archives
from hub_models.batch.archives import find
from hub_models.batch.outputs import folder_name, pictures, table_csv, table_row, write_zip
from hub_models.batch.run import Opened, Result, groups, map_parallel, read_ahead, run
from hub_models.models.conclusion import Conclusion
from hub_models.models.unet import Masks
from hub_models.pipeline import Report
from hub_models.reports.description import Source
from hub_models.reports.overlay import draw_overlay, sketch
from hub_models.reports.sentences import UNLIKE_MOST
from hub_models.xray.images import ImageRefused, read_image
from hub_models.xray.masks import Involvement, grade_extent
from hub_models.xray.phantom import draw_phantom
from hub_models.xray.verdict import reasons_against


def xray(seed: int = 1) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(draw_phantom(seed, size=64).image).save(stream, "PNG")
    return stream.getvalue()


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def pack(path: Path, files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, compression)
    return path


def found(*paths: Path) -> dict[str, str | None]:
    """Name -> problem of what is found."""
    return {item.name: item.problem for item in find([(path.name, path) for path in paths])}


def refusal(path: Path) -> str:
    """Why the one file that there is to find cannot be had."""
    sentences = []
    for item in find([(path.name, path)]):
        if item.load is None:
            sentences.append(item.problem)
        else:
            with pytest.raises(ImageRefused) as refused:
                item.load()
            sentences.append(str(refused.value))
    (sentence,) = sentences
    assert sentence.endswith(".")
    return sentence


def rows_of(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))


def result(name: str = "a.png", shares: Involvement | None = None, **classifiers: dict[str, float]) -> Result:
    """An answer that was not asked of a model."""
    phantom = draw_phantom(1, size=64, opacities=2)
    shares = shares or Involvement(0.5, 0.0, 0.25)
    report = Report(
        read_image(phantom.image), Masks(phantom.lungs, phantom.infection), shares, classifiers, ["A note."]
    )
    return Result(name, Source.of(name, b""), report)


def test_files_folders_and_archives_are_found_in_order_without_what_is_hidden(tmp_path):
    hidden = {".DS_Store": b"", ".git/x.png": b"", "__MACOSX/._b.png": b""}
    folder = write(tmp_path / "xrays", {"b.png": b"b", "a/肺.png": b"a", **hidden})
    archive = pack(tmp_path / "more.ZIP", {"z.png": b"z", "sub/": b"", "sub/a.png": b"a", **hidden})
    alone = write(tmp_path, {"alone.png": b"alone"}) / "alone.png"
    given = [("xrays/", folder), ("more.ZIP", archive), ("alone.png", alone)]
    assert {item.name: item.load() for item in find(given)} == {
        "xrays/a/肺.png": b"a",
        "xrays/b.png": b"b",
        "more.ZIP/z.png": b"z",
        "more.ZIP/sub/a.png": b"a",
        "alone.png": b"alone",
    }


def test_an_archive_inside_a_folder_is_opened_and_one_inside_an_archive_is_no_picture(tmp_path):
    inner = pack(tmp_path / "inner.zip", {"a.png": xray()})
    write(tmp_path / "xrays", {"more.zip": inner.read_bytes()})
    outer = pack(tmp_path / "outer.zip", {"inner.zip": inner.read_bytes()})
    assert list(found(tmp_path / "xrays")) == ["xrays/more.zip/a.png"]
    (item,) = find([("outer.zip", outer)])
    assert item.name == "outer.zip/inner.zip"


def test_what_is_written_into_a_folder_meanwhile_is_not_read(tmp_path):
    folder = write(tmp_path / "xrays", {"a.png": b"", "b.png": b""})
    names = []
    for item in find([("first", folder), ("again", folder)]):
        names.append(item.name)
        write(folder, {f"results/{len(names)}.png": b""})
    assert names == ["first/a.png", "first/b.png", "again/a.png", "again/b.png"]


def test_a_folder_of_results_below_the_images_is_left_out(tmp_path):
    folder = write(tmp_path / "xrays", {"a.png": b"", "results/a/overlay.png": b"", "results.png": b""})
    archive = pack(tmp_path / "xrays" / "results" / "more.zip", {"z.png": b"z"})
    names = [item.name for item in find([("xrays", folder), ("more.zip", archive)], folder / "a" / ".." / "results")]
    assert names == ["xrays/a.png", "xrays/results.png", "more.zip/z.png"]


def test_an_empty_folder_an_empty_archive_and_a_missing_file_are_told(tmp_path):
    (tmp_path / "empty").mkdir()
    archive = pack(tmp_path / "empty.zip", {"folder/": b""})
    assert found(tmp_path / "empty", archive, tmp_path / "missing.png") == {
        "empty": "The folder holds no files; name one with X-rays.",
        "empty.zip": "The archive holds no files; name one with X-rays.",
        "missing.png": "There is no such file or folder; check its name.",
    }


def test_each_file_is_answered_as_it_would_be_alone_and_a_bad_one_stops_nothing(pipeline, tmp_path):
    files = {"1.png": xray(1), "2.png": xray(2)[:300], "3.txt": b"no picture", "4.png": xray(4)}
    folder = write(tmp_path / "xrays", files)
    results = list(run(pipeline, [("xrays", folder), ("xrays.zip", pack(tmp_path / "x.zip", files))]))
    assert [one.name for one in results] == [f"{place}/{name}" for place in ("xrays", "xrays.zip") for name in files]
    assert [one.status for one in results] == ["answered", "refused", "refused", "answered"] * 2
    assert "truncated or damaged" in results[1].refusal
    assert "not an image that can be read" in results[2].refusal
    for one in (results[0], results[3], results[4], results[7]):
        data = files[one.name.rpartition("/")[2]]
        expected = pipeline(read_image(data))
        assert one.source == Source.of("x.png", data)
        for role, probabilities in expected.classifiers.items():  # a pass of several rounds otherwise
            assert one.report.classifiers[role] == pytest.approx(probabilities, rel=1e-5)
        assert one.report.involvement == expected.involvement
        assert np.array_equal(one.report.masks.lungs, expected.masks.lungs)


def test_files_go_through_the_models_a_few_together_and_a_large_one_alone():
    def opened(side: int) -> Opened:
        return Opened("a.png", Source("", ""), np.zeros((side, side), np.float32))

    refused = Result("b.png", refusal="No.")
    files = [opened(100), refused, *[opened(100)] * 3, opened(2000), opened(2001), refused, opened(4000)]
    found = [[one if isinstance(one, Result) else one.image.shape[0] for one in group] for group in groups(files)]
    assert found == [[100, refused, 100, 100], [100, 2000], [2001, refused], [4000]]


def test_files_that_are_left_go_through_the_models_in_the_groups_of_a_whole_batch():
    files = [Opened(str(side), Source("", ""), np.zeros((side, side), np.float32)) for side in (9, 2800, 9, 9, 2000, 9)]
    files += [*files, Result("b.png", refusal="No.")]
    whole = list(groups(files))
    assert [len(group) for group in whole] == [4, 3, 1, 4, 1]
    for first in (4, 8, 12):
        assert list(groups(files[first:])) == whole[-len(list(groups(files[first:]))) :]


def test_others_have_their_turn_between_the_passes_of_a_batch(pipeline, tmp_path):
    folder = write(tmp_path / "xrays", {f"{number}.png": xray(number) for number in range(9)})
    held = []

    class Turns:
        def __enter__(self) -> None:
            held.append("taken")

        def __exit__(self, *error: object) -> None:
            held.append("given back")

    assert len(list(run(pipeline, [("xrays", folder)], turn=Turns()))) == 9
    assert held == ["taken", "given back"] * 5  # two images each, and then one


def test_a_visitors_sentences_reach_the_zero_shot_clip(pipeline, tmp_path):
    write(tmp_path, {"a.png": xray()})
    prompts = {"ill": ["COVID-19 lungs"], "well": ["Normal lungs"]}
    (one,) = run(pipeline, [("a.png", tmp_path / "a.png")], prompts)
    assert one.report.classifiers == pipeline(read_image(xray()), prompts).classifiers


def test_an_archive_with_too_many_files_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_ARCHIVE_FILES", 3)
    assert list(found(pack(tmp_path / "a.zip", dict.fromkeys("abc", b"")))) == ["a.zip/a", "a.zip/b", "a.zip/c"]
    assert refusal(pack(tmp_path / "b.zip", dict.fromkeys("abcd", b""))) == (
        "The archive holds 4 files; at most 3 are read, so make several of it."
    )


def test_an_archive_whose_list_of_files_is_too_long_is_refused_before_it_is_read(tmp_path, monkeypatch):
    archive = tmp_path / "many.zip"
    with zipfile.ZipFile(archive, "w") as many:
        for number in range(100):
            many.writestr(f"{number:0200}.png", b"")
    (item, *_) = find([("many.zip", archive)])
    assert item.problem is None
    monkeypatch.setattr(archives, "MAX_CONTENTS_BYTES", 20_000)
    (item,) = find([("many.zip", archive)])
    assert item.problem == "The archive is damaged or no zip (its list of files is too long); pack it again."


def test_an_archive_that_would_be_too_big_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MAX_ARCHIVE_BYTES", 1_000_000_000)
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 10)
    path = pack(tmp_path / "a.zip", {"a.png": bytes(11)})
    assert refusal(path).startswith("The file has 0 MB; at most 0 MB are read")
    monkeypatch.setattr(archives, "MAX_ARCHIVE_BYTES", 10)
    assert refusal(path).startswith("The archive would be 0.0 GB unpacked; ")
    assert refusal(write(tmp_path, {"b.png": bytes(11)}) / "b.png").startswith("The file has 0 MB; ")


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_a_file_that_claims_to_be_small_is_not_unpacked_beyond_its_claim(tmp_path, compression):
    path = pack(tmp_path / "bomb.zip", {"a.png": bytes(20_000_000)}, compression)
    path.write_bytes(path.read_bytes().replace((20_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little")))
    tracemalloc.start()
    message = refusal(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "damaged" in message or "packed in a rare way" in message
    assert peak < 2_000_000


def test_a_damaged_an_encrypted_and_a_false_archive_are_refused_in_a_sentence(tmp_path):
    whole = pack(tmp_path / "whole.zip", {"a.png": b"0123456789"}, zipfile.ZIP_STORED).read_bytes()
    locked = bytearray(whole)
    locked[6] |= 1  # the flag in the file's own header, and in the directory of the archive
    locked[whole.index(b"PK\1\2") + 8] |= 1
    write(tmp_path, {"locked.zip": bytes(locked), "wrong.zip": whole.replace(b"0123456789", b"0123456780")})
    write(tmp_path, {"cut.zip": whole[:60], "text.zip": b"no archive", "none.zip": b""})
    assert "encrypted" in refusal(tmp_path / "locked.zip")
    assert "in the archive is damaged" in refusal(tmp_path / "wrong.zip")
    for name in ("cut.zip", "text.zip", "none.zip"):
        assert refusal(tmp_path / name).startswith("The archive is damaged or no zip")


def test_names_that_lead_out_of_an_archive_lead_nowhere(pipeline, tmp_path):
    hostile = ["../../up.png", "/root.png", "C:\\drive.png", "..\\up.png", "a\nb\x1b[2J.png", "=cmd().png"]
    source = pack(tmp_path / "hostile.zip", dict.fromkeys(hostile, xray()))
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "results.zip"
    rows = list(write_zip(target, run(pipeline, [("hostile.zip", source)])))
    assert [row["status"] for row in rows] == ["answered"] * len(hostile)
    assert all(row["file"].isprintable() for row in rows)
    folders = ["up", "root", "drive", "up-2", "a_nb_x1b_2J", "cmd"]
    assert [row["folder"] for row in rows] == folders
    assert set(zipfile.ZipFile(target).namelist()) == {
        "summary.csv",
        *(f"{folder}/{name}.png" for folder in folders for name in ("overlay", "lungs", "infection")),
    }
    assert sorted(tmp_path.rglob("*")) == sorted([source, tmp_path / "out", target])


@pytest.mark.parametrize(
    ("name", "folder"),
    [
        ("scan.png", "scan"),
        ("a/b/肺 炎.dcm", "肺_炎"),
        ("1.2.840.10008", "1.2.840.10008"),
        ("1.2.840.dcm", "1.2.840"),
        ("CON.png", "xray_CON"),
        ("nul.tar.png", "xray_nul.tar"),
        ("-rf.png", "rf"),
        ("???.png", "xray"),
        ("e\u0301.png", "é"),
        ("..", "xray"),
    ],
)
def test_a_folders_name_is_one_that_every_system_takes(name, folder):
    assert folder_name(name, set()) == folder


def test_folders_names_are_never_too_long_and_never_the_same_without_regard_to_case():
    taken = {"summary.csv"}
    names = ["a.png", "A.jpg", "b/a.png", "a-2.png", "summary.csv.png"]
    assert [folder_name(name, taken) for name in names] == ["a", "A-2", "a-3", "a-2-2", "summary.csv-2"]
    long = [folder_name("肺" * 300 + ".png", taken) for _ in range(2)]
    assert len(set(long)) == 2
    assert max(len(name.encode()) for name in long) < 255


def test_a_row_tells_shares_grades_and_each_classifiers_answer():
    one = result(resnet={"Ill": 0.25, "Well": 0.75}, another={"Odd": 1.0})
    assert table_row(one, "a") == {
        "file": "a.png",
        "folder": "a",
        "status": "answered",
        "conclusion": None,
        "infected_share right": 0.5,
        "infected_share left": 0.0,
        "infected_share both": 0.25,
        "extent_grade right": 3,
        "extent_grade left": 0,
        "resnet class": "Well",
        "resnet p Ill": 0.25,
        "resnet p Well": 0.75,
        "another class": "Odd",
        "another p Odd": 1.0,
        "strangeness": None,
        "note": "A note.",
    }


@pytest.mark.parametrize(
    ("conclusion", "cell", "note"),
    [
        (Conclusion(("Well",), 3, 4), "Well", "A note."),
        (Conclusion(("Ill", "Well"), 3, 4), "Undecided: Ill or Well", "A note."),
        (Conclusion(("Ill",), 4, 4, unlike=True), "Undecided", f"{UNLIKE_MOST} A note."),
        (Conclusion(("=1+1",), 1, 1), "=1+1", "A note."),
    ],
)
def test_a_row_tells_what_the_classifiers_say_together(conclusion, cell, note):
    one = result(resnet={"Ill": 0.25, "Well": 0.75})
    row = table_row(replace(one, report=replace(one.report, conclusion=conclusion)))
    assert (row["conclusion"], row["note"]) == (cell, note)
    (read,) = rows_of(table_csv([row]))
    assert read["conclusion"] == ("'=1+1" if cell == "=1+1" else cell)


def test_a_strange_picture_is_marked_and_a_refused_one_tells_why():
    report = result().report
    strange = Masks(report.masks.lungs, report.masks.infection, strangeness=1.5)
    reasons = reasons_against(strange)
    row = table_row(Result("a.png", None, Report(report.image, strange, report.involvement, {}, [], {}, reasons)))
    assert (row["status"], row["strangeness"]) == ("refused", 1.5)
    assert row["note"].startswith("This does not look like a frontal chest X-ray")
    row = table_row(Result("b.png", refusal="The image is blank."))
    assert {key: value for key, value in row.items() if value} == {
        "file": "b.png",
        "status": "refused",
        "note": "The image is blank.",
    }


def test_the_table_holds_the_values_of_the_pipeline_unrounded(pipeline, tmp_path):
    folder = write(tmp_path / "xrays", {"1.png": xray(1), "2.png": b"", "3.png": xray(3)})
    rows = rows_of(table_csv([table_row(one) for one in run(pipeline, [("xrays", folder)])]))
    assert [row["status"] for row in rows] == ["answered", "refused", "answered"]
    for row in (rows[0], rows[2]):
        report = pipeline(read_image(folder / Path(row["file"]).name))
        for side in ("right", "left", "both"):
            assert float(row[f"infected_share {side}"]) == getattr(report.involvement, side)
        assert int(row["extent_grade right"]) == grade_extent(report.involvement.right)
        assert report.classifiers.keys() == pipeline.classifiers.keys()
        for role, probabilities in report.classifiers.items():
            shown = {label: float(row[f"{role} p {label}"]) for label in probabilities}
            assert shown == pytest.approx(probabilities, rel=1e-5)  # a pass of several rounds otherwise
            assert row[f"{role} class"] == max(probabilities, key=probabilities.get)
    assert rows[1]["resnet p Normal"] == ""
    assert rows[1]["note"] == "The image is empty (0 bytes); copy or export it again."


def test_no_text_of_the_table_is_a_formula_and_the_first_columns_are_always_the_same():
    rows = [table_row(result(f"{sign}1+1.png", resnet={f"{sign}2": 1.0})) for sign in "=+-@\t"]
    read = rows_of(table_csv([table_row(Result("a.png", refusal="No.")), *rows]))
    assert list(read[0])[:3] == ["file", "folder", "status"]
    assert list(read[0])[-2:] == ["strangeness", "note"]
    for sign, row in zip("=+-@\t", read[1:], strict=True):
        assert row["file"] == f"'{sign}1+1.png"
        assert row["resnet class"] == f"'{sign}2"
        assert float(row[f"resnet p {sign}2"]) == 1.0
    assert rows_of(table_csv([table_row(result('肺, "x"\ny.png', Ä={"ü": 0.5}))]))[0]["file"] == '肺, "x"\ny.png'


def test_the_pictures_are_the_masks_and_the_overlay():
    report = result().report
    shown = {name: np.asarray(picture) for name, picture in pictures(report).items()}
    assert set(shown) == {"overlay.png", "lungs.png", "infection.png"}
    assert np.array_equal(shown["lungs.png"], report.masks.lungs * np.uint8(255))
    assert np.array_equal(shown["infection.png"], report.masks.infection * np.uint8(255))
    assert np.array_equal(shown["overlay.png"], draw_overlay(sketch(report.image, report.masks)))


def test_the_archive_holds_each_images_pictures_and_the_table(tmp_path):
    results = [result("a/x.png"), Result("bad.png", refusal="No."), result("b/x.png")]
    rows = list(write_zip(tmp_path / "out.zip", results))
    assert [row["folder"] for row in rows] == ["x", "", "x-2"]
    with zipfile.ZipFile(tmp_path / "out.zip") as archive:
        assert archive.testzip() is None
        assert archive.read("summary.csv") == table_csv(rows)
        for folder in ("x", "x-2"):
            for name, picture in pictures(results[0].report).items():
                kept = Image.open(io.BytesIO(archive.read(f"{folder}/{name}")))
                assert np.array_equal(np.asarray(kept), np.asarray(picture))


def test_nothing_of_an_image_is_kept_while_the_next_one_is_answered(tmp_path):
    living: list[weakref.ref] = []

    def answers() -> Iterator[Result]:
        for number in range(3):
            assert [one() for one in living] == [None] * number
            yield remembered(number)

    def remembered(number: int) -> Result:
        one = result(f"{number}.png")
        living.append(weakref.ref(one.report))
        return one

    assert len(list(write_zip(tmp_path / "out.zip", answers()))) == 3


def test_images_are_read_ahead_in_a_thread_of_their_own_but_only_a_few():
    made: list[tuple[int, str]] = []

    def make() -> Iterator[int]:
        for number in range(10):
            made.append((number, threading.current_thread().name))
            yield number

    items = read_ahead(make(), 2)
    assert next(items) == 0
    items.close()
    assert 1 <= len(made) <= 4
    assert all(thread.startswith("reading") for _, thread in made)
    assert list(read_ahead(make(), 3)) == list(range(10))


def test_calls_are_made_at_the_same_time_and_their_results_come_in_order():
    together = threading.Barrier(2, timeout=10)

    def square(number: int) -> int:
        together.wait()  # until two are here
        return number**2

    assert list(map_parallel(square, range(8), 2)) == [number**2 for number in range(8)]


def test_no_call_is_made_long_before_its_result_is_wanted():
    made = []
    results = map_parallel(made.append, range(10), 1)
    next(results)
    results.close()
    assert len(made) <= 3


def test_what_goes_wrong_while_reading_is_raised_where_it_is_asked_for():
    with pytest.raises(ZeroDivisionError):
        list(read_ahead(1 / number for number in (1, 0, 1)))
