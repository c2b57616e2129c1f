"""The page: one chest X-ray in; its lungs, its infected region and every classifier's probabilities out.

    python app.py
    python app.py --mcp     assistants can call it, too (needs the package mcp)

serves it on http://127.0.0.1:7860 (GRADIO_SERVER_NAME and GRADIO_SERVER_PORT change that). A Space runs it as it is.
"""

import gc

gc.disable()  # until all is imported: modules are no garbage, and looking for some takes a third of the time

import argparse
import importlib
import importlib.util
import json
import os
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import gradio as gr
import numpy as np
import pandas as pd
from gradio.utils import get_upload_folder
from PIL import Image

import hub_models.page
from hub_models.batch.archives import find
from hub_models.batch.run import CSV_FILE, run, table_csv, write_zip
from hub_models.cards import comparison as figures
from hub_models.cards.curves import reliability_curves, roc_curves
from hub_models.cards.scores import OVERLAPS
from hub_models.checkpoints.choices import asked_for
from hub_models.checkpoints.folder import Checkpoint, CheckpointError
from hub_models.checkpoints.resolve import resolve
from hub_models.checkpoints.roles import ROLES
from hub_models.models.labels import read_prompts, write_prompts
from hub_models.page.results import (
    card_text,
    checkpoints_table,
    control_text,
    heat_text,
    likely_text,
    problems_html,
    shares_html,
    strange_html,
)
from hub_models.page.texts import (
    BATCH,
    CHOOSE,
    CONTROLS,
    DISCLAIMER,
    FIGURES,
    HEAT,
    INTRO,
    LOADING,
    PROMPTS,
    SIMILARITY,
    TABS,
    TITLES,
    VIEWS,
)
from hub_models.reports.description import Source, describe, fitting_calibrations
from hub_models.reports.heatmap import draw_heat
from hub_models.reports.mask_files import describe_masks, write_masks
from hub_models.reports.overlay import COLOURS, OPACITY, Sketch, Style, draw_overlay, encode_png, sketch
from hub_models.reports.sentences import NOT_A_RISK
from hub_models.xray.dicom import view_position
from hub_models.xray.images import ImageRefused, read_image
from hub_models.xray.masks import Involvement, Masks
from hub_models.xray.phantom import draw_phantom

gc.enable()

if TYPE_CHECKING:  # the page opens while torch and the models are still being loaded
    from hub_models.pipeline import XrayPipeline

EXAMPLES = {"healthy": (3, 0), "two opacities": (5, 2), "four opacities": (8, 4)}  # drawn with (seed, opacities)
FILES = [".dcm", ".dicom", ".ima", ".tif", ".tiff"]  # what a browser shows no picture of
PRIVATE = {"api_visibility": "private", "show_progress": "minimal"}
CLEAR = {**PRIVATE, "show_progress": "hidden", "queue": False}
MODELS = {"preprocess": False, "concurrency_id": "models", "concurrency_limit": 2}  # events that run the models
BATCHES = {"concurrency_id": "batches", "concurrency_limit": 1}  # those take turns with the others image by image
EXCHANGES = {**PRIVATE, "concurrency_id": "checkpoints", "concurrency_limit": 1}  # events that may wait for the Hub
FORGET = (600, 3600)  # seconds: every ten minutes, files older than an hour are deleted
SENTENCES = {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}}
WAITING = 64  # how many events may wait; to more visitors the page says that it is busy
LARGEST = "200mb"  # of an upload

THEME = gr.themes.Default(primary_hue="sky", neutral_hue="slate", font=["system-ui", "sans-serif"]).set(
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_hover_dark="*primary_800",
)
LOOK = {
    "theme": THEME,
    "css_paths": Path(hub_models.page.__file__).with_name("page.css"),
    "head_paths": Path(hub_models.page.__file__).with_name("page_head.html"),
}


@dataclass(frozen=True)
class Seen:
    """An X-ray that was outlined: the file, the UNet that did it, and what it found."""

    path: str
    unet: Checkpoint
    image: np.ndarray
    masks: Masks
    involvement: Involvement


