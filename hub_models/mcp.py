"""Tools for assistants on this machine, which take the paths of files: an MCP server on standard input and output.

    python -m hub_models.mcp

An assistant starts it by itself; hub_models/API.md shows the entry of its mcp.json. It needs `pip install mcp`. The
checkpoints are those that the environment chooses (XRAY_UNET, ...) or that ship with the project; they are loaded
before the first answer. Pictures stay on this machine; what the assistant does with the answers is its own affair.
"""

import argparse
import base64
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable
from contextlib import closing, redirect_stdout
from datetime import UTC, datetime
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import anyio.to_thread

from hub_models.batch.archives import find
from hub_models.batch.outputs import table_row
from hub_models.batch.run import answer
from hub_models.checkpoints.folder import CheckpointError
from hub_models.engines.quiet import no_telemetry
from hub_models.models.calibration import fitting_calibrations
from hub_models.models.report import Report
from hub_models.pipeline import XrayPipeline
from hub_models.reports.description import Source, describe
from hub_models.reports.mask_files import describe_masks, describe_verdict
from hub_models.reports.overlay import draw_overlay, sketch
from hub_models.reports.png import encode_png
from hub_models.xray.images import ImageRefused, Xray, read_xray

if TYPE_CHECKING:  # an optional package
    from mcp.server.fastmcp import FastMCP
    from mcp.types import CallToolResult

NAME = "lung-xray"
INSTRUCTIONS = """Outlines lungs and the infected region on chest X-rays, and says whether they look like COVID-19,
another pneumonia (Non-COVID) or a healthy chest. A research demo, not a medical device: nobody is to be diagnosed or
treated with it, and every answer has to say so."""

ARGUMENTS = {
    "path": "Path of an image file on this machine: PNG, JPEG, WebP, TIFF, BMP, GIF, JPEG 2000, JPEG-LS or DICOM.",
    "paths": "Paths of image files, of folders (with all below them) and of zip archives on this machine.",
    "prompts": "For zero-shot CLIP, class -> sentences that describe it; leave out for those it was saved with.",
    "anyway": "Whether to name shares and classes also of what is refused as a frontal chest X-ray.",
    "overlay": "Whether to add the outlined picture.",
}


class Tools:
    """The tools; the models are loaded at the first call of one."""

    def __init__(self, load: Callable[[], XrayPipeline] = XrayPipeline.from_pretrained) -> None:
        self._pipeline = cache(load)

    @property
    def pipeline(self) -> XrayPipeline:
        """The models."""
        with redirect_stdout(sys.stderr):  # stdout is the assistant's
            return self._pipeline()

    def analyse(
        self, path: str, prompts: dict[str, list[str]] | None = None, anyway: bool = False, overlay: bool = True
    ) -> tuple[dict, bytes | None]:
        """Outline a chest X-ray, measure the infected shares, and say which class it resembles most.

        Everything about it is returned: status ("answered", or "refused" with the reasons), shares and grades, masks,
        the conclusion, probabilities, prediction sets, notes, and what made them.
        """
        source, xray, report = self._report(path, prompts, anyway)
        calibrations, now = fitting_calibrations(self.pipeline.classifiers, prompts), datetime.now(UTC)
        described = describe(report, self.pipeline.checkpoints, calibrations, source, now, prompts)
        return described, self._drawn(xray, report) if overlay else None

    def segment(self, path: str, anyway: bool = False, overlay: bool = True) -> tuple[dict, bytes | None]:
        """Outline the lungs and the infected region of a chest X-ray.

        Returns masks as COCO run lengths with their areas, the infected share and its range for the patient's right
        lung, left lung and both, extent grades, and the status: "answered", or "refused" with the reasons.
        """
        _, xray, report = self._report(path, None, anyway)
        checkpoint = self.pipeline.checkpoints["unet"]
        described = describe_verdict(report.reasons) | describe_masks(report.masks, report.involvement, checkpoint)
        return described, self._drawn(xray, report) if overlay else None

    def classify(
        self, path: str, prompts: dict[str, list[str]] | None = None, anyway: bool = False
    ) -> tuple[dict, None]:
        """Say with every classifier, and with all of them together, which class a chest X-ray resembles most.

        Returns "probabilities" (classifier -> class -> 0 to 1), "notes" (why the picture is refused, or a classifier
        gave nothing), and the "conclusion" that all of them come to, null where no class is named.
        """
        _, _, report = self._report(path, prompts, anyway)
        conclusion = report.conclusion and report.conclusion.describe()
        notes = [*report.reasons, *report.notes]
        return {"probabilities": report.classifiers, "notes": notes, "conclusion": conclusion}, None

    def batch(self, paths: list[str], anyway: bool = False) -> tuple[dict, None]:
        """Answer about many chest X-rays: "rows", one an image, as in the summary.csv of hub_models.predict."""
        items = find([(path, Path(path).expanduser()) for path in paths])
        with closing(answer(self.pipeline, items, anyway=anyway)) as results:
            return {"rows": list(map(table_row, results))}, None

    def _report(self, path: str, prompts: dict[str, list[str]] | None, anyway: bool) -> tuple[Source, Xray, Report]:
        data = Path(path).expanduser().read_bytes()
        xray = read_xray(data)
        return Source.of(path, data, xray), xray, self.pipeline(xray, prompts, anyway)

    @staticmethod
    def _drawn(xray: Xray, report: Report) -> bytes:
        return encode_png(draw_overlay(sketch(xray.image, report.masks)))


def server(tools: Tools) -> "FastMCP":
    """Make the server of some tools."""
    from mcp.server.fastmcp import FastMCP

    made = FastMCP(NAME, INSTRUCTIONS, log_level="WARNING")
    for tool in (tools.analyse, tools.segment, tools.classify, tools.batch):
        made.add_tool(_as_tool(tool), structured_output=False)
    return made


def _as_tool(tool: Callable[..., tuple[dict, bytes | None]]) -> "Callable[..., CallToolResult]":
    """Return a tool as a coroutine: JSON as text and as structured content, after it a picture, or one sentence."""
    from mcp.types import CallToolResult, ImageContent, TextContent
    from pydantic import Field

    @wraps(tool)
    async def call(**arguments: Any) -> CallToolResult:
        try:
            value, picture = await anyio.to_thread.run_sync(lambda: tool(**arguments))
        except OSError as error:
            sentence = f"{error.filename} cannot be read ({error.strerror}); give the path of a file on this machine."
            return CallToolResult(content=[TextContent(type="text", text=sentence)], isError=True)
        except (ImageRefused, CheckpointError, ValueError) as error:
            return CallToolResult(content=[TextContent(type="text", text=str(error))], isError=True)
        content: list = [TextContent(type="text", text=json.dumps(value))]
        if picture is not None:
            content.append(ImageContent(type="image", data=base64.b64encode(picture).decode(), mimeType="image/png"))
        return CallToolResult(content=content, structuredContent=value)

    signature = inspect.signature(tool)
    described = [
        argument.replace(annotation=Annotated[argument.annotation, Field(description=ARGUMENTS[name])])
        for name, argument in signature.parameters.items()
    ]
    call.__signature__ = signature.replace(parameters=described, return_annotation=CallToolResult)
    return call


def main(argv: list[str] | None = None) -> None:
    """Serve the tools until standard input ends."""
    no_telemetry()
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args(argv)
    if importlib.util.find_spec("mcp") is None:
        raise SystemExit("This needs the package mcp: pip install mcp.")
    server(Tools()).run("stdio")


if __name__ == "__main__":
    main()
