"""The X-rays of this visit in a real browser: opened again, two side by side, and nowhere but in the page's memory."""

from pathlib import Path

import gradio as gr
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from hub_models.page.visit_strip import VisitStrip
from hub_models.xray.phantom import draw_phantom
from tests.support.browsing import BROWSER, OPEN, expect_answered
from tests.support.fake_pipeline import FakePipeline, serve, uploaded

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium and no google-chrome is installed")


def give(page: Page, folder: Path, seed: int, count: int) -> None:
    """Give the page an X-ray, and wait until the strip has so many."""
    Image.fromarray(draw_phantom(seed, size=64).image).save(folder / f"{seed}.png")
    page.locator(OPEN).set_input_files(folder / f"{seed}.png")
    expect(page.locator(".visit li")).to_have_count(count)
    expect(page.locator(".visit li").first).to_have_attribute("aria-current", "true")
    expect_answered(page)


def test_an_x_ray_is_opened_again_and_two_are_seen_side_by_side_with_the_change(page, tmp_path):
    expect(page.locator(".visit li")).to_have_count(1)  # the example
    give(page, tmp_path, seed=1, count=2)
    give(page, tmp_path, seed=2, count=3)
    shown = page.locator(".visit li[aria-current=true]")
    page.get_by_role("button", name="X-ray 1").click()
    expect(page.locator("#viewer .about")).to_contain_text("A drawn example.")
    expect(page.locator(".visit li")).to_have_count(3)
    expect(shown).to_have_count(1)
    expect(shown.get_by_role("button")).to_have_attribute("aria-label", "X-ray 1")
    page.get_by_label("Compare two: X-ray 2").check()
    page.get_by_label("Compare two: X-ray 3").check()
    pair = page.get_by_role("dialog", name="Compare two")
    expect(pair.locator("img")).to_have_count(2)
    expect(pair).to_contain_text("50% of both lungs outlined as infected")
    expect(pair).to_contain_text("Change of the infected share: 0 percentage points")
    page.keyboard.press("Escape")
    expect(pair).not_to_be_visible()
    expect(page.locator(".visit input:checked")).to_have_count(0)


def test_the_last_ten_are_kept_and_nothing_is_stored(browser, url, tmp_path):
    page = browser.new_page()
    page.goto(url)
    expect(page.locator(".visit li")).to_have_count(1)
    for seed in range(11):
        give(page, tmp_path, seed, count=min(seed + 2, 10))
    stored = "[localStorage.length, sessionStorage.length, document.cookie]"
    assert page.evaluate(stored) == [0, 0, ""]
    assert page.evaluate("indexedDB.databases()") == []
    page.reload()
    expect(page.locator(".visit li")).to_have_count(1)
    page.close()


def test_a_report_carries_the_label_that_a_visitor_types(browser, tmp_path, xray):
    with serve(FakePipeline(tmp_path)) as url:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(url)
        page.locator(OPEN).set_input_files(xray)
        expect_answered(page)
        page.get_by_role("button", name="Keep the result").click()
        page.get_by_label("Label for the report").fill("Study 7 / day 2")
        page.get_by_role("button", name="Write a report").click()
        for name in ("report.pdf", "report.json", "overlay.png"):
            expect(page.locator(f"#report a[download='Study_7_day_2-{name}']")).to_be_visible()
        page.close()


def test_only_what_the_page_has_is_opened_again(xray):
    with gr.Blocks():
        strip = VisitStrip()
    given = uploaded(xray)["path"]
    assert strip.open_again(gr.EventData(None, {"path": given})) == given
    for path in ("/etc/hostname", None, 7):
        with pytest.raises(gr.Error, match="does not have this file"):
            strip.open_again(gr.EventData(None, {"path": path}))
