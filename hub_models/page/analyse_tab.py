"""The tab that outlines an X-ray and asks every classifier: light box, verdict, where they look, what can be kept."""

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np
from gradio.components import Component

from hub_models.page import texts
from hub_models.page.annotation import MAX_LABEL, Annotation, beginning
from hub_models.page.correction import Correction
from hub_models.page.events import DRAWING, MODELS, PRIVATE, on_gpu
from hub_models.page.files import FileData
from hub_models.page.findings import conclusion_html, likely_texts, sets_of, shares_html, trust_texts
from hub_models.page.languages import SPOKEN, in_spoken
from hub_models.page.memory import Outlined
from hub_models.page.results import bullets, control_text, loading_html, refusal_html
from hub_models.page.state import PageState
from hub_models.page.tab import Tab, Visit
from hub_models.page.uploads import served_folder
from hub_models.page.viewer import LightBox, film, heat
from hub_models.reports.mask_files import write_masks
from hub_models.reports.png import encode_png
from hub_models.xray.masks import Masks
from hub_models.xray.verdict import MEANINGLESS

if TYPE_CHECKING:  # the page opens while the models are still being loaded
    from hub_models.models.report import Report
    from hub_models.pipeline import XrayPipeline

REPORT = ("report.pdf", "report.json", "overlay.png")
Shown = dict[Component, Any]
"""The changes that an event makes, by component."""


