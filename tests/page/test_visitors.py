"""Whose request may wait, whose is next, and what is logged of one that fails."""

import asyncio
import errno
import json
import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from gradio.server_messages import EstimationMessage
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

import app
from hub_models.page import endpoints, limits, visitors
from hub_models.page.visitors import BATCHES, address_of
from tests.support.fake_pipeline import FakePipeline, ready, serve

SECRET = "Mustermann-Erika"


@pytest.fixture
def pipeline(tmp_path: Path) -> FakePipeline:
    return FakePipeline(tmp_path)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(FakePipeline(tmp_path_factory.mktemp("cards"))) as url:
        yield url


def request_from(address: str, forwarded: str | None = None) -> SimpleNamespace:
    headers = {} if forwarded is None else {"x-forwarded-for": forwarded}
    return SimpleNamespace(client=SimpleNamespace(host=address), headers=headers)


def test_an_address_is_the_peers_and_on_a_space_the_one_that_its_proxy_adds(monkeypatch):
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert address_of(request_from("10.0.0.1", "1.2.3.4")) == "10.0.0.1"
    monkeypatch.setenv("SPACE_ID", "someone/xray")
    assert address_of(request_from("10.0.0.1", "6.6.6.6, 1.2.3.4")) == "1.2.3.4"
    assert address_of(request_from("10.0.0.1")) == "10.0.0.1"


def waiting(queue: visitors.VisitorQueue, concurrency_id: str, *addresses: str) -> None:
    events = [
        SimpleNamespace(request=request_from(address), fn=None, number=n, session_hash=address)
        for n, address in enumerate(addresses)
    ]
    queue.event_queue_per_concurrency_id[concurrency_id] = SimpleNamespace(
        queue=events, concurrency_limit=None, current_concurrency=0
    )
    for event in events:
        event.fn = SimpleNamespace(batch=False)


def queue_of(pipeline: FakePipeline) -> visitors.VisitorQueue:
    return app.build_demo(ready(pipeline))._queue


def test_addresses_take_turns_so_that_one_with_many_requests_holds_up_nobody(pipeline):
    queue = queue_of(pipeline)
    waiting(queue, "models", "flood", "flood", "flood", "flood", "one", "other")
    order = [queue.get_events()[0][0].request.client.host for _ in range(6)]
    assert order == ["flood", "one", "other", "flood", "flood", "flood"]


def test_waiting_is_bounded_for_each_address_and_for_all(pipeline, monkeypatch):
    queue = queue_of(pipeline)
    monkeypatch.setattr(limits, "WAITING_EVENTS_OF_ONE", 3)
    monkeypatch.setattr(limits, "WAITING_EVENTS", 5)
    waiting(queue, "models", "a", "a", "a", "b")
    assert queue._problem("models", "a").startswith("3 of your requests are waiting already.")
    assert queue._problem("drawing", "a") is not None
    assert queue._problem("models", "b") is None
    waiting(queue, "models", "a", "a", "a", "b", "c")
    assert queue._problem("models", "d").startswith("The page is currently busy: 5 requests")


def test_batches_wait_in_a_queue_of_their_own_and_leave_room_to_all_others(pipeline):
    queue = queue_of(pipeline)
    waiting(queue, BATCHES, *["flood"] * limits.WAITING_BATCHES_OF_ONE)
    assert queue._problem(BATCHES, "flood").startswith("4 of your batches are waiting already.")
    assert queue._problem(BATCHES, "other") is None
    waiting(queue, BATCHES, *map(str, range(limits.WAITING_BATCHES)))
    assert queue._problem(BATCHES, "other").startswith("16 batches are waiting already.")
    assert queue._problem("models", "flood") is None


def test_a_refused_request_is_told_so_to_every_kind_of_client(pipeline, xray, monkeypatch):
    monkeypatch.setattr(limits, "WAITING_EVENTS", 0)
    with serve(pipeline) as url:
        with pytest.raises(AppError, match="currently busy"):
            Client(url, verbose=False).predict(handle_file(xray), api_name="/segment")
        call = httpx.post(f"{url}gradio_api/call/segment", json={"data": [None]})
    assert call.status_code == 503
    assert call.json()["detail"].startswith("The page is currently busy: 0 requests are waiting")


def test_thousands_of_refused_calls_take_nothing_from_one_that_waits(pipeline, monkeypatch):
    monkeypatch.setattr(limits, "SESSIONS_WITH_MESSAGES", 3)
    queue = app.build_demo(ready(pipeline))._queue
    sessions, undelivered = queue.pending_messages_per_session, queue.pending_event_ids_session
    waiting(queue, "models", "patient")
    (patient,) = queue.busy_sessions()
    undelivered |= {patient: {"a"}, "unfetched": {"b"}, "delivered": set(), "delivered too": set()}
    for session in (patient, "unfetched", "delivered", "delivered too", "c", "d"):
        sessions[session] = asyncio.Queue()
    assert list(sessions) == [patient, "unfetched", "d"]  # "c" has nothing to fetch either
    undelivered |= {"d": {"d"}}
    sessions["e"] = asyncio.Queue()
    assert list(sessions) == [patient, "d", "e"]
    queue.send_message(SimpleNamespace(session_hash="unfetched", alive=True, _id="b"), EstimationMessage(queue_size=1))


