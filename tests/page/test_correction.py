"""The offer to turn, invert or mirror a picture that lies wrong, and the picture that comes of it."""

import json
from collections.abc import Callable
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from PIL import Image
from pypdf import PdfReader

import app
from hub_models.checkpoints.folder import Checkpoint
from hub_models.checkpoints.resolve import EMBEDDED
from hub_models.models.orientation import MIRRORED, Suggestion
from hub_models.models.unet import Segmenter
from hub_models.page.analyse_tab import AnalyseTab
from hub_models.page.correction import button_text
from hub_models.page.layout import Layout
from hub_models.page.uploads import read_kept, serve_xray
from hub_models.pipeline import XrayPipeline
from hub_models.reports.description import Source
from hub_models.xray.geometry import to_square
from hub_models.xray.images import read_image
from hub_models.xray.phantom import draw_phantom
from tests.support.bad_files import dicom
from tests.support.fake_pipeline import INVOLVEMENT, FakePipeline, ready, uploaded

UPSIDE_DOWN = Suggestion(180, False, False, "The picture seems to be upside down.")
NEGATIVE = Suggestion(270, True, False, "The picture seems to be on its side and a negative.")
MIRROR = Suggestion(0, False, True, MIRRORED)
NOTE = "The picture was turned by 180 degrees before it was read, as the visitor asked."
TYPED = "Ill: an ill chest\nWell: a well chest"
HALF_A_GREY = 0.5001 / 65535


def put_right(pipeline: FakePipeline) -> None:
    """Let a pipeline accept the next pictures, and suggest nothing."""
    pipeline.suggestion, pipeline.strangeness = None, 0.5


@pytest.fixture
def lying(tmp_path: Path) -> Callable[[Suggestion | None], tuple[FakePipeline, Layout]]:
    """Makes a pipeline that refuses every picture, with a suggestion for it, and a page around it."""

    def make(suggestion: Suggestion | None) -> tuple[FakePipeline, Layout]:
        pipeline = FakePipeline(tmp_path, strangeness=2.0)
        pipeline.suggestion = suggestion
        return pipeline, app.build_demo(ready(pipeline)).layout

    return make


def deep_file(path: Path) -> Path:
    """A TIFF of 16 bits, higher than wide, in which no place looks like another."""
    Image.fromarray(np.random.default_rng(0).integers(0, 65535, (96, 64)).astype(np.uint16)).save(path)
    return path


def corrected(tab: AnalyseTab, given: dict[str, str], step: dict) -> dict[str, str]:
    """The file in the field once the button of a step was pressed."""
    path = tab.correction.correct(given, step[tab.correction.offer])[tab.visit.xray]
    return uploaded(path)  # as gradio copies it


def test_a_refusal_does_not_wait_for_the_suggestion_and_both_buttons_come_with_it(lying, xray):
    _, layout = lying(UPSIDE_DOWN)
    tab = layout.tabs["analyse"]
    steps = tab.show(uploaded(xray))
    first, refused = next(steps), next(steps)
    assert first[tab.correction.button] == refused[tab.correction.button] == gr.update(visible=False)
    assert first[tab.correction.offer] is refused[tab.correction.offer] is None
    assert "does not look like a frontal chest X-ray" in refused[tab.refusal]
    assert refused[tab.anyway] == gr.update(visible=False)
    (last,) = steps
    assert last[tab.refusal] == refused[tab.refusal]
    assert last[tab.anyway] == gr.update(visible=True)
    assert "The picture seems to be upside down." in last[tab.correction.sentence]
    assert last[tab.correction.button] == gr.update(value="Turn it upright", visible=True)


@pytest.mark.parametrize(
    ("suggestion", "text", "note"),
    [
        (UPSIDE_DOWN, "Turn it upright", "was turned by 180 degrees before"),
        (Suggestion(90, False, False, ""), "Turn it upright", "was turned by 90 degrees counter-clockwise before"),
        (Suggestion(0, True, False, ""), "Exchange dark and light", "was inverted (dark and light exchanged) before"),
        (
            NEGATIVE,
            "Turn it and exchange dark and light",
            "was turned by 90 degrees clockwise and inverted (dark and light exchanged) before",
        ),
        (MIRROR, "Exchange left and right", "was mirrored (left and right exchanged) before"),
    ],
)
def test_the_button_and_the_note_say_what_is_done(suggestion, text, note):
    assert button_text(suggestion) == text
    assert note in suggestion.note


