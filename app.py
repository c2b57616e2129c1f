"""The page: one chest X-ray in; its lungs, its infected region and every classifier's probabilities out.

    python app.py

serves it on http://127.0.0.1:7860 (GRADIO_SERVER_NAME and GRADIO_SERVER_PORT change that). A Space runs it as it is.
"""

import importlib
import importlib.util
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import gradio as gr
import numpy as np
from PIL import Image

from hub_models.checkpoints import ROLES, Checkpoint, CheckpointError, asked_for, resolve
from hub_models.explanation import draw_heat
from hub_models.images import ImageRefused, read_image
from hub_models.labels import read_prompts, write_prompts
from hub_models.mask_files import describe_masks, write_masks
from hub_models.opening import open_pipeline, try_again
from hub_models.overlay import COLOURS, OPACITY, Sketch, Style, draw_overlay, sketch
from hub_models.phantom import draw_phantom
from hub_models.pipeline import XrayPipeline
from hub_models.wording import (
    card_text,
    checkpoints_table,
    control_text,
    heat_text,
    likely_text,
    problems_html,
    shares_html,
    strange_html,
)

INTRO = """# Chest X-ray: lungs, infection, classes
A UNet outlines the lungs and what looks infected; CLIP and ResNet say which class the X-ray resembles most."""
DISCLAIMER = """**Research demo, not a medical device.** The models learned from a small public data set and were never
tried in a clinic: do not diagnose or treat anyone with what they say, and upload no picture that shows a name."""
PROBABILITY = """**What a probability here is not:** the chance that this person is ill. It says how strongly a model
prefers one class to the others, and adds up to 100 % for any picture, also of a disease outside the list."""
PROMPTS = """Zero-shot CLIP compares the X-ray with sentences. Try your own wording and your own classes: one
`class: sentence` a line, as many lines for a class as you like."""
HEAT = """Brighter places speak more for the class that the classifier prefers (Grad-CAM, Selvaraju et al. 2017). The
map is coarse, and shows where a network found something, not what."""
CHOOSE = """Use another checkpoint for a role: `embedded`, a folder, or a Hub id as `user/repo` or `user/repo@revision`.
It is used for everyone who has this page open."""

TITLES = {
    "clip-zero-shot": "CLIP, zero-shot",
    "clip-finetuned": "CLIP, fine-tuned",
    "resnet": "ResNet",
    "fusion": "ResNet and CLIP, joined",
}
VIEWS = {
    "lungs": "Sees only the segmented lungs; the rest is black.",
    "crop": "Sees the X-ray cropped to the segmented lungs.",
    "full": "Sees the whole X-ray.",
    "lungs_hidden": "A control: sees the X-ray with the lungs black.",
    "box_hidden": "A control: sees the X-ray with the box around the lungs black.",
    "shape": "A control: sees the outline of the lungs alone.",
    "thumbnail": "A control: sees the X-ray in 32 x 32 pixels.",
}
EXAMPLES = {"healthy": (3, 0), "two opacities": (5, 2), "four opacities": (8, 4)}  # drawn with (seed, opacities)
PRIVATE = {"api_visibility": "private", "show_progress": "minimal"}
ONE_BY_ONE = {"preprocess": False, "concurrency_id": "models", "concurrency_limit": 1}  # events that run the models
EXCHANGES = {**PRIVATE, "concurrency_id": "checkpoints", "concurrency_limit": 1}  # events that may wait for the Hub
FORGET = (600, 3600)  # seconds: every ten minutes, files older than an hour are deleted

