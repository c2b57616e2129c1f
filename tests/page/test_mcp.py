"""The page as tools for assistants: what they are told of each tool, and that each answers as hub_models does."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CallToolResult, Tool
from PIL import Image

from hub_models.pipeline import XrayPipeline
from hub_models.reports.overlay import draw_overlay, sketch
from hub_models.xray.images import read_image
from tests.support.fake_pipeline import serve

PROMPTS = {"Ill": ["COVID-19 lungs"], "Well": ["Normal lungs", "a chest X-ray"]}


@pytest.fixture(scope="module")
def pipeline(checkpoints: dict[str, Path]) -> XrayPipeline:
    """The tiny checkpoints, loaded: no stand-in."""
    return XrayPipeline.from_pretrained({role: str(folder) for role, folder in checkpoints.items()})


@pytest.fixture(scope="module")
def tools_address(pipeline: XrayPipeline) -> Iterator[str]:
    """Where the page serves its tools."""
    with serve(pipeline, mcp=True) as url:
        yield f"{url}gradio_api/mcp/"


def offered(address: str) -> list[Tool]:
    async def ask() -> list[Tool]:
        async with streamable_http_client(address) as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            return (await session.list_tools()).tools

    return asyncio.run(ask())


def call(address: str, tool: str, progress: bool = True, **arguments) -> CallToolResult:
    async def told(*progress: float | str | None) -> None:
        """Be told how far a tool is; gradio takes another way for who does not want to be."""

    async def ask() -> CallToolResult:
        async with streamable_http_client(address) as (read, write, _), ClientSession(read, write) as session:
            await session.initialize()
            return await session.call_tool(tool, arguments, progress_callback=told if progress else None)

    return asyncio.run(ask())


def data_url(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def values(result: CallToolResult) -> list:
    """What a tool returned besides pictures: as JSON, and the same as structured content."""
    assert not result.isError, result.content
    texts = [part.text for part in result.content if part.type == "text"]
    found = [json.loads(text) for text in texts if not text.startswith("Image URL: ")]
    structured = result.structuredContent
    assert found == ([structured] if len(found) == 1 else list(structured.values()))
    return found


def picture(result: CallToolResult) -> np.ndarray:
    (found,) = [part for part in result.content if part.type == "image"]
    return np.asarray(Image.open(BytesIO(base64.b64decode(found.data))))


def test_every_tool_and_every_argument_is_described(tools_address):
    tools = offered(tools_address)
    assert [tool.name for tool in tools] == ["analyse", "segment", "classify"]
    for tool in tools:
        assert "chest X-ray" in tool.description
        assert tool.inputSchema["required"] == ["xray"]
        for name, argument in tool.inputSchema["properties"].items():
            assert argument.get("description", "").endswith("."), (tool.name, name)


@pytest.mark.parametrize("progress", [True, False])
def test_segment_gives_the_pipelines_shares_masks_and_overlay(tools_address, pipeline, xray, progress):
    image = read_image(xray)
    ((masks, involvement),) = pipeline.segment([image])
    result = call(tools_address, "segment", progress, xray=data_url(xray.read_bytes()))
    shares, kept = values(result)
    assert shares == involvement.shares
    assert kept["masks"]["lungs"]["pixels"] == masks.lungs.sum()
    assert np.array_equal(picture(result), draw_overlay(sketch(image, masks)))


@pytest.mark.parametrize("prompts", [None, PROMPTS])
def test_classify_gives_the_pipelines_probabilities_with_and_without_sentences(tools_address, pipeline, xray, prompts):
    image = read_image(xray)
    ((masks, _),) = pipeline.segment([image])
    ((answers, notes),) = pipeline.classify([image], [masks], prompts)
    conclusion = pipeline(image, prompts).conclusion.describe()
    given = {"xray": data_url(xray.read_bytes())} | ({"prompts": prompts} if prompts else {})
    for progress in (True, False):
        result = call(tools_address, "classify", progress, **given)
        probabilities, told, together = values(result)
        assert list(result.structuredContent) == ["probabilities", "notes", "conclusion"]
        assert probabilities == {role: pytest.approx(answer, abs=1e-6) for role, answer in answers.items()}
        assert told == notes
        assert together == conclusion


def test_analyse_tells_what_the_models_answered_to_which_file(tools_address, pipeline, xray):
    result = call(tools_address, "analyse", xray=data_url(xray.read_bytes()))
    (described,) = values(result)
    report = pipeline(read_image(xray))
    assert described["infected_share"] == report.involvement.shares
    assert described["conclusion"] == report.conclusion.describe()
    assert described["source"]["sha256"] == hashlib.sha256(xray.read_bytes()).hexdigest()
    for role, answer in report.classifiers.items():
        assert described["classifiers"][role]["probabilities"] == pytest.approx(answer, abs=1e-6)


def test_an_assistant_is_told_in_a_sentence_what_is_wrong_with_a_file(tools_address):
    result = call(tools_address, "segment", progress=False, xray=data_url(b"Dear colleague"))
    assert result.isError
    assert "is not an image that can be read; give a PNG, JPEG" in result.content[0].text
