"""The same batch on Ray: the same rows and files, also after a worker and the command were killed."""

import csv
import io
import json
import os
import pickle
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
from PIL import Image
from pyarrow import parquet

from hub_models.batch import ray
from hub_models.batch.archives import find
from hub_models.predict import main
from hub_models.xray.phantom import draw_phantom

ROOT = Path(__file__).parents[2]
SLOW = """
import sys, time
from hub_models import predict
from hub_models.batch import ray
class Slow(ray.Worker):
    def _write(self, result):
        time.sleep(0.15)
        (self.work.aside.parent.parent / "workers" / f"{__import__('os').getpid()}").touch()
        return super()._write(result)
ray.Worker = Slow
sys.exit(predict.main())
"""
pytestmark = pytest.mark.usefixtures("chosen_checkpoints")


@pytest.fixture
def xrays(tmp_path: Path) -> Path:
    """Thirty files, one of which is no picture: twenty in a folder, nine in an archive inside it."""
    folder = tmp_path / "xrays"
    folder.mkdir()
    (tmp_path / "workers").mkdir()
    for number in range(20):
        Image.fromarray(draw_phantom(number, size=64).image).save(folder / f"{number:02}.png")
    with zipfile.ZipFile(folder / "more.zip", "w") as archive:
        for number in range(9):
            archive.write(folder / f"{number + 3:02}.png", f"inner/{number:02}.png")
    (folder / "07b.png").write_bytes(b"no picture")
    return folder


def started(xrays: Path, out: Path, program: tuple[str, ...] = ("-m", "hub_models.predict")) -> subprocess.Popen:
    command = [sys.executable, *program, str(xrays), "--output_dir", str(out), "--ray", "--workers", "2"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=xrays.parent, env=environment, **pipes)


def ended(process: subprocess.Popen) -> tuple[int, str]:
    """Exit code of a command, and what it said on stderr."""
    said = process.communicate(timeout=200)[1]
    return process.returncode, said


def table(out: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((out / "summary.csv").read_text(encoding="utf-8-sig"))))


def pixels(out: Path) -> dict[str, bytes]:
    return {str(path.relative_to(out)): path.read_bytes() for path in sorted(out.rglob("*.png"))}