@pytest.mark.parametrize("strangeness", [0.5, 2.0])
def test_without_a_suggestion_there_is_no_sentence_and_no_button(tmp_path, xray, strangeness):
    tab = app.build_demo(ready(FakePipeline(tmp_path, strangeness=strangeness))).layout.tabs["analyse"]
    for step in tab.show(uploaded(xray)):
        assert step[tab.correction.button] == gr.update(visible=False)
        assert step[tab.correction.sentence] == ""
        assert step[tab.correction.offer] is None


@pytest.mark.parametrize("suggestion", [UPSIDE_DOWN, NEGATIVE])
def test_the_corrected_picture_is_the_visitors_x_ray_with_all_its_bits_and_a_note_beside_every_answer(
    lying, tmp_path, suggestion
):
    pipeline, layout = lying(suggestion)
    tab, given = layout.tabs["analyse"], uploaded(deep_file(tmp_path / "anna.tif"))
    *_, refused = tab.show(given)
    turned = corrected(tab, given, refused)
    assert "anna" not in turned["path"]
    put_right(pipeline)
    *_, shown = tab.show(turned)
    wanted = suggestion.apply(read_image(tmp_path / "anna.tif"))
    kept_file = tab.state.files.read(turned)[1].image
    assert kept_file.shape == wanted.shape == ((64, 96) if suggestion is NEGATIVE else (96, 64))
    assert np.abs(kept_file - wanted).max() <= HALF_A_GREY
    assert np.abs(pipeline.images[-1] - to_square(wanted)).max() <= 2 * HALF_A_GREY  # bicubic weights may add up
    note = suggestion.note
    assert shown[tab.refusal] == ""
    assert shown[tab.notes].startswith(f"- {note}\n- ")
    key = shown[tab.visit.key]
    prompts = layout.tabs["prompts"]
    assert prompts.compare_prompts(turned, TYPED, key)[prompts.notes].startswith(f"- {note}\n- ")
    kept = tab.keep(turned, key)  # its files stay while it is held
    pdf, told, _ = next(kept)
    described = json.loads(Path(told).read_text())
    assert described["notes"][0] == note
    assert described["infected_share"]["both"] == INVOLVEMENT.both
    original = Source.of("anna.tif", (tmp_path / "anna.tif").read_bytes())
    assert described["source"] == {"sha256": original.sha256, "extension": ".tif"}
    assert note in " ".join(" ".join(page.extract_text() for page in PdfReader(pdf).pages).split())


def test_what_a_header_says_against_a_file_still_holds_once_its_picture_is_turned(lying, tmp_path):
    pipeline, layout = lying(UPSIDE_DOWN)
    picture = draw_phantom(3, size=64).image[::-1, ::-1]
    turned_by_header = {"PatientOrientation": ["R", "F"], "ViewPosition": "LL"}
    (tmp_path / "IM1").write_bytes(dicom(np.ascontiguousarray(picture), BodyPartExamined="CHEST", **turned_by_header))
    original = uploaded(tmp_path / "IM1")
    given = uploaded(layout.field.open_file(original["path"]))  # the field shows a stand-in
    tab = layout.tabs["analyse"]
    *_, refused = tab.show(given)
    turned = corrected(tab, given, refused)
    put_right(pipeline)
    *_, shown = tab.show(turned)
    upright = to_square(UPSIDE_DOWN.apply(read_image(tmp_path / "IM1")))
    assert np.abs(pipeline.images[-1] - upright).max() <= 2 * HALF_A_GREY
    assert "from the side (LL)" in shown[tab.refusal]
    assert "frontal chest X-ray: a photograph" not in shown[tab.refusal]
    assert shown[tab.conclusion] == ""
    *_, insisted = tab.show(turned, shown[tab.visit.key], True)
    first = insisted[tab.notes].splitlines()[0]
    assert first.startswith("- The picture was mirrored before it was read: its header says")
    assert first.endswith(NOTE)
    kept = tab.keep(turned, shown[tab.visit.key])  # its files stay while it is held
    described = json.loads(Path(next(kept)[1]).read_text())
    assert described["status"] == "refused"
    assert "from the side (LL)" in described["reasons"][0]


