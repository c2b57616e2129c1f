"""An older checkout beside this one, and the set-up of the page."""

from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from hub_models.benchmark import WrongUse, against, document, inputs, install
from hub_models.benchmark.__main__ import kinds
from hub_models.benchmark.page import PageError
from hub_models.checkpoints.choices import variable
from hub_models.xray.images import read_image

HERE = against.Checkout(against.HERE)


@pytest.fixture
def environment(checkpoints) -> dict[str, str]:
    return {variable(role): str(folder) for role, folder in checkpoints.items()}


def test_a_folder_that_is_no_checkout_is_refused(tmp_path):
    with pytest.raises(WrongUse, match=r"is not a checkout of this project\.$"):
        against.Checkout.find(tmp_path)
    assert against.Checkout.find(against.HERE).folder == against.HERE


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "DICOM"])
def test_an_xray_of_each_format_can_be_read_at_its_size(kind):
    image = read_image(inputs.draw_as(kind, 96))
    assert image.shape == (96, 96)
    assert np.abs(image - read_image(inputs.draw_as("PNG", 96))).mean() < 0.05


def test_every_format_is_compared_in_every_size(monkeypatch):
    monkeypatch.setattr("hub_models.benchmark.__main__.draw_as", lambda kind, side: f"{kind}{side}".encode())
    found = kinds()
    assert len(found) == 9
    assert found["DICOM 2560 x 2560"] == b"DICOM2560"


def test_both_checkouts_answer_the_same_files_and_their_ratio_is_told(environment, tmp_path):
    paths = {kind: tmp_path / f"xray{number}" for number, kind in enumerate(("PNG 96 x 96", "DICOM 96 x 96"))}
    for kind, path in paths.items():
        path.write_bytes(inputs.draw_as(kind.split()[0], 96))
    rows = against.compared_files({"this": HERE, "other": HERE}, paths, environment, 2)
    assert [row["file"] for row in rows] == list(paths)
    for row in rows:
        assert row["same_classes"]
        assert row["ratio"] == row["other_ms"] / row["this_ms"] > 0


def test_a_checkout_that_does_not_start_is_told(tmp_path):
    with pytest.raises(PageError, match=r"does not start\.$"), against.working(against.Checkout(tmp_path), {}):
        pass


def test_both_pages_are_started_in_turn_and_the_last_of_each_is_asked_by_many(monkeypatch, tmp_path):
    started = []

    @contextmanager
    def serve(environment: dict, script: Path, python: str):
        started.append(script.parent.name)
        yield SimpleNamespace(url="", process="self", start=1.0, opened=len(started))

    monkeypatch.setattr(against, "serve", serve)
    monkeypatch.setattr(against, "first_answer", lambda *_: 1.0 + 2 * len(started))
    monkeypatch.setattr(against, "load", lambda *given, plain=False: {"per_second": given[3] + plain})
    both = {"this": against.Checkout(tmp_path / "new"), "other": against.Checkout(tmp_path / "old")}
    found = against.compared_pages(both, tmp_path, {}, 50, tmp_path)
    assert started == ["new", "old"] * against.STARTS
    assert (found["this"]["opened"], found["other"]["opened"]) == (3, 4)
    assert (found["this"]["answered"], found["this"]["per_second"]) == (6, 50)
    assert found["other"]["resident_mb"] > 1
    assert found["this"]["plain"] == {"per_second": 51}
    assert "plain" not in found["other"]


def test_a_set_up_is_timed_and_measured_and_an_older_checkout_has_one_lock_only(monkeypatch, tmp_path):
    commands = []

    def run(command: list[str]) -> None:
        commands.append(command)
        if "venv" in command:
            Path(command[-1], "file").write_bytes(bytes(2_000_000))

    monkeypatch.setattr(install, "_run", run)
    (tmp_path / "requirements.lock").write_text("")
    ours, theirs = install.measure_install({"this": against.HERE, "other": tmp_path})["rows"]
    assert (ours["lock"], theirs["lock"]) == ("requirements-page.lock", "requirements.lock")
    assert ours["megabytes"] == 2
    assert commands[1][-1] == str(against.HERE / "requirements-page.lock")


def test_a_set_up_that_fails_is_told():
    with pytest.raises(PageError, match=r"^The set-up failed: "):
        install._run(["false"])


def test_the_document_tells_the_ratios_and_the_set_up():
    row = {"file": "PNG 96 x 96", "this_ms": 10.0, "other_ms": 25.0, "ratio": 2.5, "same_classes": True}
    page = {"opened": 1.0, "answered": 2.0, "per_second": 4.0, "p99_s": 3.0, "errors": 0, "growth_mb": None}
    facts = {"against": {"files": [row], "page": {"this": page, "other": page | {"resident_mb": 700.0}}}}
    assert "| PNG 96 x 96 | 10.0 | 25.0 | 2.50 | yes |" in document._against(facts)
    assert "| memory in use after them, MB | not measured | 700.00 |" in document._against(facts)
    rows = [{"name": "this", "lock": "requirements-page.lock", "seconds": 61.25, "megabytes": 829.4}]
    assert "| this | requirements-page.lock | 61.2 | 829 |" in document._install({"install": {"rows": rows}})