class Actions:
    """What the page does with an X-ray, once the models are there.

    `xray` is the file as gradio stored it. Events leave out the reading of gr.Image (`preprocess=False`), which turns
    16 bits into 8 and meets a file that is no picture with a traceback.
    """

    roles = tuple(TITLES)
    looking = tuple(role for role in TITLES if role != "fusion")  # it looks through the eyes of two of them

    def __init__(self, models: "Future[XrayPipeline]") -> None:
        self.models = models
        self.turn = threading.Lock()  # a batch lets others in after each image

    @property
    def pipeline(self) -> "XrayPipeline":
        """The models; whoever asks waits until they are loaded."""
        return self.models.result()

    # What scripts call

    def analyse(self, xray: dict | None, prompts: dict[str, list[str]] | None = None) -> tuple[str, dict]:
        """Outline a chest X-ray, measure the infected shares, and say which class it resembles most.

        Args:
            xray: A PNG, JPEG, WebP, TIFF, BMP, GIF or DICOM file.
            prompts: For zero-shot CLIP, class -> sentences that describe it; null for the sentences it was saved with.

        Returns:
            The X-ray with both outlines, lungs in #56B4E9 and infection in #E69F00.
            Everything about it: shares and grades, masks, probabilities, prediction sets, notes, and what made them.
        """
        chosen = _checked(prompts) if prompts else None
        overlay, told = self._report(self._look(xray), chosen)
        return _served(overlay), told

    def segment(self, xray: dict | None) -> tuple[str, dict[str, float | None], dict]:
        """Outline the lungs and the infected region of a chest X-ray.

        Args:
            xray: A PNG, JPEG, WebP, TIFF, BMP, GIF or DICOM file.

        Returns:
            The X-ray with both outlines, lungs in #56B4E9 and infection in #E69F00.
            Infected share, 0 to 1, of the patient's right lung, left lung and both; null where no lung was found.
            Both masks and each lung as COCO run lengths with their areas in pixels, and the extent grades, 0 to 4.
        """
        seen = self._look(xray)
        kept = describe_masks(seen.masks, seen.involvement, seen.unet)
        return _served(draw_overlay(sketch(seen.image, seen.masks))), asdict(seen.involvement), kept

    def classify(self, xray: dict | None, prompts: dict[str, list[str]] | None = None) -> tuple[dict, list[str]]:
        """Say with every classifier which class a chest X-ray resembles most.

        Args:
            xray: A PNG, JPEG, WebP, TIFF, BMP, GIF or DICOM file.
            prompts: For zero-shot CLIP, class -> sentences that describe it; null for the sentences it was saved with.

        Returns:
            Classifier -> class -> probability, 0 to 1.
            Notes, a sentence each: for example why a classifier gave nothing.
        """
        chosen = _checked(prompts) if prompts else None
        seen = self._look(xray)
        with self.turn:
            return self.pipeline.classify(seen.image, seen.masks, chosen)

    def batch(self, files: list[str] | None, progress: gr.Progress = gr.Progress()) -> Iterator[tuple]:  # noqa: B008
        """Outline and classify many chest X-rays.

        Args:
            files: Pictures, DICOM files, or zip archives of them.

        Returns:
            A row for each image: how it went, infected shares (0 to 1), classes and probabilities, notes.
            summary.csv, the same as a table with all columns, and results.zip, with the outlines and masks of each.
        """
        if not files:
            raise gr.Error("Choose some files first, or a zip archive of them.", print_exception=False)
        given = [(Path(file).name, Path(file)) for file in files]
        total, rows = sum(1 for _ in find(given)), []
        with tempfile.TemporaryDirectory(prefix="xray-batch-") as folder:  # until gradio has copied the files
            table, archive = Path(folder, CSV_FILE), Path(folder, "results.zip")
            for row in write_zip(archive, run(self.pipeline, given, turn=self.turn)):
                rows.append(row)
                progress((len(rows), total), unit="images")
                yield _batch_table(rows), gr.skip()
            table.write_bytes(table_csv(rows))
            yield _batch_table(rows), [str(table), str(archive)]

    batch._mcp_type = "none"  # gradio hands no list of files to a tool

    # What the page's own events call

    def show(
        self,
        xray: dict | None,
        shown: list[str],
        style: Style,
        opacity: float,
        seen: Seen | None = None,
        anyway: bool = False,
    ) -> Iterator[list]:
        """Fill the Analyse tab, the outlines first; no old result stays beside a new picture, even one that is refused.

        The last values are what was seen, for the other tabs, and the button that asks for a picture's results although
        it looks strange, shown or hidden.
        """
        unclassified = [None] * len(self.roles) + [""] * (1 + len(self.roles))
        yield [None, None, "", None, *unclassified, gr.skip() if anyway else None, gr.update(visible=False)]
        if xray is None:
            return
        if not self.models.done():
            _read(xray)  # a file that is refused is refused at once
            yield [None, None, LOADING, None, *unclassified, gr.skip(), gr.skip()]
        seen = self._look(xray, seen if anyway else None)
        masks = seen.masks
        if masks.strange and not anyway:
            yield [None, None, strange_html(masks), None, *unclassified, seen, gr.update(visible=True)]
            return
        drawn = sketch(seen.image, masks)
        with tempfile.TemporaryDirectory(prefix="xray-masks-") as folder:  # until gradio has copied the files
            files = write_masks(Path(folder), masks, seen.involvement, seen.unet)
            shares, overlay = shares_html(masks, seen.involvement), _served(draw_overlay(drawn, shown, style, opacity))
            kept = list(map(str, files)) if masks.lungs.any() else None
            yield [drawn, overlay, shares, kept, *unclassified, seen, gr.skip()]
        with self.turn:
            answers = self.pipeline.classify(seen.image, masks)
        # The outlines are there already, and are not sent twice.
        yield [*[gr.skip()] * 4, *self._classified(*answers), gr.skip(), gr.skip()]

    @staticmethod
    def redraw(drawn: Sketch | None, shown: list[str], style: Style, opacity: float) -> str | None:
        """Draw the outlines again, as the visitor now wants them; no model runs."""
        return None if drawn is None else _served(draw_overlay(drawn, shown, style, opacity))

    @staticmethod
    def open_file(path: str) -> Iterator[str]:
        """Make a picture that browsers show of a file that they do not, with 16 bits, named after what it was."""
        data = Path(path).read_bytes()
        try:
            image = read_image(data)
        except ImageRefused as refused:
            raise gr.Error(str(refused), print_exception=False) from refused
        if (view := view_position(data)) is not None:
            gr.Info(f"View position that the file tells: {view}. The models know frontal views (PA, AP) only.")
        source = Source.of(path, data)
        with tempfile.TemporaryDirectory(prefix="xray-opened-") as folder:  # until gradio has copied the file
            shown = Path(folder, f"{source.sha256}{source.extension}.png")
            Image.fromarray((65535 * image).round().astype(np.uint16)).save(shown)
            yield str(shown)

    def compare_prompts(self, xray: dict | None, prompts: str, seen: Seen | None = None) -> list:
        """Fill the tab of prompts: what both CLIPs make of the visitor's sentences, and ResNet of the X-ray."""
        seen = self._look(xray, seen)
        try:
            wanted = read_prompts(prompts)
        except ValueError as refused:
            raise gr.Error(str(refused), print_exception=False) from refused
        with self.turn:
            answers, notes, sentences = self.pipeline.compare_prompts(seen.image, seen.masks, wanted)
        shown = pd.DataFrame(sentences).rename(columns={**TITLES, "class": "Class", "sentence": "Sentence"}).round(3)
        return [answers.get(role) for role in self.looking] + [_bullets(notes), shown]

    def explain(self, xray: dict | None, seen: Seen | None = None) -> list:
        """Show where each classifier finds what speaks for the class it prefers, and how much of it in the lungs."""
        seen = self._look(xray, seen)
        with self.turn:
            found = self.pipeline.explain(seen.image, seen.masks)
        shown = {role: _served(draw_heat(seen.image, one.heat)) for role, one in found.items()}
        pictures = [shown.get(role) for role in self.looking]
        return pictures + [heat_text(found.get(role)) for role in self.looking]

    def keep(self, xray: dict | None, seen: Seen | None = None) -> Iterator[list[str]]:
        """Write the report of an X-ray as PDF and JSON, and its overlay."""
        from hub_models.reports.pdf import write_pdf  # the page opens sooner without

        overlay, told = self._report(self._look(xray, seen))
        with tempfile.TemporaryDirectory(prefix="xray-report-") as folder:  # until gradio has copied the files
            pdf, text, picture = (Path(folder, name) for name in ("report.pdf", "report.json", "overlay.png"))
            write_pdf(pdf, told, overlay)
            text.write_text(json.dumps(told) + "\n", encoding="utf-8")
            picture.write_bytes(encode_png(overlay))
            yield [str(pdf), str(text), str(picture)]

    def figures(self, label: str | None, role: str | None) -> list:
        """Fill the tab that compares the checkpoints in use, from what their cards recorded."""
        checkpoints = self.pipeline.checkpoints
        facts = figures.recorded(checkpoints)
        labels = list(dict.fromkeys(name for one in self.roles if one in facts for name in facts[one].labels))
        label = label if label in labels else next(iter(labels), None)
        role = role if role in facts else next((one for one in self.roles if one in facts), None)
        return [
            figures.class_scores(facts),
            figures.control_scores(facts),
            figures.outline_scores(facts),
            gr.update(choices=labels, value=label),
            roc_curves(facts, checkpoints, label),
            reliability_curves(facts, checkpoints),
            gr.update(choices=[one for one in self.roles if one in facts], value=role),
            figures.confusion(facts[role]) if role else None,
        ]

    def tell(self) -> list:
        """Say which checkpoints are in use: stand-ins, their button, the table, cards, views and prompts."""
        checkpoints, classifiers = self.pipeline.checkpoints, self.pipeline.classifiers
        views = [f"{VIEWS[classifiers[role].view]} {control_text(checkpoints[role])}" for role in self.roles]
        return [
            problems_html(checkpoints),
            gr.update(visible=any(checkpoint.problem for checkpoint in checkpoints.values())),
            checkpoints_table(checkpoints, self.pipeline.engines),
            *(card_text(checkpoints[role]) for role in ROLES),
            *views,
            write_prompts(classifiers["clip-zero-shot"].prompts),
        ]

    def retry(self) -> list:
        """Ask again for every checkpoint that has a stand-in."""
        from hub_models.page.startup import try_again

        try_again(self.pipeline)
        return self.tell()

    def exchange(self, role: str, wish: str | None, progress: gr.Progress = gr.Progress()) -> list:  # noqa: B008
        """Use another checkpoint for a role, and say how far it is; the one in use stays if that fails."""

        def arrived(n: int, total: int) -> None:
            progress((n, total), desc=f"Downloading {total / 1e6:.0f} MB", unit="bytes")

        try:
            checkpoint = resolve(role, (wish or "").strip() or None, arrived)
            progress(1.0, desc="Loading")
            self.pipeline.use(checkpoint)
        except CheckpointError as error:
            raise gr.Error(f"{error} The {role} in use stays.", print_exception=False) from error
        gr.Info(f"{role} is now {self.pipeline.checkpoints[role].name}.")
        told = self.tell()
        return told if role == "clip-zero-shot" else [*told[:-1], gr.skip()]  # a visitor's own sentences stay

    def _look(self, xray: dict | None, seen: Seen | None = None) -> Seen:
        """What was seen of the X-ray before, if the same UNet saw the same file; else it is read and outlined now."""
        if seen and xray and seen.path == xray["path"] and seen.unet == self.pipeline.checkpoints["unet"]:
            return seen
        image = _read(xray)
        with self.turn:
            unet = self.pipeline.checkpoints["unet"]
            return Seen(xray["path"], unet, image, *self.pipeline.segment(image))

    def _report(self, seen: Seen, prompts: dict[str, list[str]] | None = None) -> tuple[np.ndarray, dict]:
        """The overlay of an X-ray and its description."""
        with self.turn:
            report = self.pipeline.report(seen.image, seen.masks, seen.involvement, prompts)
        calibrations = fitting_calibrations(self.pipeline.classifiers, prompts)
        made = datetime.now(UTC)
        told = describe(report, self.pipeline.checkpoints, calibrations, _source(seen.path), made, prompts)
        return draw_overlay(sketch(seen.image, seen.masks)), told

    def _classified(self, probabilities: dict[str, dict[str, float]], notes: list[str]) -> list:
        """Each role's probabilities, all notes, and each role's prediction set in words, where one was fitted."""
        calibrations = fitting_calibrations(self.pipeline.classifiers)
        sets = [
            likely_text(calibrations[role].likely(probabilities[role]), calibrations[role].level)
            if role in probabilities and role in calibrations
            else ""
            for role in self.roles
        ]
        return [probabilities.get(role) for role in self.roles] + [_bullets(notes), *sets]


