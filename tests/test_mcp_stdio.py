"""Tools that take paths, through the official client: in this process, and as an assistant starts them."""

import asyncio
import base64
import json
import os
import sys
from collections.abc import Awaitable, Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.shared.memory import create_connected_server_and_client_session
from mcp.types import CallToolResult
from PIL import Image

from hub_models.mcp import Tools, server
from hub_models.pipeline import XrayPipeline
from hub_models.reports.overlay import draw_overlay, sketch
from hub_models.xray.images import read_image
from hub_models.xray.phantom import draw_phantom

PROMPTS = {"Ill": ["COVID-19 lungs"], "Well": ["Normal lungs", "a chest X-ray"]}
ROOT = Path(__file__).parents[1]


def ask(pipeline: XrayPipeline, question: Callable[[ClientSession], Awaitable]) -> object:
    """What a client is answered that is connected to the tools around a pipeline."""

    async def connected() -> object:
        tools = server(Tools(lambda: pipeline))
        async with create_connected_server_and_client_session(tools._mcp_server) as session:
            return await question(session)

    return asyncio.run(connected())


def call(pipeline: XrayPipeline, tool: str, **arguments: object) -> CallToolResult:
    result = ask(pipeline, lambda session: session.call_tool(tool, arguments))
    if not result.isError:
        assert json.loads(result.content[0].text) == result.structuredContent
    return result


def test_every_tool_and_every_argument_is_described(pipeline):
    listed = ask(pipeline, lambda session: session.list_tools()).tools
    assert [tool.name for tool in listed] == ["analyse", "segment", "classify", "batch"]
    for tool in listed:
        assert "chest X-ray" in tool.description
        assert tool.inputSchema["required"] in (["path"], ["paths"])
        for name, argument in tool.inputSchema["properties"].items():
            assert argument["description"].endswith("."), (tool.name, name)


def test_values_are_those_of_the_pipeline_called_directly(pipeline, xray):
    image = read_image(xray)
    report, ((masks, involvement),) = pipeline(image), pipeline.segment([image])
    analysed, segmented = (call(pipeline, tool, path=str(xray)) for tool in ("analyse", "segment"))
    for result in (analysed, segmented):
        assert result.structuredContent["infected_share"] == involvement.shares
        assert result.structuredContent["masks"]["lungs"]["pixels"] == masks.lungs.sum()
        (picture,) = [part for part in result.content if part.type == "image"]
        drawn = np.asarray(Image.open(BytesIO(base64.b64decode(picture.data))))
        assert np.array_equal(drawn, draw_overlay(sketch(image, masks)))
    assert analysed.structuredContent["conclusion"] == report.conclusion.describe()
    without = call(pipeline, "segment", path=str(xray), overlay=False)
    assert [part.type for part in without.content] == ["text"]


@pytest.mark.parametrize("prompts", [None, PROMPTS])
def test_classify_gives_the_pipelines_probabilities_with_and_without_sentences(pipeline, xray, prompts):
    report = pipeline(read_image(xray), prompts)
    given = {"path": str(xray)} | ({"prompts": prompts} if prompts else {})
    answered = call(pipeline, "classify", **given).structuredContent
    assert answered["probabilities"] == report.classifiers
    assert answered["conclusion"] == report.conclusion.describe()


def test_a_batch_has_a_row_for_each_image_and_says_why_another_file_has_none(pipeline, tmp_path, xray):
    for seed in (1, 2):
        Image.fromarray(draw_phantom(seed, size=64).image).save(tmp_path / f"{seed}.png")
    (tmp_path / "3.png").write_bytes(b"no picture")
    rows = call(pipeline, "batch", paths=[str(tmp_path), str(xray)]).structuredContent["rows"]
    assert [row["status"] for row in rows] == ["answered", "answered", "refused", "answered"]
    assert "is not an image that can be read" in rows[2]["note"]


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("nowhere.png", "nowhere.png cannot be read (No such file or directory)"),
        ("letter.png", "is not an image that can be read; give a PNG, JPEG"),
        (".", "cannot be read (Is a directory)"),
    ],
)
def test_an_assistant_is_told_in_a_sentence_what_is_wrong_with_a_file(pipeline, tmp_path, path, reason):
    (tmp_path / "letter.png").write_bytes(b"Dear colleague")
    result = call(pipeline, "analyse", path=str(tmp_path / path))
    assert result.isError
    assert reason in result.content[0].text


@pytest.mark.usefixtures("chosen_checkpoints")
def test_an_assistant_starts_the_tools_and_gets_what_the_models_say(pipeline, xray):
    wanted = pipeline(read_image(xray), anyway=True)

    async def started() -> CallToolResult:
        command = {"command": sys.executable, "args": ["-m", "hub_models.mcp"]}
        process = StdioServerParameters(**command, cwd=ROOT, env=dict(os.environ))
        async with stdio_client(process) as (read, write), ClientSession(read, write) as session:
            await session.initialize()
            return await session.call_tool("classify", {"path": str(xray), "anyway": True})

    answered = asyncio.run(started()).structuredContent["probabilities"]
    assert answered.keys() == wanted.classifiers.keys()
    for role, probabilities in wanted.classifiers.items():
        assert answered[role] == pytest.approx(probabilities, abs=1e-4)
