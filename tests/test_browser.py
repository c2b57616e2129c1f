"""The page in a real browser: the Chromium or Chrome that is installed, else the tests are skipped."""

import json
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.fakes import FakePipeline, serve

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
expect.set_options(timeout=20_000)  # the first answer of a fresh server takes seconds on a slow machine
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium and no google-chrome is installed")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=BROWSER, args=flags)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> FakePipeline:
    return FakePipeline(tmp_path_factory.mktemp("cards"))


@pytest.fixture(scope="module")
def url(pipeline: FakePipeline) -> Iterator[str]:
    with serve(pipeline) as url:
        yield url


@pytest.fixture(params=[1440, 390], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, browser: Browser, url: str) -> Iterator[Page]:
    """The page, opened; when the test is over it must have logged no error and asked no other server for anything."""
    page = browser.new_page(viewport={"width": request.param, "height": 900})
    errors, requested = [], []
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requested.append(request))
    page.goto(url)
    yield page
    page.close()
    # A card of the fake links to a picture elsewhere; the browser is told to leave it out, and logs that.
    assert [error for error in errors if "Content Security Policy" not in error] == []
    asked = [request.url for request in requested if request.failure != "csp"]
    assert [address for address in asked if not address.startswith((url, "data:", "blob:"))] == []


def assert_no_sideways_scrolling(page: Page) -> None:
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"]


def test_an_upload_fills_both_tabs_and_the_models_are_named(page, xray):
    page.locator("#xray input[type=file]").set_input_files(xray)

    shares = page.locator("#shares")
    expect(shares).to_contain_text("12.3 %patient's right lung")
    expect(shares).to_contain_text("not foundpatient's left lung")
    expect(page.locator("#overlay img")).to_be_visible()
    assert_no_sideways_scrolling(page)

    page.get_by_role("tab", name="Classify").click()
    expect(page.locator("#clip-zero-shot")).to_contain_text("63%")
    expect(page.locator("#clip-finetuned")).to_contain_text("88%")
    expect(page.locator("#resnet")).to_contain_text("75%")
    expect(page.locator("#notes")).to_contain_text("A note for the visitor.")
    page.get_by_role("button", name="Where the classifiers look").click()
    page.get_by_role("button", name="Show where").click()
    expect(page.locator("#heat-resnet img")).to_be_visible()
    expect(page.locator("#heat")).to_contain_text("75.0 % of the heat lies in the lungs")
    assert_no_sideways_scrolling(page)

    page.get_by_role("tab", name="Models").click()
    expect(page.locator("#checkpoints")).to_contain_text("someone/resnet")
    with page.expect_event("requestfailed") as picture_elsewhere:
        page.get_by_role("button", name="Model card: resnet").click()
    assert picture_elsewhere.value.failure == "csp"
    expect(page.get_by_role("heading", name="Card of the ResNet")).to_be_visible()
    assert_no_sideways_scrolling(page)


def test_the_outlines_are_drawn_anew_as_the_visitor_wants_and_the_masks_can_be_kept(page, xray, tmp_path):
    page.locator("#xray input[type=file]").set_input_files(xray)
    picture = page.locator("#overlay img")
    expect(picture).to_be_visible()
    for change in (
        lambda: page.get_by_label("contour").check(),
        lambda: page.get_by_label("infection", exact=True).uncheck(),
        lambda: (
            page.get_by_label("number input for Opacity").or_(page.locator("#opacity input[type=range]")).last.fill("1")
        ),
    ):
        before = picture.get_attribute("src")
        change()
        expect(picture).not_to_have_attribute("src", before)
    assert_no_sideways_scrolling(page)

    with page.expect_download() as download:
        page.locator("#masks a[download='masks.json']").click()
    download.value.save_as(tmp_path / "masks.json")
    assert json.loads((tmp_path / "masks.json").read_text())["masks"].keys() >= {"lungs", "infection"}


def test_edited_prompts_reach_the_pipeline_and_an_empty_one_is_refused(page, pipeline, xray):
    page.locator("#xray input[type=file]").set_input_files(xray)
    page.get_by_role("tab", name="Classify").click()
    expect(page.locator("#resnet")).to_contain_text("75%")
    page.get_by_role("textbox", name="class: sentence").fill("Ill: a cough\nWell: nothing\nWell: nothing to see\n")
    page.get_by_role("button", name="Classify with these prompts").click()
    expect(page.locator("#clip-zero-shot")).to_contain_text("63%")
    page.wait_for_function("!document.querySelector('.generating, .pending')")
    assert pipeline.prompts[-1] == {"Ill": ["a cough"], "Well": ["nothing", "nothing to see"]}

    page.get_by_role("textbox", name="class: sentence").fill("Ill: a cough\nWell: ")
    page.get_by_role("button", name="Classify with these prompts").click()
    expect(page.get_by_test_id("toast-body")).to_contain_text('"Well:" is no "class: sentence"')


def test_a_new_picture_is_outlined_without_an_error_while_a_class_has_no_sentence(page, xray):
    page.get_by_role("tab", name="Classify").click()
    page.get_by_role("textbox", name="class: sentence").fill("Ill: a cough\nWell: ")
    page.locator("#xray input[type=file]").set_input_files(xray)
    expect(page.locator("#notes")).to_contain_text('"Well:" is no "class: sentence"')
    page.get_by_role("tab", name="Segment").click()
    expect(page.locator("#overlay img")).to_be_visible()
    expect(page.locator("#shares")).to_contain_text("12.3 %patient's right lung")
    expect(page.locator(".error")).to_have_count(0)


def test_a_file_that_is_no_picture_is_refused_and_an_example_still_works(page, tmp_path):
    (tmp_path / "letter.png").write_text("Dear colleague, the X-ray is in the post.")
    page.locator("#xray input[type=file]").set_input_files(tmp_path / "letter.png")
    expect(page.get_by_test_id("toast-body")).to_contain_text("is not an image that can be read")
    page.get_by_role("button", name="healthy.png").or_(page.locator(".gallery-item")).first.click()
    expect(page.locator("#shares")).to_contain_text("12.3 %")
