"""A page whose models are stand-ins, served once for the tests of a file, and the browser that opens it."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.support.browsing import BROWSER, FLAGS
from tests.support.fake_pipeline import FakePipeline, serve


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> FakePipeline:
    return FakePipeline(tmp_path_factory.mktemp("cards"))


@pytest.fixture(scope="module")
def url(pipeline: FakePipeline) -> Iterator[str]:
    with serve(pipeline) as url:
        yield url


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield browser
        browser.close()


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
    assert errors == []
    asked = [request.url for request in requested]
    assert [address for address in asked if not address.startswith((url, "data:", "blob:"))] == []
