"""No way of asking names a class of what is not a frontal chest X-ray without the refusal beside it."""

import csv
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import gradio as gr
import pytest
from gradio_client import Client, handle_file
from pypdf import PdfReader

import app
from hub_models import predict
from hub_models.models.labels import LABELS
from hub_models.pipeline import XrayPipeline
from hub_models.xray.phantom import draw_phantom
from tests.page.test_mcp import call, data_url, values
from tests.support.bad_files import dicom
from tests.support.fake_pipeline import ready, serve, uploaded

REASON = "from the side (LL), not a frontal one"

Answer = tuple[Any, str]
"""The part that names classes, and everything in words that came beside it."""


@pytest.fixture(scope="module")
def url(pipeline: XrayPipeline) -> Iterator[str]:
    with serve(pipeline, mcp=True) as url:
        yield url


@pytest.fixture
def lateral(tmp_path: Path) -> Path:
    """A drawn frontal X-ray whose file says that it is a view from the side."""
    file = tmp_path / "lateral.dcm"
    file.write_bytes(dicom(draw_phantom(3, size=64, opacities=2).image, BodyPartExamined="CHEST", ViewPosition="LL"))
    return file


def analyse(url: str, file: Path, anyway: bool) -> Answer:
    _, told = Client(url, verbose=False).predict(handle_file(file), None, anyway, api_name="/analyse")
    assert told["status"] == "refused"
    assert any(told["infected_share"].values()) is False or anyway
    assert bool(told["conclusion"]) == anyway
    return told["classifiers"], " ".join(told["notes"])


def segment(url: str, file: Path, anyway: bool) -> Answer:
    _, shares, told = Client(url, verbose=False).predict(handle_file(file), anyway, api_name="/segment")
    assert told["status"] == "refused"
    return {side: share for side, share in shares.items() if share is not None}, " ".join(told["reasons"])


def classify(url: str, file: Path, anyway: bool) -> Answer:
    answered = Client(url, verbose=False).predict(handle_file(file), None, anyway, api_name="/classify")
    answers, notes, conclusion = answered
    assert bool(conclusion) == anyway
    return answers, " ".join(notes)


def batch(url: str, file: Path, anyway: bool) -> Answer:
    table, (summary, archive) = Client(url, verbose=False).predict([handle_file(file)], anyway, api_name="/batch")
    (shown,) = (dict(zip(table["headers"], row, strict=True)) for row in table["data"])
    assert shown["Status"] == "refused"
    assert REASON in shown["Note"]
    return _row(Path(summary).read_text("utf-8-sig")), ZipFile(archive).read("summary.csv").decode("utf-8-sig")


def tool(name: str) -> Callable[[str, Path, bool], Answer]:
    def ask(url: str, file: Path, anyway: bool) -> Answer:
        told = values(call(f"{url}gradio_api/mcp/", name, xray=data_url(file.read_bytes()), anyway=anyway))
        named = told[0]["classifiers"] if name == "analyse" else told[0]
        return {key: value for key, value in named.items() if value is not None}, str(told)

    return ask


def _row(text: str) -> dict[str, str]:
    (row,) = csv.DictReader(text.splitlines())
    assert row["status"] == "refused"
    return {name: value for name, value in row.items() if value and re.search(" class|share|conclusion", name)}


WAYS = {
    "/analyse": analyse,
    "/segment": segment,
    "/classify": classify,
    "/batch": batch,
    "the tool analyse": tool("analyse"),
    "the tool segment": tool("segment"),
    "the tool classify": tool("classify"),
}


@pytest.mark.parametrize("anyway", [False, True])
@pytest.mark.parametrize("ask", WAYS.values(), ids=WAYS)
def test_what_is_no_frontal_chest_x_ray_is_refused_and_numbers_come_with_the_refusal_alone(url, lateral, ask, anyway):
    named, words = ask(url, lateral, anyway)
    assert REASON in words
    assert bool(named) == anyway


@pytest.mark.parametrize("anyway", [False, True])
def test_the_command_refuses_it_in_json_csv_and_pdf(pipeline, lateral, tmp_path, monkeypatch, capfd, anyway):
    monkeypatch.setattr(XrayPipeline, "from_pretrained", lambda: pipeline)
    out = tmp_path / "out"
    insisting = ["--anyway"] if anyway else []
    assert predict.main([str(lateral), "--output_dir", str(out), "--json", "--pdf", *insisting]) == 1
    told = capfd.readouterr()
    (line,) = map(json.loads, told.out.splitlines())
    assert line["status"] == "refused"
    assert "0 of 1 images answered, 1 refused" in told.err
    kept = json.loads((out / "lateral" / "report.json").read_text())
    for description in (line, kept):
        assert REASON in " ".join(description["reasons"])
        assert bool(description["classifiers"]) == bool(description["conclusion"]) == anyway
    assert bool(_row((out / "summary.csv").read_text("utf-8-sig"))) == anyway
    page = " ".join(" ".join(page.extract_text() for page in PdfReader(out / "lateral" / "report.pdf").pages).split())
    assert REASON in page
    assert all(label in page for label in LABELS) == anyway


@contextmanager
def refusing() -> Iterator[None]:
    with pytest.raises(gr.Error, match=r"from the side \(LL\), not a frontal one"):
        yield


def test_the_page_refuses_it_in_every_tab_and_keeps_the_refusal_beside_what_it_shows_anyway(pipeline, lateral):
    demo, file = app.build_demo(ready(pipeline)), uploaded(lateral)
    tab, prompts = demo.layout.tabs["analyse"], demo.layout.tabs["prompts"]
    *_, refused = tab.show(file)
    key = refused[tab.visit.key]
    assert refused[tab.conclusion] == refused[tab.shares] == ""
    assert refused[tab.viewer]["layers"] == []
    with refusing():
        tab.explain(file, key)
    with refusing():
        prompts.compare_prompts(file, "Ill: a cough\nWell: nothing", key)
    *_, shown = tab.show(file, key, True)
    for step in (refused, shown):
        assert REASON in step[tab.refusal]
    assert shown[tab.conclusion].count("%</td>") == len(pipeline.classifiers) * len(LABELS)
    assert "classifiers agree" in shown[tab.conclusion] or "classifiers do not agree" in shown[tab.conclusion]
    answered = prompts.compare_prompts(file, "Ill: a cough\nWell: nothing", key, True)
    assert REASON.replace("(", "").partition(" LL")[0] in answered[prompts.notes].replace("(", "")
    for insisted in (False, True):
        kept = tab.keep(file, key, insisted)  # its files stay while it is held
        described = json.loads(Path(next(kept)[1]).read_text())
        assert (described["status"], bool(described["classifiers"])) == ("refused", insisted)
