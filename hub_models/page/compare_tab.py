"""The tab that compares what the checkpoints in use scored, from what their cards recorded."""

from typing import Any

import gradio as gr
from gradio.components import Component

from hub_models.cards import comparison
from hub_models.cards.curves import reliability_curves, roc_curves
from hub_models.cards.scores import OVERLAPS
from hub_models.page import texts
from hub_models.page.events import PRIVATE
from hub_models.page.figures import scores_html, with_titles
from hub_models.page.results import named
from hub_models.page.state import PageState
from hub_models.page.tab import Tab, Visit

CURVES = {"color": "Model", "height": 320, "y_lim": [0, 1]}


class CompareTab(Tab):
    """Tables of scores, of controls and of outlines; curves of one class; how sure and how often right; confusions."""

    name, title = "compare", texts.TABS["compare"]

    def __init__(self, state: PageState, visit: Visit, opened: gr.Tab) -> None:
        super().__init__(state, visit, opened)
        gr.Markdown(texts.FIGURES)
        self.figures = gr.HTML(elem_id="figures")
        look = {"buttons": ["copy"], "wrap": True, "max_height": 1200}
        widths = [190, 80, *[150] * len(comparison.CLASSES)]
        self.scores = gr.Dataframe(label=texts.SCORES_TABLE, elem_id="scores", column_widths=widths, **look)
        gr.Markdown(texts.CONTROLS)
        widths = [190, 240, 80, 120, 120]
        self.controls = gr.Dataframe(label=texts.CONTROLS_TABLE, elem_id="controls", column_widths=widths, **look)
        widths = [120, 220, 80, *[150] * len(OVERLAPS)]
        outlines = {"label": texts.OUTLINES_TABLE, "elem_id": "outline-scores"}
        self.outlines = gr.Dataframe(column_widths=widths, **outlines, **look)
        with gr.Row():
            with gr.Column(min_width=400):
                self.label = gr.Dropdown([], label=texts.ROC_CLASS)
                axes = {"x": "False positives", "y": "True positives", "x_lim": [0, 1], **texts.ROC_AXES}
                self.roc = gr.LinePlot(title=texts.ROC_TITLE, **axes, **CURVES)
            with gr.Column(min_width=400):
                axes = {"x": "Probability", "y": "Right", "x_lim": [0.3, 1], **texts.RELIABILITY_AXES}
                self.reliability = gr.LinePlot(title=texts.RELIABILITY_TITLE, **axes, **CURVES)
        self.role = gr.Dropdown([], label=texts.CONFUSION_OF)
        self.confusion = gr.Dataframe(label=texts.CONFUSION_TABLE, elem_id="confusion", **look)
        shown = [self.figures, self.scores, self.controls, self.outlines, self.label, self.roc, self.reliability]
        shown += [self.role, self.confusion]
        changes = [opened.select, self.label.input, self.role.input]
        gr.on(changes, self.compare, [self.label, self.role], shown, **PRIVATE)

    def compare(self, label: str | None, role: str | None) -> dict[Component, Any]:
        """Fill the tab.

        Args:
            label: the class of the ROC curves; the first that there is if there is none of this name.
            role: the classifier of the confusion matrix, in the same way.
        """
        checkpoints = self.state.pipeline.checkpoints
        facts = comparison.recorded(checkpoints)
        classifiers = [name for name in texts.TITLES if name in facts]
        labels = list(dict.fromkeys(known for name in classifiers for known in facts[name].labels))
        label = label if label in labels else next(iter(labels), None)
        role = role if role in facts else next(iter(classifiers), None)
        return {
            self.figures: scores_html(facts),
            self.scores: with_titles(comparison.class_scores(facts)),
            self.controls: with_titles(comparison.control_scores(facts)),
            self.outlines: comparison.outline_scores(facts),
            self.label: gr.update(choices=[(named(name), name) for name in labels], value=label),
            self.roc: with_titles(roc_curves(facts, checkpoints, label)),
            self.reliability: with_titles(reliability_curves(facts, checkpoints)),
            self.role: gr.update(choices=[(texts.TITLES[name], name) for name in classifiers], value=role),
            self.confusion: comparison.confusion(facts[role]) if role else None,
        }
