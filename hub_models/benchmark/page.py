"""Response times of the page, which runs as a process of its own, for one client and for many at once."""

import math
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gradio_client import Client, handle_file
from tqdm.auto import tqdm

import hub_models
from hub_models.benchmark.machine import resident
from hub_models.benchmark.plain import PageError, PlainClient
from hub_models.benchmark.timing import percentile

APP = Path(hub_models.__file__).parents[1] / "app.py"
PARALLEL_CLIENTS = (1, 8, 25)
SETTLED_REQUESTS = 50  # after so many, memory should no longer grow
OPENING_SECONDS = 300.0  # limit for the page to open


@dataclass(frozen=True)
class Page:
    """A page that is served.

    Attributes:
        url: its address.
        process: the id of its process.
        start: the time of its start, by time.perf_counter.
        opened: seconds from its start to its first answer.
    """

    url: str
    process: int
    start: float
    opened: float


@dataclass(frozen=True)
class Request:
    """A finished request: the number of its `client`, its `seconds`, and its `error` if it failed."""

    client: int
    seconds: float
    error: str | None = None


@contextmanager
def serve(
    environment: Mapping[str, str],
    script: Path = APP,
    patience: float = OPENING_SECONDS,
    python: str = sys.executable,
) -> Iterator[Page]:
    """Serve the page in another process while it is open.

    Args:
        environment: variables beside those of this process.
        script: the program that serves it.
        patience: seconds that it may take to open.
        python: the interpreter that runs it.

    Raises:
        PageError: it does not open.
    """
    with tempfile.TemporaryDirectory(prefix="xray-benchmark-") as work, Path(work, "log").open("w+b") as log:
        port = str(_free_port())
        own = {"GRADIO_SERVER_NAME": "127.0.0.1", "GRADIO_SERVER_PORT": port, "GRADIO_TEMP_DIR": work, "TMPDIR": work}
        start = time.perf_counter()
        command, variables = [python, str(script)], {**os.environ, **environment, **own}
        process = subprocess.Popen(command, cwd=script.parent, env=variables, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}"
            if not _answers(url, process, start + patience):
                log.seek(0)
                said = (log.read().decode(errors="replace").strip().splitlines() or ["it says nothing"])[-1]
                raise PageError(f"The page does not open: {said}")
            yield Page(url, process.pid, start, time.perf_counter() - start)
        finally:
            _end(process)


def measure_page(environment: Mapping[str, str], files: Sequence[bytes], requests: int) -> dict:
    """Time analyses by the page, for one client and for several at once.

    Args:
        environment: variables of the page's process.
        files: X-rays that take turns.
        requests: requests for each number of clients, together.

    Returns:
        "rows": `load` for each number of clients in `PARALLEL_CLIENTS`.

    Raises:
        PageError: the page does not open.
    """
    with serve(environment) as page, tempfile.TemporaryDirectory(prefix="xray-benchmark-") as work:
        paths = [Path(work, f"{number}.png") for number in range(len(files))]
        for path, data in zip(paths, files, strict=True):
            path.write_bytes(data)
        load(page.url, paths, 1, 2)  # waits for the models and warms them up
        return {"rows": [load(page.url, paths, clients, requests, page.process) for clients in PARALLEL_CLIENTS]}


def connect(url: str, folder: Path) -> Client:
    """Connect a client that saves downloads in a folder.

    Raises:
        PageError: the page refuses the connection.
    """
    try:
        return Client(url, verbose=False, download_files=folder, analytics_enabled=False)
    except Exception as error:  # the client raises exceptions of many libraries
        raise PageError(f"The page does not let a client in: {error}") from error


def load(
    url: str, xrays: Sequence[Path], clients: int, requests: int, process: int | None = None, plain: bool = False
) -> dict:
    """Send requests for analyses from several clients at once; each waits for its answer before the next request.

    Args:
        url: the page's address.
        xrays: files that take turns.
        clients: number of clients.
        requests: requests of all clients together, rounded up to a multiple of their number.
        process: id of the page's process, to measure its memory.
        plain: send plain requests, not those of gradio's client.

    Returns:
        `summary`, and "growth_mb", the growth of the memory in use since request `SETTLED_REQUESTS`, or null.

    Raises:
        PageError: the page does not let a client in.
    """
    each, made, memory, counting = math.ceil(requests / clients), [], {}, threading.Lock()
    total = each * clients

    def send(client: int, connection: Client | PlainClient) -> None:
        for number in range(each):
            request = _request(connection, client, xrays[(client + number) % len(xrays)])
            with counting:
                made.append(request)
                bar.update()
                if process is not None and len(made) in (SETTLED_REQUESTS, total):
                    memory[len(made)] = resident(process)

    with tempfile.TemporaryDirectory(prefix="xray-benchmark-") as work, ThreadPoolExecutor(clients) as pool:
        folders = [Path(work, str(client)) for client in range(clients)]
        visitors = [PlainClient(url) for _ in folders] if plain else list(pool.map(partial(connect, url), folders))
        start = time.perf_counter()
        with tqdm(total=total, desc=f"Page, {clients} at once") as bar:
            list(pool.map(send, range(clients), visitors))
        took = time.perf_counter() - start
        for visitor in visitors:
            visitor.close()
    first, last = memory.get(SETTLED_REQUESTS), memory.get(total)
    growth = last - first if total > SETTLED_REQUESTS and None not in (first, last) else None
    return summary(clients, made, took) | {"growth_mb": growth}


def summary(clients: int, made: Sequence[Request], took: float) -> dict:
    """Summarise the requests of some clients, which took so many seconds in all.

    Returns:
        "clients"; "requests"; "per_second", answered requests a second; their "p50_s", "p95_s" and "p99_s"; "unfair",
        their longest wait over the median one (all null without answers); "errors", the number of failed requests; and
        the "first_error", or null.
    """
    waits = [request.seconds for request in made if request.error is None]
    errors = [request.error for request in made if request.error is not None]
    waited = {f"p{percent}_s": percentile(waits, percent) if waits else None for percent in (50, 95, 99)}
    return {
        "clients": clients,
        "requests": len(made),
        "per_second": len(waits) / took if waits else None,
        **waited,
        "unfair": max(waits) / waited["p50_s"] if waits else None,
        "errors": len(errors),
        "first_error": errors[0] if errors else None,
    }


def _request(connection: Client | PlainClient, client: int, xray: Path) -> Request:
    start, error = time.perf_counter(), None
    try:
        if isinstance(connection, PlainClient):
            description = connection.analyse(xray)
        else:
            overlay, description = connection.predict(handle_file(xray), api_name="/analyse")
            Path(overlay).unlink()  # a thousand of them are a gigabyte
        if not description["classifiers"]:
            error = "No classifier answered."
    except Exception as failure:  # of any type: failed requests are counted here
        error = " ".join(f"{type(failure).__name__}: {failure}".split())
    return Request(client, time.perf_counter() - start, error)


def _free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def _answers(url: str, process: subprocess.Popen, deadline: float) -> bool:
    """Wait until the page answers; False if its process ends or the deadline passes first."""
    while process.poll() is None and time.perf_counter() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=5) as response:
                if response.status == 200:
                    return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.02)
    return False


def _end(process: subprocess.Popen) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
