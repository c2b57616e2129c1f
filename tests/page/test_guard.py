"""The door of the page's server."""

import asyncio
import shutil
from collections import namedtuple
from pathlib import Path

import httpx
import pytest

from hub_models.page import guard, limits, texts
from hub_models.page.guard import Guard

Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    "address",
    [
        "/gradio_api/runs",
        "/gradio_api/run-history/buckets",
        "/gradio_api/deep_link?session_hash=a",
        "/gradio_api/proxy=https://example.org/",
        "/gradio_api/file=https://example.org/a.png",
        "/gradio_api/file/etc/passwd",
        "/monitoring",
        "/monitoring/summary",
        "/gradio_api/vibe-code",
        "/gradio_api/stream/a/1/2/playlist.m3u8",
        "/gradio_api/custom_component/1/server/type/x",
        "/gradio_api/mcp/",
        "/gradio_api/token",
        "/docs",
        "/anything",
    ],
)
def test_what_the_page_does_not_need_is_closed(url, address):
    answer = httpx.get(url.rstrip("/") + address, timeout=10)
    assert answer.status_code == 404
    assert set(answer.json()) == {"detail"}


@pytest.mark.parametrize(
    "address", ["run/segment", "api/segment", "component_server", "process_recording", "vibe-edit", "stream/a", "login"]
)
def test_ways_around_the_queue_are_closed(url, address):
    assert httpx.post(f"{url}gradio_api/{address}", json={"data": [None]}).status_code == 404


def test_every_event_of_the_page_waits_in_the_queue_since_the_other_way_is_closed(url):
    events = httpx.get(f"{url}config").json()["dependencies"]
    assert [event["id"] for event in events if event["backend_fn"] and event["queue"] is False] == []


@pytest.mark.parametrize("address", ["", "config", "theme.css", "gradio_api/info", "gradio_api/openapi.json"])
def test_what_a_browser_and_a_program_need_is_open(url, address):
    assert httpx.get(url + address).status_code == 200


def test_a_request_that_is_too_large_is_refused_in_a_sentence_whether_it_says_so_or_not(url):
    body = b" " * (limits.MAX_REQUEST_BYTES + 1)
    said = httpx.post(f"{url}gradio_api/queue/join", content=body)
    assert (said.status_code, said.json()["detail"][:35]) == (413, "The request is larger than 2 MB, th")
    unsaid = httpx.post(f"{url}gradio_api/call/segment", content=iter([body[:1000], body]))
    assert unsaid.status_code == 413


def test_uploads_are_refused_when_the_disk_is_nearly_full(url, monkeypatch, xray):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**12, 10**12, limits.FREE_DISK_BYTES - 1))
    answer = httpx.post(f"{url}gradio_api/upload", files={"files": xray.read_bytes()})
    assert (answer.status_code, answer.json()["detail"]) == (507, texts.DISK_FULL)
    monkeypatch.undo()
    assert httpx.post(f"{url}gradio_api/upload", files={"files": xray.read_bytes()}).status_code == 200


def test_a_disk_that_fills_up_meanwhile_is_the_same_sentence():
    async def full(scope, receive, send):
        raise OSError(28, "No space left on device", "/secret")

    assert b"disk is full" in ask(full, "POST", "/gradio_api/queue/join")[1]["body"]


def ask(app, method: str, path: str) -> list[dict]:
    sent = []

    async def receive():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": [], "root_path": ""}
    asyncio.run(Guard(app)(scope, receive, send))
    return sent


def test_a_fault_behind_the_door_is_answered_and_logged_without_what_the_client_sent(caplog):
    async def broken(scope, receive, send):
        raise KeyError("Mustermann")

    start, body = ask(broken, "GET", "/config")
    assert start["status"] == 400
    assert b"Mustermann" not in body["body"]
    assert "Mustermann" not in caplog.text
    assert "refused a request (400, KeyError)" in caplog.text


def test_a_proxy_may_put_a_path_before_the_pages(tmp_path: Path):
    scope = {"path": "/space/gradio_api/info", "root_path": "/space"}
    assert guard._path(scope) == "/gradio_api/info"


def test_tools_are_open_only_where_they_are_served():
    for tools in (False, True):
        door = Guard(None, tools)
        scope = {"method": "POST", "path": "/gradio_api/mcp/", "headers": [], "root_path": ""}
        if tools:
            assert door._check(scope) == limits.MAX_TOOL_BYTES
        else:
            with pytest.raises(guard.Refused):
                door._check(scope)