CSS = """
.gradio-container {max-width: 1280px !important; margin: 0 auto !important}
#disclaimer, .problem {border-left: 4px solid #E69F00; padding: 8px 14px; background: var(--background-fill-secondary)}
.problem {border-color: #D55E00; margin: 4px 0}
.viewer:has(img) {background: black}
.viewer img {width: 100%; height: 100%; object-fit: contain}
.legend span {margin-right: 18px; border-left: 14px solid; padding-left: 6px}
.shares {display: grid; grid-template-columns: repeat(3, 1fr); gap: 8px; margin-bottom: 8px}
.shares div {padding: 8px 12px; background: var(--background-fill-secondary); border-radius: 6px}
.shares small {display: block; color: var(--body-text-color-subdued)}
.shares b {display: block; font-size: clamp(1.1em, 4vw, 1.5em); white-space: nowrap}
#checkpoints {contain: inline-size; overflow-x: auto}
#checkpoints :is(th, td, code) {white-space: nowrap}
"""
# Pictures that a model card from the Hub links to stay out: a visitor's browser is sent nowhere else.
HEAD = """<meta http-equiv="Content-Security-Policy" content="img-src 'self' data: blob:">"""
THEME = gr.themes.Default(primary_hue="sky", neutral_hue="slate", font=["system-ui", "sans-serif"])
LOOK = {"theme": THEME, "css": CSS, "head": HEAD}


