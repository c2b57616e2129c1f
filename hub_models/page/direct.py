"""`POST /api/analyse`: an X-ray in, all answers out, in one plain HTTP request, under the limits of the queue."""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any

import gradio as gr
from fastapi import FastAPI, File, Form, HTTPException, Request, UploadFile
from starlette.concurrency import run_in_threadpool

from hub_models.page import texts
from hub_models.page.endpoints import checked
from hub_models.page.events import on_gpu
from hub_models.page.state import PageState
from hub_models.page.visitors import VisitorQueue, address_of, told_to_visitor
from hub_models.reports.description import Source
from hub_models.reports.overlay import draw_overlay
from hub_models.reports.png import encode_png
from hub_models.xray.images import ImageRefused, read_xray

logger = logging.getLogger(__name__)

PREFIX = "/api"
ADDRESS = f"{PREFIX}/analyse"
OPENAPI = f"{PREFIX}/openapi.json"
RUNNING = 2
"""Requests that are answered at the same time: one is read while the models look at another."""

REFUSALS = {status: {"description": text} for status, text in texts.DIRECT_REFUSALS.items()}
"""Status -> what it means, for the description as OpenAPI."""


@dataclass(eq=False)
class Waiting:
    """A request that waits for its turn.

    Attributes:
        address: who sent it.
        turn: done once it may run.
    """

    address: str
    turn: asyncio.Future = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Direct:
    """The requests of this address: at most `RUNNING` at once, next that of whoever was served the longest ago."""

    def __init__(self, state: PageState, queue: VisitorQueue) -> None:
        self.state, self.queue = state, queue
        self._waiting: list[Waiting] = []
        self._running = 0

    @asynccontextmanager
    async def turn(self, address: str) -> AsyncIterator[None]:
        """Wait for a turn, and hold it.

        Raises:
            HTTPException: 429, if too many wait.
        """
        if problem := self.queue.problem_of(address):
            raise HTTPException(429, problem)
        waiting = Waiting(address)
        self._waiting.append(waiting)
        self.queue.waiting_beside[address] += 1
        self._start_next()
        try:
            await waiting.turn
            self._leave(waiting)
            yield
        finally:
            if waiting in self._waiting:  # whoever sent it is gone
                self._leave(waiting)
            if waiting.turn.done() and not waiting.turn.cancelled():
                self._running -= 1
            self._start_next()

    def _leave(self, waiting: Waiting) -> None:
        self._waiting.remove(waiting)
        self.queue.waiting_beside[waiting.address] -= 1

    def _start_next(self) -> None:
        while self._running < RUNNING and (asleep := [each for each in self._waiting if not each.turn.done()]):
            first = min(asleep, key=lambda each: self.queue.served(each.address))
            self.queue.serve(first.address)
            self._running += 1
            first.turn.set_result(None)

    def answer(self, name: str, data: bytes, prompts: str | None, anyway: bool, overlay: bool) -> dict[str, Any]:
        """Answer about the bytes of a file; arguments and errors are those of the request.

        Raises:
            gr.Error, ImageRefused: with a sentence.
        """
        chosen = checked(_parsed(prompts)) if prompts else None
        xray = read_xray(data)
        outlined, drawn = self.state.outline_image(name, Source.of(name, data, xray), xray.image), None
        if overlay:
            drawn = self.state.beside(lambda: encode_png(draw_overlay(outlined.sketch)))
        answered = self.state.describe(xray.image, outlined, chosen, anyway)
        return answered | ({"overlay": base64.b64encode(drawn.result()).decode()} if drawn else {})


def application(page: gr.Blocks) -> FastAPI:
    """Make the application that is served under `PREFIX`, with its description as OpenAPI, for a page."""
    app = FastAPI(title=texts.PAGE_TITLE, openapi_url=OPENAPI.removeprefix(PREFIX), docs_url=None, redoc_url=None)

    @cache
    def direct() -> Direct:  # on the first request: the page has its queue once it is served
        return Direct(page.layout.state, page._queue)

    @app.post(ADDRESS.removeprefix(PREFIX), responses=REFUSALS)
    async def analyse(
        request: Request,
        file: Annotated[UploadFile, File(description="PNG, JPEG, WebP, TIFF, BMP, GIF, JPEG 2000, JPEG-LS or DICOM.")],
        prompts: Annotated[str | None, Form(description="JSON: class -> sentences, for zero-shot CLIP.")] = None,
        anyway: Annotated[bool, Form(description="Answer also what is refused as a frontal chest X-ray.")] = False,
        overlay: Annotated[bool, Form(description="Add the outlined picture: a PNG file, base64.")] = False,
    ) -> dict[str, Any]:
        """Outline a chest X-ray, measure the infected shares, and say which class it resembles most."""
        async with direct().turn(address_of(request)):
            data, answer = await file.read(), on_gpu(direct().answer)
            try:
                return await run_in_threadpool(answer, file.filename or "", data, prompts, anyway, overlay)
            except ImageRefused as refused:
                raise HTTPException(422, str(refused)) from None
            except gr.Error as error:
                raise HTTPException(422, error.message) from None
            except Exception as error:  # every kind: the server would print values that visitors sent
                raise HTTPException(500, told_to_visitor(error, ADDRESS).message) from None

    return app


def _parsed(prompts: str) -> Any:
    try:
        return json.loads(prompts)
    except ValueError:
        return None
