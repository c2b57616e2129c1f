"""The door of the page's server: which addresses it answers, how large a request may be, and which files go out."""

import errno
import json
import logging
import re
import shutil
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request

from hub_models.page import limits, texts
from hub_models.page.direct import ADDRESS, OPENAPI
from hub_models.page.languages import SPOKEN, language_of
from hub_models.page.uploads import admit

logger = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

API = "/gradio_api"
FILE = f"{API}/file="
UPLOAD = f"{API}/upload"
TOOLS = f"{API}/mcp"
SCRIPTS = "/reading-room"
"""Where the page's own scripts stand, and the libraries that they use."""
READ = re.compile(
    rf"/|/config/?|/theme\.css|/robots\.txt|/favicon\.ico|/manifest\.json|/pwa_icon(/\d+)?|/(assets|static|svelte)/.+"
    rf"|{API}/(info|openapi\.json|app_id|startup-events|theme\.css|upload_progress|login_check)/?"
    rf"|{SCRIPTS}/(vendor/)?[\w-]+\.js|{OPENAPI}|{API}/queue/(data|status)|{API}/heartbeat/[^/]+|{API}/call/(v2/)?[^/]+/[^/]+"
)
"""Addresses that a GET or HEAD request may ask for, files apart."""
WRITE = re.compile(rf"{API}/(upload|cancel|reset|queue/join|call/(v2/)?[^/]+)/?")
"""Addresses that a POST request may ask for; Gradio's others, which skip the queue or serve other tools, are closed."""


class Refused(Exception):
    """A request that the page does not answer: its status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class _Exchange:
    """One request and its answer; a request that brings more bytes than its bound is answered with that alone."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive, self._send = receive, send
        self.bound = self._arrived = 0
        self.started = False

    async def receive(self) -> MutableMapping[str, Any]:
        message = await self._receive()
        self._arrived += len(message.get("body", b""))
        self._check()
        return message

    async def send(self, message: MutableMapping[str, Any]) -> None:
        if not self.started:
            self._check()  # the page may have turned the first refusal into an answer of its own
        self.started = True
        await self._send(message)

    def _check(self) -> None:
        if self._arrived > self.bound:
            raise Refused(413, texts.TOO_LARGE.format(self.bound // 1_000_000))


class Guard:
    """An ASGI application around the page's own."""

    def __init__(self, app: Callable[..., Awaitable[None]], tools: bool = False) -> None:
        self.app, self.tools = app, tools

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it with one sentence and one line in the log, without what the client sent."""
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1003})
        SPOKEN.set(_language(scope))
        exchange = _Exchange(receive, send)
        try:
            exchange.bound = self._check(scope)
            await self.app(scope, exchange.receive, exchange.send)
        except Exception as error:  # every kind: the server would print values that visitors sent
            refused = _refused(error)
            expected = isinstance(error, Refused | ClientDisconnect)
            level = logging.INFO if expected else logging.ERROR
            logger.log(level, "The page refused a request (%s, %s).", refused.status, type(error).__name__)
            if not exchange.started:
                await _answer(send, refused)

    def _check(self, scope: Scope) -> int:
        """Return how many bytes the request may bring; raise Refused if it is not to be answered."""
        path, method = _path(scope), scope["method"]
        declared = _declared_bytes(scope)
        if self.tools and (path == TOOLS or path.startswith(f"{TOOLS}/")):
            return _at_most(declared, limits.MAX_TOOL_BYTES)
        if method in ("GET", "HEAD"):
            if path.startswith(FILE):
                _check_file(path.removeprefix(FILE))
            elif not READ.fullmatch(path):
                raise Refused(404, texts.NO_ADDRESS)
            return _at_most(declared, limits.MAX_REQUEST_BYTES)
        if method == "OPTIONS":
            return 0
        if method != "POST" or not (WRITE.fullmatch(path) or path == ADDRESS):
            raise Refused(404, texts.NO_ADDRESS)
        if path == ADDRESS or path.startswith(UPLOAD):
            free = shutil.disk_usage(_existing(Path(get_upload_folder()))).free
            if free - (declared or 0) < limits.FREE_DISK_BYTES:
                raise Refused(507, texts.DISK_FULL)
            if path == ADDRESS:  # one file, and the sentences beside it
                return _at_most(declared, limits.MAX_UPLOAD_BYTES + limits.MAX_REQUEST_BYTES)
            return _at_most(declared, limits.MAX_UPLOADS_BYTES)  # each file is bounded by gradio
        return _at_most(declared, limits.MAX_REQUEST_BYTES)


def _path(scope: Scope) -> str:
    """The path inside the page, without what a proxy puts before it."""
    return scope["path"].removeprefix(scope.get("root_path", "").rstrip("/"))


def _language(scope: Scope) -> str:
    request = Request(scope)
    return language_of(
        QueryParams(scope.get("query_string", b"")), request.cookies, request.headers.get("accept-language")
    )


def _declared_bytes(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)
    return None


def _at_most(declared: int | None, bound: int) -> int:
    if declared is not None and declared > bound:
        raise Refused(413, texts.TOO_LARGE.format(bound // 1_000_000))
    return bound


def _check_file(name: str) -> None:
    try:
        admit(name)
    except gr.Error:
        raise Refused(404, texts.NOT_HERE) from None


def _existing(folder: Path) -> Path:
    return folder if folder.exists() or folder == folder.parent else _existing(folder.parent)


def _refused(error: Exception) -> Refused:
    match error:
        case Refused():
            return error
        case ClientDisconnect():
            return Refused(499, texts.VISITOR_LEFT)
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return Refused(507, texts.DISK_FULL)
    return Refused(400, texts.REQUEST_NOT_UNDERSTOOD)


async def _answer(send: Send, refused: Refused) -> None:
    body = json.dumps({"detail": refused.sentence}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
