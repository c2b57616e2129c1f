"""The languages of the page: everything that a visitor reads has a German text, and scripts get English."""

import ast
import html
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from gradio_client import Client, handle_file
from playwright.sync_api import Browser, expect
from pypdf import PdfReader

from hub_models.models import orientation
from hub_models.models.orientation import CORRECTIONS, Suggestion
from hub_models.page import texts
from hub_models.page.border import AS_WRITTEN, translate_props, translate_value
from hub_models.page.languages import SPOKEN, Catalogue, in_spoken, language_of
from hub_models.page.layout import build_demo
from hub_models.reports import sentences
from hub_models.xray import dicom_reasons, verdict
from tests.support.browsing import BROWSER, OPEN
from tests.support.fake_pipeline import NOTES, FakePipeline, ready, serve, uploaded

GERMAN = Catalogue.german()
XRAY = Path(dicom_reasons.__file__).parent
NOT_SEEN = re.compile("[Aa]rray|not found; check|cannot be opened")
"""Refusals that no visitor of the page can meet: it takes files, which it has itself."""
NOT_SHOWN = {*texts.DIRECT_REFUSALS.values(), texts.NO_ADDRESS, texts.REQUEST_NOT_UNDERSTOOD, texts.TOO_LARGE}
NOT_SHOWN |= {texts.VISITOR_LEFT, texts.LIKELY_OR, texts.NO_SENTENCE_AND}
"""Words that scripts alone read, and those between two values."""


def strings(value: object) -> list[str]:
    """All texts in a constant."""
    match value:
        case str():
            return [value]
        case dict():
            return [text for each in value.values() for text in strings(each)]
        case list() | tuple():
            return [text for each in value for text in strings(each)]
    return []


def filled(text: str) -> str:
    """A text on one line, with a number in each place."""
    return " ".join(re.sub(r"\{\d*(?::[^{}]*)?\}", "7", text).split())


def refusals() -> list[str]:
    """The sentences with which files are refused, with a number in each place."""
    found = []
    for path in sorted(XRAY.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("ImageRefused", "DicomRefused") and node.args:
                parts = node.args[0].values if isinstance(node.args[0], ast.JoinedStr) else [node.args[0]]
                text = "".join(part.value if isinstance(part, ast.Constant) else "7" for part in parts)
                whole = f'"7" {text}' if "DicomRefused" in ast.unparse(node.func) else re.sub("^7 ", '"7" ', text)
                found.append(whole)
    return [text for text in found if text not in ('"7" 7', "7")]  # a refusal that is handed on


@pytest.mark.parametrize("name", [name for name in vars(texts) if name.isupper()])
def test_every_text_of_the_page_has_a_german_one(name):
    for text in strings(getattr(texts, name)):
        if text not in NOT_SHOWN:
            assert GERMAN.find(filled(text), inner=True), text


def test_every_sentence_that_other_rooms_say_to_visitors_has_a_german_one():
    said = [verdict.UNLIKE, verdict.NO_LUNGS, verdict.MEANINGLESS, orientation.MIRRORED]
    said += [sentences.SIDES, sentences.GRADE, sentences.RANGE, sentences.UNLIKE_MOST]
    said += [f"{sentences.PROBABILITY_IS_NOT} {sentences.NOT_A_RISK}", sentences.share_range(None)]
    said += [Suggestion(*change, False, "").note for change in CORRECTIONS[1:]]
    said += [orientation._sentence(*change) for change in CORRECTIONS[1:]]
    said += [sentences.agreement(*case) for case in ((["a"], 1, 1), (["a"], 1, 4), (["a"], 3, 4), (["a", "b"], 3, 4))]
    said += [sentences.headline(["a", "b"], False), sentences.headline(["a"], False)]
    said += [text for text in refusals() if not NOT_SEEN.search(text)]
    assert len(said) > 50
    assert [text for text in said if GERMAN.find(" ".join(text.split())) is None] == []


def test_a_text_and_its_translation_have_the_same_places():
    place = re.compile(r"\{(\d*)(?::[^{}]*)?\}")
    for english, german in GERMAN.texts.items():
        wanted, given = place.findall(english), place.findall(german)
        assert len(wanted) == len(given), english
        assert all(number == "" or int(number) < len(wanted) for number in given), english


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("Undecided: nothing found or COVID-19", "Unentschieden: kein Befund oder COVID-19"),
        ("1,975 of 9,973 pixels", "1.975 von 9.973 Pixeln"),
        ("64%", "64 %"),
        ("17 to 39 %", "17 bis 39 %"),
        (f"{' '.join(verdict.NO_LUNGS.split())} {verdict.MEANINGLESS}", None),
        ("A card that somebody wrote.", None),
    ],
)
def test_values_are_translated_with_their_sentence_and_other_texts_stay(english, german):
    if german is None and verdict.MEANINGLESS in english:
        assert GERMAN.find(english).endswith("bedeutet nichts.")
    else:
        assert GERMAN.find(english) == german


