"""The tab that outlines an X-ray and asks every classifier: shares, classes, where they look, and what can be kept."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from gradio.components import Component

from hub_models.page import texts
from hub_models.page.correction import Correction
from hub_models.page.events import DRAWING, MODELS, PRIVATE, on_gpu
from hub_models.page.memory import Outlined
from hub_models.page.results import (
    bullets,
    conclusion_html,
    control_text,
    heat_text,
    likely_texts,
    loading_html,
    refusal_html,
    shares_html,
    trust_text,
)
from hub_models.page.state import FileData, PageState
from hub_models.page.tab import Tab, Visit
from hub_models.page.uploads import refusal, serve_picture, served_folder
from hub_models.reports.heatmap import draw_heat
from hub_models.reports.mask_files import write_masks
from hub_models.reports.overlay import COLOURS, OPACITY, Style, draw_overlay
from hub_models.reports.png import encode_png
from hub_models.reports.sentences import NOT_A_RISK, PROBABILITY_IS_NOT
from hub_models.xray.masks import Masks
from hub_models.xray.verdict import MEANINGLESS

if TYPE_CHECKING:  # the page opens while the models are still being loaded
    from hub_models.models.report import Report
    from hub_models.pipeline import XrayPipeline

VIEWER = {"buttons": ["download", "fullscreen"], "elem_classes": "viewer"}

Shown = dict[Component, Any]
"""The changes that an event makes, by component."""


class AnalyseTab(Tab):
    """The outlines of one X-ray, drawn as the visitor wants them; its shares and classes; heat maps; files to keep."""

    name, title = "analyse", texts.TABS["analyse"]

    def __init__(self, state: PageState, visit: Visit, opened: gr.Tab) -> None:
        super().__init__(state, visit, opened)
        self._lay_out_outlines()
        self._lay_out_classes()
        self._lay_out_heat()
        self._lay_out_files()

    def _lay_out_outlines(self) -> None:
        self.refusal = gr.HTML(elem_id="refusal", padding=False)
        self.correction = Correction(self.state, self.visit)
        look = {"format": "png", "height": "min(440px, 90vw)", **VIEWER}
        self.overlay = gr.Image(label=texts.OUTLINES, elem_id="overlay", **look)
        keys = [f"<span style='border-color: {colour}'>{texts.MASKS[name]}</span>" for name, colour in COLOURS.items()]
        gr.HTML(f"<div class='legend'>{''.join(keys)}</div>", padding=False)
        with gr.Row():
            masks = [(texts.MASKS[name], name) for name in COLOURS]
            self.drawn = gr.CheckboxGroup(masks, value=list(COLOURS), label=texts.SHOWN_MASKS, min_width=150)
            styles = [(title, style) for style, title in texts.STYLES.items()]
            self.style = gr.Radio(styles, value="fill", label=texts.STYLE, min_width=150)
            self.opacity = gr.Slider(
                0, 1, OPACITY, step=0.05, label=texts.OPACITY, buttons=[], min_width=150, elem_id="opacity"
            )
        self.shares = gr.HTML(elem_id="shares", padding=False)
        self.anyway = gr.Button(texts.ANYWAY_BUTTON, visible=False, elem_id="anyway")

    def _lay_out_classes(self) -> None:
        self.conclusion = gr.HTML(elem_id="conclusion", padding=False)
        self.classes, self.sets, self.views = {}, {}, {}
        with gr.Row():
            for role, title in texts.TITLES.items():
                with gr.Column(min_width=280):
                    self.classes[role] = gr.Label(label=title, elem_id=role, elem_classes="classifier")
                    self.sets[role] = gr.Markdown(elem_id=f"set-{role}")
                    self.views[role] = gr.Markdown(elem_classes="view")
        self.notes = gr.Markdown(elem_id="notes")
        gr.Markdown(f"**{PROBABILITY_IS_NOT}** {NOT_A_RISK}")

    def _lay_out_heat(self) -> None:
        self.heat, self.heat_sentences = {}, {}
        with gr.Accordion(texts.HEAT_TITLE, open=False, elem_id="heat"):
            gr.Markdown(texts.HEAT)
            self.ask_where = gr.Button(texts.HEAT_BUTTON)
            with gr.Row():
                for role, title in texts.LOOKING.items():
                    with gr.Column(min_width=220):
                        self.heat[role] = gr.Image(label=title, elem_id=f"heat-{role}", **VIEWER)
                        self.heat_sentences[role] = gr.Markdown()

    def _lay_out_files(self) -> None:
        many = {"file_count": "multiple", "height": 130}
        with gr.Accordion(texts.KEEP_TITLE, open=False, elem_id="keep"):
            self.masks = gr.File(label=texts.MASK_FILES, elem_id="masks", **many)
            self.ask_report = gr.Button(texts.REPORT_BUTTON)
            self.report = gr.File(label=texts.REPORT_FILES, elem_id="report", **many)

    @property
    def answers(self) -> list[Component]:
        """The heat maps with their sentences, and the report."""
        return [*self.heat.values(), *self.heat_sentences.values(), self.report]

    def connect(self) -> None:
        """Connect what an X-ray fills by itself, the controls of its outlines, and the buttons."""
        xray, key = self.visit.xray, self.visit.key
        how = [self.drawn, self.style, self.opacity]
        filled = [self.overlay, self.refusal, self.shares, self.masks, self.conclusion, self.notes, self.anyway]
        filled += [key, self.visit.insisted, *self.classes.values(), *self.sets.values(), *self.correction.parts]
        show = on_gpu(self.show)
        ask = {**PRIVATE, **MODELS, "show_progress_on": self.overlay}
        gr.on([xray.change], show, [xray, *how], filled, **ask)
        gr.on([self.anyway.click], show, [xray, *how, key, gr.State(True)], filled, **ask)
        again = {**PRIVATE, **DRAWING, "trigger_mode": "always_last"}
        gr.on([control.change for control in how], self.redraw, [xray, *how, key], self.overlay, **again)
        found = [*self.heat.values(), *self.heat_sentences.values()]
        ask = {**PRIVATE, **MODELS, "show_progress_on": next(iter(self.heat.values()))}
        about = [xray, key, self.visit.insisted]
        gr.on([self.ask_where.click], on_gpu(self.explain), about, found, **ask)
        self.correction.connect()
        gr.on([self.ask_report.click], on_gpu(self.keep), about, self.report, **PRIVATE, **MODELS)

    @property
    def model_components(self) -> list[Component]:
        """The sentence about each classifier."""
        return list(self.views.values())

    def about_models(self, pipeline: "XrayPipeline") -> Shown:
        """Say of each classifier what it is shown, and how much of its score needs the lungs."""
        return {
            view: f"{texts.VIEWS[pipeline.classifiers[role].view]} {control_text(pipeline.checkpoints[role])}"
            for role, view in self.views.items()
        }

    def show(
        self,
        xray: FileData | None,
        drawn: list[str],
        style: Style,
        opacity: float,
        key: str | None = None,
        anyway: bool = False,
    ) -> Iterator[Shown]:
        """Fill the tab, the outlines first; no old result stays beside a new picture, even one that is refused.

        The last step repeats what those before it brought: a browser may leave out one of several that come at once.
        A correction is looked for last, since it takes longest. Only then can the visitor insist, so that no step comes
        after those of the answer to that.

        Args:
            xray: the file.
            drawn: names of the masks to draw.
            style: how to draw them.
            opacity: 0..1, of what is drawn.
            key: what an X-ray that was refused is remembered by.
            anyway: whether to answer to a picture that is refused as a frontal chest X-ray, too.
        """
        empty = self._empty(anyway)
        yield empty
        if xray is None:
            return
        try:
            if not self.state.models.done():
                self.state.read(xray)  # a file that is refused is refused at once
                yield empty | {self.shares: loading_html()}
            image, outlined = self.state.outline(xray, key if anyway else None)
        except gr.Error as error:
            yield empty | {self.refusal: refusal_html(error.message)}
            return
        masks, key, reasons = outlined.masks.unpack(), self.state.memory.keep(outlined), outlined.reasons
        if reasons:
            empty = empty | {self.refusal: refusal_html(*reasons, MEANINGLESS)}
        if reasons and not anyway:
            yield empty
            found = self.correction.look(xray, outlined.source, image)
            yield empty | {self.visit.key: key, self.anyway: gr.update(visible=True)} | found
            return
        outlines = {
            self.visit.insisted: anyway,
            self.overlay: serve_picture(draw_overlay(outlined.sketch, drawn, style, opacity)),
            self.shares: shares_html(masks, outlined.involvement),
            self.masks: self._mask_files(outlined, masks, image.shape),
            self.visit.key: key,
        }
        yield empty | outlines
        with self.state.turns.single:
            found, headers = [(masks, outlined.involvement)], [outlined.source.reasons]
            (report,) = self.state.pipeline.report([outlined.square], found, headers=headers, anyway=anyway)
        answered = empty | outlines | self._classified(report, outlined.turned)
        yield answered
        if not reasons and (found := self.correction.look(xray, outlined.source, image)):
            yield answered | found

    def _empty(self, anyway: bool) -> Shown:
        """The tab without any result; a correction stays on offer if the visitor wants answers `anyway`."""
        nothing = {
            self.overlay: None,
            self.refusal: "",
            self.shares: "",
            self.masks: None,
            self.visit.key: None,
            self.visit.insisted: False,
            self.anyway: gr.update(visible=False),
        }
        return self._classified() | nothing | ({} if anyway else self.correction.hidden())

    @staticmethod
    def _mask_files(outlined: Outlined, masks: Masks, shape: tuple[int, int]) -> list[str] | None:
        """Write the masks as files to keep, at a shape (h, w); None where there are no lungs."""
        if not masks.lungs.any():
            return None
        return list(map(str, write_masks(served_folder(), masks, shape, outlined.involvement, outlined.unet)))

    def redraw(
        self, xray: FileData | None, drawn: list[str], style: Style, opacity: float, key: str | None
    ) -> str | None:
        """Draw the outlines again, as the visitor now wants them; no model runs."""
        if xray is None or key is None:
            return None
        if (outlined := self.state.remembered(xray, key)) is None:
            raise refusal(texts.FORGOTTEN)
        return serve_picture(draw_overlay(outlined.sketch, drawn, style, opacity))

    def explain(self, xray: FileData | None, key: str | None = None, anyway: bool = False) -> Shown:
        """Show where each classifier finds what speaks for the class it prefers, and how much of it in the lungs."""
        outlined = self.state.outline_readable(xray, key, anyway)
        found, image = self.state.explain(outlined.square, outlined.masks.unpack()), outlined.picture
        pictures = {role: serve_picture(draw_heat(image, explanation.heat)) for role, explanation in found.items()}
        shown = {picture: pictures.get(role) for role, picture in self.heat.items()}
        return shown | {sentence: heat_text(found.get(role)) for role, sentence in self.heat_sentences.items()}

    def keep(self, xray: FileData | None, key: str | None = None, anyway: bool = False) -> Iterator[list[str]]:
        """Write the report of an X-ray as PDF and JSON, and its overlay."""
        from hub_models.reports.pdf import write_pdf  # the page opens sooner without

        overlay, description = self.state.answer(xray, key, anyway)
        with tempfile.TemporaryDirectory(prefix="xray-report-") as folder:  # until gradio has copied the files
            pdf, text, picture = (Path(folder, name) for name in ("report.pdf", "report.json", "overlay.png"))
            write_pdf(pdf, description, overlay)
            text.write_text(json.dumps(description) + "\n", encoding="utf-8")
            picture.write_bytes(encode_png(overlay))
            yield [str(pdf), str(text), str(picture)]

    def _classified(self, report: "Report | None" = None, turned: Sequence[str] = ()) -> Shown:
        """The conclusion of all classifiers, each one's probabilities and prediction set in words, and all notes."""
        answers, notes = (report.classifiers, [*turned, *report.notes]) if report else ({}, [])
        sets = likely_texts(answers, self.state.pipeline.classifiers) if answers else {}
        shown = {label: answers.get(role) for role, label in self.classes.items()}
        shown |= {text: sets.get(role, "") for role, text in self.sets.items()}
        said = conclusion_html(report.conclusion, trust_text(self.state.pipeline.checkpoints)) if report else ""
        return shown | {self.conclusion: said, self.notes: bullets(notes)}
