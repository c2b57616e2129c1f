"""A command that was stopped goes on where it was: no image is lost, none is answered twice, and none is half there."""

import csv
import errno
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from hub_models import predict
from hub_models.batch import files
from hub_models.batch.files import ImageFiles
from hub_models.batch.folder import reserve
from hub_models.batch.run import Result
from hub_models.batch.writer import ImageWriter
from hub_models.checkpoints.choices import variable
from hub_models.pipeline import XrayPipeline
from hub_models.predict import main
from hub_models.xray.phantom import draw_phantom
from tests.support.tiny_models import change_weights

ROOT = Path(__file__).parents[1]
SLOW_COMMAND = """
import sys, time
from hub_models import predict
from hub_models.batch import files
draw = files.pictures
files.pictures = lambda report: time.sleep(0.1) or draw(report)
sys.exit(predict.main())
"""
pytestmark = pytest.mark.usefixtures("chosen_checkpoints")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def xrays(tmp_path: Path) -> Path:
    """A folder with ten files, the fourth of which is no picture."""
    folder = tmp_path / "xrays"
    folder.mkdir()
    for number in range(10):
        Image.fromarray(draw_phantom(number, size=64).image).save(folder / f"{number}.png")
    (folder / "3.png").write_bytes(b"no picture")
    return folder


def run(xrays: Path, out: Path, *options: object) -> int:
    return main([str(xrays), "--output_dir", str(out), *map(str, options)])


def table(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((out / "summary.csv").read_text(encoding="utf-8-sig"))))


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def timeless(text: bytes | str) -> str:
    """A text without the times of answers."""
    return re.sub(r'"made": "[^"]*"', '"made"', text if isinstance(text, str) else text.decode())


