"""The field for an X-ray: any file by drop, paste or choice, or one of the examples."""

from pathlib import Path
from typing import Any

import gradio as gr

from hub_models.page import texts
from hub_models.page.events import PRIVATE
from hub_models.page.state import PageState
from hub_models.page.uploads import FILE, admit, refusal

EXAMPLES = Path(__file__).with_name("examples")
"""Folder of the examples, files that `hub_models.xray.phantom.draw_phantom` made: to draw them takes over a second."""
DRAWN = ((3, 0), (5, 2), (8, 4))
"""Seed and opacities of each of `texts.EXAMPLES`."""
EXAMPLE_SIDE = 512
"""Side of each example in pixels."""
LANDING = 1
"""Position of the example that a page shows when it is opened."""


class XrayField:
    """The button for files, the examples, and the field itself, which nobody sees: the light box shows the picture.

    What is dropped or pasted anywhere goes to the button, too (`take` in page_head.html).

    Attributes:
        image: the field itself.
        examples: paths of the examples; a page that is opened shows `LANDING`.
    """

    def __init__(self, state: PageState) -> None:
        self.state = state
        look = {"elem_classes": "by-script", "elem_id": "xray", "buttons": []}
        self.image = gr.Image(label=texts.XRAY_FIELD, type="filepath", sources=["upload"], **look)
        look = {"variant": "primary", "elem_id": "other", "scale": 0, "min_width": 250, "size": "md"}
        other = gr.UploadButton(texts.ANY_FILE_BUTTON, **look)
        gr.on([other.upload], self.open_file, other, self.image, **PRIVATE)
        label = texts.EXAMPLES_LABEL.format(", ".join(texts.EXAMPLES))
        files = [[str(EXAMPLES / f"{name}.png")] for name in texts.EXAMPLES]
        examples = gr.Dataset(components=[self.image], samples=files, label=label, type="index")
        self.examples = [sample["path"] for (sample,) in examples.samples]  # gradio's copies
        state.examples.update(self.examples)
        # gr.Examples would skip the queue, and the page has no address for that.
        gr.on([examples.click], self.choose_example, examples, self.image, **PRIVATE)

    @property
    def landing(self) -> dict[str, Any]:
        """The example that a page shows when it is opened, as gradio describes a file to the browser."""
        path = self.examples[LANDING]
        return {
            "path": path,
            "url": f"{FILE}{path}",
            "orig_name": Path(path).name,
            "meta": {"_type": "gradio.FileData"},
        }

    def choose_example(self, number: int) -> str:
        """Return the path of the example that was clicked, counted from 0."""
        if number not in range(len(self.examples)):
            raise refusal(texts.CHOOSE_FIRST)
        return self.examples[number]

    def open_file(self, file: str) -> str:
        """Put any file into the field; it is read, or refused, when it is asked about."""
        return self.state.files.stand_in(str(admit(file)))
