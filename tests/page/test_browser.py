"""The page in a real browser: the Chromium or Chrome that is installed, else the tests are skipped."""

import json
import re
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import expect

from hub_models.cards.facts import CardFacts
from hub_models.checkpoints.folder import Checkpoint
from hub_models.checkpoints.resolve import EMBEDDED
from hub_models.checkpoints.roles import ROLES
from hub_models.models.orientation import Suggestion
from hub_models.page import limits, texts
from hub_models.page.languages import Catalogue
from hub_models.page.xray_field import DRAWN, EXAMPLE_SIDE, LANDING
from hub_models.xray.geometry import to_square
from hub_models.xray.images import read_image
from hub_models.xray.phantom import draw_phantom
from tests.support.browsing import (
    BROWSER,
    OPEN,
    OWN_FILM,
    assert_no_sideways_scrolling,
    expect_answered,
    open_tab,
    out_of_the_window,
    share_of,
)
from tests.support.fake_pipeline import FakePipeline, serve

TABLE = "virtual-table-viewport"  # of gradio: scrolls with the arrow keys while the grid around it has the focus
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium and no google-chrome is installed")


class LyingPipeline(FakePipeline):
    """Accepts one picture and the example of a page that is opened, and says of any other that it lies upside down."""

    def __init__(self, folder: Path, upright: np.ndarray) -> None:
        super().__init__(folder)
        seed, opacities = DRAWN[LANDING]
        example = read_image(draw_phantom(seed, size=EXAMPLE_SIDE, opacities=opacities).image)
        self.upright = (upright, to_square(example))

    def segment(self, images: list[np.ndarray]) -> list:
        """The refusal and the suggestion come in one breath."""
        self.strangeness = 2.0 if self.suggest(images[0]) else 0.5
        return super().segment(images)

    def suggest(self, image: np.ndarray) -> Suggestion | None:
        upright = any(np.allclose(to_square(image), accepted, atol=1e-4) for accepted in self.upright)
        return None if upright else Suggestion(180, False, False, "The picture seems to be upside down.")


SHIFTS = """window.shift = 0; new PerformanceObserver((list) => list.getEntries().forEach((entry) => {
  if (!entry.hadRecentInput) window.shift += entry.value;
})).observe({type: 'layout-shift', buffered: true})"""


