"""The things that all tabs share: the models, whose turn it is at them, and what was outlined for visitors."""

import gc
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from hub_models.checkpoints.folder import Checkpoint
from hub_models.models.calibration import fitting_calibrations
from hub_models.page.exchange import Exchange
from hub_models.page.feedback import Feedback
from hub_models.page.files import LARGE_PIXELS, FileData, Files
from hub_models.page.heap import give_back
from hub_models.page.memory import Memory, Outlined
from hub_models.page.turns import Turns
from hub_models.page.uploads import refusal, serve_picture
from hub_models.reports.description import Source, describe
from hub_models.reports.overlay import draw_overlay
from hub_models.xray.geometry import to_square
from hub_models.xray.verdict import MEANINGLESS

if TYPE_CHECKING:  # the page opens while the models are still being loaded
    from hub_models.models.gradcam import Explanation
    from hub_models.models.report import Report
    from hub_models.pipeline import XrayPipeline

DRAWERS = 2  # threads that draw pictures while models run
Prompts = Mapping[str, Sequence[str]]


class PageState:
    """The models behind a page, and the memory of it.

    Attributes:
        models: the pipeline, once it is loaded.
        exchange: what visitors may put in place of a checkpoint; None for nothing.
        feedback: the data set that gets corrections; None for none.
        files: visitors' X-rays.
        turns: at the models; a batch lets others in after each group of images.
        memory: of X-rays that were outlined.
        examples: paths of the examples, which every visitor may ask about.
    """

    def __init__(
        self,
        models: "Future[XrayPipeline]",
        exchange: Exchange | None = None,
        feedback: Feedback | None = None,
    ) -> None:
        self.models, self.exchange, self.feedback = models, exchange, feedback
        self.turns = Turns()
        self.memory = Memory()
        self.examples: set[str] = set()
        self._worked: dict[tuple[str, str], tuple[tuple[Checkpoint, ...], Any]] = {}
        self._asking = threading.Lock()
        self._beside = ThreadPoolExecutor(DRAWERS, "drawing")
        self.files = Files()

    @property
    def pipeline(self) -> "XrayPipeline":
        """The models; whoever asks waits until they are loaded."""
        return self.models.result()

    def remembered(self, xray: FileData, key: str | None) -> Outlined | None:
        """Return what is remembered of an X-ray, if the UNet in use outlined the same file; else None."""
        outlined = self.memory.find(key)
        same = outlined and outlined.path == xray["path"] and outlined.unet == self.pipeline.checkpoints["unet"]
        return outlined if same else None

    def outline(self, xray: FileData | None, key: str | None = None) -> tuple[np.ndarray, Outlined]:
        """Read an X-ray, and outline it unless it is remembered under a key.

        Returns:
            The X-ray, float32 (H, W) in 0..1, and its outlines.

        Raises:
            gr.Error: there is no X-ray, or it cannot be read.
        """
        path, source, read = self.files.read_with_source(xray)
        if outlined := self.remembered(xray, key):
            return read.image, outlined
        source = source or Source.of(path.name, path.read_bytes(), read)
        outline = partial(self.outline_image, xray["path"], source, read.image)
        return read.image, self.once(xray["path"], "outlines", outline)

    def once(self, path: str, about: str, answer: Callable[[], Any]) -> Any:
        """Return what `answer` returns; about an example, for all visitors what it returned to the first.

        Another checkpoint for any role makes it be asked again.

        Args:
            path: the X-ray.
            about: what is asked about it.
            answer: asks the models.
        """
        if path not in self.examples:
            return answer()
        with self._asking:  # visitors who come at once wait for the first
            models = tuple(self.pipeline.checkpoints.values())
            before, found = self._worked.get((path, about), (None, None))
            if before != models:
                found = answer()
                self._worked[path, about] = models, found
            return found

    def outline_image(self, path: str, source: Source, image: np.ndarray) -> Outlined:
        """Outline an X-ray that was read, float32 (H, W) in 0..1, of a file and its source."""
        square = to_square(image)
        with self.turns.single:
            unet = self.pipeline.checkpoints["unet"]
            (found,) = self.pipeline.segment([square])
        outlined = Outlined.of(path, source, unet, image, square, *found)
        if image.size > LARGE_PIXELS:
            give_back()
        return outlined

    def outline_readable(self, xray: FileData | None, key: str | None = None, anyway: bool = False) -> Outlined:
        """Outline what may be read as a frontal chest X-ray, as `outline` does; `anyway` takes any picture.

        The file of an X-ray that is remembered is not read again.

        Raises:
            gr.Error: also with the reasons if it may not.
        """
        outlined = self.remembered(xray, key) if xray else None
        outlined = outlined or self.outline(xray, key)[1]
        if outlined.reasons and not anyway:
            raise refusal(" ".join([*outlined.reasons, MEANINGLESS]))
        return outlined

    def explain(self, outlined: Outlined) -> "dict[str, Explanation]":
        """Explain the classifiers' answers to an X-ray, as `XrayPipeline.explain` does.

        Raises:
            gr.Error: a classifier cannot be explained here.
        """
        try:
            with self.turns.single:
                return self.pipeline.explain(outlined.square, outlined.masks.unpack())
        except ValueError as error:
            raise refusal(str(error)) from None

    def release_memory(self) -> None:
        """Give back to the system what many X-rays, or large ones, needed and the next visitor does not."""
        with self.turns.alone:
            self.pipeline.release_memory()
        gc.collect()
        give_back()

    def draw(self, outlined: Outlined) -> "Future[str]":
        """Draw the overlay of an X-ray in a thread of its own, beside what follows; the path of its picture."""
        return self.beside(lambda: serve_picture(draw_overlay(outlined.sketch)))

    def beside(self, draw: Callable[[], Any]) -> Future:
        """Call a function in a thread of its own, beside the models; what it returns."""
        return self._beside.submit(draw)

    def answer(
        self, xray: FileData | None, key: str | None = None, anyway: bool = False
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Return the overlay of an X-ray, uint8 (h, w, 3), and its description, as `outline` and `describe` do."""
        image, outlined = self.outline(xray, key)
        return draw_overlay(outlined.sketch), self.describe(image, outlined, anyway=anyway)

    def report(self, outlined: Outlined, prompts: Prompts | None = None, anyway: bool = False) -> "Report":
        """Report on an X-ray that was outlined, as `XrayPipeline.report` does."""

        def ask() -> "Report":
            outlines, headers = [(outlined.masks.unpack(), outlined.involvement)], [outlined.source.reasons]
            with self.turns.single:
                return self.pipeline.report([outlined.square], outlines, prompts, headers, anyway)[0]

        return self.once(outlined.path, "report", ask) if prompts is None else ask()

    def describe(
        self, image: np.ndarray, outlined: Outlined, prompts: Prompts | None = None, anyway: bool = False
    ) -> dict[str, Any]:
        """Describe an X-ray, ready for JSON.

        A picture that is refused as a frontal chest X-ray gets shares and classes only if they are wanted `anyway`.
        """
        report = replace(self.report(outlined, prompts, anyway), image=image)
        calibrations = fitting_calibrations(self.pipeline.classifiers, prompts)
        now = datetime.now(UTC)
        return describe(report, self.pipeline.checkpoints, calibrations, outlined.source, now, prompts)
