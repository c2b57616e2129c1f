"""The visitor's own opinion of an X-ray: outlines drawn with a pencil, a class, a remark; kept, compared, and given."""

import base64
import re
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.components import Component
from PIL import Image

from hub_models.batch.outputs import folder_name
from hub_models.models.labels import LABELS
from hub_models.page import texts
from hub_models.page.events import DRAWING, PRIVATE
from hub_models.page.feedback import Feedback
from hub_models.page.files import FileData
from hub_models.page.findings import shares_html
from hub_models.page.guard import SCRIPTS
from hub_models.page.memory import Outlined
from hub_models.page.results import named, plain_html
from hub_models.page.state import PageState
from hub_models.page.tab import Visit
from hub_models.page.uploads import admit, refusal, served_folder
from hub_models.page.viewer import MAX_SIDE, OPENED, inline
from hub_models.reports.corrections import MAX_REMARK_CHARACTERS, Corrected, record_files
from hub_models.reports.dicom_seg import write_segmentation
from hub_models.reports.nifti import write_nifti
from hub_models.xray.geometry import INSIDE, mask_to_shape
from hub_models.xray.mask_pictures import read_mask
from hub_models.xray.masks import MASKS, Agreement, Masks, measure_involvement

Drawn = Mapping[str, str] | str | None
"""The pencil's message: each of `MASKS` as bits in base64, from its first row on. For the network's own it is None, or
the "" that the browser has for a component without a value."""

DIFFERENCE_COLOUR = "#CC79A7"  # Okabe and Ito's reddish purple
RECORD_ARCHIVE = "correction.zip"
MAX_LABEL = 80
"""Of a label that a visitor gives an X-ray, in characters."""


class Annotation:
    """The pencil's tools, the opinion beside them, and the files to take away.

    Attributes:
        parts: the components that another X-ray empties.
    """

    def __init__(self, state: PageState, visit: Visit, shares: gr.HTML, feedback: Feedback | None) -> None:
        self.state, self.visit, self.shares, self.feedback = state, visit, shares, feedback
        many = {"file_count": "multiple", "height": 130}
        with gr.Accordion(texts.ANNOTATE_TITLE, open=False, elem_id="annotate"):
            opened = OPENED.format(SCRIPTS, "pencil.js")
            self.pencil = gr.HTML(
                None, html_template=pencil_html(), js_on_load=opened, difference=None, elem_id="pencil"
            )
            with gr.Row():
                with gr.Column(min_width=260):
                    classes = [(named(label), label) for label in LABELS]
                    self.label = gr.Dropdown(classes, value=None, label=texts.RATHER, elem_id="rather")
                    self.remark = gr.Textbox(label=texts.REMARK, lines=2, max_length=MAX_REMARK_CHARACTERS)
                    given = texts.GIVE.format(feedback.repo_id if feedback else "")
                    self.agreed = gr.Checkbox(False, label=given, visible=feedback is not None, elem_id="agreed")
                    self.save = gr.Button(texts.SAVE_CORRECTION, elem_id="save-correction")
                with gr.Column(min_width=260):
                    self.formats = gr.Button(texts.FORMATS_BUTTON, elem_id="formats")
                    self.files = gr.File(label=texts.FORMAT_FILES, elem_id="taken", **many)
                with gr.Column(min_width=260):
                    masks = [(texts.MASKS[name], name) for name in MASKS]
                    self.compared = gr.Dropdown(masks, value=MASKS[0], label=texts.COMPARED_MASK)
                    self.other = gr.UploadButton(texts.OTHER_MASK, elem_id="other-mask")
                    self.agreement = gr.HTML(elem_id="agreement", padding=False)

    @property
    def parts(self) -> list[Component]:
        """The components that another X-ray empties."""
        return [self.label, self.remark, self.agreed, self.files, self.agreement]

    def connect(self, name: gr.Textbox) -> None:
        """Connect the pencil and the buttons; no model runs for any of them. Files are called after `name`'s value."""
        about, free = [self.visit.xray, self.visit.key, self.pencil], {**PRIVATE, **DRAWING}
        last = {**free, "trigger_mode": "always_last"}  # else strokes that come while one is measured would be lost
        gr.on([self.pencil.input], self.measure, about, self.shares, **last)
        opinion = [self.label, self.remark, self.agreed, name]
        gr.on([self.save.click], self.keep, [*about, *opinion], [self.files, self.agreed], **free)
        gr.on([self.formats.click], self.write_formats, [*about, name], self.files, **free)
        compare = [*about, self.other, self.compared]
        gr.on([self.other.upload], self.compare, compare, [self.agreement, self.pencil], **free)

    def measure(self, xray: FileData | None, key: str | None, drawn: Drawn) -> str:
        """Measure the infected shares of what is drawn; those of the network where nothing is."""
        outlined = self._outlined(xray, key)
        if not drawn:
            return shares_html(outlined.masks.unpack(), outlined.involvement)
        masks = drawn_masks(drawn, outlined)
        shares = shares_html(masks, measure_involvement(masks.lungs, masks.infection))
        return f"<p class='drawn'>{texts.AS_DRAWN}</p>{shares}"

    def keep(
        self,
        xray: FileData | None,
        key: str | None,
        drawn: Drawn,
        label: str | None,
        remark: str,
        agreed: bool,
        name: str | None = None,
    ) -> dict[Component, Any]:
        """Keep the visitor's opinion as a file for them, and for the owner of the page if they agree this time."""
        outlined, read = self._outlined(xray, key), self.state.files.read(xray)[1]
        if label not in (None, *LABELS) or len(remark or "") > MAX_REMARK_CHARACTERS:
            raise refusal(texts.NOT_AN_OPINION)
        before, sha256 = outlined.masks.unpack(), outlined.source.sha256
        masks = drawn_masks(drawn, outlined)
        given = Corrected(read.image, masks, before, label, (remark or "").strip(), outlined.unet, sha256)
        if agreed and self.feedback:
            try:
                self.feedback.give(given)
            except OSError:
                raise refusal(texts.NOT_GIVEN) from None
            gr.Info(texts.GIVEN)
        archive = served_folder() / f"{beginning(name)}{RECORD_ARCHIVE}"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
            for file, data in record_files(given).items():
                zipped.writestr(f"correction-{sha256[:12]}/{file}", data)
        return {self.files: [str(archive)], self.agreed: False}

    def write_formats(self, xray: FileData | None, key: str | None, drawn: Drawn, name: str | None = None) -> list[str]:
        """Write the masks, as they are drawn now, as a DICOM Segmentation and as NIfTI files."""
        outlined, read = self._outlined(xray, key), self.state.files.read(xray)[1]
        masks, placement = drawn_masks(drawn, outlined), outlined.source.placement
        file = self.state.files.own_file(xray).read_bytes()
        files = write_segmentation(file, read.image, masks, placement, outlined.unet, by_hand=bool(drawn))
        files |= write_nifti(file, read.image.shape, masks, placement)
        folder = served_folder()
        paths = {folder / f"{beginning(name)}{file}": data for file, data in files.items()}
        for path, data in paths.items():
            path.write_bytes(data)
        return list(map(str, paths))

    def compare(
        self, xray: FileData | None, key: str | None, drawn: Drawn, file: str, name: str
    ) -> dict[Component, Any]:
        """Compare a mask that was drawn elsewhere with what is drawn here, and show where they differ."""
        outlined = self._outlined(xray, key)
        if name not in MASKS:
            raise refusal(texts.NO_MASK)
        here = getattr(drawn_masks(drawn, outlined), name)
        there = mask_to_shape(drawn_elsewhere(admit(file)), here.shape)
        found = Agreement.of(here, there)
        sentence = texts.AGREEMENT.format(texts.MASKS[name], found.dice, found.iou)
        layer = {
            "name": "difference",
            "title": texts.DIFFERENCE,
            "colour": DIFFERENCE_COLOUR,
            "tint": 1.0,
            "threshold": 0.5,
            "inside": INSIDE,
            "address": inline(np.uint8(255 * (here ^ there))),
        }
        return {self.agreement: f"<p>{plain_html(sentence)}</p>", self.pencil: gr.update(difference=layer)}

    def _outlined(self, xray: FileData | None, key: str | None) -> Outlined:
        """Find what is remembered of an X-ray.

        Raises:
            gr.Error: there is none, or it is forgotten.
        """
        if xray is None or key is None:
            raise refusal(texts.CHOOSE_FIRST)
        if (outlined := self.state.remembered(xray, key)) is None:
            raise refusal(texts.FORGOTTEN)
        return outlined


