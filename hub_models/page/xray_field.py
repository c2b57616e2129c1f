"""The field for an X-ray: by drop, paste or choice, from a file that browsers do not show, or one of the examples."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import numpy as np
from PIL import Image

from hub_models.page.events import PRIVATE
from hub_models.page.results import plain_html
from hub_models.page.uploads import admit, read_upload
from hub_models.reports.description import Source
from hub_models.xray.dicom import view_position
from hub_models.xray.phantom import draw_phantom

EXAMPLES = {"healthy": (3, 0), "two opacities": (5, 2), "four opacities": (8, 4)}  # drawn with (seed, opacities)
FILES = [".dcm", ".dicom", ".ima", ".tif", ".tiff"]  # what a browser shows no picture of


class XrayField:
    """The field, its button for files that browsers do not show, and the examples.

    Attributes:
        image: the field itself.
    """

    def __init__(self) -> None:
        look = {"height": "min(400px, 100vw)", "buttons": ["fullscreen"], "elem_classes": "viewer"}
        self.image = gr.Image(label="X-ray", type="filepath", sources=["upload", "clipboard"], elem_id="xray", **look)
        other = gr.UploadButton("Open a DICOM or TIFF file", file_types=FILES, size="sm", elem_id="other")
        gr.on([other.upload], self.open_file, other, self.image, **PRIVATE)
        with tempfile.TemporaryDirectory(prefix="xray-examples-") as folder:  # until gradio has copied the files
            files = [Path(folder, f"{name}.png") for name in EXAMPLES]
            for file, (seed, opacities) in zip(files, EXAMPLES.values(), strict=True):
                Image.fromarray(draw_phantom(seed, size=256, opacities=opacities).image).save(file)
            gr.Examples(list(map(str, files)), self.image, label=f"Drawn examples: {', '.join(EXAMPLES)}")

    @staticmethod
    def open_file(file: str) -> Iterator[str]:
        """Make a picture that browsers show of a file that they do not, with 16 bits, named after what it was."""
        path = admit(file)
        image, data = read_upload(file), path.read_bytes()
        if (view := view_position(data)) is not None:
            gr.Info(
                f"View position that the file tells: {plain_html(view)}. The models know frontal views (PA, AP) only."
            )
        source = Source.of(path.name, data)
        with tempfile.TemporaryDirectory(prefix="xray-opened-") as folder:  # until gradio has copied the file
            shown = Path(folder, f"{source.sha256}{source.extension}.png")
            Image.fromarray((65535 * image).round().astype(np.uint16)).save(shown)
            yield str(shown)