class Actions:
    """What the page does with an X-ray.

    `xray` is the file as gradio stored it. Events leave out the reading of gr.Image (`preprocess=False`), which turns
    16 bits into 8 and meets a file that is no picture with a traceback.
    """

    def __init__(self, pipeline: XrayPipeline) -> None:
        self.pipeline = pipeline
        self.roles = [role for role in TITLES if role in pipeline.classifiers]
        self.looking = [role for role in self.roles if role != "fusion"]  # it looks through the eyes of two of them

    def segment(self, xray: dict | None) -> tuple[np.ndarray, dict[str, float | None], dict]:
        """Outline the lungs and the infected region of a chest X-ray.

        Args:
            xray: A PNG, JPEG, WebP, TIFF, BMP or GIF file.

        Returns:
            The X-ray with both outlines, lungs in #56B4E9 and infection in #E69F00.
            Infected share, 0 to 1, of the patient's right lung, left lung and both; null where no lung was found.
            Both masks and each lung as COCO run lengths with their areas in pixels, and the extent grades, 0 to 4.
        """
        image = _read(xray)
        masks, involvement = self.pipeline.segment(image)
        kept = describe_masks(masks, involvement, self.pipeline.checkpoints["unet"])
        return draw_overlay(sketch(image, masks)), asdict(involvement), kept

    def classify(self, xray: dict | None, prompts: dict[str, list[str]] | None = None) -> tuple[dict, list[str]]:
        """Say with every classifier which class a chest X-ray resembles most.

        Args:
            xray: A PNG, JPEG, WebP, TIFF, BMP or GIF file.
            prompts: For zero-shot CLIP, class -> sentences that describe it; null for the sentences it was saved with.

        Returns:
            Classifier -> class -> probability, 0 to 1.
            Notes, a sentence each: for example why a classifier gave nothing.
        """
        image = _read(xray)
        masks, _ = self.pipeline.segment(image)
        return self.pipeline.classify(image, masks, _checked(prompts) if prompts else None)

    def analyse(
        self, xray: dict | None, prompts: str, shown: list[str], style: Style, opacity: float, anyway: bool = False
    ) -> Iterator[list]:
        """Fill both tabs, the outlines first; no old result stays beside a new picture, even one that is refused.

        The last value shows or hides the button that asks for a picture's results although it looks strange.
        """
        unclassified = self._classified({}, [])
        yield [None, None, "", None, *unclassified, gr.update(visible=False)]
        if xray is None:
            return
        image = _read(xray)
        masks, involvement = self.pipeline.segment(image)
        if masks.strange and not anyway:
            yield [None, None, strange_html(masks), None, *unclassified, gr.update(visible=True)]
            return
        drawn = sketch(image, masks)
        with tempfile.TemporaryDirectory(prefix="xray-masks-") as folder:  # until gradio has copied the files
            files = write_masks(Path(folder), masks, involvement, self.pipeline.checkpoints["unet"])
            shares, overlay = shares_html(masks, involvement), draw_overlay(drawn, shown, style, opacity)
            kept = list(map(str, files)) if masks.lungs.any() else None
            yield [drawn, overlay, shares, kept, *unclassified, gr.skip()]
        try:
            sentences = read_prompts(prompts)
            answers = *self.pipeline.classify(image, masks, sentences), sentences
        except ValueError as refused:  # raised, it would cover the outlines, too
            answers = {}, [str(refused)]
        # The outlines are not sent twice: gradio would write their file again while the browser is reading it.
        yield [*[gr.skip()] * 4, *self._classified(*answers), gr.skip()]

    @staticmethod
    def redraw(drawn: Sketch | None, shown: list[str], style: Style, opacity: float) -> np.ndarray | None:
        """Draw the outlines again, as the visitor now wants them; no model runs."""
        return None if drawn is None else draw_overlay(drawn, shown, style, opacity)

    def reclassify(self, xray: dict | None, prompts: str) -> list:
        """Fill the Classify tab again, with the prompts as they stand now."""
        try:
            sentences = read_prompts(prompts)
            return self._classified(*self.classify(xray, sentences), sentences)
        except ValueError as refused:
            raise gr.Error(str(refused), print_exception=False) from refused

    def explain(self, xray: dict | None, prompts: str) -> list:
        """Show where each classifier finds what speaks for the class it prefers, and how much of it in the lungs."""
        image = _read(xray)
        masks, _ = self.pipeline.segment(image)
        try:
            found = self.pipeline.explain(image, masks, read_prompts(prompts))
        except ValueError as refused:
            raise gr.Error(str(refused), print_exception=False) from refused
        pictures = [draw_heat(image, found[role].heat) if role in found else None for role in self.looking]
        return pictures + [heat_text(found.get(role)) for role in self.looking]

    def tell(self) -> list:
        """Say which checkpoints are in use: stand-ins, their button, the table, cards, views and prompts."""
        checkpoints, classifiers = self.pipeline.checkpoints, self.pipeline.classifiers
        return [
            problems_html(checkpoints),
            gr.update(visible=any(checkpoint.problem for checkpoint in checkpoints.values())),
            checkpoints_table(checkpoints),
            *(card_text(checkpoint) for checkpoint in checkpoints.values()),
            *map(self.view_text, self.roles),
            write_prompts(classifiers["clip-zero-shot"].prompts),
        ]

    def view_text(self, role: str) -> str:
        """Say what a classifier is shown, and how much of its score needs the lungs."""
        return f"{VIEWS[self.pipeline.classifiers[role].view]} {control_text(self.pipeline.checkpoints.get(role))}"

    def retry(self) -> list:
        """Ask again for every checkpoint that has a stand-in."""
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

    def _classified(
        self, probabilities: dict[str, dict[str, float]], notes: list[str], prompts: dict[str, list[str]] | None = None
    ) -> list:
        """What fills the Classify tab: each role's probabilities, all notes, and each role's prediction set."""
        likely = [
            self._likely(role, probabilities[role], prompts) if role in probabilities else "" for role in self.roles
        ]
        return [probabilities.get(role) for role in self.roles] + ["\n".join(f"- {note}" for note in notes)] + likely

    def _likely(self, role: str, answer: dict[str, float], prompts: dict[str, list[str]] | None) -> str:
        """A role's prediction set in words; nothing where none was fitted, or not for these sentences."""
        classifier = self.pipeline.classifiers[role]
        calibration = classifier.calibration
        if calibration.least is None or (role == "clip-zero-shot" and prompts != classifier.prompts):
            return ""
        return likely_text(calibration.likely(answer), calibration.level)


def zero_gpu() -> ModuleType | None:
    """The package `spaces`, which a Space on ZeroGPU has; imported before any model asks for a graphics card."""
    return importlib.import_module("spaces") if importlib.util.find_spec("spaces") else None


