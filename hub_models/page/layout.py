"""The whole page: the field for an X-ray, the tabs, and what happens when it is opened or the models change."""

import json
from concurrent.futures import Future
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from hub_models.checkpoints.roles import ZERO_SHOT
from hub_models.page import texts
from hub_models.page.analyse_tab import AnalyseTab
from hub_models.page.batch_tab import BatchTab
from hub_models.page.compare_tab import CompareTab
from hub_models.page.endpoints import Endpoints
from hub_models.page.events import EXCHANGES, PRIVATE, clear_on
from hub_models.page.exchange import Exchange
from hub_models.page.feedback import Feedback
from hub_models.page.languages import LANGUAGES, QUERY
from hub_models.page.models_tab import ModelsTab
from hub_models.page.prompts_tab import PromptsTab
from hub_models.page.results import problems_html
from hub_models.page.state import PageState
from hub_models.page.tab import Tab, Visit
from hub_models.page.visit_strip import VisitStrip
from hub_models.page.visitors import Page
from hub_models.page.xray_field import XrayField

if TYPE_CHECKING:  # the page opens while the models are still being loaded
    from hub_models.pipeline import XrayPipeline

TABS = (AnalyseTab, PromptsTab, BatchTab, CompareTab, ModelsTab)
"""In their order on the page."""


class StandIns:
    """The notice above the tabs of checkpoints that stand in for those that were asked for, and its button."""

    def __init__(self) -> None:
        self.problems = gr.HTML(elem_id="problems", padding=False)
        self.retry = gr.Button(texts.TRY_AGAIN_BUTTON, size="sm", visible=False)

    def about_models(self, pipeline: "XrayPipeline") -> dict[Component, Any]:
        """Name them, with the reason."""
        some = any(checkpoint.problem for checkpoint in pipeline.checkpoints.values())
        return {self.problems: problems_html(pipeline.checkpoints), self.retry: gr.update(visible=some)}


class Layout:
    """The parts of a page that is being laid out.

    Attributes:
        state: what they share.
        tabs: name -> tab.
    """

    def __init__(self, state: PageState) -> None:
        self.state = state
        with gr.Row(elem_id="head"):
            gr.Markdown(texts.INTRO)
            gr.Markdown(texts.DISCLAIMER, elem_id="disclaimer")
            gr.HTML(languages_html(), elem_id="languages")
        gr.HTML(names_html(), elem_classes="by-script")
        self.stand_ins = StandIns()
        self.tabs: dict[str, Tab] = {}
        with gr.Row(elem_id="strip"):
            self.field = XrayField(state)
            self.strip = VisitStrip()
        self.visit = Visit(self.field.image, gr.State(), gr.State(False))
        with gr.Tabs() as self.bar:
            for kind in TABS:
                with gr.Tab(kind.title, id=kind.name) as opened:
                    self.tabs[kind.name] = kind(state, self.visit, opened)
        self.endpoints = Endpoints(state, self.visit.xray, self.tabs["batch"])

    def connect(self, demo: gr.Blocks) -> None:
        """Connect what happens when an X-ray is chosen, the page is opened, a tab is, or a checkpoint changes."""
        # The browser takes the events of one change in turn: this one first, or it would empty newer answers.
        clear_on([self.visit.xray.change], [part for tab in self.tabs.values() for part in tab.answers])
        for tab in self.tabs.values():
            tab.connect()
        self.strip.connect(self.visit)
        model_parts = [self.stand_ins.problems, self.stand_ins.retry]
        model_parts += [part for tab in self.tabs.values() for part in tab.model_components]
        gr.on([demo.load], self.tell, None, model_parts, **PRIVATE)
        gr.on([self.stand_ins.retry.click], self.retry, None, model_parts, **EXCHANGES)
        if chooser := self.tabs["models"].chooser:
            inputs = [chooser.role, chooser.checkpoint]
            loaded = gr.on([chooser.load.click], chooser.put_in_place, inputs, None, **EXCHANGES)
            loaded.success(self.tell, chooser.role, model_parts, **PRIVATE)
        gr.on([demo.load], open_tab, None, self.bar, **PRIVATE)
        batch = self.tabs["batch"]
        chosen = gr.on([batch.table.select], batch.open_row, batch.asked, self.visit.xray, **PRIVATE)
        up = "() => { scrollTo(0, 0); return []; }"
        chosen.success(lambda: gr.Tabs(selected=TABS[0].name), None, self.bar, js=up, **PRIVATE)
        demo.load(None, None, None, js="() => xrayPage.name()")
        xray, landing = self.visit.xray, json.dumps(self.field.landing)
        demo.load(None, xray, xray, js=f"(xray) => xray ?? {landing}")  # one that is there already stays
        for name, tab in self.tabs.items():
            first = json.dumps(name == TABS[0].name)
            tab.opened.select(None, None, None, js=f"() => xrayPage.remember('{name}', {first})")

    def tell(self, role: str | None = None) -> dict[Component, Any]:
        """Say which models are in use; a visitor's own sentences stay unless the zero-shot CLIP was exchanged.

        Args:
            role: whose checkpoint was exchanged; None when the page is opened.
        """
        pipeline = self.state.pipeline
        model_parts = self.stand_ins.about_models(pipeline)
        for tab in self.tabs.values():
            model_parts |= tab.about_models(pipeline)
        if role not in (None, *ZERO_SHOT):
            del model_parts[self.tabs["prompts"].prompts]
        return model_parts

    def retry(self) -> dict[Component, Any]:
        """Ask again for every checkpoint that has a stand-in."""
        from hub_models.page.startup import try_again

        try_again(self.state.pipeline)
        return self.tell()


def build_demo(
    models: "Future[XrayPipeline]", exchange: Exchange | None = None, feedback: Feedback | None = None
) -> Page:
    """Lay out the page around a pipeline that may still be loading; `server.launch` serves it.

    Args:
        models: the pipeline.
        exchange: what visitors may put in place of a checkpoint; None for nothing.
        feedback: the data set that gets corrections; None for none.
    """
    with Page(title=texts.PAGE_TITLE, analytics_enabled=False, fill_width=True) as demo:
        demo.layout = Layout(PageState(models, exchange, feedback))
        demo.layout.connect(demo)
    return demo


def names_html() -> str:
    """Write what `xrayPage.name` in page_head.html calls the parts that gradio leaves without a name."""
    examples = [texts.EXAMPLE_NAME.format(name) for name in texts.EXAMPLES]
    named = {f"example-{number}": name for number, name in enumerate(examples)}
    named |= {"picture": texts.PICTURE_NAME, "empty": texts.EMPTY_NAME, "plot": texts.PLOT_NAME}
    named |= {"filter": texts.FILTER_NAME, "spoken": texts.SPOKEN}
    data = " ".join(f"data-{key}='{escape(name)}'" for key, name in named.items())
    return f"<span id='names' {data}></span>"


def languages_html() -> str:
    """Write a link for each language; `xrayPage` lets it keep the open tab, and remembers the choice."""
    links = (
        f"<a href='?{QUERY}={code}' hreflang='{code}' lang='{code}'>{name}</a>" for code, name in LANGUAGES.items()
    )
    return f"<nav>{' '.join(links)}</nav>"


def open_tab(request: gr.Request) -> dict:
    """Open the tab that the page's address names."""
    name = request.query_params.get("tab")
    return gr.Tabs(selected=name) if name in texts.TABS else gr.skip()
