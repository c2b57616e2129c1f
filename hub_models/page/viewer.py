"""The light box: an X-ray with its outlines and heat maps, which the visitor's browser draws by itself.

The browser fetches the picture once, and each mask as a small picture of how surely a pixel is inside. Zoom, window,
opacity and all else then need no request (browser/viewer.js).
"""

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any

import gradio as gr
import numpy as np

from hub_models.page import texts
from hub_models.page.guard import SCRIPTS
from hub_models.page.results import heat_text
from hub_models.page.uploads import FILE, GREYS, inline, serve_picture
from hub_models.reports.heatmap import INFERNO
from hub_models.reports.overlay import COLOURS, OPACITY, TINT_STRENGTHS
from hub_models.xray.geometry import INSIDE
from hub_models.xray.masks import MASKS, Masks

if TYPE_CHECKING:  # the page opens while the models are still being loaded
    from hub_models.models.gradcam import Explanation

MAX_SIDE = 4096
"""Of the picture that is sent, in pixels; a larger one is reduced by a whole factor."""
SIGNS = {
    "zoom-out": "<circle cx='10' cy='10' r='7'/><path d='M15 15l6 6M7 10h6'/>",
    "zoom-in": "<circle cx='10' cy='10' r='7'/><path d='M15 15l6 6M7 10h6M10 7v6'/>",
    "pixels": "<path d='M4 8l2-2v12M17 8l2-2v12M11.5 9v2M11.5 14v2'/>",
    "window": "<circle cx='12' cy='12' r='8'/><path d='M12 4a8 8 0 0 1 0 16z' fill='currentColor'/>",
    "invert": "<rect x='4' y='4' width='16' height='16' rx='1'/><path d='M4 20L20 4v16z' fill='currentColor'/>",
    "sides": "<path d='M3 18V6h3a3 3 0 0 1 0 6H3m3 0l3 6M15 6v12h6'/>",
    "compare": "<path d='M2 12c5-8 15-8 20 0c-5 8-15 8-20 0z'/><circle cx='12' cy='12' r='3'/>",
    "reset": "<path d='M5 12a7 7 0 1 1 2 5M5 19v-4h4'/>",
    "full": "<path d='M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5'/>",
}
"""Tool of the light box -> its sign, drawn in a square of 24 units."""
SAMPLED = 1 << 18
"""About so many pixels tell whether a picture has more greys than 8 bits hold."""
OPENED = "import(new URL('.{}/{}', document.baseURI)).then(script => script.open(element, props, watch, trigger))"
"""A component's JavaScript, of a folder and a script in it; a script of gradio runs it, from another folder."""


class LightBox:
    """The component, and what it is given.

    Attributes:
        component: its value is what `film` returns, or None for an empty box; its `heat` is what `heat` returns.
    """

    def __init__(self) -> None:
        script = {"js_on_load": OPENED.format(SCRIPTS, "viewer.js"), "heat": None}
        self.component = gr.HTML(None, html_template=box_html(), elem_id="viewer", **script)


def film(
    image: np.ndarray, masks: Masks | None = None, thresholds: Mapping[str, float] | None = None, **about: Any
) -> dict:
    """Describe an X-ray for the light box, and write the picture that it fetches.

    Args:
        image: float32 (H, W) in 0..1.
        masks: its outlines; None for a picture without any.
        thresholds: of each of `MASKS`, the probability from which a pixel is inside.
        about: more that the browser needs: "about", a sentence that stands on the picture; "path" of the field's
            picture and "share" (0..1, or None) of both lungs, for the pictures of this visit (browser/visit.js).

    Returns:
        "picture", an address; what is `about` it; "layers": of each mask its name, title, colour, tint, "threshold",
        and the "address" of how surely a pixel is inside, which it is from the value "inside" up. Any other mask may be
        a layer in the same way.
    """
    picture = f"{FILE}{serve_picture(greys(image), 'xray.png')}"
    if masks is None:
        return {"picture": picture, "layers": []} | about
    surely = (255 * np.stack([masks.lungs, masks.infection])).astype(np.uint8) if masks.smooth is None else masks.smooth
    layers = [
        {
            "name": name,
            "title": texts.MASKS[name],
            "colour": COLOURS[name],
            "tint": TINT_STRENGTHS[name],
            "threshold": thresholds[name],
            "inside": INSIDE,
            "address": inline(picture_of_mask),
        }
        for name, picture_of_mask in zip(MASKS, surely, strict=True)
    ]
    return {"picture": picture, "layers": layers} | about