def on_gpu(event: Callable) -> Callable:
    """The event with a graphics card lent to each call where ZeroGPU is; as it is anywhere else."""
    spaces = zero_gpu()
    return spaces.GPU(event) if spaces else event


def _read(xray: dict | None) -> np.ndarray:
    if xray is None or not xray["path"]:
        raise gr.Error("Drop a chest X-ray first, or choose one of the examples.", print_exception=False)
    try:
        return read_image(xray["path"])
    except ImageRefused as refused:
        raise gr.Error(str(refused), print_exception=False) from refused


def _checked(prompts: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return the prompts without blank lines, or refuse those that leave a class with none."""
    if not isinstance(prompts, dict) or not all(isinstance(lines, list) for lines in prompts.values()):
        wanted = 'Give a list of sentences for each class, as in {"Normal": ["clear lungs"]}.'
        raise gr.Error(wanted, print_exception=False)
    prompts = {label: [line.strip() for line in map(str, lines) if line.strip()] for label, lines in prompts.items()}
    if empty := [label for label, lines in prompts.items() if not lines]:
        raise gr.Error(f"Write at least one sentence for {' and '.join(empty)}.", print_exception=False)
    return prompts


def _xray() -> gr.Image:
    folder = Path(tempfile.mkdtemp(prefix="xray-examples-"))
    for name, (seed, opacities) in EXAMPLES.items():
        Image.fromarray(draw_phantom(seed, size=512, opacities=opacities).image).save(folder / f"{name}.png")
    look = {"height": "min(400px, 100vw)", "buttons": ["fullscreen"], "elem_classes": "viewer"}
    xray = gr.Image(label="X-ray", type="filepath", sources=["upload", "clipboard"], elem_id="xray", **look)
    gr.Examples(
        [str(folder / f"{name}.png") for name in EXAMPLES], xray, label=f"Drawn examples: {', '.join(EXAMPLES)}"
    )
    return xray


def _segment_tab() -> tuple[list[gr.components.Component], list[gr.components.Component], gr.Button]:
    """What an X-ray fills (a sketch, outlines, shares, files), how they are drawn, and the button to insist."""
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
    files = gr.File(
        label="Masks to keep (PNG; JSON with run lengths and areas)", file_count="multiple", height=130, elem_id="masks"
    )
    redraw = {**PRIVATE, "queue": False, "trigger_mode": "always_last"}
    changes = [control.change for control in controls]
    gr.on(changes, Actions.redraw, [drawn, *controls], overlay, **redraw)
    return [drawn, overlay, shares, files], controls, anyway


def _classify_tab(actions: Actions) -> tuple[list, list[gr.Markdown], gr.Textbox, gr.Button]:
    outputs, sets, views = [], [], []
    with gr.Row():
        for role in actions.roles:
            with gr.Column(min_width=220):
                outputs.append(gr.Label(label=TITLES[role], elem_id=role))
                sets.append(gr.Markdown(elem_id=f"set-{role}"))
                views.append(gr.Markdown(actions.view_text(role)))
    outputs += [gr.Markdown(elem_id="notes"), *sets]
    gr.Markdown(PROBABILITY)
    with gr.Accordion("Prompts of zero-shot CLIP", elem_id="prompts"):
        gr.Markdown(PROMPTS)
        text = write_prompts(actions.pipeline.classifiers["clip-zero-shot"].prompts)
        prompts = gr.Textbox(text, label="class: sentence", lines=6, max_lines=20)
        again = gr.Button("Classify with these prompts")
    return outputs, views, prompts, again


def _heat(actions: Actions) -> tuple[gr.Button, list[gr.components.Component]]:
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
    return ask, pictures + sentences


def _models_tab(checkpoints: Mapping[str, Checkpoint]) -> tuple[gr.Markdown, list[gr.Markdown]]:
    table = gr.Markdown(checkpoints_table(checkpoints), elem_id="checkpoints")
    cards = []
    for role, checkpoint in checkpoints.items():
        with gr.Accordion(f"Model card: {role}", open=False):
            cards.append(gr.Markdown(card_text(checkpoint)))
    return table, cards


def _chooser(actions: Actions, told: list[gr.components.Component]) -> None:
    """The exchange of checkpoints, which is for everyone who has the page open: not offered on a Space."""
    with gr.Accordion("Use another checkpoint", open=False):
        gr.Markdown(CHOOSE)
        known = ["embedded", *filter(None, map(asked_for, ROLES))]
        with gr.Row():
            role = gr.Dropdown(list(actions.pipeline.checkpoints), label="Role", min_width=160)
            wish = gr.Dropdown(known, value="embedded", label="Checkpoint", allow_custom_value=True, scale=3)
        load = gr.Button("Load")
    gr.on([load.click], actions.exchange, [role, wish], told, **EXCHANGES)


def _endpoints(actions: Actions, xray: gr.Image, overlay: gr.Image) -> None:
    """What scripts call: events that no button starts."""
    shares, masks, prompts, probabilities, notes = (
        gr.JSON(label=label, visible=False) for label in ("shares", "masks", "prompts", "probabilities", "notes")
    )
    gr.on([], on_gpu(actions.segment), xray, [overlay, shares, masks], api_name="segment", **ONE_BY_ONE)
    gr.on([], on_gpu(actions.classify), [xray, prompts], [probabilities, notes], api_name="classify", **ONE_BY_ONE)


def build_demo(pipeline: XrayPipeline) -> gr.Blocks:
    """Lay out the page around the pipeline's models. Launch it with `**LOOK`."""
    actions = Actions(pipeline)
    with gr.Blocks(title="Chest X-ray", analytics_enabled=False, delete_cache=FORGET) as demo:
        gr.Markdown(INTRO)
        gr.Markdown(DISCLAIMER, elem_id="disclaimer")
        problems = gr.HTML(problems_html(pipeline.checkpoints), elem_id="problems", padding=False)
        retry = gr.Button("Try again", size="sm", visible=False)
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                xray = _xray()
            with gr.Column(scale=3, min_width=300), gr.Tabs():
                with gr.Tab("Segment"):
                    segmented, controls, anyway = _segment_tab()
                with gr.Tab("Classify"):
                    classified, views, prompts, again = _classify_tab(actions)
                    ask, heat = _heat(actions)
                with gr.Tab("Models"):
                    table, cards = _models_tab(pipeline.checkpoints)
                    told = [problems, retry, table, *cards, *views, prompts]
                    if "SPACE_ID" not in os.environ:
                        _chooser(actions, told)
        analyse, asked, filled = on_gpu(actions.analyse), [xray, prompts, *controls], [*segmented, *classified, anyway]
        gr.on([xray.change], analyse, asked, filled, **PRIVATE, **ONE_BY_ONE)
        gr.on([anyway.click], analyse, [*asked, gr.State(True)], filled, **PRIVATE, **ONE_BY_ONE)
        gr.on([again.click], on_gpu(actions.reclassify), [xray, prompts], classified, **PRIVATE, **ONE_BY_ONE)
        gr.on([ask.click], on_gpu(actions.explain), [xray, prompts], heat, **PRIVATE, **ONE_BY_ONE)
        gr.on([xray.change], lambda: [None] * len(heat), None, heat, **PRIVATE, queue=False)
        gr.on([retry.click], actions.retry, None, told, **EXCHANGES)
        gr.on([demo.load], actions.tell, None, told, **PRIVATE)
        _endpoints(actions, xray, segmented[1])
    return demo


if __name__ == "__main__":
    zero_gpu()
    try:
        demo = build_demo(open_pipeline())
    except CheckpointError as error:
        raise SystemExit(str(error)) from None
    host = "0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1"
    demo.launch(server_name=os.environ.get("GRADIO_SERVER_NAME", host), **LOOK)
