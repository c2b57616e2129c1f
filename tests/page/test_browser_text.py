"""Text of others in a real browser: cards, names and sentences that are meant to do harm are shown, and do nothing."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from hub_models.engines.engine import Engine
from hub_models.models.gradcam import Explanation
from tests.support.browsing import OPEN, OWN_FILM
from tests.support.fake_pipeline import FakePipeline, serve

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium and no google-chrome is installed")
expect.set_options(timeout=20_000)

CARD = r"""---
license: other
---
# A hostile card <script>window.ran = "script"</script>

See [the paper](https://paper.invalid/a?b=c&d) for what this model is.

<script>window.ran = "block"</script>

<img src=x onerror="window.ran = 'onerror'"> <img src="https://evil.invalid/raw.png">
![drawn](https://evil.invalid/markdown.png) ![by reference][ref] [![badge](https://evil.invalid/b.svg)](https://evil.invalid)

<style>@import url(https://evil.invalid/import.css); #disclaimer {display: none !important}</style>

<div style="position: fixed; inset: 0; background: red url(https://evil.invalid/bg.png); z-index: 99999">COVER</div>

<iframe src="https://evil.invalid/frame"></iframe> <object data="https://evil.invalid/o"></object>
<form action="https://evil.invalid/form"><input name="password"><button>Analyse now</button></form>
<base href="https://evil.invalid/base/"><link rel="stylesheet" href="https://evil.invalid/link.css">
<meta http-equiv="refresh" content="0;url=https://evil.invalid/refresh">
<svg onload="window.ran = 'svg'"><image href="https://evil.invalid/svg.png"/></svg>
<video src="https://evil.invalid/v.mp4" poster="https://evil.invalid/poster.png" autoplay></video>
<math><mtext></p><img src=x onerror="window.ran = 'math'"></mtext></math>
<a href="javascript:window.ran = 'link'" id="xray" class="lg primary">Try again</a>

[script](javascript:window.ran='markdown') [data](data:text/html,<script>1</script>) [own](/gradio_api/info)
<javascript:window.ran='autolink'>

$$\href{javascript:window.ran='katex'}{click}$$ ${window.ran = "template"} {{ constructor }} {% raw %}

```mermaid
graph TD; A --> B; click A "javascript:window.ran='mermaid'"
```

| <b>column</b> |
|---|
| <img src=x onerror="window.ran = 'cell'"> |

[ref]: https://evil.invalid/reference.png "title"
"""
NAME = """<img src=x onerror="window.ran='name'"> **b** ![p](https://evil.invalid/name.png) \u202egnp """ + 300 * "x"
SHOWN = NAME.replace("\u202e", r"\u202e")
PICTURE = "<img src=https://evil.invalid/{0}.png onerror=window.ran='{0}'> ![m](https://evil.invalid/{0}-m.png)"


class HostilePipeline(FakePipeline):
    """Its checkpoint, classes, notes and problems are named by somebody who means harm."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        (folder / "README.md").write_text(CARD, encoding="utf-8")
        named = replace(
            self.checkpoints["resnet"], name=f"a`|{PICTURE.format('id')}", problem=PICTURE.format("problem")
        )
        self.checkpoints["resnet"] = named
        self.engines["resnet"] = Engine(problem=PICTURE.format("engine"))

    def _answer(self, images: list, *_) -> list[tuple[dict, list[str]]]:
        answer = {NAME: 0.6, "Well\n\n# a head": 0.4}
        return [(dict.fromkeys(self.classifiers, answer), [PICTURE.format("note")]) for _ in images]

    def compare_prompts(self, image: np.ndarray, masks: object, prompts: dict) -> tuple[dict, list[str], list[dict]]:
        ((answers, notes),) = self._answer([image])
        return answers, notes, super().compare_prompts(image, masks, prompts)[2]

    def explain(self, image: np.ndarray, masks: SimpleNamespace) -> dict[str, Explanation]:
        return {"resnet": Explanation(masks.infection.astype(np.float32), NAME, 0.75)}


@pytest.fixture(scope="module", params=[1440, 390], ids=["desktop", "phone"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page of a hostile pipeline; when the tests are over no other host was asked and no dialog was opened."""
    pipeline = HostilePipeline(tmp_path_factory.mktemp("hostile"))
    with serve(pipeline) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        page = browser.new_page(viewport={"width": request.param, "height": 900})
        requested, dialogs, errors = [], [], []
        page.on("request", lambda request: requested.append(request.url))
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(url)
        yield page
        browser.close()
    assert (dialogs, errors) == ([], [])
    assert [asked for asked in requested if not asked.startswith((url, "data:", "blob:"))] == []


def open_tab(page: Page, name: str) -> None:
    address = page.url.split("?")[0]
    page.goto(f"{address}?tab={name}")
    expect(page.locator("button[role=tab][aria-selected=true]").first).to_be_visible()


def assert_nothing_left_its_place(page: Page) -> None:
    """No script of a text ran; the page is there, no wider than its window, and has no part that is not its own."""
    assert page.evaluate("window.ran") is None
    assert page.url.startswith("http://127.0.0.1:")
    page.wait_for_function("document.documentElement.scrollWidth <= innerWidth", timeout=5_000)
    expect(page.locator("#disclaimer")).to_be_visible()
    assert page.locator("#xray").count() == page.locator("#shares").count() == 1
    foreign = (
        "[...document.querySelectorAll('form, iframe, object, embed, body base, svg image')].map(e => e.outerHTML)"
    )
    assert page.evaluate(foreign) == []


def test_a_card_is_read_and_does_nothing(page):
    open_tab(page, "models")
    page.get_by_role("button", name="Model card: resnet").click()
    heading = page.get_by_role("heading", name='A hostile card <script>window.ran = "script"</script>')
    expect(heading).to_be_visible()
    card = heading.locator("xpath=..")
    for text in ("COVER", "[picture: drawn]", "[picture: by reference]", "[picture: badge]", "graph TD; A --> B"):
        expect(card).to_contain_text(text)
    expect(card).to_contain_text('${window.ran = "template"} {{ constructor }} {% raw %}')
    assert card.locator("img, style, script, input, button, svg, video, math, [id], [style], .katex").count() == 0
    links = {link.get_attribute("href") for link in card.locator("a").all()}
    assert links == {"https://paper.invalid/a?b=c&d", "https://evil.invalid"}
    assert {link.get_attribute("target") for link in card.locator("a").all()} == {"_blank"}
    assert "noopener" in card.locator("a").first.get_attribute("rel")
    expect(card.get_by_role("cell")).to_contain_text("<img src=x onerror=")
    assert_nothing_left_its_place(page)


def test_what_a_checkpoint_is_called_and_what_is_wrong_with_it_is_text(page):
    open_tab(page, "models")
    table = page.locator("#checkpoints")
    expect(table).to_contain_text(f"a`|{PICTURE.format('id')} (stand-in)")
    expect(table).to_contain_text(f"resnet runs in PyTorch: {PICTURE.format('engine')}")
    expect(page.locator("#problems")).to_contain_text(PICTURE.format("problem"))
    assert table.locator("img, a").count() == page.locator("#problems img").count() == 0
    assert table.locator("tbody tr").nth(1).locator("td").count() == 5
    assert_nothing_left_its_place(page)


def test_names_of_classes_and_notes_are_text(page, xray):
    open_tab(page, "analyse")
    page.locator(OPEN).set_input_files(xray)
    page.wait_for_function(OWN_FILM)  # the example that the page opens with is answered in the same words
    page.get_by_role("button", name="How each classifier answers").click()
    answer = page.locator("#set-resnet")
    expect(answer).to_contain_text(f"{SHOWN} or Well # a head: sets like this one")
    expect(page.locator("#conclusion table")).to_contain_text("<img src=x onerror=")
    expect(page.locator("#notes")).to_contain_text(PICTURE.format("note"))
    page.get_by_label("Heat map").select_option("resnet")
    expect(page.locator("#viewer .caption")).to_contain_text(f'What speaks for "{SHOWN}": 75.0 %')
    for place in ("#set-resnet", "#notes", "#conclusion table", "#viewer"):
        assert page.locator(f"{place} :is(img, a, h1)").count() == 0
    assert_nothing_left_its_place(page)


def test_sentences_that_are_typed_are_text(page, xray):
    open_tab(page, "prompts")
    page.locator(OPEN).set_input_files(xray)
    expect(page.locator("#viewer .about")).to_have_text("")
    sentence = "![p](https://evil.invalid/prompt.png) <b>x</b> \u202egnp"
    page.locator("#prompts textarea").fill(f"{PICTURE.format('class')}: {sentence}\nWell: a well chest")
    page.get_by_role("button", name="Compare the X-ray with these sentences").click()
    expect(page.locator("#similarity").get_by_text(sentence).filter(visible=True).first).to_be_visible()
    assert page.locator("#similarity :is(td, [role=gridcell]) :is(img, a, b)").count() == 0
    assert_nothing_left_its_place(page)


def test_names_of_files_are_text(page, xray, tmp_path):
    open_tab(page, "batch")
    file = tmp_path / "<img src=x onerror=window.ran='file'>![f](x) \u202egnp.png"
    file.write_bytes(xray.read_bytes())
    page.locator("#batch-files input[type=file]").set_input_files(file)
    page.get_by_role("button", name="Outline and classify all").click()
    expect(page.locator("#batch-table").get_by_text("answered").filter(visible=True)).to_have_count(1)
    assert (
        page.locator("#batch-table :is(td, [role=gridcell]) :is(img:not([src^='data:image/png;base64,']), a)").count()
        == 0
    )
    assert page.locator("#batch-files img[src=x]").count() == 0
    assert_nothing_left_its_place(page)
