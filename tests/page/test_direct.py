"""An X-ray in one plain HTTP request."""

import asyncio
import base64
from collections import Counter
from concurrent.futures import Future
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import httpx
import numpy as np
import pytest
from fastapi import HTTPException
from PIL import Image

from hub_models.page import limits
from hub_models.page.direct import ADDRESS, OPENAPI, RUNNING, Direct
from hub_models.page.state import PageState
from tests.support.fake_pipeline import CONCLUSION, INVOLVEMENT, PROBABILITIES, PROMPTS


def ask(url: str, file: bytes, **fields: str) -> httpx.Response:
    return httpx.post(url.rstrip("/") + ADDRESS, files={"file": ("anna.png", file)}, data=fields, timeout=120)


def test_one_request_gives_everything_about_an_xray(url, xray):
    answer = ask(url, xray.read_bytes())
    assert answer.status_code == 200
    described = answer.json()
    assert described["status"] == "answered"
    assert described["infected_share"] == INVOLVEMENT.shares
    assert {role: answer["probabilities"] for role, answer in described["classifiers"].items()} == PROBABILITIES
    assert described["conclusion"] == CONCLUSION
    assert (described["image"]["height"], described["image"]["width"]) == (256, 256)
    assert described["source"]["extension"] == ".png"
    assert "overlay" not in described
    assert "anna" not in answer.text


def test_the_outlined_picture_and_sentences_of_ones_own_are_for_those_who_ask(url, pipeline, xray):
    prompts = '{"Ill": ["an ill chest", "  "], "Well": ["a well chest"]}'
    described = ask(url, xray.read_bytes(), overlay="true", prompts=prompts).json()
    picture = np.asarray(Image.open(BytesIO(base64.b64decode(described["overlay"]))))
    assert picture.shape == (256, 256, 3)
    assert (
        described["prompts"] == pipeline.prompts[-1] == {"Ill": ["an ill chest"], "Well": ["a well chest"]} != PROMPTS
    )


@pytest.mark.parametrize(
    ("file", "fields", "sentence"),
    [
        (b"no picture", {}, "The image is not an image that can be read; give a "),
        (None, {"prompts": "no JSON"}, "Give a list of sentences for each class"),
        (None, {"prompts": '{"Ill": []}'}, "Ill"),
    ],
)
def test_what_cannot_be_answered_is_told_in_a_sentence(url, xray, file, fields, sentence):
    answer = ask(url, file or xray.read_bytes(), **fields)
    assert answer.status_code == 422
    assert sentence in answer.json()["detail"]


def test_a_request_that_is_too_large_is_refused(url, monkeypatch):
    monkeypatch.setattr(limits, "MAX_UPLOAD_BYTES", 1000)
    monkeypatch.setattr(limits, "MAX_REQUEST_BYTES", 1000)
    answer = ask(url, b" " * 3000)
    assert answer.status_code == 413
    assert set(answer.json()) == {"detail"}


def test_more_requests_than_may_wait_are_refused_with_the_queues_own_sentence(url, monkeypatch, xray):
    monkeypatch.setattr(limits, "WAITING_EVENTS_OF_ONE", 0)
    answer = ask(url, xray.read_bytes())
    assert answer.status_code == 429
    assert answer.json()["detail"].startswith("0 of your requests are waiting already.")


def test_the_request_is_described_as_openapi(url):
    described = httpx.get(url.rstrip("/") + OPENAPI).json()
    post = described["paths"]["/analyse"]["post"]
    assert {"200", "413", "422", "429", "507"} <= post["responses"].keys()
    (form,) = post["requestBody"]["content"].values()
    name = form["schema"]["$ref"].rpartition("/")[2]
    assert described["components"]["schemas"][name]["properties"].keys() == {"file", "prompts", "anyway", "overlay"}
    assert described["servers"] == [{"url": "/api"}]


class Queue:
    """What `Direct` needs of the page's queue."""

    def __init__(self, most: int = 100) -> None:
        self.waiting_beside: Counter[str] = Counter()
        self.order: list[str] = []
        self.most = most

    def problem_of(self, address: str) -> str | None:
        return "Too many." if self.waiting_beside[address] >= self.most else None

    def served(self, address: str) -> int:
        return len(self.order) - self.order[::-1].index(address) if address in self.order else 0

    def serve(self, address: str) -> None:
        self.order.append(address)


def test_the_address_that_was_served_the_longest_ago_is_next_and_few_run_at_once():
    queue, running, most = Queue(), 0, 0
    direct = Direct(SimpleNamespace(), queue)

    async def visit(address: str) -> None:
        nonlocal running, most
        async with direct.turn(address):
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.01)
            running -= 1

    async def visits() -> None:
        await asyncio.gather(*(visit("a") for _ in range(6)), visit("b"))

    asyncio.run(visits())
    assert most == RUNNING
    assert queue.order[:3] == ["a", "a", "b"]  # b came last, and does not wait for the others
    assert queue.waiting_beside.total() == 0


def test_a_visitor_who_leaves_or_is_refused_frees_the_place():
    queue = Queue(most=2)
    direct = Direct(SimpleNamespace(), queue)

    async def visit(seconds: float) -> None:
        async with direct.turn("a"):
            await asyncio.sleep(seconds)

    async def visits() -> None:
        running = [asyncio.create_task(visit(0.05)) for _ in range(RUNNING)]
        await asyncio.sleep(0)
        waiting = [asyncio.create_task(visit(0)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(HTTPException) as refused:
            await visit(0)
        assert refused.value.status_code == 429
        for task in (waiting[0], running[0]):
            task.cancel()
        await asyncio.gather(*running, *waiting, return_exceptions=True)
        await visit(0)

    asyncio.run(visits())
    assert queue.waiting_beside.total() == 0
    assert direct._running == 0


def test_answers_are_those_of_the_models(pipeline, xray: Path):
    images = len(pipeline.images)
    models = Future()
    models.set_result(pipeline)
    direct = Direct(PageState(models), Queue())
    described = direct.answer("x.png", xray.read_bytes(), None, False, False)
    assert len(pipeline.images) == images + 1
    assert described["masks"]["lungs"]["rle"]["size"] == [256, 256]
