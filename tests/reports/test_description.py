"""What is kept of one X-ray tells what was found, from what and by what; and its page tells the same figures."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pytest
from pypdf import PdfReader

from hub_models.checkpoints.folder import Checkpoint
from hub_models.models.calibration import Calibration, fitting_calibrations
from hub_models.models.conclusion import Conclusion
from hub_models.models.report import Report
from hub_models.models.unet import Masks
from hub_models.reports.description import Source, describe, printable, remarks
from hub_models.reports.mask_files import describe_masks
from hub_models.reports.overlay import draw_overlay, sketch
from hub_models.reports.pdf import write_pdf
from hub_models.xray.images import Xray
from hub_models.xray.masks import Involvement, measure_involvement
from hub_models.xray.phantom import draw_phantom
from hub_models.xray.verdict import reasons_against
from tests.support import tiny_models

PHANTOM = draw_phantom(3, size=128, opacities=3)
MASKS = Masks(PHANTOM.lungs, PHANTOM.infection)
NOTHING = Masks(np.zeros_like(PHANTOM.lungs), np.zeros_like(PHANTOM.lungs))
ANSWERS = {"resnet": {"Ill": 0.6789, "Well": 0.3211}, "another": {"Ill": 0.25, "Well": 0.75}}
REPORT = Report(
    PHANTOM.image.astype(np.float32) / 255,
    MASKS,
    measure_involvement(MASKS.lungs, MASKS.infection),
    ANSWERS,
    [],
    {"unet": "openvino, int8"},
)
MADE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SOURCE = Source.of("Jane Doe.PNG", b"the bytes")
CALIBRATIONS = {"resnet": Calibration(least=0.3, level=0.9)}
COMMIT = "c0ffee" * 6 + "c0ff"


@pytest.fixture
def origins(tmp_path: Path) -> dict[str, Checkpoint]:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    return {
        "unet": Checkpoint("unet", tmp_path, "embedded", "embedded"),
        "resnet": Checkpoint("resnet", tmp_path / "pickled", "hub", "someone/resnet", COMMIT),
    }


def told(origins: dict[str, Checkpoint], found: Report = REPORT, **options) -> dict:
    return describe(found, origins, CALIBRATIONS, SOURCE, MADE, **options)


def page(folder: Path, description: dict) -> tuple[int, str]:
    """How many pages the PDF has, and the text of all, each run of white space as one blank."""
    write_pdf(folder / "page.pdf", description, draw_overlay(sketch(REPORT.image, MASKS)))
    pages = PdfReader(folder / "page.pdf").pages
    return len(pages), " ".join(" ".join(page.extract_text() for page in pages).split())


def test_a_description_tells_what_was_found_from_what_and_by_what(origins):
    found = told(origins)
    outlines = describe_masks(MASKS, REPORT.involvement, origins["unet"])
    assert {key: found[key] for key in outlines if key != "checkpoint"} == {
        key: value for key, value in outlines.items() if key != "checkpoint"
    }
    assert found["made"] == "2026-01-02T03:04:05+00:00"
    assert found["source"] == {"sha256": hashlib.sha256(b"the bytes").hexdigest(), "extension": ".png"}
    assert (found["image"]["height"], found["image"]["width"]) == (128, 128)
    assert "from the 0.5 to the 99.5 percentile" in found["image"]["preprocessing"]
    assert found["classifiers"] == {
        "resnet": {"probabilities": ANSWERS["resnet"], "likely": ["Ill", "Well"], "level": 0.9},
        "another": {"probabilities": ANSWERS["another"], "likely": None, "level": None},
    }
    assert found["checkpoints"] == {
        "unet": {
            "origin": "embedded",
            "name": "embedded",
            "revision": None,
            "sha256": hashlib.sha256(b"weights").hexdigest(),
            "engine": "openvino, int8",
        },
        "resnet": {"origin": "hub", "name": "someone/resnet", "revision": COMMIT, "sha256": None, "engine": None},
    }
    packages = ("openvino", "onnxruntime", "torch", "transformers", "segmentation-models-pytorch", "numpy", "pillow")
    assert found["versions"] == {package: version(package) for package in packages}
    assert (found["prompts"], found["notes"]) == (None, [])
    assert "not a medical device" in found["disclaimer"]


def test_a_description_is_json_and_holds_no_name_of_a_file(origins):
    text = json.dumps(told(origins), allow_nan=False)
    assert json.loads(text) == told(origins)
    assert "Jane" not in text
    assert "Doe" not in text


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("Doe, Jane.PNG", ".png"),
        ("scan.dcm", ".dcm"),
        ("Jane.Doe", ""),
        ("1.2.840.10008", ""),
        ("plain", ""),
        (".png", ""),
        ("a.zip/肺.jpeg", ".jpeg"),
    ],
)
def test_of_a_name_only_an_ending_that_names_a_format_is_kept(name, extension):
    assert Source.of(name, b"").extension == extension


def test_the_time_is_told_in_utc_wherever_it_was_taken(origins):
    there = datetime(2026, 1, 2, 8, 4, 5, tzinfo=timezone(timedelta(hours=5)))
    assert describe(REPORT, origins, {}, SOURCE, there)["made"] == "2026-01-02T03:04:05+00:00"


def test_a_visitors_sentences_are_kept(origins):
    prompts = {"Ill": ["an ill chest"], "Well": ["a well chest"]}
    assert told(origins, prompts=prompts)["prompts"] == prompts


def test_prediction_sets_are_told_of_calibrated_answers_to_a_classifiers_own_prompts():
    resnet, clip, plain = tiny_models.resnet(), tiny_models.clip(), tiny_models.clip()
    fitted = Calibration(least=0.2, level=0.8)
    for classifier in (resnet, clip):
        fitted.write(classifier.model.config)
    classifiers = {"resnet": resnet, "clip-zero-shot": clip, "clip-finetuned": plain}
    both = {"resnet": fitted, "clip-zero-shot": fitted}
    assert fitting_calibrations(classifiers) == both
    assert fitting_calibrations(classifiers, clip.prompts) == both
    assert fitting_calibrations(classifiers, {"Ill": ["ill"], "Well": ["well"]}) == {"resnet": fitted}


def test_a_strange_picture_and_missing_lungs_are_remarked_before_a_reports_own_notes():
    assert remarks(REPORT) == []
    assert remarks(replace(REPORT, notes=["resnet is silent."])) == ["resnet is silent."]
    reasons = reasons_against(replace(NOTHING, strangeness=2.34))
    strange, missing, meaning, own = remarks(replace(REPORT, reasons=reasons, notes=["resnet is silent."]))
    assert strange.startswith("This does not look like a frontal chest X-ray: ")
    assert missing.startswith("No lungs were found: ")
    assert meaning == "What models say of such a picture means nothing."
    assert own == "resnet is silent."


@pytest.mark.parametrize(
    ("strangeness", "remarked"), [(0.7, False), (0.9, True), (1.5, False)], ids=["like", "unlike", "strange"]
)
def test_a_picture_that_is_unlike_most_is_remarked_unless_it_is_refused_for_that(strangeness, remarked):
    masks = replace(MASKS, strangeness=strangeness)
    conclusion = Conclusion(("Well",), 2, 2, unlike=strangeness > 0.8)
    found = replace(REPORT, masks=masks, reasons=reasons_against(masks), conclusion=conclusion)
    assert found.strangeness == strangeness
    unlike = "It is unlike most X-rays that the models learned from, so nothing is decided."
    assert (unlike in remarks(found)) == remarked


def test_what_the_classifiers_say_together_is_told_in_json_and_on_the_page(origins, tmp_path):
    assert told(origins)["conclusion"] is None
    long = Conclusion(("肺", "x" * 3000), 2, 2)
    for conclusion, said in {
        Conclusion(("Well",), 3, 4): "Well 3 of 4 classifiers agree.",
        Conclusion(("Ill", "Well"), 2, 4): "Undecided: Ill or Well 2 of 4 classifiers agree on Ill.",
        Conclusion(("Ill",), 2, 2, unlike=True): "Undecided 2 of 2 classifiers agree.",
        long: f"Undecided: \\u80ba or {'x' * 77}... 2 of 2 classifiers agree on \\u80ba.",
    }.items():
        description = told(origins, replace(REPORT, conclusion=conclusion))
        assert description["conclusion"] == conclusion.describe()
        assert json.loads(json.dumps(description)) == description
        pages, text = page(tmp_path, description)
        assert pages == 1
        letters, before = ("".join(part.split()) for part in (text, text.partition("class resnet another")[0]))
        assert "".join(said.split()) in before  # a long word goes over two lines
        assert ("sonothingisdecided" in letters) == conclusion.unlike


def test_what_the_file_says_of_itself_is_remarked_first():
    source = Source("", ".dcm", turned="The picture was mirrored.")
    assert remarks(replace(REPORT, notes=["resnet is silent."]), source) == [source.turned, "resnet is silent."]
    xray = Xray(REPORT.image, ("The file says that it shows an animal on four legs.",), source.turned)
    read = Source.of("a.DCM", b"1", xray)
    assert (read.extension, read.reasons, read.turned) == (".dcm", xray.reasons, xray.turned)


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("plain, ü and 肺", "utf-8", "plain, ü and 肺"),
        ("ü and 肺", "latin-1", "ü and \\u80ba"),
        ("up\x1b[2J\nover", "utf-8", "up\\x1b[2J\\nover"),
        ("left\u202egnp.exe", "utf-8", "left\\u202egnp.exe"),
        ("not\udcff unicode", "utf-8", "not\\udcff unicode"),
        ("🫁", "latin-1", "\\U0001fac1"),
    ],
)
def test_what_cannot_be_shown_is_escaped(text, encoding, shown):
    assert printable(text, encoding) == shown


def test_the_page_holds_the_figures_as_text(origins, tmp_path):
    description = told(origins)
    pages, text = page(tmp_path, description)
    assert pages == 1
    right, left, both = (f"{100 * share:.0f} %" for share in description["infected_share"].values())
    assert f"share outlined as infected {right} {left} {both}" in text
    grades = description["extent_grade"]
    assert f"grade of extent, 0 to 4 {grades['right']} {grades['left']} -" in text
    assert "class resnet another Ill 67.9 % 25.0 % Well 32.1 % 75.0 % not told apart Ill or Well (90%) -" in text
    assert "What a probability here is not: the chance that this person is ill." in text
    assert f"resnet someone/resnet hub {COMMIT} -" in text
    assert f"SHA-256 of the file .png: {SOURCE.sha256}" in text
    assert hashlib.sha256(b"weights").hexdigest() in text
    assert "lungs infection" in text
    assert f"2026-01-02T03:04:05+00:00 (UTC) with torch {version('torch')}" in text
    assert text.index("not a medical device") < text.index("share outlined as infected")


def test_the_page_shows_the_overlay(origins, tmp_path):
    page(tmp_path, told(origins))
    (picture,) = PdfReader(tmp_path / "page.pdf").pages[0].images
    assert np.array_equal(np.asarray(picture.image), draw_overlay(sketch(REPORT.image, MASKS)))


def test_the_page_warns_of_a_strange_picture_and_tells_missing_lungs(origins, tmp_path):
    nothing = replace(NOTHING, strangeness=3.0)
    silent = ["resnet gave no answer: No lungs were outlined."]
    found = Report(REPORT.image, nothing, Involvement(None, None, None), {}, silent, {}, reasons_against(nothing))
    pages, text = page(tmp_path, told(origins, found))
    assert pages == 1
    assert "This does not look like a frontal chest X-ray" in text
    assert "No lungs were found" in text
    assert silent[0] in text
    assert "share outlined as infected not found not found not found grade of extent, 0 to 4 - - -" in text


def test_the_page_is_the_same_for_the_same_description(origins, tmp_path):
    files = [tmp_path / "a.pdf", tmp_path / "b.pdf"]
    for file in files:
        write_pdf(file, told(origins), draw_overlay(sketch(REPORT.image, MASKS)))
    assert files[0].read_bytes() == files[1].read_bytes()


def test_classes_of_any_language_and_length_are_shown_or_escaped(origins, tmp_path):
    names = ["Lungenentzündung", "肺炎", "🫁", "**bold** <b>", "x" * 3000, "two\nlines"]
    found = replace(REPORT, classifiers={"resnet": {name: 1 / len(names) for name in names}})
    pages, text = page(tmp_path, told(origins, found))
    assert pages == 1
    for shown in ("Lungenentzündung", "\\u80ba\\u708e", "\\U0001fac1", "**bold** <b>", "xxx...", "two\\nlines"):
        assert shown in text


def test_names_in_other_scripts_are_escaped_and_none_of_their_letters_is_lost(origins, tmp_path):
    names = ["Pne\u0301u", "Пневмония", "肺炎", "التهاب", "🫁", "fi\u200bne", "not\udcff", "50 €"]
    found = replace(
        REPORT, classifiers={"clip": {name: 1 / len(names) for name in names}}, notes=["Слабое изображение."]
    )
    named = origins | {"resnet": replace(origins["resnet"], name="модель/肺")}
    pages, text = page(tmp_path, told(named, found))
    assert pages == 1
    assert "?" not in text
    for shown in ("Pnéu 12.5 %", "\\u80ba\\u708e 12.5 %", "\\U0001fac1", "fi\\u200bne", "not\\udcff", "50 \\u20ac"):
        assert shown in text
    for word in ("Пневмония", "التهاب", "Слабое", "модель"):
        assert word.encode("unicode_escape").decode() in "".join(text.split())


def test_with_many_classes_the_picture_makes_room_and_no_figure_is_lost(origins, tmp_path):
    few, many = ({f"finding {i}": i / 100 for i in range(count)} for count in (24, 40))
    pages, text = page(tmp_path, told(origins, replace(REPORT, classifiers={"resnet": few})))
    assert pages == 1
    assert "finding 23 23.0 %" in text
    pages, text = page(tmp_path, told(origins, replace(REPORT, classifiers={"resnet": many})))
    assert pages > 1
    assert "finding 39 39.0 %" in text


@pytest.mark.parametrize(
    "name",
    [
        "**bold** __u__ <b>x</b> [l](https://x.invalid) {nb}",
        "a\n\tb\x00\x1b[31m\x7f",
        "\u202egnp\u2066 \u200b\ufeff",
        "\ud800 \U0001fac1 \u0301",
        "(a) \\ ) Tj ET endstream",
        "=1+1;@x",
        " ",
    ],
    ids=ascii,
)
def test_typed_text_of_any_kind_is_kept_in_json_and_shown_or_escaped_on_the_page(origins, tmp_path, name):
    answers = {"resnet": {name: 0.75, "Well": 0.25}}
    found = replace(REPORT, classifiers=answers, notes=[f"No prompt for {name} was given."])
    description = told(origins, found, prompts={name: [name, f"a chest with {name}"], "Well": ["well"]})
    kept = json.loads(json.dumps(description).encode("utf-8"))
    assert kept["prompts"] == {name: [name, f"a chest with {name}"], "Well": ["well"]}
    assert kept["classifiers"]["resnet"]["probabilities"] == answers["resnet"]
    assert kept["notes"][-1] == f"No prompt for {name} was given."
    pages, text = page(tmp_path, description)
    assert pages == 1
    assert " ".join(printable(name, "latin-1").split()) in text
    assert "75.0 %" in text
