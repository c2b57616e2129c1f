"""Where the page listens, and how it ends: in a process of its own, as its owner starts it."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from hub_models.page import server
from hub_models.page.folder import PREFIX
from tests.support.fake_pipeline import free_port

ROOT = Path(__file__).parents[2]
START = """
import sys, tempfile
from pathlib import Path
from hub_models.page import folder
import hub_models.page.startup
from tests.support.fake_pipeline import FakePipeline
import app

cards = Path(tempfile.mkdtemp())
hub_models.page.startup.open_pipeline = lambda: FakePipeline(cards)
keep = float(sys.argv.pop())
if keep:
    folder.KEEP_SECONDS, folder.SWEEP_SECONDS = keep, keep / 4
app.main()
"""


@contextmanager
def page(base: Path, keep_seconds: float = 0) -> Iterator[tuple[subprocess.Popen, str]]:
    """The page in a process of its own that keeps its files under `base`, and its address, once it answers."""
    port = free_port()
    names = {"GRADIO_SERVER_PORT": str(port), "GRADIO_TEMP_DIR": str(base), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, "-c", START, str(keep_seconds)],
        cwd=ROOT,
        env={**os.environ, **names},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        url = f"http://127.0.0.1:{port}/"
        try:
            end = time.monotonic() + 150
            while time.monotonic() < end and process.poll() is None:
                try:
                    httpx.get(f"{url}config", timeout=2).raise_for_status()
                    break
                except httpx.HTTPError:
                    time.sleep(0.1)
            yield process, url
        finally:
            process.kill()


def visit(url: str, xray: Path) -> list[str]:
    """Upload an X-ray, have it answered, alone and in a batch, break an upload off; returns what is served then."""
    from gradio_client import Client, handle_file

    client = Client(url, verbose=False, download_files=False)
    overlay = client.predict(handle_file(xray), api_name="/segment")[0]
    _, kept = client.predict([handle_file(xray)], api_name="/batch")
    with socket.create_connection(("127.0.0.1", httpx.URL(url).port)) as broken:
        body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="torn.png"\r\n\r\n' + b"torn" * 1000
        head = f"POST /gradio_api/upload HTTP/1.1\r\nHost: {httpx.URL(url).host}\r\nContent-Length: 100000\r\n"
        broken.sendall(head.encode() + b"Content-Type: multipart/form-data; boundary=x\r\n\r\n" + body)
        time.sleep(0.3)
    return [overlay["url"], *(file["url"] for file in kept)]


def files_of_visitors(base: Path) -> list[Path]:
    """Everything under a folder but examples and locks."""
    found = [path for path in base.rglob("*") if path.is_file() and path.suffix != ".lock"]
    return [path for path in found if path.stem not in ("healthy", "two opacities", "four opacities")]


def statuses(addresses: list[str]) -> set[int]:
    return {httpx.get(address).status_code for address in addresses}


def test_nothing_of_a_visitor_outlives_the_hour_a_kill_or_the_end(tmp_path, xray):
    """One story, since each start takes seconds: a page sweeps, is killed; the next removes what it left, and ends."""
    with page(tmp_path, keep_seconds=4) as (process, url):
        addresses = visit(url, xray)
        assert statuses(addresses) == {200}
        assert len(files_of_visitors(tmp_path)) >= 5
        end = time.monotonic() + 30
        while files_of_visitors(tmp_path) and time.monotonic() < end:
            time.sleep(0.2)
        assert files_of_visitors(tmp_path) == []
        assert statuses(addresses) == {404}
        assert [path for path in tmp_path.rglob("*.png") if path.stem == "healthy"]  # its examples stay
        assert statuses(visit(url, xray)) == {200}  # and it goes on
        process.kill()
        process.wait(10)
    assert files_of_visitors(tmp_path)
    with page(tmp_path) as (process, url), httpx.Client(base_url=url) as client:
        assert files_of_visitors(tmp_path) == []
        visit(url, xray)
        with client.stream("GET", "/gradio_api/heartbeat/somebody") as alive:
            next(alive.iter_bytes())
            started = time.monotonic()
            process.send_signal(signal.SIGTERM)
            code = process.wait(10)
            assert time.monotonic() - started < 3
        told = process.stdout.read()
    assert code == 0
    assert "The page was ended." in told
    assert "Traceback" not in told
    assert not list(tmp_path.glob(f"{PREFIX}*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_both_signals_let_what_is_open_tidy_up_and_end_the_program(number):
    program = f"""
import os, time
from hub_models.page.server import ending_in_time
with ending_in_time():
    try:
        os.kill(os.getpid(), {int(number)})
        time.sleep(9)
    finally:
        print("tidied up")
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "tidied up\nThe page was ended.\n")


def test_an_occupied_port_is_said_and_ends_the_start(monkeypatch):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        monkeypatch.setenv(server.PORT_VARIABLE, str(port))
        with pytest.raises(SystemExit, match=rf"^The page cannot listen on 127\.0\.0\.1 port {port} .*app\.py$"):
            server.address()


@pytest.mark.parametrize("port", ["", "0", "65536", "http", "-1"])
def test_a_port_that_is_none_is_said(monkeypatch, port):
    monkeypatch.setenv(server.PORT_VARIABLE, port)
    with pytest.raises(SystemExit, match=r"write a port, a number from 1 to 65535\.$"):
        server.address()


def test_the_usual_address_is_this_computers_port_7860(monkeypatch):
    for name in (server.HOST_VARIABLE, server.PORT_VARIABLE, "SPACE_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(socket.socket, "bind", lambda self, address: None)
    assert server.address() == ("127.0.0.1", 7860)