def greys(image: np.ndarray) -> np.ndarray:
    """Return an X-ray, float32 (H, W) in 0..1, in as many bits as it needs: uint8 (h, w), or uint16 (h, w)."""
    step = -(-max(image.shape) // MAX_SIDE)
    if step > 1:
        height, width = (length // step * step for length in image.shape)
        image = image[:height, :width].reshape(height // step, step, width // step, step).mean(axis=(1, 3))
    sample = image.ravel()[:: max(1, image.size // SAMPLED)]
    deep = np.unique(sample).size > 256
    scale, kind = (GREYS, np.uint16) if deep else (255, np.uint8)
    return np.rint(image * np.float32(scale)).astype(kind)


def heat(found: "Mapping[str, Explanation]") -> dict:
    """Return the update that gives the light box heat maps: of each classifier its name, picture and sentence."""
    colours = INFERNO.split()
    maps = [
        {
            "name": role,
            "address": inline(np.rint(255 * explanation.heat).astype(np.uint8)),
            "colours": colours,
            "caption": heat_text(explanation),
        }
        for role, explanation in found.items()
    ]
    return gr.update(heat=maps)


def box_html() -> str:
    """Write the box with its tools; browser/viewer.js connects them."""
    tools = "".join(_tool(name, title) for name, title in texts.VIEWER_TOOLS.items())
    styles = "".join(f"<option value='{name}'>{title}</option>" for name, title in texts.STYLES.items())
    heats = "".join(f"<option value='{name}'>{title}</option>" for name, title in texts.LOOKING.items())
    ticks = "".join(
        f"<label style='--colour: {COLOURS[name]}'><input type='checkbox' checked disabled>{texts.MASKS[name]}</label>"
        for name in MASKS
    )
    said: dict[str, Any] = {"grey": texts.VIEWER_GREY, "no-heat": texts.HEAT_WITHOUT_LUNGS}
    data = " ".join(f"data-{name}='{escape(text)}'" for name, text in said.items())
    return f"""<div class='lightbox empty' data-style='fill' style='--opacity: {OPACITY}' {data}>
<div class='view' tabindex='0' role='group' aria-label='{texts.VIEWER_NAME}' title='{texts.VIEWER_KEYS}'>
<div class='film'><canvas class='picture' role='img' aria-label='{texts.VIEWER_PICTURE}'></canvas>
<canvas class='heat' hidden></canvas><svg viewBox='0 0 1 1' preserveAspectRatio='none' aria-hidden='true'></svg></div>
<b class='side right' aria-hidden='true'>{texts.SIDE_MARKS[0]}</b>
<b class='side left' aria-hidden='true'>{texts.SIDE_MARKS[1]}</b>
<div class='readout'></div><div class='about'></div><div class='caption' role='status'></div></div>
<div class='tools' role='toolbar' aria-label='{texts.VIEWER_TOOLBAR}'>{tools}</div>
<div class='looks'><span class='layers'>{ticks}</span>
<label>{texts.STYLE} <select data-choice='style'>{styles}</select></label>
<label>{texts.OPACITY} <input data-choice='opacity' type='range' min='0' max='1' step='0.01' value='{OPACITY}'></label>
<label>{texts.HEAT_LAYER} <select data-choice='heat'><option value=''>{texts.NO_HEAT}</option>{heats}</select></label>
</div></div>"""


def _tool(name: str, title: str) -> str:
    sign = f"<svg viewBox='0 0 24 24' aria-hidden='true'>{SIGNS[name]}</svg>"
    return f"<button type='button' data-tool='{name}' title='{title}' aria-label='{title}'>{sign}</button>"
