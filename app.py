"""The page: one chest X-ray in; its lungs, its infected region and every classifier's probabilities out.

    python app.py

serves it on http://127.0.0.1:7860 (GRADIO_SERVER_NAME and GRADIO_SERVER_PORT change that). A Space runs it as it is.
"""

import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image
from scipy.ndimage import binary_erosion

from hub_models.checkpoints import Checkpoint, CheckpointError
from hub_models.images import ImageRefused, read_image
from hub_models.phantom import draw_phantom
from hub_models.pipeline import Involvement, XrayPipeline
from hub_models.unet import Masks

INTRO = """# Chest X-ray: lungs, infection, classes
A UNet outlines the lungs and what looks infected; CLIP and ResNet say which class the X-ray resembles most."""
DISCLAIMER = """**Research demo, not a medical device.** The models learned from a small public data set and were never
tried in a clinic: do not diagnose or treat anyone with what they say, and upload no picture that shows a name."""
SIDES = "The patient faces you: their left lung is on the right of the picture."
SHARE = "Share of the lung's area in the picture that is outlined as infected."
NO_LUNGS = "<b>No lungs found.</b> This may be no frontal chest X-ray, or one too dark or too light to outline."
PROBABILITY = """**What a probability here is not:** the chance that this person is ill. It says how strongly a model
prefers one class to the others, and adds up to 100 % for any picture, also of a disease outside the list."""
PROMPTS = "Zero-shot CLIP compares the X-ray with sentences. Try your own wording, one sentence a line."

COLOURS = {"lungs": "#56B4E9", "infection": "#E69F00"}  # Okabe and Ito: told apart by colour-blind eyes too
OPACITY = {"lungs": 0.12, "infection": 0.4}
OVERLAY_SIDE = 1280  # pixels; a larger picture is shown at a half, a third, ... of its size, to arrive quickly
TITLES = {"clip-zero-shot": "CLIP, zero-shot", "clip-finetuned": "CLIP, fine-tuned", "resnet": "ResNet"}
VIEWS = {
    "lungs": "Sees only the segmented lungs; the rest is black.",
    "crop": "Sees the X-ray cropped to the segmented lungs.",
    "full": "Sees the whole X-ray.",
}
EXAMPLES = {"healthy": (3, 0), "two opacities": (5, 2), "four opacities": (8, 4)}  # drawn with (seed, opacities)
ONE_BY_ONE = {"preprocess": False, "concurrency_id": "models", "concurrency_limit": 1}  # events that run the models
FORGET = (600, 3600)  # seconds: every ten minutes, files older than an hour are deleted

CSS = """
.gradio-container {max-width: 1280px !important; margin: 0 auto !important}
#disclaimer {border-left: 4px solid #E69F00; padding: 8px 14px; background: var(--background-fill-secondary)}
.viewer:has(img) {background: black}
.viewer img {width: 100%; height: 100%; object-fit: contain}
.legend span {margin-right: 18px; border-left: 14px solid; padding-left: 6px}
.shares {display: grid; grid-template-columns: repeat(3, 1fr); gap: 8px; margin-bottom: 8px}
.shares div {padding: 8px 12px; background: var(--background-fill-secondary); border-radius: 6px}
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
        self.prompts = pipeline.classifiers["clip-zero-shot"].prompts

    def segment(self, xray: dict | None) -> tuple[np.ndarray, dict[str, float | None]]:
        """Outline the lungs and the infected region of a chest X-ray.

        Args:
            xray: A PNG, JPEG, WebP, TIFF, BMP or GIF file.

        Returns:
            The X-ray with both outlines, lungs in #56B4E9 and infection in #E69F00.
            Infected share, 0 to 1, of the patient's right lung, left lung and both; null where no lung was found.
        """
        image = _read(xray)
        masks, involvement = self.pipeline.segment(image)
        return draw_overlay(image, masks), asdict(involvement)

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

    def analyse(self, xray: dict | None, *texts: str) -> Iterator[list]:
        """Fill both tabs, the outlines first; no old result stays beside a new picture, even one that is refused."""
        unclassified = [None] * len(self.roles) + [""]
        yield [None, "", *unclassified]
        if xray is None:
            return
        image = _read(xray)
        masks, involvement = self.pipeline.segment(image)
        yield [draw_overlay(image, masks), shares_html(masks, involvement), *unclassified]
        answers = self.pipeline.classify(image, masks, self._prompts(texts))
        # The outlines are not sent twice: gradio would write their file again while the browser is reading it.
        yield [gr.skip(), gr.skip(), *self._classified(*answers)]

    def reclassify(self, xray: dict | None, *texts: str) -> list:
        """Fill the Classify tab again, with the prompts as they stand now."""
        return self._classified(*self.classify(xray, self._prompts(texts)))

    def _prompts(self, texts: tuple[str, ...]) -> dict[str, list[str]]:
        return _checked({label: text.splitlines() for label, text in zip(self.prompts, texts, strict=True)})

    def _classified(self, probabilities: dict[str, dict[str, float]], notes: list[str]) -> list:
        return [probabilities.get(role) for role in self.roles] + ["\n".join(f"- {note}" for note in notes)]


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


def draw_overlay(image: np.ndarray, masks: Masks) -> np.ndarray:
    """Draw both masks over an X-ray, tinted and outlined in their `COLOURS`.

    Args:
        image: float32 (H, W) in 0..1.
        masks: bool (H, W) each.

    Returns:
        uint8 (h, w, 3): (H, W) or, if that is more than `OVERLAY_SIDE` pixels wide or high, a whole fraction of it.
    """
    step = -(-max(image.shape) // OVERLAY_SIDE)
    grey = Image.fromarray((255 * image).astype(np.uint8)).reduce(step)
    picture = np.repeat(np.asarray(grey, np.float32)[..., None], 3, axis=2)
    lungs, infection = masks.lungs[::step, ::step], masks.infection[::step, ::step]
    line = max(1, round(max(lungs.shape) / 400))
    for name, mask, tinted in (("lungs", lungs, lungs & ~infection), ("infection", infection, infection)):
        colour = np.array(bytearray.fromhex(COLOURS[name][1:]), np.float32)
        picture[tinted] += OPACITY[name] * (colour - picture[tinted])
        picture[mask & ~binary_erosion(mask, iterations=line)] = colour
    return picture.round().astype(np.uint8)


def percent(share: float | None) -> str:
    """Write a share of a lung, 0..1, as "12.3 %"; None, a lung that is not there, as "not found"."""
    return "not found" if share is None else f"{100 * share:.1f} %"


def shares_html(masks: Masks, involvement: Involvement) -> str:
    """Write the infected share of each lung for the visitor, or that there are no lungs."""
    if not masks.lungs.any():
        return f"<p role='status'>{NO_LUNGS}</p>"
    names = {"right": "patient's right lung", "left": "patient's left lung", "both": "both lungs"}
    cells = [f"<div><b>{percent(share)}</b>{names[side]}</div>" for side, share in asdict(involvement).items()]
    return f"<div class='shares'>{''.join(cells)}</div><p>{SHARE} {SIDES}</p>"


def card_text(checkpoint: Checkpoint) -> str:
    """Return the Markdown of a checkpoint's model card without its YAML front matter."""
    card = checkpoint.folder / "README.md"
    if not card.is_file():
        return "This checkpoint has no model card."
    return re.sub(r"\A---\s*\n.*?\n---\s*\n", "", card.read_text(encoding="utf-8"), flags=re.DOTALL)


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


