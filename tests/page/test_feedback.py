"""Corrections that visitors give, against the loopback Hub."""

import time
from pathlib import Path

import numpy as np
import pytest

from hub_models.checkpoints.resolve import embedded
from hub_models.page.feedback import VARIABLE, Feedback
from hub_models.reports.corrections import Corrected, write_record
from hub_models.xray.masks import Masks
from hub_models.xray.phantom import draw_phantom
from tests.support.fake_hub import WRITE_TOKEN, LoopbackHub, Repository, start, used

REPO = "owner/corrections"
FILES = ["image.png", "infection.png", "lungs.png", "metadata.csv", "record.json"]


def given(seed: int = 1) -> Corrected:
    phantom = draw_phantom(seed, size=64)
    masks = Masks(phantom.lungs, phantom.lungs)
    return Corrected(np.float32(phantom.image / 255), masks, masks, "Normal", "", embedded("unet"), "0" * 64)


@pytest.fixture
def hub(tmp_path: Path):
    with start() as hub, used(hub.url, cache=tmp_path / "cache", token=WRITE_TOKEN):
        yield hub


def sent(hub: LoopbackHub) -> list[str]:
    """The files of the data set, without those that every repository has."""
    repository = hub.repositories[f"datasets/{REPO}"]
    return sorted(path for path in repository.commits[-1].files if path.count("/"))


def push(feedback: Feedback) -> None:
    """Send what waits, without waiting for the minutes to pass."""
    feedback.scheduler().trigger().result(30)


def until(condition) -> None:
    end = time.monotonic() + 20
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


def test_a_correction_that_is_given_arrives_once_in_a_private_data_set(hub, tmp_path):
    feedback = Feedback(REPO, tmp_path / "waiting")
    assert hub.requests == []  # nothing is asked before anything is given
    feedback.give(given())
    push(feedback)
    push(feedback)
    files = sent(hub)
    assert [path.partition("/")[2] for path in files] == FILES
    assert hub.repositories[f"datasets/{REPO}"].private
    assert list((tmp_path / "waiting").iterdir()) == []  # what was sent is not kept
    feedback.give(given(2))
    push(feedback)
    assert len(sent(hub)) == 2 * len(FILES)


def test_what_a_process_that_was_killed_had_acknowledged_is_sent_by_the_next_one(hub, tmp_path):
    write_record(tmp_path / "waiting", given())  # what `give` does before it returns
    feedback = Feedback(REPO, tmp_path / "waiting")
    until(lambda: feedback._scheduler is not None)
    push(feedback)
    assert [path.partition("/")[2] for path in sent(hub)] == FILES


def test_a_data_set_that_is_public_gets_nothing(hub, tmp_path, caplog):
    hub.repositories[f"datasets/{REPO}"] = Repository(private=False)
    feedback = Feedback(REPO, tmp_path / "waiting")
    feedback.give(given())
    push(feedback)
    assert sent(hub) == []
    assert len(list((tmp_path / "waiting").iterdir())) == 1
    assert f"{REPO} is public; make it private" in caplog.text


def test_corrections_wait_on_the_disk_while_the_hub_does_not_answer(hub, tmp_path):
    hub.faults[".*"] = 503
    feedback = Feedback(REPO, tmp_path / "waiting")
    feedback.give(given())
    assert feedback.scheduler() is None
    (record,) = (tmp_path / "waiting").iterdir()
    assert sorted(path.name for path in record.iterdir()) == FILES


def test_without_the_variable_nothing_is_set_up_and_a_wrong_name_is_refused(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert Feedback.from_environment() is None
    monkeypatch.setenv(VARIABLE, "https://huggingface.co/datasets/owner/x")
    with pytest.raises(SystemExit, match="write the Hub id of a data set, USER/NAME"):
        Feedback.from_environment()