def test_sixty_five_batches_of_one_visitor_leave_the_page_to_the_others(pipeline, xray):
    with serve(pipeline) as url, ThreadPoolExecutor(70) as pool:
        clients = [Client(url, verbose=False) for _ in range(2)]
        flood = [clients[0].submit([handle_file(xray)], api_name="/batch") for _ in range(65)]
        time.sleep(1)
        started = time.monotonic()
        answered = pool.submit(clients[1].predict, handle_file(xray), api_name="/segment").result(15)
        took = time.monotonic() - started
        outcomes = [job.exception(60) for job in flood]
    assert answered[1]["right"] == pytest.approx(0.12345)
    assert took < 8
    told = [str(outcome) for outcome in outcomes if outcome is not None]
    assert len(told) >= 40  # the others found room, as those before them were answered
    assert all("of your batches are waiting already" in sentence for sentence in told)


@pytest.mark.parametrize("classes", [21, 4000])
def test_more_classes_than_the_models_are_asked_at_once_are_refused_in_no_time(url, xray, classes):
    client = Client(url, verbose=False)
    started = time.monotonic()
    with pytest.raises(AppError, match=f"There are {classes:,} classes; at most 20"):
        client.predict(handle_file(xray), {str(n): ["a sentence"] for n in range(classes)}, api_name="/classify")
    assert time.monotonic() - started < 5


def test_what_a_visitor_sent_is_not_in_the_log(url, xray, tmp_path, capfd, caplog):
    for name in ("hub_models", "uvicorn", "gradio"):
        caplog.set_level(logging.INFO, name)
    letter = tmp_path / f"{SECRET}.png"
    letter.write_text("Dear colleague")
    client = Client(url, verbose=False)
    with pytest.raises(AppError, match=SECRET):  # they are told the name of their own file
        client.predict(handle_file(letter), api_name="/segment")
    with httpx.Client(base_url=url) as http:
        config = http.get("/config").json()
        for dependency in config["dependencies"]:
            body = {"fn_index": dependency["id"], "session_hash": f"log-{dependency['id']}", "event_data": None}
            for data in ([SECRET] * len(dependency["inputs"]), [{"path": f"/{SECRET}", "url": SECRET}], SECRET, None):
                if http.post("/gradio_api/queue/join", json={**body, "data": data}).status_code == 200:
                    http.get("/gradio_api/queue/data", params={"session_hash": body["session_hash"]})
        http.post("/gradio_api/queue/join", json={"fn_index": 10_000, "data": [SECRET], "session_hash": SECRET})
        http.post("/gradio_api/call/segment", content=SECRET.encode())
        http.get(f"/gradio_api/file=/{SECRET}")
        http.get(f"/{SECRET}")
    written = capfd.readouterr()
    assert SECRET not in caplog.text + written.err + written.out
    assert "Traceback" not in written.err


def test_a_fault_of_the_page_is_a_sentence_and_its_place_is_logged_without_values(pipeline, xray, caplog, capfd):
    def broken(image: np.ndarray) -> None:
        raise ZeroDivisionError(SECRET)

    pipeline.segment = broken
    with serve(pipeline) as url, pytest.raises(AppError, match=r"^Something went wrong on the page's side\."):
        Client(url, verbose=False).predict(handle_file(xray), api_name="/segment")
    assert "segment failed with ZeroDivisionError at" in caplog.text
    assert "raise ZeroDivisionError" in caplog.text
    assert SECRET not in caplog.text + capfd.readouterr().err


def test_a_full_disk_is_one_sentence(pipeline, xray, monkeypatch):
    def full(picture: np.ndarray) -> str:
        raise OSError(errno.ENOSPC, "No space left on device", "/somewhere/secret")

    monkeypatch.setattr(endpoints, "serve_picture", full)
    with serve(pipeline) as url, pytest.raises(AppError, match=r"^The page's disk is full\. Try again in an hour"):
        Client(url, verbose=False).predict(handle_file(xray), api_name="/segment")


def test_a_file_of_another_visitor_on_the_way_is_not_admitted_even_in_odd_inputs(url):
    """Paths and addresses are looked for however deep they are."""
    with httpx.Client(base_url=url) as http:
        config = http.get("/config").json()
        (classify,) = [one["id"] for one in config["dependencies"] if one["api_name"] == "classify"]
        data = [None, {"Ill": [{"deep": {"path": "/etc/passwd"}}]}]
        body = {"fn_index": classify, "session_hash": "deep", "data": data, "event_data": None}
        http.post("/gradio_api/queue/join", json=body).raise_for_status()
        told = http.get("/gradio_api/queue/data", params={"session_hash": "deep"}).text
    message = json.loads(told.split("data: ")[1])
    assert message["output"]["error"].startswith("The page does not have this file")


def test_a_session_that_is_not_used_is_forgotten(pipeline, xray):
    demo = app.build_demo(ready(pipeline))
    from hub_models.page.server import forget_sessions, launch

    url = launch(demo, quiet=True)
    try:
        client = Client(url, verbose=False)
        client.predict(handle_file(xray), api_name="/segment")
        holder = demo.app.state_holder
        assert holder.session_data
        forget_sessions(demo, 3600)
        assert holder.session_data
        time.sleep(0.01)
        forget_sessions(demo, 0)
        assert not holder.session_data
        assert client.predict(handle_file(xray), api_name="/segment")[1]["both"] == 0.5
    finally:
        demo.close(verbose=False)


def test_the_memory_of_a_page_is_small_whatever_the_pictures(pipeline, tmp_path):
    """What is kept of an X-ray of 9 megapixels, which takes 36 MB as numbers, is its small copy."""
    layout = app.build_demo(ready(pipeline)).layout
    from tests.support.fake_pipeline import uploaded

    Image.fromarray(np.tile(np.arange(0, 250, 1, np.uint8), (3000, 12))).save(tmp_path / "large.png")
    for _ in range(3):
        list(layout.tabs["analyse"].show(uploaded(tmp_path / "large.png")))
    assert len(layout.state.memory) == 3
    assert layout.state.memory.size < 3 * 1.8e6