def beginning(label: str | None) -> str:
    """Return how the names of files begin that belong to an X-ray with this label; nothing without one."""
    label = re.sub(r"[/\\]", " ", (label or "").strip()[:MAX_LABEL])
    return f"{folder_name(label, set())}-" if label else ""


def drawn_masks(drawn: Drawn, outlined: Outlined) -> Masks:
    """Return the masks that a visitor drew, or the network's where nothing was drawn.

    Raises:
        gr.Error: what was sent is not a mask of each kind.
    """
    masks = outlined.masks.unpack()
    if not drawn:
        return masks
    shape = masks.lungs.shape
    try:
        planes = [_bits(drawn[name], shape) for name in MASKS]
    except (ValueError, TypeError, KeyError):
        raise refusal(texts.NO_MASK) from None
    return replace(masks, **dict(zip(MASKS, planes, strict=True)), smooth=None)


def _bits(text: str, shape: tuple[int, int]) -> np.ndarray:
    """Read a mask, bool (H, W), from bits in base64; raises ValueError, TypeError."""
    packed = np.frombuffer(base64.b64decode(text, validate=True), np.uint8)
    if packed.size != -(-shape[0] * shape[1] // 8):
        raise ValueError(packed.size)
    return np.unpackbits(packed, count=shape[0] * shape[1]).reshape(shape).astype(bool)


def drawn_elsewhere(path: Path) -> np.ndarray:
    """Read a mask of one region from a picture, bool (H, W).

    Raises:
        gr.Error: it is not such a picture.
    """
    try:
        with Image.open(path, formats=("PNG", "TIFF", "BMP", "GIF")) as picture:
            picture.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.NEAREST)
            return read_mask(picture)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise refusal(texts.NO_MASK) from None


def pencil_html() -> str:
    """Write the pencil's tools; browser/pencil.js connects them."""
    tools = "".join(
        f"<button type='button' data-pencil='{name}' aria-pressed='false' disabled>{title}</button>"
        for name, title in texts.PENCIL_TOOLS.items()
    )
    acts = "".join(
        f"<button type='button' data-act='{name}' disabled>{title}</button>"
        for name, title in texts.PENCIL_ACTS.items()
    )
    masks = "".join(f"<option value='{name}'>{texts.MASKS[name]}</option>" for name in reversed(MASKS))
    size = "<input data-choice='size' type='range' min='0.5' max='6' step='0.25' value='2' disabled>"
    return f"""<div class='pencil' role='toolbar' aria-label='{texts.PENCIL_NAME}'>{tools}
<label>{texts.PENCIL_MASK} <select data-choice='mask' disabled>{masks}</select></label>
<label>{texts.PENCIL_SIZE} {size}</label>{acts}</div>"""
