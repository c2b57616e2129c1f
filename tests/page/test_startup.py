"""The page's models when the Hub is in trouble: open in time, with a sentence, with the embedded checkpoint marked."""

import errno
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hub_models.checkpoints.folder import Checkpoint, CheckpointError
from hub_models.checkpoints.resolve import resolve
from hub_models.checkpoints.roles import ROLES
from hub_models.page import startup
from hub_models.page.results import problems_html
from hub_models.page.startup import open_pipeline, try_again
from tests.support.fake_hub import CORRUPT, RESET, SILENCE, TRUNCATED, LoopbackHub, Repository, start, used

REPO = "someone/chest-xray-resnet"
IMAGE = np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(64, 64)


@pytest.fixture
def hub(tmp_path: Path, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """A Hub with a ResNet that the environment asks for; the tiny checkpoints are the embedded ones."""
    monkeypatch.setattr("hub_models.checkpoints.resolve.EMBEDDED", checkpoints["unet"].parent)
    monkeypatch.setenv("XRAY_RESNET", REPO)
    with start() as hub, used(hub.url, tmp_path / "cache"):
        hub.repositories[REPO] = Repository()
        hub.repositories[REPO].commit({path.name: path.read_bytes() for path in checkpoints["resnet"].iterdir()})
        yield hub


FAULTS = {
    "401": (".", 401),
    "403": (".", 403),
    "404": (".", 404),
    "429": (".", 429),
    "500": (".", 500),
    "silent": (".", SILENCE),
    "silent while downloading": ("/resolve/", SILENCE),
    "connection reset": (".", RESET),
    "truncated weights": ("GET .*model.safetensors", TRUNCATED),
    "corrupt weights": ("GET .*model.safetensors", CORRUPT),
    "corrupt config": ("GET .*config.json", CORRUPT),
    "a log-in page": (".", 200),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_page_opens_in_time_with_the_embedded_checkpoint_marked(hub, fault, capfd):
    pattern, status = FAULTS[fault]
    hub.faults[pattern] = status
    began = time.monotonic()
    pipeline = open_pipeline(patience=2.0)
    assert time.monotonic() - began < 10

    stand_in = pipeline.checkpoints["resnet"]
    assert stand_in.origin == "embedded"
    assert re.fullmatch(r"[^\n]+\.", stand_in.problem)
    assert REPO in stand_in.problem
    assert "<b>resnet: the embedded checkpoint stands in.</b>" in problems_html(pipeline.checkpoints)
    assert sum(pipeline.classifiers["resnet"](IMAGE, np.ones(IMAGE.shape, bool)).values()) == pytest.approx(1)
    assert [role for role, one in pipeline.checkpoints.items() if one.problem] == ["resnet"]
    assert "Traceback" not in capfd.readouterr().err


def test_a_full_disk_is_said(hub, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("hub_models.checkpoints.download.snapshot_download", full)
    assert "No space left on device" in open_pipeline().checkpoints["resnet"].problem


def test_what_arrives_after_the_page_opened_takes_its_place(hub, monkeypatch):
    def late(role: str) -> Checkpoint:
        time.sleep(1.5 if role == "resnet" else 0)
        return resolve(role)

    monkeypatch.setattr(startup, "resolve", late)
    pipeline = open_pipeline(patience=0.5)
    assert pipeline.checkpoints["resnet"].problem == f"{REPO} is still being fetched."
    deadline = time.monotonic() + 20
    while pipeline.checkpoints["resnet"].problem and time.monotonic() < deadline:
        time.sleep(0.05)
    assert pipeline.checkpoints["resnet"].origin == "hub"


def test_what_arrives_late_does_not_replace_what_a_visitor_has_chosen(hub, monkeypatch, checkpoints):
    arrived = threading.Event()

    def late(role: str) -> Checkpoint:
        if role == "resnet":
            arrived.wait(20)
        return resolve(role)

    monkeypatch.setattr(startup, "resolve", late)
    pipeline = open_pipeline(patience=0.2)
    chosen = resolve("resnet", str(checkpoints["resnet"]))
    pipeline.use(chosen)
    arrived.set()
    bringing = [thread for thread in threading.enumerate() if thread.name.endswith("(_bring_in)")]
    assert len(bringing) == 1
    bringing[0].join(20)
    assert pipeline.checkpoints["resnet"] == chosen


def test_trying_again_brings_in_what_can_be_had_by_now(hub):
    hub.faults["."] = 500
    pipeline = open_pipeline()
    assert "status 500" in pipeline.checkpoints["resnet"].problem
    hub.faults["."] = 429
    try_again(pipeline)
    assert "status 429" in pipeline.checkpoints["resnet"].problem
    hub.faults.clear()
    try_again(pipeline)
    assert pipeline.checkpoints["resnet"] == resolve("resnet")
    assert problems_html(pipeline.checkpoints) == ""


def test_without_wishes_nothing_is_asked_of_the_hub(hub, monkeypatch):
    monkeypatch.delenv("XRAY_RESNET")
    pipeline = open_pipeline()
    assert [pipeline.checkpoints[role].origin for role in ROLES] == ["embedded"] * len(ROLES)
    assert hub.requests == []


def test_a_folder_that_does_not_load_has_a_stand_in_too(hub, monkeypatch, checkpoints):
    monkeypatch.setenv("XRAY_RESNET", str(checkpoints["unet"]))
    problem = open_pipeline().checkpoints["resnet"].problem
    assert problem.endswith("holds a model of the kind Unet; resnet takes resnet.")


def test_without_an_embedded_checkpoint_to_stand_in_the_page_does_not_open(hub, tmp_path, monkeypatch):
    monkeypatch.setattr("hub_models.checkpoints.resolve.EMBEDDED", tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="The embedded checkpoint for unet is not a checkpoint"):
        open_pipeline()
