"""The field for an X-ray: any file by drop, paste or choice, or one of the examples."""

import tempfile
from pathlib import Path

import gradio as gr
from PIL import Image

from hub_models.page import texts
from hub_models.page.events import PRIVATE
from hub_models.page.state import PageState
from hub_models.page.uploads import refusal
from hub_models.reports.overlay import reduced
from hub_models.xray.phantom import draw_phantom

DRAWN = ((3, 0), (5, 2), (8, 4))  # seed and opacities of each of `texts.EXAMPLES`


class XrayField:
    """The field, its button for files of any kind, and the examples.

    A browser gives gr.Image only pictures that it can show. What is dropped or pasted there and is another file goes to
    the button (`xrayPage.take` in page_head.html), whose event makes a picture to show of it.

    Attributes:
        image: the field itself.
    """

    def __init__(self, state: PageState) -> None:
        self.state = state
        look = {"height": "min(400px, 100vw)", "buttons": ["fullscreen"], "elem_classes": "viewer", "elem_id": "xray"}
        self.image = gr.Image(label=texts.XRAY_FIELD, type="filepath", sources=["upload", "clipboard"], **look)
        other = gr.UploadButton(texts.ANY_FILE_BUTTON, size="sm", elem_id="other")
        gr.on([other.upload], self.open_file, other, self.image, **PRIVATE)
        with tempfile.TemporaryDirectory(prefix="xray-examples-") as folder:  # until gradio has copied the files
            files = [Path(folder, f"{name}.png") for name in texts.EXAMPLES]
            for file, (seed, opacities) in zip(files, DRAWN, strict=True):
                Image.fromarray(draw_phantom(seed, size=256, opacities=opacities).image).save(file)
            label = texts.EXAMPLES_LABEL.format(", ".join(texts.EXAMPLES))
            examples = gr.Dataset(
                components=[self.image], samples=[[str(file)] for file in files], label=label, type="index"
            )
            self.examples = [sample["path"] for (sample,) in examples.samples]
        # gr.Examples would skip the queue, and the page has no address for that.
        gr.on([examples.click], self.choose_example, examples, self.image, **PRIVATE)

    def choose_example(self, number: int) -> str:
        """Return the path of the example that was clicked, counted from 0."""
        if number not in range(len(self.examples)):
            raise refusal(texts.CHOOSE_FIRST)
        return self.examples[number]

    def open_file(self, file: str) -> str:
        """Make a picture that browsers show of any file; what is asked about it is answered from the file itself."""
        _, xray = self.state.read({"path": file})
        return self.state.stand_in(file, reduced(xray.image))
