"""The page's endpoints as tools for assistants: values as JSON, and as structured content."""

import json
from typing import TYPE_CHECKING, Any

from gradio.components import JSON

from hub_models.page import texts

if TYPE_CHECKING:  # gradio imports it only where the package mcp is installed
    from gradio.blocks import Blocks
    from gradio.mcp import GradioMCPServer


def answer_in_json(page: "Blocks") -> None:
    """Let a page's tools answer in JSON, whether or not the assistant asks for progress.

    Gradio writes values as Python does, all of them in one text for an assistant that does not ask for progress, and
    gives no structured content (6.31). The structured content of a tool is its one value, or name -> value of several.
    """
    from mcp.types import CallToolRequest, ServerResult, TextContent

    tools: GradioMCPServer = page.mcp_server_obj
    names = {fn.api_name: [each.label for each in fn.outputs if isinstance(each, JSON)] for fn in page.fns.values()}
    pictures, handlers = tools.postprocess_output_data, tools.mcp_server.request_handlers
    call = handlers[CallToolRequest]

    def as_content(data: list[Any], root_url: str) -> list[Any]:
        contents: list[Any] = []
        for value in data:
            is_file = isinstance(value, dict) and value.get("meta", {}).get("_type") == "gradio.FileData"
            found = pictures([value], root_url) if is_file else [TextContent(type="text", text=json.dumps(value))]
            contents.extend(found)
        return contents

    async def without_progress(job: Any) -> list[Any]:
        async for update in job:
            if update.type == "output" and update.final:
                if update.success:
                    return update.outputs["data"]
                raise RuntimeError(update.outputs.get("error") or texts.TOOL_FAILED)
        raise job.exception() or RuntimeError(texts.TOOL_FAILED)

    async def answer(request: CallToolRequest) -> ServerResult:
        result = await call(request)
        if not result.root.isError:
            texts = [part.text for part in result.root.content if part.type == "text"]
            values = [json.loads(text) for text in texts if not text.startswith("Image URL: ")]
            keys = names[request.params.name]
            result.root.structuredContent = values[0] if len(values) == 1 else dict(zip(keys, values, strict=True))
        return result

    tools.postprocess_output_data, tools._execute_tool_without_progress = as_content, without_progress
    handlers[CallToolRequest] = answer