def test_markup_and_texts_of_others_stay_as_they_are():
    markup = "<b title='Zoom in' class='images'>not found</b> <i>&lt;not&gt; ours</i>"
    assert GERMAN.in_html(markup) == "<b title='Vergrößern' class='images'>nicht gefunden</b> <i>&lt;not&gt; ours</i>"
    assert GERMAN.in_markdown("- resnet gave no answer: a &#42; b\n- other") == (
        "- resnet hat nicht geantwortet: a * b\n- other"
    )
    card = {"value": "<p>Results</p>", "elem_classes": [AS_WRITTEN]}
    assert translate_props("html", card, GERMAN) == card
    assert translate_value("textbox", "Results", GERMAN) == "Results"
    assert translate_props("dropdown", {"value": "none", "choices": [("none", "none")]}, GERMAN) == {
        "value": "none",
        "choices": [["keine", "none"]],
    }


@pytest.mark.parametrize(
    ("query", "cookies", "accepted", "language"),
    [
        ({}, {}, None, "en"),
        ({}, {}, "de-CH,en;q=0.5", "de"),
        ({}, {}, "fr, en;q=0.4, de;q=0.8", "de"),
        ({}, {"lang": "en"}, "de", "en"),
        ({"lang": "de"}, {"lang": "en"}, "en", "de"),
        ({"lang": "xx"}, {}, "fr;q=9, ;;q=de", "en"),
    ],
)
def test_the_address_goes_before_the_cookie_and_that_before_the_browser(query, cookies, accepted, language):
    assert language_of(query, cookies, accepted) == language


def test_scripts_get_english_whatever_their_language_is(url, xray):
    client = Client(url, verbose=False, headers={"Accept-Language": "de"})
    assert client.predict(handle_file(xray), api_name="/classify")[1] == NOTES
    _, told = client.predict(handle_file(xray), api_name="/analyse")
    assert told["disclaimer"].startswith("Research demo")


@pytest.mark.skipif(BROWSER is None, reason="no chromium and no google-chrome is installed")
def test_a_german_browser_reads_german_from_end_to_end_and_can_switch(browser: Browser, tmp_path, xray):
    with serve(FakePipeline(tmp_path)) as url:
        context = browser.new_context(locale="de-DE", viewport={"width": 1440, "height": 900})
        page = context.new_page()
        page.goto(f"{url}?tab=analyse")
        expect(page.locator("html")).to_have_attribute("lang", "de")
        expect(page.get_by_role("tab", name="Analysieren")).to_be_visible()
        expect(page.locator("#conclusion")).to_contain_text("Unentschieden: Ill oder Well")
        expect(page.locator("#conclusion")).to_contain_text("3 von 4 Klassifikatoren sind sich einig: „Ill“.")
        expect(page.locator("#shares")).to_contain_text("rechte Lunge")
        page.get_by_label("Wärmekarte").select_option("resnet")
        expect(page.locator("#viewer .caption")).to_have_text(
            "Was für „Well“ spricht: 75,0 % der Wärme liegen in der Lunge."
        )
        (tmp_path / "brief.png").write_text("Kein Bild")
        page.locator(OPEN).set_input_files(tmp_path / "brief.png")
        expect(page.locator("#refusal")).to_contain_text("„brief.png“ ist kein lesbares Bild")
        page.get_by_role("link", name="English").click()
        expect(page.locator("html")).to_have_attribute("lang", "en")
        expect(page.get_by_role("tab", name="Analyse", exact=True)).to_be_visible()
        page.goto(url)  # the choice is remembered
        expect(page.locator("#conclusion")).to_contain_text("Undecided: Ill or Well")
        context.close()


def test_a_refusal_of_the_queue_is_in_the_visitors_language():
    from hub_models.page.visitors import language_of_event

    asked = SimpleNamespace(query_params={}, cookies={}, headers={"accept-language": "de"})
    assert language_of_event(SimpleNamespace(api_visibility="private"), asked) == "de"
    assert language_of_event(SimpleNamespace(api_visibility="public"), asked) == "en"
    token = SPOKEN.set("de")
    assert (
        in_spoken(texts.BUSY.format(3))
        == "Die Seite ist gerade ausgelastet: 3 Anfragen warten. Bitte in einer Minute noch einmal."
    )
    SPOKEN.reset(token)
    assert in_spoken(html.escape(texts.BUSY)) == texts.BUSY


def test_a_report_is_written_in_the_visitors_language(tmp_path, xray):
    layout = build_demo(ready(FakePipeline(tmp_path, strangeness=0.9))).layout
    token = SPOKEN.set("de")
    kept = layout.tabs["analyse"].keep(uploaded(xray), label="Tag 2")
    pdf, told, _ = next(kept)
    SPOKEN.reset(token)
    written = " ".join(" ".join(page.extract_text() for page in PdfReader(pdf).pages).split())
    for german in (
        "Tag 2",
        "Forschungsdemo, kein Medizinprodukt",
        "Unentschieden",
        "rechte Lunge",
        "Was eine Wahrscheinlich",
    ):
        assert german in written
    for english in (
        "Research",
        "infected",
        "Undecided",
        "patient",
        "probability",
        "classifier",
        "Image",
        "checkpoint ",
    ):
        assert english not in written
    assert json.loads(Path(told).read_text())["disclaimer"].startswith("Research demo")  # programs read it
