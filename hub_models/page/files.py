"""The files behind what the field for an X-ray holds."""

import secrets
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hub_models.page import texts
from hub_models.page.heap import give_back
from hub_models.page.uploads import admit, read_kept, read_upload, refusal, serve_picture, serve_xray
from hub_models.reports.description import Source
from hub_models.xray.images import Xray

FileData = Mapping[str, Any]
"""Gradio's description of a file that was uploaded. Events leave out the reading of gr.Image (`preprocess=False`): it
turns 16 bits into 8, and meets a file that is not a picture with a traceback."""
MAX_STAND_INS = 10_000
LARGE_PIXELS = 8_000_000  # of a picture after which memory is given back at once


@dataclass(frozen=True)
class Original:
    """The file behind a picture that the field for an X-ray holds.

    Attributes:
        path: the file; the questions about the picture are answered from it.
        source: None if `path` is the visitor's own file; if the page corrected its picture and wrote that there, the
            visitor's own file, with what was done.
        own: the path of the visitor's own file where `path` is another.
    """

    path: str
    source: Source | None = None
    own: Path | None = None


class Files:
    """Visitors' X-rays, and what stands in for them in the field."""

    def __init__(self) -> None:
        self._originals: OrderedDict[str, Original] = OrderedDict()

    def read(self, xray: FileData | None) -> tuple[Path, Xray]:
        """Read an X-ray: the file, or the one that it stands in for.

        Raises:
            gr.Error: there is none, it is not admitted, or it cannot be read.
        """
        path, _, read = self.read_with_source(xray)
        return path, read

    def read_with_source(self, xray: FileData | None) -> tuple[Path, Source | None, Xray]:
        """Read an X-ray as `read` does; between both, the visitor's own file if the page corrected its picture."""
        path, source = self._find(xray)
        if source is None:
            return path, None, read_upload(path)
        return path, source, Xray(read_kept(path), source.reasons, source.turned, source.placement)

    def own_file(self, xray: FileData | None) -> Path:
        """Find the visitor's own file of an X-ray, also where the page corrected its picture.

        Raises:
            gr.Error: there is none, or it is not admitted.
        """
        path, _ = self._find(xray)
        original = self._originals.get(admit(xray).stem)
        return admit(str(original.own)) if original and original.own else path

    def _find(self, xray: FileData | None) -> tuple[Path, Source | None]:
        """Find the file of an X-ray, as `Original` tells of it."""
        if xray is None or not xray.get("path"):
            raise refusal(texts.CHOOSE_FIRST)
        path = admit(xray)
        original = self._originals.get(path.stem)
        return (admit(original.path), original.source) if original else (path, None)

    def keep_corrected(self, image: np.ndarray, source: Source, own: Path) -> str:
        """Write a corrected X-ray, float32 (H, W) in 0..1, as an upload; returns what the field holds for it.

        Args:
            image: the X-ray.
            source: the visitor's own file, with what was done to its picture.
            own: its path.
        """
        held = self.stand_in(serve_xray(image), source, own)
        if image.size > LARGE_PIXELS:
            give_back()
        return held

    def stand_in(self, path: str, source: Source | None = None, own: Path | None = None) -> str:
        """Write a picture of one pixel that the field holds in place of a file of any kind; returns its path.

        Args:
            path, source, own: the file, as `Original` tells of it.
        """
        token = secrets.token_hex(16)
        self._originals[token] = Original(path, source, own)
        if len(self._originals) > MAX_STAND_INS:
            self._originals.popitem(last=False)
        return serve_picture(np.zeros((1, 1), np.uint8), f"{token}.png")