def test_an_accepted_picture_that_seems_mirrored_can_be_mirrored_and_its_answers_do_not_wait(lying, xray):
    pipeline, layout = lying(MIRROR)
    pipeline.strangeness, tab, given = 0.5, layout.tabs["analyse"], uploaded(xray)
    *_, answered, last = tab.show(given)
    assert "12 %" in answered[tab.shares]
    assert answered[tab.correction.button] == gr.update(visible=False)
    assert last[tab.shares] == answered[tab.shares]
    assert last[tab.correction.button] == gr.update(value="Exchange left and right", visible=True)
    turned = corrected(tab, given, last)
    put_right(pipeline)
    *_, shown = tab.show(turned)
    assert np.abs(pipeline.images[-1] - read_image(xray)[:, ::-1]).max() <= HALF_A_GREY
    assert shown[tab.notes].startswith(f"- {MIRROR.note}\n- ")


def test_two_corrections_are_both_noted(lying, xray):
    pipeline, layout = lying(UPSIDE_DOWN)
    tab, given = layout.tabs["analyse"], uploaded(xray)
    *_, refused = tab.show(given)
    once = corrected(tab, given, refused)
    pipeline.suggestion, pipeline.strangeness = MIRROR, 0.5
    *_, last = tab.show(once)
    twice = corrected(tab, once, last)
    put_right(pipeline)
    *_, shown = tab.show(twice)
    assert np.abs(pipeline.images[-1] - read_image(xray)[::-1]).max() <= HALF_A_GREY
    assert shown[tab.notes].startswith(f"- {UPSIDE_DOWN.note} {MIRROR.note}\n- ")


def test_the_offer_stays_while_the_visitor_insists_and_another_x_ray_withdraws_it(lying, xray, tmp_path):
    _, layout = lying(UPSIDE_DOWN)
    tab, given = layout.tabs["analyse"], uploaded(xray)
    *_, refused = tab.show(given)
    for step in tab.show(given, refused[tab.visit.key], True):
        assert not step.keys() & {*tab.correction.parts}
    other = uploaded(deep_file(tmp_path / "other.tif"))
    assert next(tab.show(other))[tab.correction.button] == gr.update(visible=False)
    for offer, field in ((refused[tab.correction.offer], other), (None, given)):
        with pytest.raises(gr.Error, match="no longer remembers this X-ray"):
            tab.correction.correct(field, offer)
    with pytest.raises(gr.Error, match="Drop a chest X-ray first"):
        tab.correction.correct(None, refused[tab.correction.offer])


def test_a_corrected_file_that_is_gone_is_asked_for_again_and_its_stand_in_is_not_answered_instead(lying, xray):
    _, layout = lying(UPSIDE_DOWN)
    tab, given = layout.tabs["analyse"], uploaded(xray)
    *_, refused = tab.show(given)
    turned = corrected(tab, given, refused)
    file, _ = layout.state.files.read(turned)
    for change in (lambda: file.write_bytes(file.read_bytes()[:99]), file.unlink):
        change()
        with pytest.raises(gr.Error, match="does not have this file"):
            layout.state.outline(turned)


def test_a_picture_that_the_page_keeps_is_read_as_it_was_written():
    image = np.random.default_rng(0).random((40, 33), np.float32) / 2 + np.float32(0.25)
    path = Path(serve_xray(image))
    with Image.open(path) as picture:
        assert picture.mode == "I;16"
    assert np.abs(read_kept(path) - image).max() <= HALF_A_GREY  # its contrast is not stretched


def test_the_embedded_unet_offers_to_turn_a_phantom_and_then_accepts_it(tmp_path):
    segmenter = Segmenter.from_pretrained(EMBEDDED / "unet")
    pipeline = XrayPipeline(segmenter, {}, {"unet": Checkpoint("unet", EMBEDDED / "unet", "embedded", "embedded")})
    tab = app.build_demo(ready(pipeline)).layout.tabs["analyse"]
    Image.fromarray(draw_phantom(512).image).rotate(180).save(tmp_path / "lying.png")
    given = uploaded(tmp_path / "lying.png")
    *_, refused = tab.show(given)
    assert "does not look like a frontal chest X-ray" in refused[tab.refusal]
    assert "upside down" in refused[tab.correction.sentence]
    *_, shown = tab.show(corrected(tab, given, refused))
    assert (shown[tab.refusal], shown[tab.correction.button]) == ("", gr.update(visible=False))
    assert "%" in shown[tab.shares]
    assert shown[tab.notes] == f"- {NOTE}"