def test_an_upload_fills_the_tab_and_can_be_kept(page, xray, tmp_path):
    page.locator(OPEN).set_input_files(xray)
    expect_answered(page)
    shares = page.locator("#shares")
    expect(shares).to_contain_text("12 %patient's right lung")
    expect(shares).to_contain_text("not foundpatient's left lung")
    for role, share in (("clip-zero-shot", "62%"), ("clip-finetuned", "88%"), ("resnet", "25%")):
        expect(share_of(page, role, "Ill")).to_have_text(share)
    expect(share_of(page, "resnet", "Well")).to_have_class("likely")
    page.get_by_role("button", name="How each classifier answers").click()
    expect(page.locator("#set-clip-zero-shot")).to_contain_text("Ill or Well: sets like this one")
    places = [page.locator(name).bounding_box()["y"] for name in ("#conclusion b", "#conclusion table", "#shares")]
    assert places == sorted(places)
    expect(page.locator("#notes")).to_contain_text("A note for the visitor.")
    page.get_by_label("Heat map").select_option("resnet")
    expect(page.locator("#viewer canvas.heat")).to_be_visible()
    expect(page.locator("#viewer .caption")).to_contain_text("75.0 % of the heat lies in the lungs")
    page.get_by_role("button", name="Keep the result").click()
    page.get_by_role("button", name="Write a report").click()
    with page.expect_download() as download:
        page.locator("#report a[download='report.pdf']").click()
    download.value.save_as(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF")
    assert_no_sideways_scrolling(page)


@pytest.mark.parametrize("width", [1440, 390])
def test_picture_and_verdict_are_seen_at_once_and_nothing_moves_when_they_come(browser, url, xray, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.add_init_script(SHIFTS)
    page.goto(url)
    expect(page.locator("#viewer .about")).to_contain_text("A drawn example.")
    expect(page.locator("#conclusion")).to_contain_text("Undecided: Ill or Well")
    assert page.evaluate("shift") <= 0.05
    seen = ("#viewer .view", "#viewer .tools", "#viewer .looks", "#conclusion b", "#conclusion table")
    assert out_of_the_window(page, *seen) == []
    page.wait_for_timeout(1_000)  # what follows a visitor's hand within half a second is not counted
    before = page.evaluate("shift")
    page.evaluate("document.activeElement.blur()")
    page.locator(OPEN).set_input_files(xray)
    expect_answered(page)
    page.wait_for_timeout(500)
    assert page.evaluate("shift") - before <= 0.05
    assert out_of_the_window(page, *seen) == []
    page.close()


@pytest.mark.parametrize("width", [1440, 390])
def test_a_refusal_is_seen_without_scrolling_with_the_picture_that_it_is_about(browser, tmp_path, xray, width):
    with serve(FakePipeline(tmp_path, strangeness=2.0)) as url:
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto(url)
        page.locator(OPEN).set_input_files(xray)
        expect(page.locator("#refusal")).to_contain_text("does not look like a frontal chest X-ray")
        expect(page.locator("#anyway")).to_be_visible()
        expect(page.locator("#viewer .film")).to_be_visible()
        assert page.locator("#viewer .film path").count() == 0
        assert out_of_the_window(page, "#viewer .view", "#refusal", "#anyway", seconds=5) == []
        page.close()


def test_the_example_of_a_page_that_is_opened_is_worked_out_once_for_all(browser, tmp_path):
    pipeline = FakePipeline(tmp_path)
    with serve(pipeline) as url:
        for _ in range(3):
            page = browser.new_page()
            page.goto(url)
            expect(page.locator("#conclusion")).to_contain_text("Undecided: Ill or Well")
            page.close()
    assert (len(pipeline.images), len(pipeline.prompts)) == (1, 1)


@pytest.mark.parametrize("way", ["button", "field"])
def test_a_file_that_browsers_do_not_show_is_analysed_once_whichever_way_it_comes(page, xray, tmp_path, way):
    Image.open(xray).save(tmp_path / "IM000001", "TIFF")  # as files from a CD are named
    if way == "button":
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Drop, paste or choose").click()
        chooser.value.set_files(tmp_path / "IM000001")
    else:
        page.locator(OPEN).set_input_files(tmp_path / "IM000001")
    expect_answered(page)
    expect(page.locator("#shares")).to_contain_text("12 %patient's right lung")
    page.wait_for_timeout(1_000)
    requested = []
    page.on("request", lambda request: requested.append(request.url))
    page.wait_for_timeout(3_000)
    assert requested == []  # it is not asked about again and again


def test_the_models_are_named_with_their_cards(page):
    open_tab(page, "Models")
    expect(page).to_have_url(re.compile(r"\?tab=models$"))
    expect(page.locator("#checkpoints")).to_contain_text("someone/resnet")
    page.get_by_role("button", name="Model card: resnet").click()
    expect(page.get_by_text("[picture: badge]")).to_be_visible()  # the fixture sees that nobody asks for it
    expect(page.get_by_role("heading", name="Card of the ResNet")).to_be_visible()
    assert_no_sideways_scrolling(page)


def test_a_batch_of_five_with_a_broken_file_gives_a_table_and_an_archive(page, xray, tmp_path):
    files = [tmp_path / f"{name}.png" for name in "abcde"]
    for file in files:
        file.write_bytes(xray.read_bytes())
    files[2].write_text("Dear colleague")
    open_tab(page, "Batch")
    page.locator("#batch-files input[type=file]").set_input_files(files)
    page.get_by_role("button", name="Outline and classify all").click()
    table = page.locator("#batch-table")
    expect(table.get_by_text("answered").filter(visible=True)).to_have_count(4)
    expect(table.get_by_text("refused").filter(visible=True)).to_have_count(1)
    with page.expect_download() as download:
        page.locator("#batch-kept a[download='results.zip']").click()
    download.value.save_as(tmp_path / "results.zip")
    expect(page.locator("#batch-progress")).to_have_text("5 done, 0 left.")
    with ZipFile(tmp_path / "results.zip") as packed:
        assert {"summary.csv", "a/overlay.png", "e/lungs.png"} <= set(packed.namelist())
        assert not [name for name in packed.namelist() if name.startswith("c/")]
    assert_no_sideways_scrolling(page)


def test_a_row_of_a_batch_opens_in_the_light_box_and_a_batch_can_be_stopped(browser, url, xray, tmp_path):
    for name in "abc":
        (tmp_path / f"{name}.png").write_bytes(xray.read_bytes())
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(f"{url}?tab=batch")
    page.locator("#batch-files input[type=file]").set_input_files([tmp_path / f"{name}.png" for name in "abc"])
    page.get_by_role("button", name="Outline and classify all").click()
    expect(page.locator("#batch-progress")).to_have_text("3 done, 0 left.")
    expect(page.locator("#batch-kept a").first).to_be_visible()
    page.get_by_role("button", name="Stop").click()  # nothing runs any more, and nothing goes
    expect(page.locator("#batch-table img").filter(visible=True)).to_have_count(3)
    page.locator("#batch-table").get_by_text("b.png").filter(visible=True).first.click()
    expect(page.get_by_role("tab", name="Analyse", exact=True)).to_have_attribute("aria-selected", "true")
    expect_answered(page)
    page.close()


@pytest.mark.parametrize("width", [1440, 390])
def test_an_address_opens_the_tab_that_compares_the_recorded_figures(browser, tmp_path, width):
    pipeline = FakePipeline(tmp_path)
    pipeline.checkpoints = {role: Checkpoint(role, EMBEDDED / role, "embedded", "embedded") for role in ROLES}
    accuracy = CardFacts.load(EMBEDDED / "resnet").results["accuracy"]
    with serve(pipeline) as url:
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto(f"{url}?tab=compare")
        expect(page.locator("#scores")).to_contain_text(f"{accuracy:.3f} (")
        expect(page.locator("#outline-scores")).to_contain_text("pooled over all pixels")
        expect(page.locator("#confusion")).to_contain_text("called Normal")
        expect(page.locator("svg.marks, canvas.marks").first).to_be_visible()
        assert_no_sideways_scrolling(page)
        page.close()


def test_the_masks_can_be_kept(page, xray, tmp_path):
    page.locator(OPEN).set_input_files(xray)
    expect_answered(page)
    page.get_by_role("button", name="Keep the result").click()
    with page.expect_download() as download:
        page.locator("#masks a[download='masks.json']").click()
    download.value.save_as(tmp_path / "masks.json")
    assert json.loads((tmp_path / "masks.json").read_text())["masks"].keys() >= {"lungs", "infection"}


def test_edited_prompts_reach_both_clips_and_an_empty_one_is_refused(page, pipeline, xray):
    page.locator(OPEN).set_input_files(xray)
    expect_answered(page)
    open_tab(page, "Zero-shot vs fine-tuned")
    page.get_by_role("textbox", name="class: sentence").fill("Ill: a cough\nWell: nothing\nWell: nothing to see\n")
    page.get_by_role("button", name="Compare the X-ray with these sentences").click()
    expect(page.locator("#asked-clip-zero-shot")).to_contain_text("63%")
    expect(page.locator("#similarity")).to_contain_text("nothing to see")
    assert pipeline.prompts[-1] == {"Ill": ["a cough"], "Well": ["nothing", "nothing to see"]}
    assert_no_sideways_scrolling(page)

    page.get_by_label("Nodule").check()  # other sentences: the answers to the last ones go
    expect(page.get_by_role("textbox", name="class: sentence")).to_have_value(re.compile("^Nodule: chest X-ray"))
    expect(page.locator("#asked-clip-zero-shot")).not_to_contain_text("63%")
    expect(page.locator("#similarity")).not_to_contain_text("nothing to see")
    page.get_by_role("textbox", name="class: sentence").fill("Ill: a cough\nWell: ")
    page.get_by_role("button", name="Compare the X-ray with these sentences").click()
    expect(page.get_by_test_id("toast-body")).to_contain_text('"Well:" is not a "class: sentence"')


def test_every_fresh_page_gets_its_outlined_picture(browser, url, xray):
    for visit in range(8):
        page = browser.new_page()
        page.goto(url)
        if visit % 2:
            page.locator(OPEN).set_input_files(xray)
        else:
            page.locator(".gallery-item").nth(visit % 3).click()
        expect(page.locator("#conclusion")).to_contain_text("Undecided: Ill or Well")
        expect(page.locator("#viewer .about")).to_have_text("" if visit % 2 else re.compile("drawn example"))
        expect(page.locator("#shares")).to_contain_text("12 %")
        page.close()


def test_sentences_that_are_compared_before_the_outlines_are_there_keep_their_answers(page, xray):
    page.locator(OPEN).set_input_files(xray)
    open_tab(page, "Zero-shot vs fine-tuned")
    page.get_by_role("textbox", name="class: sentence").fill("Ill: a cough\nWell: nothing to see\n")
    page.get_by_role("button", name="Compare the X-ray with these sentences").click()
    expect(page.locator("#similarity")).to_contain_text("nothing to see")
    page.wait_for_timeout(500)
    expect(page.locator("#asked-resnet")).to_contain_text("75%")
    expect(page.locator("#similarity")).to_contain_text("nothing to see")


def test_a_file_that_is_no_picture_is_refused_and_an_example_still_works(page, tmp_path):
    (tmp_path / "letter.png").write_text("Dear colleague, the X-ray is in the post.")
    page.locator(OPEN).set_input_files(tmp_path / "letter.png")
    expect(page.locator("#refusal")).to_contain_text("is not an image that can be read")
    expect(page.get_by_text("Error", exact=True)).to_have_count(0)  # one sentence, where the picture would stand
    expect(page.locator("#viewer .film")).not_to_be_visible()  # no picture of before beside it
    page.locator(".gallery-item").first.click()
    expect(page.locator("#shares")).to_contain_text("12 %")
    expect(page.locator("#refusal")).not_to_be_visible()
    expect(page.locator("#viewer .film")).to_be_visible()


@pytest.mark.parametrize(
    ("theme", "width", "language"),
    [("light", 1440, "en"), ("dark", 390, "en"), ("dark", 1440, "de"), ("light", 390, "de")],
)
def test_nothing_keeps_people_out(browser, url, xray, theme, width, language):
    """No finding of axe-core on any tab that it calls serious or critical."""
    found = []
    for tab in texts.TABS:
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto(f"{url}?tab={tab}&__theme={theme}&lang={language}")
        title = texts.TABS[tab] if language == "en" else Catalogue.german().find(texts.TABS[tab])
        expect(page.get_by_role("tab", name=title, exact=True)).to_have_attribute("aria-selected", "true")
        page.locator(OPEN).set_input_files(xray)
        if tab == "analyse":
            page.wait_for_function(OWN_FILM)
            expect(page.locator("#conclusion table")).to_be_visible()
        expect(page.locator(".progress-text")).to_have_count(0)  # else it may be looked at while it fades
        for finding in Axe().run(page).response["violations"]:
            if finding["impact"] in ("serious", "critical"):
                nodes = [node for node in finding["nodes"] if TABLE not in node["html"]]
                found += [(tab, finding["id"], node["html"][:200], node["failureSummary"]) for node in nodes]
        page.close()
    assert found == []


@pytest.mark.parametrize("width", [1440, 390])
def test_a_picture_that_lies_upside_down_is_refused_and_one_button_turns_and_analyses_it(browser, tmp_path, width):
    Image.fromarray(draw_phantom(1, size=256).image).rotate(180).save(tmp_path / "lying.tif")
    upright = read_image(tmp_path / "lying.tif")[::-1, ::-1]
    with serve(LyingPipeline(tmp_path, upright)) as url:
        page = browser.new_page(viewport={"width": width, "height": 900})
        errors = []
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        page.goto(url)
        expect(page.locator("#correct")).not_to_be_visible()
        page.locator(OPEN).set_input_files(tmp_path / "lying.tif")
        expect(page.locator("#refusal")).to_contain_text("does not look like a frontal chest X-ray")
        expect(page.locator("#suggestion")).to_contain_text("The picture seems to be upside down.")
        expect(page.locator("#anyway")).to_be_visible()
        assert_no_sideways_scrolling(page)
        page.get_by_role("button", name="Turn it upright").click()
        expect_answered(page)
        expect(page.locator("#viewer .film path")).to_have_count(2)
        expect(page.locator("#notes")).to_contain_text("turned by 180 degrees before it was read, as the visitor asked")
        for gone in ("#refusal", "#suggestion", "#correct", "#anyway"):
            expect(page.locator(gone)).not_to_be_visible()
        assert_no_sideways_scrolling(page)
        page.close()
    assert errors == []


def test_more_visitors_than_the_page_can_take_are_told_that_it_is_busy(browser, pipeline, monkeypatch):
    monkeypatch.setattr(limits, "WAITING_EVENTS", 0)
    with serve(pipeline) as url:
        page = browser.new_page()
        page.goto(url)
        expect(page.get_by_test_id("toast-body").first).to_contain_text("currently busy")
        page.close()
