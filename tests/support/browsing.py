"""A page in a real browser: the Chromium or Chrome that is installed, and what tests ask of it."""

import shutil
import time

from playwright.sync_api import Locator, Page, expect

from hub_models.page import texts

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
OPEN = "#other input[type=file], :has(> #other) > input[type=file]"
"""The input behind the button that opens files."""
OWN_FILM = "document.querySelector('#viewer .lightbox:not(.empty):has(.about:empty)') !== null"
expect.set_options(timeout=20_000)  # the first answer of a fresh server takes seconds on a slow machine


def assert_no_sideways_scrolling(page: Page) -> None:
    width = page.viewport_size["width"]
    page.wait_for_function("width => document.documentElement.scrollWidth <= width", arg=width, timeout=5_000)


def open_tab(page: Page, name: str) -> None:
    """Open a tab, which on a phone stands in the menu of those that the bar has no room for."""
    tab = page.get_by_role("tab", name=name, exact=True)
    if page.viewport_size["width"] < 600:
        page.get_by_role("button", name="More tabs").click()
        tab = page.locator(".overflow-dropdown").get_by_role("button", name=name, exact=True)
    tab.click()


def share_of(page: Page, role: str, label: str) -> Locator:
    """The cell of the table of classes that holds a classifier's probability."""
    column = list(texts.TITLES).index(role)
    return page.locator(f"#conclusion tr:has(th:text-is('{label}')) td").nth(column)


def expect_answered(page: Page) -> None:
    """The visitor's X-ray is answered, and no longer the example that the page opens with."""
    page.wait_for_function(OWN_FILM, timeout=30_000)
    expect(page.locator("#conclusion")).to_contain_text("Undecided: Ill or Well")


def out_of_the_window(page: Page, *names: str, seconds: float = 0) -> list[str]:
    """Those of some parts that cannot be seen whole without scrolling, of a page that comes to rest within a time."""
    height, end = page.viewport_size["height"], time.monotonic() + seconds
    while True:
        boxes = {name: page.locator(name).bounding_box() for name in names}
        out = [name for name, box in boxes.items() if box is None or box["y"] < 0 or box["y"] + box["height"] > height]
        if not out or time.monotonic() > end:
            return out
        page.wait_for_timeout(100)
