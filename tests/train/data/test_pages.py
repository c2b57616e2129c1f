"""Memory of a process that reads mapped data: what was read does not stay in it."""

import sys
import time
from pathlib import Path

import datasets
import numpy as np
import pytest

from train.data import pages
from train.data.arguments import DataArguments
from train.data.dataset import load_splits

linux = pytest.mark.skipif(not pages.MAPS.exists(), reason="only Linux tells which pages are in memory")


def in_memory(file: Path) -> int:
    """Bytes of a mapped file that are in this process's memory."""
    total, inside = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.split()[0]:
            inside = line.endswith(str(file))
        elif inside and line.startswith("Rss:"):
            total += 1024 * int(line.split()[1])
    return total


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A file of 20 MB that `datasets` maps."""
    rows = [np.random.default_rng(seed).bytes(20_000) for seed in range(1000)]
    datasets.Dataset.from_dict({"data": rows}).save_to_disk(tmp_path / "saved")
    return tmp_path / "saved"


@linux
def test_what_was_read_is_given_back_and_read_again_alike(saved):
    rows, (file,) = datasets.load_from_disk(str(saved)), saved.glob("*.arrow")
    first = [row["data"] for row in rows]
    assert in_memory(file) > 19e6
    pages.give_back()
    assert in_memory(file) < 1e6
    assert [row["data"] for row in rows] == first


@linux
def test_streaming_gives_back_meanwhile(saved, covid_qu_ex, monkeypatch):
    monkeypatch.setattr(pages, "SECONDS", 0.01)
    rows, (file,) = datasets.load_from_disk(str(saved)), saved.glob("*.arrow")
    plain = load_splits(DataArguments(str(covid_qu_ex)))
    streamed = load_splits(DataArguments(str(covid_qu_ex), streaming=True))
    assert [row["file"] for row in streamed["train"]] == [row["file"] for row in plain["train"]]
    assert len(list(rows)) == 1000
    end = time.monotonic() + 20
    while in_memory(file) > 1e6:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_another_system_is_told_so(monkeypatch, covid_qu_ex):
    monkeypatch.setattr(pages, "MAPS", Path(sys.prefix, "no such file"))
    with pytest.raises(ValueError, match=r"which needs Linux; leave it out\.$"):
        load_splits(DataArguments(str(covid_qu_ex), streaming=True))