def refused(capsys: pytest.CaptureFixture[str], xrays: Path, out: Path, *options: object) -> str:
    """The sentence of a command that changes nothing; its exit code is 2."""
    before = contents(out)
    with pytest.raises(SystemExit) as end:
        run(xrays, out, *options)
    assert end.value.code == 2
    assert contents(out) == before
    return capsys.readouterr().err.splitlines()[-1]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Of each image whose files are written, the number of rows that the table has then."""
    rows: list[int] = []
    make = ImageWriter._make

    def spy(self: ImageWriter, result: Result) -> tuple[str, dict]:
        if result.report is not None:
            rows.append(len(self.table.read_rows()))
        return make(self, result)

    monkeypatch.setattr(ImageWriter, "_make", spy)
    return rows


def stop_at(monkeypatch: pytest.MonkeyPatch, image: int, error: BaseException) -> None:
    """Let the pictures of an image raise an error."""
    drawn = iter(range(100))

    def encode(picture: object, encode_png=files.encode_png) -> bytes:
        if next(drawn) == 3 * image + 1:  # the second of three pictures
            raise error
        return encode_png(picture)

    monkeypatch.setattr(files, "encode_png", encode)


@pytest.mark.usefixtures("loaded")
def test_an_image_has_its_row_before_the_next_one_is_written(xrays, out, written):
    assert run(xrays, out) == 1
    assert written == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    assert [row["status"] for row in table(out)] == ["answered"] * 3 + ["refused"] + ["answered"] * 6


@pytest.mark.usefixtures("loaded")
def test_a_batch_that_was_killed_anywhere_ends_with_the_same_table(xrays, out, tmp_path, written):
    run(xrays, out)
    whole = (out / "summary.csv").read_bytes()
    ends = [match.end() for match in re.finditer(rb"\r\n", whole)]  # of the header and of each row
    assert len(ends) == 11
    for rows, cut in [
        (0, 0),
        (0, 9),
        (0, ends[0]),
        (0, ends[1] - 1),
        (1, ends[1]),
        (3, ends[3] + 30),
        (6, ends[7] - 2),
    ]:
        killed = tmp_path / f"cut-{cut}"
        shutil.copytree(out, killed)
        os.truncate(killed / "summary.csv", cut)
        for number in range(rows + 1, 10):
            shutil.rmtree(killed / str(number), ignore_errors=True)  # the folder of the next image is there already
        (killed / ".unfinished").mkdir()
        (killed / ".unfinished" / "overlay.png").write_bytes(b"\x89PNG")
        written.clear()
        assert run(xrays, killed) == 1
        assert (killed / "summary.csv").read_bytes() == whole
        assert contents(killed).keys() == contents(out).keys()
        assert len(written) == 9 - (rows - (rows > 3))  # none is written twice
        for name in contents(out):
            if name.endswith(".png"):
                assert (killed / name).read_bytes() == (out / name).read_bytes()


@pytest.mark.usefixtures("loaded")
def test_a_row_is_trusted_only_with_its_folder(xrays, out, written):
    run(xrays, out)
    before = table(out)
    (out / "5" / "report.json").write_text('{"source": ')
    shutil.rmtree(out / "7")
    written.clear()
    assert run(xrays, out) == 1
    assert written == [8, 9]
    assert [row["folder"] for row in table(out)] == ["0", "1", "2", "", "4", "6", "8", "9", "5", "7"]
    assert sorted(row["file"] for row in table(out)) == [row["file"] for row in before]
    assert json.loads((out / "5" / "report.json").read_text())["source"]["sha256"]


@pytest.mark.usefixtures("loaded")
def test_a_finished_batch_says_so_and_changes_nothing(xrays, out, capsys):
    assert run(xrays, out) == 1
    capsys.readouterr()
    before = contents(out)
    assert run(xrays, out) == 1
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        f"9 of 10 images answered, 1 refused earlier, and nothing was left to do: {out / 'summary.csv'}"
    ]
    assert f"{xrays}/3.png: The image is not an image that can be read" in said.err
    assert contents(out) == before


@pytest.mark.usefixtures("loaded")
def test_json_lines_are_complete_each_time(xrays, out, tmp_path, capfd):
    run(xrays, tmp_path / "whole", "--json")
    whole = timeless(capfd.readouterr().out)
    run(xrays, out)
    lines = (out / "summary.csv").read_bytes().splitlines(keepends=True)
    (out / "summary.csv").write_bytes(b"".join(lines[:7]))
    capfd.readouterr()
    for _ in range(2):
        assert run(xrays, out, "--json") == 1
        assert timeless(capfd.readouterr().out) == whole


@pytest.mark.usefixtures("loaded")
def test_other_questions_are_refused_in_a_sentence_that_names_them(xrays, out, tmp_path, capsys):
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("ill: COVID-19 lungs\nwell: Normal lungs\n")
    run(xrays, out)
    made, remedy = f"The results in {out} were made", "; name a new folder, or ask as before."
    assert refused(capsys, xrays, out, "--pdf") == f"{made} without --pdf{remedy}"
    assert refused(capsys, xrays, out, "--anyway") == f"{made} without --anyway{remedy}"
    assert refused(capsys, xrays, out, "--prompts", prompts) == f"{made} without --prompts{remedy}"
    run(xrays, tmp_path / "asked", "--prompts", prompts, "--pdf")
    made = f"The results in {tmp_path / 'asked'} were made"
    assert refused(capsys, xrays, tmp_path / "asked") == f"{made} with other prompts and with --pdf{remedy}"
    prompts.write_text("well: Normal lungs\nill: COVID-19 lungs\n")  # another order of the columns
    said = refused(capsys, xrays, tmp_path / "asked", "--prompts", prompts, "--pdf")
    assert said == f"{made} with other prompts{remedy}"


def test_other_checkpoints_and_engines_are_refused_in_a_sentence_that_names_them(
    xrays, out, tmp_path, capsys, checkpoints, pipeline, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr(XrayPipeline, "from_pretrained", lambda: pipeline)
        run(xrays, out)
        patch.setattr(XrayPipeline, "engine_names", {**pipeline.engine_names, "unet": "openvino, int8"})
        said = refused(capsys, xrays, out)
    made, remedy = f"The results in {out} were made", "; name a new folder, or ask as before."
    assert said == f"{made} with another engine for unet ({pipeline.engine_names['unet']}){remedy}"
    shutil.copytree(checkpoints["resnet"], tmp_path / "resnet")
    change_weights(tmp_path / "resnet")
    monkeypatch.setenv(variable("resnet"), str(tmp_path / "resnet"))
    said = refused(capsys, xrays, out)
    assert said == f"{made} with another checkpoint for resnet ({checkpoints['resnet']}){remedy}"


@pytest.mark.usefixtures("loaded")
def test_an_image_that_has_changed_or_is_gone_is_named(xrays, out, capsys):
    run(xrays, out)
    image = xrays / "4.png"
    image.rename(xrays.parent / "4.png")
    said = refused(capsys, xrays, out)
    assert said == (
        f"{out} holds the results of {image}, which is not among these images; name the same ones, or a new folder."
    )
    shutil.copy(xrays / "5.png", image)
    said = refused(capsys, xrays, out)
    assert said == f"{image} is not the file that was answered earlier; put it back, or name a new folder."


@pytest.mark.usefixtures("loaded")
def test_a_table_that_another_program_wrote_is_left_as_it_is(xrays, out, capsys):
    run(xrays, out)
    written = (out / "summary.csv").read_bytes()
    (out / "summary.csv").write_bytes(written.replace(b",", b";"))
    assert refused(capsys, xrays, out) == f"{out}/summary.csv was changed by another program; name a new folder."
    (out / "summary.csv").write_bytes(written)
    (out / "run.json").write_text("[]")
    assert refused(capsys, xrays, out) == f"{out}/run.json is not what this command wrote; name a new folder."


@pytest.mark.usefixtures("loaded")
def test_new_images_are_answered_after_the_others(xrays, out, written):
    run(xrays, out)
    before = (out / "summary.csv").read_bytes()
    shutil.copy(xrays / "4.png", xrays / "2b.png")
    shutil.copy(xrays / "5.png", xrays / "5.bmp")
    written.clear()
    assert run(xrays, out) == 1
    assert written == [10, 11]
    assert (out / "summary.csv").read_bytes().startswith(before)
    assert [(Path(row["file"]).name, row["folder"]) for row in table(out)[10:]] == [("2b.png", "2b"), ("5.bmp", "5-2")]


@pytest.mark.usefixtures("loaded")
def test_one_file_named_twice_has_two_rows_and_results_below_the_images_are_not_read(xrays):
    out, twice = xrays / "results", str(xrays / "1.png")
    assert main([twice, str(xrays), twice, "--output_dir", str(out)]) == 1
    whole = (out / "summary.csv").read_bytes()
    os.truncate(out / "summary.csv", whole.index(b"/6.png"))
    assert main([twice, str(xrays), twice, "--output_dir", str(out)]) == 1
    assert (out / "summary.csv").read_bytes() == whole
    assert [row["folder"] for row in table(out)] == ["1", "0", "1-2", "2", "", *"456789", "1-3"]


@pytest.mark.usefixtures("loaded")
def test_a_second_process_is_refused_while_the_first_one_writes(xrays, out, capsys):
    with reserve(out):
        said = refused(capsys, xrays, out)
    assert said == (
        f"Another process is writing its results into {out}; wait until it has ended, or name another folder."
    )
    assert run(xrays, out) == 1


@pytest.mark.usefixtures("loaded")
def test_a_full_disk_is_a_sentence_and_all_images_so_far_stay(xrays, out, tmp_path, capsys, monkeypatch):
    with monkeypatch.context() as patch:
        stop_at(patch, 4, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        with pytest.raises(SystemExit) as end:
            run(xrays, out)
    threads = [thread.name for thread in threading.enumerate()]
    assert not [name for name in threads if name.startswith(("reading", "answering"))]  # nothing is left running
    assert end.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"4 of 10 images answered, 1 refused so far, and no more can be written to {out} (No space left on device); "
        "see to that, and the same command goes on."
    )
    assert [row["folder"] for row in table(out)] == ["0", "1", "2", "", "4"]
    assert not (out / ".unfinished").exists()
    assert run(xrays, out) == run(xrays, tmp_path / "whole")
    assert (out / "summary.csv").read_bytes() == (tmp_path / "whole" / "summary.csv").read_bytes()


@pytest.mark.usefixtures("loaded")
def test_files_of_others_in_the_folder_of_an_image_stay(xrays, out, capsys):
    run(xrays, out)
    os.truncate(out / "summary.csv", (out / "summary.csv").read_bytes().index(b"/9.png"))
    (out / "9" / "notes.txt").write_text("mine")
    with pytest.raises(SystemExit) as end:
        run(xrays, out)
    assert end.value.code == 2
    assert "9 holds notes.txt, which this command did not write" in capsys.readouterr().err
    assert (out / "9" / "notes.txt").read_text() == "mine"


@pytest.mark.usefixtures("loaded")
def test_a_signal_in_the_middle_of_an_image_waits_until_it_is_whole(xrays, out, capsys, monkeypatch):
    describe, answered = ImageFiles.describe, iter(range(100))

    def sixth(self: ImageFiles, result: Result) -> dict:
        if next(answered) == 5:
            signal.raise_signal(signal.SIGTERM)
        return describe(self, result)

    with monkeypatch.context() as patch:
        patch.setattr(ImageFiles, "describe", sixth)
        assert run(xrays, out) == 130
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "6 of 10 images answered, 1 refused so far; the same command goes on."
    assert {path.name for path in out.iterdir() if path.is_dir()} == {row["folder"] for row in table(out)} - {""}
    monkeypatch.setattr(predict, "begin", lambda *arguments: signal.raise_signal(signal.SIGINT))
    assert run(xrays, out) == 130
    said = capsys.readouterr().err.splitlines()[-1]
    assert said == "No image answered so far; the same command goes on."


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.usefixtures("loaded")
def test_a_process_that_is_stopped_leaves_only_whole_images_and_is_continued(xrays, out, tmp_path, number):
    for name in range(10, 24):
        shutil.copy(xrays / f"{name % 7 + 3}.png", xrays / f"{name}.png")
    command = [sys.executable, "-c", SLOW_COMMAND, str(xrays), "--output_dir", str(out)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and not (out / "5" / "report.json").exists():
            time.sleep(0.01)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    rows = table(out)
    assert 3 < len(rows) < 24
    if number != signal.SIGKILL:
        assert process.returncode == 130
        answered = sum(row["status"] != "refused" for row in rows)
        assert (
            said.splitlines()[-1]
            == f"{answered} of 24 images answered, {len(rows) - answered} refused so far; the same command goes on."
        )
        assert "Traceback" not in said
        folders = {path.name for path in out.iterdir() if path.is_dir()}
        assert folders == {row["folder"] for row in rows} - {""}
    assert run(xrays, out) == run(xrays, tmp_path / "whole")
    assert (out / "summary.csv").read_bytes() == (tmp_path / "whole" / "summary.csv").read_bytes()
