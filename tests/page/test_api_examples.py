"""The examples of hub_models/API.md for Python and curl are run as they stand there, against a small page."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import pytest

import hub_models
from tests.support.fake_pipeline import INVOLVEMENT, PROBABILITIES, FakePipeline, serve

DOCUMENT = Path(hub_models.__file__).with_name("API.md").read_text(encoding="utf-8")
USUAL = "http://127.0.0.1:7860"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serve(FakePipeline(tmp_path_factory.mktemp("cards"))) as url:
        yield url.rstrip("/")


@pytest.fixture
def desk(tmp_path: Path, xray: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder, made the current one, with the files that the examples name."""
    shutil.copy(xray, tmp_path / "xray.png")
    with ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(xray, "another.png")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def example(language: str, page: str) -> str:
    """The one example in a language, for the page that is served here."""
    (code,) = re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)
    assert USUAL in code
    return code.replace(USUAL, page)


def test_the_python_example_runs(page, desk):
    found = {}
    exec(example("python", page), found)
    assert Path(found["overlay"]).suffix == ".png"
    assert found["described"]["infected_share"] == INVOLVEMENT.shares
    headers, data = found["rows"]["headers"], found["rows"]["data"]
    assert [row[headers.index("Status")] for row in data] == ["answered", "answered"]
    assert [Path(found[name]).name for name in ("table", "archive")] == ["summary.csv", "results.zip"]


@pytest.mark.skipif(not (shutil.which("bash") and shutil.which("curl")), reason="bash or curl is missing")
def test_the_curl_example_runs(page, desk):
    told = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example("sh", page)], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert told.splitlines()[-3:-2] == ["event: complete"]
    _, described = json.loads(told[told.index("event: complete") :].split("data: ", 1)[1])
    assert described["infected_share"] == INVOLVEMENT.shares
    assert {role: answer["probabilities"] for role, answer in described["classifiers"].items()} == PROBABILITIES
