"""The endpoints that scripts and assistants call: events that no button starts."""

from typing import Any

import gradio as gr

from hub_models.page import texts
from hub_models.page.batch_tab import BatchTab
from hub_models.page.events import MANY, MODELS, on_gpu
from hub_models.page.files import FileData
from hub_models.page.limits import CLASSES, prompts_problem
from hub_models.page.state import PageState
from hub_models.page.uploads import refusal, serve_picture
from hub_models.reports.mask_files import describe_masks, describe_verdict
from hub_models.reports.overlay import draw_overlay
from hub_models.xray.masks import NOT_MEASURED

SENTENCES = {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}}
"""The JSON schema of prompts; gr.JSON's own is refused by assistants."""


class Endpoints:
    """`/analyse`, `/segment`, `/classify` and `/batch`; their docstrings are what scripts and assistants read."""

    def __init__(self, state: PageState, xray: gr.Image, batch: BatchTab) -> None:
        self.state = state
        overlay = gr.Image(label=texts.OUTLINES, format="png", visible=False)
        names = ("description", "shares", "masks", "prompts", "probabilities", "notes", "conclusion")
        description, shares, masks, prompts, *answers = (gr.JSON(label=name, visible=False) for name in names)
        anyway = gr.Checkbox(label="anyway", visible=False)
        prompts.api_info = lambda: {"anyOf": [SENTENCES, {"type": "null"}]}
        files = gr.File(label="files", file_count="multiple", visible=False)
        rows = gr.Dataframe(label="rows", visible=False)
        kept = gr.File(label="results", file_count="multiple", visible=False)
        gr.on([], on_gpu(self.analyse), [xray, prompts, anyway], [overlay, description], api_name="analyse", **MODELS)
        gr.on([], on_gpu(self.segment), [xray, anyway], [overlay, shares, masks], api_name="segment", **MODELS)
        gr.on([], on_gpu(self.classify), [xray, prompts, anyway], answers, api_name="classify", **MODELS)
        gr.on([], on_gpu(batch.batch), [files, anyway], [rows, kept], api_name="batch", **MANY)

    def analyse(
        self, xray: FileData | None, prompts: dict[str, list[str]] | None = None, anyway: bool = False
    ) -> tuple[str, dict]:
        """Outline a chest X-ray, measure the infected shares, and say which class it resembles most.

        Args:
            xray: A PNG, JPEG, WebP, TIFF, BMP, GIF or DICOM file.
            prompts: For zero-shot CLIP, class -> sentences that describe it; null for the sentences it was saved with.
            anyway: Whether to name shares and classes also of what is refused as a frontal chest X-ray.

        Returns:
            The X-ray with both outlines, lungs in #56B4E9 and infection in #E69F00.
            Everything about it: status ("answered", or "refused" with the reasons), shares and grades, masks,
            the conclusion, probabilities, prediction sets, notes, and what made them.
        """
        chosen = checked(prompts) if prompts else None
        image, outlined = self.state.outline(xray)
        overlay = self.state.draw(outlined)
        description = self.state.describe(image, outlined, chosen, anyway)
        return overlay.result(), description

    def segment(self, xray: FileData | None, anyway: bool = False) -> tuple[str, dict[str, float | None], dict]:
        """Outline the lungs and the infected region of a chest X-ray.

        Args:
            xray: A PNG, JPEG, WebP, TIFF, BMP, GIF or DICOM file.
            anyway: Whether to measure shares also of what is refused as a frontal chest X-ray.

        Returns:
            The X-ray with both outlines, lungs in #56B4E9 and infection in #E69F00.
            Infected share, 0 to 1, of the patient's right lung, left lung and both; null where no lung was found.
            Both masks and each lung as COCO run lengths with their areas in pixels, the extent grades, 0 to 4, and the
            status: "answered", or "refused" with the reasons.
        """
        _, outlined = self.state.outline(xray)
        shares = NOT_MEASURED if outlined.reasons and not anyway else outlined.involvement
        described = describe_verdict(outlined.reasons)
        described |= describe_masks(outlined.masks.unpack(), shares, outlined.unet)
        return serve_picture(draw_overlay(outlined.sketch)), shares.shares, described

    def classify(
        self, xray: FileData | None, prompts: dict[str, list[str]] | None = None, anyway: bool = False
    ) -> tuple[dict, list[str], dict | None]:
        """Say with every classifier, and with all of them together, which class a chest X-ray resembles most.

        Args:
            xray: A PNG, JPEG, WebP, TIFF, BMP, GIF or DICOM file.
            prompts: For zero-shot CLIP, class -> sentences that describe it; null for the sentences it was saved with.
            anyway: Whether to name classes also for what is refused as a frontal chest X-ray.

        Returns:
            Classifier -> class -> probability, 0 to 1; nothing for what is refused as a frontal chest X-ray.
            Notes, a sentence each: why the picture is refused, or why a classifier gave nothing.
            What all of them say together: classes, decided or not, how many agree, of how many, and whether the picture
            is unlike most X-rays that the models learned from; null where no class is named.
        """
        chosen = checked(prompts) if prompts else None
        _, outlined = self.state.outline(xray)
        report = self.state.report(outlined, chosen, anyway)
        conclusion = report.conclusion and report.conclusion.describe()
        return report.classifiers, [*report.reasons, *report.notes], conclusion


def checked(prompts: Any) -> dict[str, list[str]]:
    """Return the prompts without blank lines.

    Raises:
        gr.Error: they have another shape, leave a class with no sentence, or are more than is asked at once.
    """
    if not isinstance(prompts, dict) or not all(isinstance(lines, list) for lines in prompts.values()):
        raise refusal(texts.NO_PROMPTS)
    prompts = {label: [line.strip() for line in map(str, lines) if line.strip()] for label, lines in prompts.items()}
    if empty := [label for label, lines in prompts.items() if not lines]:
        raise refusal(texts.NO_SENTENCE.format(texts.NO_SENTENCE_AND.join(empty[:CLASSES])))
    if problem := prompts_problem(prompts):
        raise refusal(problem)
    return prompts