def wait_for(condition, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def listening(process: int) -> set[str]:
    """Addresses at which a process and those that it started listen, in the kernel's notation."""
    ids = {str(process)}
    statuses = {path.parent.name: path.read_text() for path in Path("/proc").glob("[0-9]*/status")}
    for _ in range(4):
        ids |= {pid for pid, text in statuses.items() if any(f"\nPPid:\t{parent}\n" in text for parent in ids)}
    sockets = set()
    for pid in ids:
        for link in Path(f"/proc/{pid}/fd").glob("*"):
            try:
                sockets.add(os.readlink(link))
            except OSError:
                continue
    lines = [
        line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return {line[1].split(":")[0] for line in lines if line[3] == "0A" and f"socket:[{line[9]}]" in sockets}


def test_killed_workers_and_a_killed_command_lose_nothing_and_repeat_nothing(xrays, tmp_path):
    alone, out = tmp_path / "alone", tmp_path / "out"
    assert main([str(xrays), "--output_dir", str(alone)]) == 1
    # 1. A worker is killed, then the command itself
    process = started(xrays, out, ("-c", SLOW))
    workers = tmp_path / "workers"
    wait_for(lambda: len(list(workers.iterdir())) == 2)
    addresses = listening(process.pid)
    os.kill(int(next(workers.iterdir()).name), signal.SIGKILL)
    wait_for(lambda: (out / "summary.csv").exists() and 8 <= len(table(out)) < 30)
    process.send_signal(signal.SIGKILL)
    ended(process)
    assert addresses == {"0100007F", "0000000000000000FFFF00000100007F"}  # 127.0.0.1, and the same as IPv6
    assert len(list(workers.iterdir())) >= 2
    before = table(out)
    assert before == table(alone)[: len(before)]
    assert 8 <= len(before) < 30
    # 2. The same command goes on
    code, said = ended(started(xrays, out))
    assert code == 1, said
    assert (out / "summary.csv").read_bytes() == (alone / "summary.csv").read_bytes()
    assert pixels(out) == pixels(alone)
    assert not (out / ray.ASIDE).exists()
    # 3. The table as Parquet, its numbers as numbers
    rows, names = parquet.read_table(out / "summary.parquet").to_pylist(), [row["file"] for row in table(alone)]
    assert [row["file"] for row in rows] == names
    assert rows[0]["resnet p Normal"] == float(table(alone)[0]["resnet p Normal"])
    assert rows[8] == dict.fromkeys(rows[8]) | {name: rows[8][name] for name in ("file", "status", "note")}
    assert (rows[8]["status"], rows[0]["folder"]) == ("refused", "00")


def test_a_command_that_is_interrupted_says_how_it_goes_on(xrays, tmp_path):
    process = started(xrays, tmp_path / "out", ("-c", SLOW))
    wait_for(lambda: (tmp_path / "out" / "summary.csv").exists() and len(table(tmp_path / "out")) >= 8)
    process.send_signal(signal.SIGTERM)
    code, said = ended(process)
    assert code == 130, said
    assert "so far; the same command goes on." in said.splitlines()[-1]
    assert not (tmp_path / "out" / ray.ASIDE).exists()


class Deadly(ray.Worker):
    """A worker of a chunk of three, the second of which ends it."""

    def __init__(self, aside: Path) -> None:
        self.work, self.answered = type("Work", (), {"aside": aside})(), []

    def _answer(self, items: list) -> list[ray.Answered]:
        if any(item.name.endswith("01.png") for item in items):
            raise SystemExit
        self.answered += [item.name for item in items]
        return [ray.Answered(item.name, "answered", {}, {}) for item in items]


def test_a_file_that_ends_its_workers_is_refused_and_the_others_are_answered(xrays, tmp_path):
    items = list(find([("xrays", xrays)]))[:3]
    row, worker = {"chunk": 0, "items": pickle.dumps(items)}, Deadly(tmp_path)
    for _ in range(3):  # twice together, once alone
        with pytest.raises(SystemExit):
            worker(row)
    answered = pickle.loads(worker(row)["answered"])
    assert [each.status for each in answered] == ["answered", "refused", "answered"]
    assert answered[1].description == {
        "notes": ["Workers ended while they read this file; look at it alone, without --ray."]
    }
    assert answered[1].row["note"] == answered[1].description["notes"][0]


@pytest.mark.parametrize("address", ["xrays/", "10.0.0.1", "-"])
def test_an_address_that_is_none_is_refused_before_anything_starts(address, xrays, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main([str(xrays), "--output_dir", str(tmp_path / "out"), f"--ray={address}"])
    assert end.value.code == 2
    assert f"not '{address}'; give the images first." in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_cluster_that_does_not_answer_is_said_at_once(xrays, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(xrays), "--output_dir", str(tmp_path / "out"), "--ray", "127.0.0.1:9"])
    assert "No Ray answers at 127.0.0.1:9 (" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_without_the_package_it_says_what_to_install(xrays, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(ray.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit):
        main([str(xrays), "--output_dir", str(tmp_path / "out"), "--ray"])
    assert "pip install -r hub_models/requirements-ray.txt" in capsys.readouterr().err


def test_an_item_is_read_in_another_process_as_here(xrays):
    copies = [pickle.dumps(item) for item in find([("xrays", xrays)])]
    here = [item.load() for item in find([("xrays", xrays)])]
    assert [pickle.loads(copy).load() for copy in copies] == here
    assert len(here) == 30
    assert json.dumps([pickle.loads(copy).name for copy in copies][-1]) == '"xrays/more.zip/inner/08.png"'