def zero_gpu() -> ModuleType | None:
    """The package `spaces`, which a Space on ZeroGPU has; imported before any model asks for a graphics card."""
    return importlib.import_module("spaces") if importlib.util.find_spec("spaces") else None


def on_gpu(event: Callable) -> Callable:
    """The event with a graphics card lent to each call where ZeroGPU is; as it is anywhere else."""
    spaces = zero_gpu()
    return spaces.GPU(event) if spaces else event


def open_tab(request: gr.Request) -> dict:
    """Open the tab that the page's address names."""
    wish = request.query_params.get("tab")
    return gr.Tabs(selected=wish) if wish in TABS else gr.skip()


def _read(xray: dict | None) -> np.ndarray:
    if xray is None or not xray["path"]:
        raise gr.Error("Drop a chest X-ray first, or choose one of the examples.", print_exception=False)
    try:
        return read_image(xray["path"])
    except ImageRefused as refused:
        raise gr.Error(str(refused), print_exception=False) from refused


def _served(picture: np.ndarray) -> str:
    """A picture, uint8 (h, w, 3), as a file in the folder that gradio serves and empties; gradio writes it slower.

    Each has a name of its own: others may be fetching, or deleting, one that looks the same.
    """
    uploads = Path(get_upload_folder())
    uploads.mkdir(parents=True, exist_ok=True)
    file = Path(tempfile.mkdtemp(dir=uploads), "image.png")
    file.write_bytes(encode_png(picture))
    return str(file)