def _segment_tab() -> list[gr.components.Component]:
    look = {"height": "min(440px, 90vw)", "buttons": ["download", "fullscreen"], "elem_classes": "viewer"}
    overlay = gr.Image(label="Outlines", format="png", elem_id="overlay", **look)
    keys = "".join(f"<span style='border-color: {colour}'>{name}</span>" for name, colour in COLOURS.items())
    gr.HTML(f"<div class='legend'>{keys}</div>", padding=False)
    return [overlay, gr.HTML(elem_id="shares", padding=False)]


def _classify_tab(actions: Actions) -> tuple[list[gr.components.Component], list[gr.Textbox], gr.Button]:
    outputs = []
    with gr.Row():
        for role in actions.roles:
            with gr.Column(min_width=220):
                outputs.append(gr.Label(label=TITLES[role], elem_id=role))
                gr.Markdown(VIEWS[actions.pipeline.classifiers[role].view])
    outputs.append(gr.Markdown(elem_id="notes"))
    gr.Markdown(PROBABILITY)
    with gr.Accordion("Prompts of zero-shot CLIP", elem_id="prompts"):
        gr.Markdown(PROMPTS)
        lines = actions.prompts.items()
        boxes = [gr.Textbox("\n".join(text), label=label, lines=3, max_lines=8) for label, text in lines]
        again = gr.Button("Classify with these prompts")
    return outputs, boxes, again


def _models_tab(checkpoints: dict[str, Checkpoint]) -> None:
    rows = [f"| {c.role} | `{c.name}` | {c.origin} | `{c.revision or '-'}` |" for c in checkpoints.values()]
    table = ["| Role | Checkpoint | Origin | Revision |", "|---|---|---|---|", *rows]
    gr.Markdown("\n".join(table), elem_id="checkpoints")
    for checkpoint in checkpoints.values():
        with gr.Accordion(f"Model card: {checkpoint.role}", open=False):
            gr.Markdown(card_text(checkpoint))


def _endpoints(actions: Actions, xray: gr.Image, overlay: gr.Image) -> None:
    """What scripts call: events that no button starts."""
    shares, prompts, probabilities, notes = (
        gr.JSON(label=label, visible=False) for label in ("shares", "prompts", "probabilities", "notes")
    )
    gr.on([], actions.segment, xray, [overlay, shares], api_name="segment", **ONE_BY_ONE)
    gr.on([], actions.classify, [xray, prompts], [probabilities, notes], api_name="classify", **ONE_BY_ONE)


def build_demo(pipeline: XrayPipeline) -> gr.Blocks:
    """Lay out the page around the pipeline's models. Launch it with `**LOOK`."""
    actions = Actions(pipeline)
    private = {"api_visibility": "private", "show_progress": "minimal", **ONE_BY_ONE}
    with gr.Blocks(title="Chest X-ray", analytics_enabled=False, delete_cache=FORGET) as demo:
        gr.Markdown(INTRO)
        gr.Markdown(DISCLAIMER, elem_id="disclaimer")
        with gr.Row():
            with gr.Column(scale=2, min_width=300):
                xray = _xray()
            with gr.Column(scale=3, min_width=300), gr.Tabs():
                with gr.Tab("Segment"):
                    segmented = _segment_tab()
                with gr.Tab("Classify"):
                    classified, boxes, again = _classify_tab(actions)
                with gr.Tab("Models"):
                    _models_tab(pipeline.checkpoints)
        gr.on([xray.change], actions.analyse, [xray, *boxes], segmented + classified, **private)
        gr.on([again.click], actions.reclassify, [xray, *boxes], classified, **private)
        _endpoints(actions, xray, segmented[0])
    return demo


if __name__ == "__main__":
    try:
        demo = build_demo(XrayPipeline.from_pretrained())
    except CheckpointError as error:
        raise SystemExit(str(error)) from None
    host = "0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1"
    demo.launch(server_name=os.environ.get("GRADIO_SERVER_NAME", host), **LOOK)