class AnalyseTab(Tab):
    """The light box and, beside it, the verdict; below, how each classifier answers, and files to keep."""

    name, title = "analyse", texts.TABS["analyse"]

    def __init__(self, state: PageState, visit: Visit, opened: gr.Tab) -> None:
        super().__init__(state, visit, opened)
        with gr.Row(elem_id="one-look"):
            with gr.Column(scale=8, min_width=300):
                self.viewer = LightBox().component
                self.ask_where = gr.Button(texts.HEAT_BUTTON, elem_id="ask-where", elem_classes="by-script")
            with gr.Column(scale=5, min_width=300, elem_id="verdict"):
                self._lay_out_verdict()
        self.annotation = Annotation(self.state, self.visit, self.shares, self.state.feedback)
        self._lay_out_classes()
        self._lay_out_files()

    def _lay_out_verdict(self) -> None:
        self.refusal = gr.HTML(elem_id="refusal", padding=False)
        self.correction = Correction(self.state, self.visit)
        self.anyway = gr.Button(texts.ANYWAY_BUTTON, visible=False, elem_id="anyway", size="sm")
        self.conclusion = gr.HTML(elem_id="conclusion", padding=False)
        self.shares = gr.HTML(elem_id="shares", padding=False)
        self.notes = gr.Markdown(elem_id="notes")

    def _lay_out_classes(self) -> None:
        self.sets, self.views = {}, {}
        with gr.Accordion(texts.CLASSIFIERS_TITLE, open=False, elem_id="classifiers"):
            with gr.Row():
                for role, title in texts.TITLES.items():
                    with gr.Column(min_width=240):
                        gr.Markdown(f"**{title}**")
                        self.views[role] = gr.Markdown(elem_classes="seen")
                        self.sets[role] = gr.Markdown(elem_id=f"set-{role}")
            gr.Markdown(texts.HEAT)

    def _lay_out_files(self) -> None:
        many = {"file_count": "multiple", "height": 130}
        with gr.Accordion(texts.KEEP_TITLE, open=False, elem_id="keep"), gr.Row():
            self.masks = gr.File(label=texts.MASK_FILES, elem_id="masks", **many)
            with gr.Column(min_width=300):
                self.label = gr.Textbox(label=texts.REPORT_LABEL, max_length=MAX_LABEL, elem_id="label")
                self.ask_report = gr.Button(texts.REPORT_BUTTON)
                self.report = gr.File(label=texts.REPORT_FILES, elem_id="report", **many)

    @property
    def answers(self) -> list[Component]:
        """The report, and the visitor's own opinion."""
        return [self.report, *self.annotation.parts]

    def connect(self) -> None:
        """Connect what an X-ray fills by itself, and the buttons."""
        xray, key = self.visit.xray, self.visit.key
        filled = [self.viewer, self.refusal, self.shares, self.masks, self.conclusion, self.notes, self.anyway]
        filled += [key, self.visit.insisted, *self.sets.values(), *self.correction.parts]
        show = on_gpu(self.show)
        ask = {**PRIVATE, **MODELS, "show_progress_on": self.viewer}
        gr.on([xray.change], show, xray, filled, **ask)
        gr.on([self.anyway.click], show, [xray, key, gr.State(True)], filled, **ask)
        about = [xray, key, self.visit.insisted]
        gr.on([self.ask_where.click], on_gpu(self.explain), about, self.viewer, **ask)
        self.correction.connect()
        self.annotation.connect(self.label)
        free = {**PRIVATE, **DRAWING}
        gr.on([self.label.blur, self.label.submit], self.name_masks, [xray, key, self.label], self.masks, **free)
        gr.on([self.ask_report.click], on_gpu(self.keep), [*about, self.label], self.report, **PRIVATE, **MODELS)

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

    def show(self, xray: FileData | None, key: str | None = None, anyway: bool = False) -> Iterator[Shown]:
        """Fill the tab, the outlines first; no old result stays beside a new picture, even one that is refused.

        The last step repeats what those before it brought: a browser may leave out one of several that come at once.
        A correction is looked for last, since it takes longest. Only then can the visitor insist, so that no step comes
        after those of the answer to that.

        Args:
            xray: the file.
            key: what an X-ray that was refused is remembered by.
            anyway: whether to answer to a picture that is refused as a frontal chest X-ray, too.
        """
        empty = self._empty(anyway)
        yield empty
        if xray is None:
            return
        try:
            if not self.state.models.done():
                self.state.files.read(xray)  # a file that is refused is refused at once
                yield empty | {self.shares: loading_html()}
            image, outlined = self.state.outline(xray, key if anyway else None)
        except gr.Error as error:
            yield empty | {self.refusal: refusal_html(error.message)}
            return
        masks, key, reasons = outlined.masks.unpack(), self.state.memory.keep(outlined), outlined.reasons
        if reasons:
            empty = empty | {self.refusal: refusal_html(*reasons, MEANINGLESS), self.viewer: film(image)}
        if reasons and not anyway:
            yield empty
            found = self.correction.look(xray, outlined.source, image)
            yield empty | {self.visit.key: key, self.anyway: gr.update(visible=True)} | found
            return
        outlines = self._outlined(xray, image, outlined, masks) | {self.visit.insisted: anyway, self.visit.key: key}
        yield empty | outlines
        report = self.state.report(outlined, anyway=anyway)
        answered = empty | outlines | self._classified(report, outlined.turned)
        yield answered
        if not reasons and (found := self.correction.look(xray, outlined.source, image)):
            yield answered | found

    def _outlined(self, xray: FileData, image: np.ndarray, outlined: Outlined, masks: Masks) -> Shown:
        """The picture, float32 (H, W) in 0..1, with its outlines, their shares, and the masks as files."""
        example = outlined.path in self.state.examples
        about = {"about": texts.WORKED_EXAMPLE if example else "", "path": xray["path"]}
        about["share"] = outlined.involvement.both
        return {
            self.viewer: film(image, masks, self.state.pipeline.segmenter.thresholds, **about),
            self.shares: shares_html(masks, outlined.involvement),
            self.masks: self._mask_files(outlined, masks),
        }

    def _empty(self, anyway: bool) -> Shown:
        """The tab without any result; a correction stays on offer if the visitor wants answers `anyway`."""
        nothing = {
            self.viewer: None,
            self.refusal: "",
            self.shares: "",
            self.masks: None,
            self.visit.key: None,
            self.visit.insisted: False,
            self.anyway: gr.update(visible=False),
        }
        return self._classified() | nothing | ({} if anyway else self.correction.hidden())

    @staticmethod
    def _mask_files(outlined: Outlined, masks: Masks, label: str | None = None) -> list[str] | None:
        """Write the masks as files to keep, at the picture's own size, called after a label; None without lungs."""
        if not masks.lungs.any():
            return None
        named = served_folder(), beginning(label)
        return list(map(str, write_masks(*named, masks, outlined.shape, outlined.involvement, outlined.unet)))

    def name_masks(self, xray: FileData | None, key: str | None, label: str | None) -> Any:
        """Write the masks again under names that begin with a label; nothing changes without an outlined X-ray."""
        outlined = self.state.remembered(xray, key) if xray and key else None
        return gr.skip() if outlined is None else self._mask_files(outlined, outlined.masks.unpack(), label)

    def explain(self, xray: FileData | None, key: str | None = None, anyway: bool = False) -> Shown:
        """Show where each classifier finds what speaks for the class it prefers, and how much of it in the lungs."""
        outlined = self.state.outline_readable(xray, key, anyway)
        return {self.viewer: heat(self.state.explain(outlined))}

    def keep(
        self, xray: FileData | None, key: str | None = None, anyway: bool = False, label: str | None = None
    ) -> Iterator[list[str]]:
        """Write the report of an X-ray as PDF and JSON, and its overlay; a label goes into both, and into the names."""
        from hub_models.reports.pdf import write_pdf  # the page opens sooner without

        overlay, description = self.state.answer(xray, key, anyway)
        description["label"] = label = (label or "").strip()[:MAX_LABEL] or None
        with tempfile.TemporaryDirectory(prefix="xray-report-") as folder:  # until gradio has copied the files
            pdf, text, picture = (Path(folder, f"{beginning(label)}{name}") for name in REPORT)
            write_pdf(pdf, description, overlay, SPOKEN.get(), in_spoken)
            text.write_text(json.dumps(description) + "\n", encoding="utf-8")
            picture.write_bytes(encode_png(overlay))
            yield [str(pdf), str(text), str(picture)]

    def _classified(self, report: "Report | None" = None, turned: Sequence[str] = ()) -> Shown:
        """The conclusion with the table of classes, each classifier's prediction set in words, and all notes."""
        if report is None:
            return dict.fromkeys((self.conclusion, self.notes, *self.sets.values()), "")
        answers, classifiers = report.classifiers, self.state.pipeline.classifiers
        said = likely_texts(answers, classifiers)
        trust = trust_texts(self.state.pipeline.checkpoints)
        shown = {text: said.get(role, "") for role, text in self.sets.items()}
        shown[self.conclusion] = conclusion_html(report.conclusion, answers, sets_of(answers, classifiers), trust)
        return shown | {self.notes: bullets([*turned, *report.notes])}
