"""The page's server: where it listens, what it refuses, and how it ends."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

from hub_models.page import direct, limits
from hub_models.page.events import zero_gpu
from hub_models.page.exchange import Exchange
from hub_models.page.feedback import Feedback
from hub_models.page.folder import PageFolder, keep_swept
from hub_models.page.guard import SCRIPTS, Guard
from hub_models.page.heap import use_few_arenas
from hub_models.page.imports import no_garbage_collection
from hub_models.page.layout import build_demo
from hub_models.page.tools import answer_in_json

if TYPE_CHECKING:  # the page opens while the models are still being loaded
    from hub_models.pipeline import XrayPipeline

HOST_VARIABLE, PORT_VARIABLE = "GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT"
PORT = 7860
END_SECONDS = 2.0
"""How long what still runs may take to end before the process ends all the same."""

THEME = gr.themes.Default(primary_hue="sky", neutral_hue="slate", font=["system-ui", "sans-serif"]).set(
    body_text_color_subdued="*neutral_600",
    body_text_color_subdued_dark="*neutral_300",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_hover_dark="*primary_800",
)
LOOK = {
    "theme": THEME,
    "css_paths": Path(__file__).with_name("page.css"),
    "head_paths": Path(__file__).with_name("page_head.html"),
}


def address() -> tuple[str, int]:
    """Return host and port to listen on: this computer only, unless it is a Space or the environment says so.

    Raises:
        SystemExit: with a sentence, if the port is not a number or another program has it.
    """
    host = os.environ.get(HOST_VARIABLE, "0.0.0.0" if "SPACE_ID" in os.environ else "127.0.0.1")
    wish = os.environ.get(PORT_VARIABLE, str(PORT))
    if not wish.isdecimal() or not 0 < int(wish) < 65536:
        raise SystemExit(f"{PORT_VARIABLE} is {wish!r}; write a port, a number from 1 to 65535.")
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, int(wish)))
        except OSError as error:
            raise SystemExit(
                f"The page cannot listen on {host} port {wish} ({error.strerror}). End the program that does, or "
                f"choose another port: {PORT_VARIABLE}={int(wish) % 65535 + 1} python app.py"
            ) from None
    return host, int(wish)


def launch(demo: gr.Blocks, mcp: bool = False, **options: Any) -> str:
    """Serve a page in threads, behind its guard; returns its address.

    Args:
        demo: the page.
        mcp: whether assistants may call its endpoints as tools.
        options: more of `gradio.Blocks.launch`.
    """
    _, url, _ = demo.launch(
        max_file_size=limits.MAX_UPLOAD_BYTES,
        state_session_capacity=limits.SESSIONS,
        mcp_server=mcp,
        run_history=False,  # gradio's own offers to keep what visitors did
        enable_monitoring=False,
        ssr_mode=False,  # nothing stands between the guard and the page
        num_workers=0,
        prevent_thread_lock=True,
        app_kwargs={
            "middleware": [Middleware(Guard, tools=mcp)],
            "routes": [
                Mount(direct.PREFIX, direct.application(demo)),
                Mount(SCRIPTS, StaticFiles(directory=Path(__file__).with_name("browser"))),
            ],
        },
        **LOOK,
        **options,
    )
    if mcp:
        answer_in_json(demo)
    return url


def forget_sessions(demo: gr.Blocks, age_seconds: float) -> None:
    """Forget what gradio remembers of visitors who were last here longer ago."""
    holder, messages = demo.app.state_holder, demo._queue.pending_messages_per_session
    now = time.time()
    for session, last in list(holder.time_last_used.items()):
        if now - last.timestamp() > age_seconds:
            holder.session_data.pop(session, None)
            holder.time_last_used.pop(session, None)
            with suppress(KeyError):
                del messages[session]


@contextmanager
def ending_in_time() -> Iterator[None]:
    """Let SIGTERM end the program as Ctrl-C does, with exit code 0, and let nothing that still runs hold it up.

    What is inside tidies up when KeyboardInterrupt passes through it, within `END_SECONDS`.
    """

    def interrupt(number: int, frame: object) -> None:
        for name in before:
            signal.signal(name, signal.SIG_IGN)  # a second one would break the tidying up
        last = threading.Timer(END_SECONDS, os._exit, [0])
        last.daemon = True
        last.start()
        raise KeyboardInterrupt

    before = {name: signal.signal(name, interrupt) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
        for name, handler in before.items():
            signal.signal(name, handler)
    except KeyboardInterrupt:
        print("The page was ended.", flush=True)
        os._exit(0)  # the interpreter would wait for threads that answer visitors who are gone


def wait(demo: gr.Blocks) -> None:
    """Wait until the program is interrupted, then close the page without waiting for those who still listen."""
    try:
        while demo.is_running:
            time.sleep(0.1)
    finally:
        if demo.is_running:
            demo.server.config.timeout_graceful_shutdown = 0.5
            demo.close(verbose=False)


def serve(folder: PageFolder, listen: tuple[str, int], mcp: bool, exchange: Exchange | None) -> None:
    """Open the page, load the models, and wait for the end.

    Args:
        folder: where it keeps files.
        listen: host and port.
        mcp: whether assistants may call its endpoints as tools.
        exchange: what visitors may put in place of a checkpoint; None for nothing.

    Raises:
        CheckpointError: an embedded checkpoint does not load.
    """
    use_few_arenas()
    lent, models, ended = zero_gpu(), Future(), threading.Event()
    if lent:  # a card is lent to copies of this process, which have the models if it had them before
        models.set_result(load())
    demo = build_demo(models, exchange, Feedback.from_environment())
    launch(demo, mcp, server_name=listen[0], server_port=listen[1])
    folder.keep_what_is_there()

    def forget(age_seconds: float) -> None:
        demo.layout.state.memory.forget(age_seconds)
        forget_sessions(demo, age_seconds)
        if models.done():
            demo.layout.state.release_memory()

    keep_swept(folder, forget, ended)
    try:
        if not lent:  # only now: two threads that import at once make the page wait
            models.set_result(load())
        wait(demo)
    finally:
        ended.set()


def load() -> "XrayPipeline":
    """Load the models, and what runs them."""
    with no_garbage_collection():
        from hub_models.page.startup import open_pipeline
    return open_pipeline()
