"""The command line answers what it is given as the pipeline does, and tells by its exit code how it went."""

import csv
import hashlib
import io
import json
import zipfile
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.uid import DigitalXRayImageStorageForPresentation
from pypdf import PdfReader

from hub_models.predict import main
from hub_models.reports.overlay import draw_overlay, sketch
from hub_models.reports.sentences import headline
from hub_models.xray.images import read_image
from hub_models.xray.phantom import draw_phantom
from tests.support.bad_files import dicom

WITHOUT_PDF = ["infection.png", "lungs.png", "overlay.png", "report.json"]
pytestmark = pytest.mark.usefixtures("chosen_checkpoints")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def xrays(tmp_path: Path) -> Path:
    """A folder with a good X-ray, a bad one and a good one."""
    folder = tmp_path / "xrays"
    folder.mkdir()
    for name, seed in (("a.png", 1), ("c 肺.png", 2)):
        Image.fromarray(draw_phantom(seed, size=64).image).save(folder / name)
    (folder / "b.png").write_bytes(b"no picture")
    return folder


def table(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((out / "summary.csv").read_text(encoding="utf-8-sig"))))


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def ending(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    """What the command says on stderr when it can do nothing; its exit code is 2 and its stdout empty."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    assert (end.value.code, said.out) == (2, "")
    return said.err.splitlines()[-1]


def test_an_image_gets_a_folder_with_what_the_pipeline_says_of_it(pipeline, xrays, out):
    assert main([str(xrays / "a.png"), "--output_dir", str(out)]) == 0
    assert visible(out) == ["a", "run.json", "summary.csv"]
    assert sorted(path.name for path in (out / "a").iterdir()) == WITHOUT_PDF
    expected = pipeline(read_image(xrays / "a.png"))
    told = json.loads((out / "a" / "report.json").read_text())
    assert {role: answer["probabilities"] for role, answer in told["classifiers"].items()} == expected.classifiers
    assert told["infected_share"]["both"] == expected.involvement.both
    assert told["conclusion"] == expected.conclusion.describe()
    assert told["source"]["sha256"] == hashlib.sha256((xrays / "a.png").read_bytes()).hexdigest()
    assert {role: found["name"] for role, found in told["checkpoints"].items()} == {
        role: checkpoint.name for role, checkpoint in pipeline.checkpoints.items()
    }
    lungs, overlay = (np.asarray(Image.open(out / "a" / name)) for name in ("lungs.png", "overlay.png"))
    assert np.array_equal(lungs, expected.masks.at(expected.image.shape).lungs * np.uint8(255))
    assert np.array_equal(overlay, draw_overlay(sketch(expected.image, expected.masks)))


@pytest.mark.usefixtures("loaded")
def test_some_that_are_refused_are_named_and_the_others_done(pipeline, xrays, out, capsys):
    assert main([str(xrays), str(xrays / "missing.png"), "--output_dir", str(out)]) == 1
    said = capsys.readouterr()
    assert f"{xrays}/b.png: The image is not an image that can be read" in said.err
    assert f"{xrays}/missing.png: There is no such file or folder; check its name." in said.err
    assert said.out.splitlines()[-1] == f"2 of 4 images answered, 2 refused: {out / 'summary.csv'}"
    rows = table(out)
    assert [Path(row["file"]).name for row in rows] == ["a.png", "b.png", "c 肺.png", "missing.png"]
    assert [row["folder"] for row in rows] == ["a", "", "c_肺", ""]
    for row in (rows[0], rows[2]):
        expected = pipeline(read_image(row["file"]))
        assert row["conclusion"] == headline(expected.conclusion.classes, expected.conclusion.decided)
        for role, probabilities in expected.classifiers.items():
            shown = {label: float(row[f"{role} p {label}"]) for label in probabilities}
            assert shown == pytest.approx(probabilities, rel=1e-5)  # a pass of several rounds otherwise


def test_json_lines_are_all_that_stdout_gets(xrays, out, capfd):
    assert main([str(xrays), "--output_dir", str(out), "--json"]) == 1
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [(Path(line["file"]).name, line["status"]) for line in lines] == [
        ("a.png", "answered"),
        ("b.png", "refused"),
        ("c 肺.png", "answered"),
    ]
    assert lines[1]["notes"] == [table(out)[1]["note"]]
    for line in (lines[0], lines[2]):
        kept = json.loads((out / line["folder"] / "report.json").read_text())
        assert {key: value for key, value in line.items() if key not in ("file", "folder")} == kept


@pytest.mark.usefixtures("loaded")
def test_what_a_file_says_of_itself_is_told_beside_every_answer(pipeline, out, tmp_path, capfd):
    picture = draw_phantom(3, size=64).image
    elements = {"BodyPartExamined": "PELVIS", "PatientOrientation": ["R", "F"]}
    (tmp_path / "film.dcm").write_bytes(dicom(np.ascontiguousarray(picture[:, ::-1]), **elements))
    Image.fromarray(picture).save(tmp_path / "plain.png")
    images = [str(tmp_path / "film.dcm"), str(tmp_path / "plain.png")]
    assert main([*images, "--output_dir", str(out), "--json", "--pdf"]) == 1
    film, plain = (json.loads(line) for line in capfd.readouterr().out.splitlines())
    assert [(line["status"], len(line["classifiers"])) for line in (film, plain)] == [("refused", 0), ("answered", 4)]
    notes = [
        "The file says that it shows another body part than the chest (PELVIS).",
        "What models say of such a picture means nothing.",
        "The picture was mirrored before it was read: its header says that its rows run to the patient's right and its "
        "columns to the patient's feet.",
    ]
    assert film["notes"] == notes + plain["notes"]
    assert film["masks"] == plain["masks"]
    assert set(film["infected_share"].values()) == {None}
    assert json.loads((out / "film" / "report.json").read_text())["notes"] == film["notes"]
    assert table(out)[0]["note"] == " ".join(film["notes"])
    (page,) = PdfReader(out / "film" / "report.pdf").pages
    assert "another body part than the chest (PELVIS)" in " ".join(page.extract_text().split())


@pytest.mark.usefixtures("loaded")
def test_images_of_one_name_and_of_archives_get_folders_of_their_own(xrays, out, tmp_path):
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(xrays / "a.png", "../../../a.png")
    assert main([str(xrays / "a.png"), str(tmp_path / "more.zip"), str(xrays / "a.png"), "--output_dir", str(out)]) == 0
    assert visible(out) == ["a", "a-2", "a-3", "run.json", "summary.csv"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["more.zip", "out", "xrays"]
    rows = table(out)
    assert rows[1]["file"] == f"{tmp_path}/more.zip/../../../a.png"
    assert rows[0]["resnet p Normal"] == rows[1]["resnet p Normal"] == rows[2]["resnet p Normal"]


@pytest.mark.usefixtures("loaded")
def test_results_may_go_into_the_folder_that_is_read(xrays):
    assert main([str(xrays), "--output_dir", str(xrays / "results")]) == 1
    assert [Path(row["file"]).name for row in table(xrays / "results")] == ["a.png", "b.png", "c 肺.png"]


@pytest.mark.usefixtures("loaded")
def test_a_page_to_read_is_written_where_it_is_asked_for(xrays, out):
    assert main([str(xrays / "a.png"), "--output_dir", str(out), "--pdf"]) == 0
    assert sorted(path.name for path in (out / "a").iterdir()) == [*WITHOUT_PDF, "report.pdf"]
    (page,) = PdfReader(out / "a" / "report.pdf").pages
    (row,) = table(out)
    for role in ("resnet", "clip-zero-shot", "clip-finetuned"):
        assert f"{100 * float(row[f'{role} p Normal']):.1f} %" in page.extract_text()


@pytest.mark.usefixtures("loaded")
def test_masks_are_written_in_the_formats_of_other_programs_where_they_are_asked_for(xrays, out, tmp_path, capsys):
    file = tmp_path / "b.dcm"
    uids = dict.fromkeys(("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"), "1.2.3")
    elements = {"SOPClassUID": DigitalXRayImageStorageForPresentation, "PatientOrientation": ["R", "F"], **uids}
    file.write_bytes(dicom(draw_phantom(1, size=64).image, **elements))
    asked = [str(xrays / "a.png"), str(file), "--output_dir", str(out)]
    assert main([*asked, "--dicom", "--nifti"]) == 0
    masks = ["infection.nii.gz", "lungs.nii.gz", "segmentation.dcm"]
    added = {"a": [*masks, "secondary-capture.dcm"], "b": masks}
    for name, more in added.items():
        assert visible(out / name) == sorted([*WITHOUT_PDF, *more])
        lungs = np.asarray(Image.open(out / name / "lungs.png")) > 0
        frames = dcmread(out / name / "segmentation.dcm").pixel_array.astype(bool)
        assert np.array_equal(frames[0], lungs[:, ::-1] if name == "b" else lungs)
        nifti = nibabel.load(out / name / "lungs.nii.gz")
        assert np.array_equal(np.asarray(nifti.dataobj)[:, :, 0].T, lungs)
    capsys.readouterr()
    made = f"The results in {out} were made with --dicom and with --nifti"
    assert ending(capsys, *asked) == f"{made}; name a new folder, or ask as before."


@pytest.mark.usefixtures("loaded")
def test_a_visitors_sentences_are_asked_and_kept(pipeline, xrays, out, tmp_path):
    (tmp_path / "prompts.txt").write_text("\ufeffkrank: COVID-19 lungs\ngesund: Normal lungs\n", encoding="utf-8")
    assert main([str(xrays / "a.png"), "--output_dir", str(out), "--prompts", str(tmp_path / "prompts.txt")]) == 0
    prompts = {"krank": ["COVID-19 lungs"], "gesund": ["Normal lungs"]}
    expected = pipeline(read_image(xrays / "a.png"), prompts).classifiers["clip-zero-shot"]
    told = json.loads((out / "a" / "report.json").read_text())
    assert told["classifiers"]["clip-zero-shot"]["probabilities"] == expected
    assert told["prompts"] == prompts
    assert float(table(out)[0]["clip-zero-shot p krank"]) == expected["krank"]


def test_nothing_to_read_is_said_in_a_sentence_before_anything_is_made(out, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    nothing = "There is nothing to read in"
    said = ending(capsys, tmp_path / "empty", "--output_dir", out)
    assert said == f"{nothing} {tmp_path}/empty: The folder holds no files; name one with X-rays."
    said = ending(capsys, tmp_path / "a.png", tmp_path / "b.png", "--output_dir", out)
    assert said == f"{nothing} {tmp_path}/a.png: There is no such file or folder; check its name."
    assert not out.exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no sentence", '"no sentence" is not a "class: sentence"'),
        (b"\xff\xfe", "are not UTF-8 text; save them as such."),
        (None, "cannot be read (No such file or directory); name a text file."),
    ],
)
def test_prompts_that_cannot_be_asked_are_refused_in_a_sentence(xrays, out, tmp_path, capsys, content, reason):
    if content is not None:
        (tmp_path / "prompts.txt").write_bytes(content)
    said = ending(capsys, xrays, "--output_dir", out, "--prompts", tmp_path / "prompts.txt")
    assert said.startswith(f"The prompts in {tmp_path}/prompts.txt ")
    assert reason in said


def test_no_file_is_overwritten(xrays, tmp_path, capsys):
    said = ending(capsys, xrays, "--output_dir", xrays)
    assert said == f"The folder {xrays} is not empty, and nothing in it is overwritten; name a new one."
    said = ending(capsys, xrays, "--output_dir", xrays / "a.png")
    assert said == f"{xrays}/a.png cannot be the folder of the results (File exists); name another."


def test_a_checkpoint_that_cannot_be_had_ends_it_with_a_sentence(xrays, out, capsys, monkeypatch):
    monkeypatch.setenv("XRAY_RESNET", "/nowhere/at/all")
    assert ending(capsys, xrays, "--output_dir", out).startswith("'/nowhere/at/all' is not a checkpoint for resnet: ")


@pytest.mark.parametrize("arguments", [[], ["a.png"], ["--output_dir", "out"], ["a.png", "--output", "out"]])
def test_a_command_that_lacks_something_is_explained(capsys, arguments):
    assert "error: " in ending(capsys, *arguments)
