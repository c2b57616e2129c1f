"""The files of visitors: which of them an event may read, and where pictures for them are put."""

import base64
import stat
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio.utils import get_upload_folder
from PIL import Image

from hub_models.page import texts
from hub_models.reports.png import encode_png
from hub_models.xray.images import ImageRefused, Xray, read_xray

FILE = "gradio_api/file="
"""Address of a file of the page, seen from the page, before the file's path."""
GREYS = 65535
"""The lightest grey of an X-ray that the page keeps in 16 bits."""


def refusal(sentence: str) -> gr.Error:
    """The error that shows a visitor one sentence, and nothing in the log but that."""
    return gr.Error(sentence, title=texts.REFUSAL_TITLE, print_exception=False)


def admit(file: Mapping[str, Any] | str | None) -> Path:
    """Find the file that a client names, if this page stored it for a visitor.

    Args:
        file: its path, or gradio's description of a file, which holds its "path".

    Returns:
        The path with all links resolved: a regular file in a folder of its own inside the page's uploads.

    Raises:
        gr.Error: with `texts.NOT_HERE` for anything else, so that nobody learns what else is there.
    """
    path = file.get("path") if isinstance(file, Mapping) else file
    uploads = Path(get_upload_folder())
    try:
        found = Path(path).resolve(strict=True)
        admitted = stat.S_ISREG(found.stat().st_mode) and len(found.relative_to(uploads.resolve()).parts) > 1
    except (OSError, ValueError, TypeError, RuntimeError):  # not there, not inside, not a path, a loop of links
        admitted = False
    if not admitted or found.name.startswith("."):
        raise refusal(texts.NOT_HERE)
    return found


def named_files(value: Any) -> Iterator[Mapping[str, Any]]:
    """Everything in the inputs of an event that gradio might take for a file, however deep."""
    if isinstance(value, Mapping):
        if isinstance(value.get("path"), str) or isinstance(value.get("url"), str):
            yield value
        for part in value.values():
            yield from named_files(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from named_files(part)


def read_upload(path: Path) -> Xray:
    """Read an X-ray that was admitted.

    Raises:
        gr.Error: it cannot be read; no path of the server is in the sentence.
    """
    try:
        return read_xray(path)
    except ImageRefused as refused:
        raise refusal(str(refused).replace(str(path), path.name)) from None


def read_kept(path: Path) -> np.ndarray:
    """Read an X-ray that the page itself wrote in 16 bits, float32 (H, W) in 0..1; its contrast is not stretched again.

    Raises:
        gr.Error: the file is gone, or not whole.
    """
    try:
        with Image.open(path, formats=("PNG",)) as picture:
            return np.asarray(picture, np.float32) / np.float32(GREYS)
    except (OSError, SyntaxError):
        raise refusal(texts.NOT_HERE) from None


def serve_xray(image: np.ndarray) -> str:
    """Write an X-ray, float32 (H, W) in 0..1, for `read_kept`, so that a grey is off by at most a half of 1/65535."""
    greys = image * np.float32(GREYS)
    return serve_picture(np.rint(greys, out=greys).astype(np.uint16), "xray.png")


def served_folder() -> Path:
    """Make a folder whose files gradio serves to those who know its name, which cannot be guessed."""
    uploads = Path(get_upload_folder())
    uploads.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(dir=uploads))


def serve_picture(picture: np.ndarray, name: str = "image.png") -> str:
    """Write a picture, uint8 (h, w, 3) or (h, w), or uint16 (h, w), as a PNG file that gradio serves, and quickly.

    Each has a folder of its own: others may be fetching, or deleting, one that looks the same.
    """
    file = served_folder() / name
    file.write_bytes(encode_png(picture))
    return str(file)


def inline(picture: np.ndarray) -> str:
    """Return the address of a small picture, uint8 (h, w), that holds the picture itself."""
    return f"data:image/png;base64,{base64.b64encode(encode_png(picture)).decode()}"