def _source(file: str) -> Source:
    """What an X-ray was when it came: `open_file` names its pictures after that."""
    path = Path(file)
    original = Path(path.stem)
    if path.suffix == ".png" and len(original.stem) == 64 and not set(original.stem) - set("0123456789abcdef"):
        return Source(original.stem, original.suffix)
    return Source.of(path.name, path.read_bytes())


def _checked(prompts: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the prompts without blank lines, or refuse those that leave a class with none."""
    if not isinstance(prompts, dict) or not all(isinstance(lines, list) for lines in prompts.values()):
        wanted = 'Give a list of sentences for each class, as in {"Normal": ["clear lungs"]}.'
        raise gr.Error(wanted, print_exception=False)
    prompts = {label: [line.strip() for line in map(str, lines) if line.strip()] for label, lines in prompts.items()}
    if empty := [label for label, lines in prompts.items() if not lines]:
        raise gr.Error(f"Write at least one sentence for {' and '.join(empty)}.", print_exception=False)
    return prompts


def _bullets(notes: list[str]) -> str:
    return "\n".join(f"- {note}" for note in notes)


def _batch_table(rows: list[dict]) -> pd.DataFrame:
    """The rows of a batch as the page shows them: no folder, and of each classifier its class alone."""
    table = pd.DataFrame(rows).drop(columns="folder")
    table = table[[name for name in table if " p " not in name]].convert_dtypes().round(3)
    return table.rename(columns=lambda name: name.replace("_", " ").capitalize())


def _xray() -> gr.Image:
    look = {"height": "min(400px, 100vw)", "buttons": ["fullscreen"], "elem_classes": "viewer"}
    xray = gr.Image(label="X-ray", type="filepath", sources=["upload", "clipboard"], elem_id="xray", **look)
    other = gr.UploadButton("Open a DICOM or TIFF file", file_types=FILES, size="sm", elem_id="other")
    gr.on([other.upload], Actions.open_file, other, xray, **PRIVATE)
    with tempfile.TemporaryDirectory(prefix="xray-examples-") as folder:  # until gradio has copied the files
        files = [Path(folder, f"{name}.png") for name in EXAMPLES]
        for file, (seed, opacities) in zip(files, EXAMPLES.values(), strict=True):
            Image.fromarray(draw_phantom(seed, size=256, opacities=opacities).image).save(file)
        gr.Examples(list(map(str, files)), xray, label=f"Drawn examples: {', '.join(EXAMPLES)}")
    return xray


def _outlines() -> tuple[list[gr.components.Component], list[gr.components.Component], gr.Button]:
    """What an X-ray fills (a sketch, outlines, shares), how they are drawn, and the button to insist."""
    look = {"height": "min(440px, 90vw)", "buttons": ["download", "fullscreen"], "elem_classes": "viewer"}
    drawn = gr.State(time_to_live=FORGET[1])
    overlay = gr.Image(label="Outlines", format="png", elem_id="overlay", **look)
    keys = "".join(f"<span style='border-color: {colour}'>{name}</span>" for name, colour in COLOURS.items())
    gr.HTML(f"<div class='legend'>{keys}</div>", padding=False)
    with gr.Row():
        shown = gr.CheckboxGroup(list(COLOURS), value=list(COLOURS), label="Show", min_width=150)
        style = gr.Radio(["fill", "contour"], value="fill", label="Draw as", min_width=150)
        opacity = gr.Slider(0, 1, OPACITY, step=0.05, label="Opacity", buttons=[], min_width=150, elem_id="opacity")
    controls = [shown, style, opacity]
    shares = gr.HTML(elem_id="shares", padding=False)
    anyway = gr.Button("Show what the models say anyway", visible=False, elem_id="anyway")
    redraw = {**PRIVATE, "queue": False, "trigger_mode": "always_last"}
    changes = [control.change for control in controls]
    gr.on(changes, Actions.redraw, [drawn, *controls], overlay, **redraw)
    return [drawn, overlay, shares], controls, anyway


def _classes(actions: Actions) -> tuple[list[gr.components.Component], list[gr.Markdown]]:
    """What the classifiers fill, side by side, and what is said of each of them."""
    outputs, sets, views = [], [], []
    with gr.Row():
        for role in actions.roles:
            with gr.Column(min_width=280):
                outputs.append(gr.Label(label=TITLES[role], elem_id=role))
                sets.append(gr.Markdown(elem_id=f"set-{role}"))
                views.append(gr.Markdown(elem_classes="view"))
    outputs += [gr.Markdown(elem_id="notes"), *sets]
    gr.Markdown(f"**What a probability here is not:** {NOT_A_RISK}")
    return outputs, views


def _heat(actions: Actions, xray: gr.Image, seen: gr.State) -> None:
    """The button that asks where the classifiers look, and what it fills: a picture and a sentence for each."""
    with gr.Accordion("Where the classifiers look", open=False, elem_id="heat"):
        gr.Markdown(HEAT)
        ask = gr.Button("Show where")
        look = {"buttons": ["download", "fullscreen"], "elem_classes": "viewer"}
        with gr.Row():
            pictures, sentences = [], []
            for role in actions.looking:
                with gr.Column(min_width=220):
                    pictures.append(gr.Image(label=TITLES[role], elem_id=f"heat-{role}", **look))
                    sentences.append(gr.Markdown())
    found = pictures + sentences
    gr.on([ask.click], on_gpu(actions.explain), [xray, seen], found, **PRIVATE, **MODELS)
    gr.on([xray.change], lambda: [None] * len(found), None, found, **CLEAR)


def _keep(actions: Actions, xray: gr.Image, seen: gr.State) -> gr.File:
    """What a visitor can take away: the masks, made with each result, and a report, made when asked for."""
    with gr.Accordion("Keep the result", open=False, elem_id="keep"):
        masks = gr.File(
            label="Masks (PNG; JSON with run lengths and areas)", file_count="multiple", height=130, elem_id="masks"
        )
        ask = gr.Button("Write a report")
        report = gr.File(label="Report (PDF, JSON) and overlay", file_count="multiple", height=130, elem_id="report")
    gr.on([ask.click], on_gpu(actions.keep), [xray, seen], report, **PRIVATE, **MODELS)
    gr.on([xray.change], lambda: None, None, report, **CLEAR)
    return masks


def _prompts_tab(actions: Actions, xray: gr.Image, seen: gr.State) -> gr.Textbox:
    gr.Markdown(PROMPTS)
    prompts = gr.Textbox(label="class: sentence", lines=6, max_lines=20, elem_id="prompts")
    ask = gr.Button("Compare the X-ray with these sentences", variant="primary")
    with gr.Row():
        found = [gr.Label(label=TITLES[role], min_width=220, elem_id=f"asked-{role}") for role in actions.looking]
    found.append(gr.Markdown(elem_id="asked-notes"))
    gr.Markdown(SIMILARITY)
    found.append(
        gr.Dataframe(
            label="Similarity",
            elem_id="similarity",
            wrap=True,
            buttons=["copy"],
            column_widths=[110, 260, 120, 120],
        )
    )
    gr.on([ask.click], on_gpu(actions.compare_prompts), [xray, prompts, seen], found, **PRIVATE, **MODELS)
    gr.on([xray.change], lambda: [None] * len(found), None, found, **CLEAR)
    return prompts


def _batch_tab(actions: Actions) -> None:
    gr.Markdown(BATCH)
    files = gr.File(label="X-rays", file_count="multiple", height=160, elem_id="batch-files")
    ask = gr.Button("Outline and classify all", variant="primary")
    look = {"buttons": ["copy", "fullscreen"], "column_widths": [150, *[110] * (7 + len(actions.roles)), 300]}
    table = gr.Dataframe(label="Results", elem_id="batch-table", wrap=True, **look)
    kept = gr.File(label="Table and archive", file_count="multiple", height=110, elem_id="batch-kept")
    show = {**PRIVATE, "api_name": "show_batch", "show_progress": "full"}  # "batch" is for scripts
    gr.on([ask.click], on_gpu(actions.batch), files, [table, kept], **show, **BATCHES)


def _compare_tab(actions: Actions, tab: gr.Tab) -> None:
    gr.Markdown(FIGURES)
    look = {"buttons": ["copy"], "wrap": True}
    widths = [130, 80, *[150] * len(figures.CLASSES)]
    classes = gr.Dataframe(label="Classifiers", elem_id="scores", column_widths=widths, **look)
    gr.Markdown(CONTROLS)
    widths = [130, 240, 80, 120, 120]
    controls = gr.Dataframe(label="Controls", elem_id="controls", column_widths=widths, **look)
    widths = [90, 220, 80, *[150] * len(OVERLAPS)]
    outlines = gr.Dataframe(label="Outlines of the UNet", elem_id="outline-scores", column_widths=widths, **look)
    with gr.Row():
        with gr.Column(min_width=400):
            label = gr.Dropdown([], label="ROC curve of the class")
            axes = {"x": "False positives", "y": "True positives", "x_lim": [0, 1], "y_lim": [0, 1]}
            curves = gr.LinePlot(title="ROC", color="Model", height=320, **axes)
        with gr.Column(min_width=400):
            axes = {"x": "Probability", "y": "Right", "x_lim": [0.3, 1], "y_lim": [0, 1]}
            sure = gr.LinePlot(title="How often right, by how sure it says it is", color="Model", height=320, **axes)
    role = gr.Dropdown([], label="Confusion matrix of")
    confusion = gr.Dataframe(label="Images", elem_id="confusion", **look)
    shown = [classes, controls, outlines, label, curves, sure, role, confusion]
    gr.on([tab.select, label.input, role.input], actions.figures, [label, role], shown, **PRIVATE)


def _models_tab() -> tuple[gr.Markdown, list[gr.Markdown]]:
    table = gr.Markdown(elem_id="checkpoints")
    cards = []
    for role in ROLES:
        with gr.Accordion(f"Model card: {role}", open=False):
            cards.append(gr.Markdown())
    return table, cards


def _chooser(actions: Actions, told: list[gr.components.Component]) -> None:
    """The exchange of checkpoints, which is for everyone who has the page open: not offered on a Space."""
    with gr.Accordion("Use another checkpoint", open=False):
        gr.Markdown(CHOOSE)
        known = ["embedded", *filter(None, map(asked_for, ROLES))]
        with gr.Row():
            role = gr.Dropdown(list(ROLES), label="Role", min_width=160)
            wish = gr.Dropdown(known, value="embedded", label="Checkpoint", allow_custom_value=True, scale=3)
        load = gr.Button("Load")
    gr.on([load.click], actions.exchange, [role, wish], told, **EXCHANGES)


def _endpoints(actions: Actions, xray: gr.Image, overlay: gr.Image) -> None:
    """What scripts call: events that no button starts."""
    told, shares, masks, prompts, probabilities, notes = (
        gr.JSON(label=label, visible=False)
        for label in ("description", "shares", "masks", "prompts", "probabilities", "notes")
    )
    prompts.api_info = lambda: {"anyOf": [SENTENCES, {"type": "null"}]}  # gr.JSON's own is refused by assistants
    files = gr.File(label="files", file_count="multiple", visible=False)
    rows = gr.Dataframe(label="rows", visible=False)
    kept = gr.File(label="results", file_count="multiple", visible=False)
    gr.on([], on_gpu(actions.analyse), [xray, prompts], [overlay, told], api_name="analyse", **MODELS)
    gr.on([], on_gpu(actions.segment), xray, [overlay, shares, masks], api_name="segment", **MODELS)
    gr.on([], on_gpu(actions.classify), [xray, prompts], [probabilities, notes], api_name="classify", **MODELS)
    gr.on([], on_gpu(actions.batch), files, [rows, kept], api_name="batch", **BATCHES)


def build_demo(models: "Future[XrayPipeline]") -> gr.Blocks:
    """Lay out the page around a pipeline that may still be loading. Launch it with `**LOOK`."""
    actions = Actions(models)
    with gr.Blocks(title="Chest X-ray", analytics_enabled=False, delete_cache=FORGET) as demo:
        gr.Markdown(INTRO)
        gr.Markdown(DISCLAIMER, elem_id="disclaimer")
        problems = gr.HTML(elem_id="problems", padding=False)
        retry = gr.Button("Try again", size="sm", visible=False)
        seen = gr.State(time_to_live=FORGET[1])
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                xray = _xray()
            with gr.Column(scale=3, min_width=300), gr.Tabs() as tabs:
                with gr.Tab(TABS["analyse"], id="analyse") as analyse:
                    outlined, controls, anyway = _outlines()
                    classified, views = _classes(actions)
                    _heat(actions, xray, seen)
                    masks = _keep(actions, xray, seen)
                with gr.Tab(TABS["prompts"], id="prompts") as compare_prompts:
                    prompts = _prompts_tab(actions, xray, seen)
                with gr.Tab(TABS["batch"], id="batch") as batch:
                    _batch_tab(actions)
                with gr.Tab(TABS["compare"], id="compare") as compare:
                    _compare_tab(actions, compare)
                with gr.Tab(TABS["models"], id="models") as models:
                    table, cards = _models_tab()
                    told = [problems, retry, table, *cards, *views, prompts]
                    if "SPACE_ID" not in os.environ:
                        _chooser(actions, told)
        run_models, asked = on_gpu(actions.show), [xray, *controls]
        filled = [*outlined, masks, *classified, seen, anyway]
        gr.on([xray.change], run_models, asked, filled, **PRIVATE, **MODELS)
        gr.on([anyway.click], run_models, [*asked, seen, gr.State(True)], filled, **PRIVATE, **MODELS)
        gr.on([retry.click], actions.retry, None, told, **EXCHANGES)
        gr.on([demo.load], actions.tell, None, told, **PRIVATE)
        opened = gr.on([demo.load], open_tab, None, tabs, **PRIVATE)
        opened.then(None, None, None, js="() => {xrayPage.opened = true}")
        names = json.dumps([f"Example: {name}" for name in EXAMPLES])
        demo.load(None, None, None, js=f"() => xrayPage.name({names})")
        for name, tab in zip(TABS, (analyse, compare_prompts, batch, compare, models), strict=True):
            tab.select(None, None, None, js=f"() => xrayPage.remember('{name}')")
        _endpoints(actions, xray, outlined[1])
    return demo.queue(max_size=WAITING)


def load() -> "XrayPipeline":
    """Load torch, which takes seconds, and the models."""
    gc.disable()
    try:
        from hub_models.page.startup import open_pipeline
    finally:
        gc.enable()
    return open_pipeline()


def main() -> None:
    """Serve the page until it is stopped; it opens before the models are loaded."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mcp", action="store_true", help="serve the endpoints as tools for assistants, too")
    mcp = parser.parse_args().mcp
    if mcp and not importlib.util.find_spec("mcp"):
        raise SystemExit(f"--mcp needs the package mcp: pip install 'gradio[mcp]=={gr.__version__}'.")
    lent = zero_gpu()
    models = Future()
    host = "0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1"
    name = os.environ.get("GRADIO_SERVER_NAME", host)
    try:
        if lent:  # a card is lent to copies of this process, which have the models if it had them before
            models.set_result(load())
        demo = build_demo(models)
        demo.launch(server_name=name, max_file_size=LARGEST, mcp_server=mcp, prevent_thread_lock=True, **LOOK)
        if not lent:  # only now: two threads that import at once make the page wait
            models.set_result(load())
    except CheckpointError as error:
        raise SystemExit(str(error)) from None
    demo.block_thread()


if __name__ == "__main__":
    main()
