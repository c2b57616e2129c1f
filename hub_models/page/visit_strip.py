"""The X-rays of this visit: pictures that only the visitor's browser remembers, and two of them side by side."""

from html import escape

import gradio as gr

from hub_models.page import texts
from hub_models.page.events import PRIVATE
from hub_models.page.guard import SCRIPTS
from hub_models.page.tab import Visit
from hub_models.page.uploads import admit
from hub_models.page.viewer import OPENED


class VisitStrip:
    """The pictures, each of which opens its X-ray again; `browser/visit.js` fills them."""

    def __init__(self) -> None:
        opened = OPENED.format(SCRIPTS, "visit.js")
        self.component = gr.HTML(html_template=strip_html(), js_on_load=opened, elem_id="visit")

    def connect(self, visit: Visit) -> None:
        """Connect a click on a picture."""
        gr.on([self.component.select], self.open_again, None, visit.xray, **PRIVATE)

    def open_again(self, event: gr.EventData) -> str:
        """Put an X-ray of this visit into the field again, if the page still has it."""
        return str(admit(event._data.get("path")))


def strip_html() -> str:
    """Write the strip, and the window for two X-rays; both are empty."""
    said = {"compare": texts.VISIT_COMPARE, "open": texts.VISIT_OPEN, "change": texts.VISIT_CHANGE}
    said |= {"share": texts.VISIT_SHARE, "unknown": texts.VISIT_UNKNOWN}
    data = " ".join(f"data-{name}='{escape(text)}'" for name, text in said.items())
    return f"""<div class='visit' {data} hidden><p>{texts.VISIT_TITLE}</p><ol></ol>
<dialog aria-label='{texts.VISIT_COMPARE}'><div class='pair'></div><p class='change' role='status'></p>
<button type='button' class='close'>{texts.VISIT_CLOSE}</button></dialog></div>"""
