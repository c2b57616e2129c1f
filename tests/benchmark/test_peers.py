"""What others would write for the same questions, beside this project."""

from pathlib import Path

import pytest

from hub_models.benchmark import document, inputs, peers
from hub_models.benchmark.against import HERE, Checkout, working
from hub_models.checkpoints.resolve import embedded
from hub_models.checkpoints.roles import ROLES

QUICK = "import json, sys, time\ntold = sys.stdout\nanswer = open\n" + peers.LOOP
SLOW = QUICK.replace("answer = open", "answer = lambda path: time.sleep(0.05)")


def test_every_peer_answers_every_file_and_is_told_as_a_ratio(monkeypatch):
    theirs = "torchxrayvision, PSPNet and DenseNet"
    monkeypatch.setattr(peers, "PEERS", {"this project": QUICK, theirs: SLOW})
    monkeypatch.setattr(peers, "NEEDED", {})
    measured = peers.measure_peers({"PNG 8 x 8": b"", "PNG 9 x 9": b""}, {}, 3)
    assert measured["left_out"] == []
    assert [(row["file"], row["name"]) for row in measured["rows"]] == [
        (file, name) for file in ("PNG 8 x 8", "PNG 9 x 9") for name in ("this project", theirs)
    ]
    assert [row["ratio"] for row in measured["rows"]][::2] == [1, 1]
    assert all(row["p50_ms"] > 50 for row in measured["rows"][1::2])
    assert f"| {theirs} | PNG 8 x 8 |" in document.WRITERS["peers"]({"peers": measured})


def test_a_peer_that_is_not_installed_is_left_out_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr(peers, "PEERS", {"this project": QUICK, "nobody": SLOW})
    monkeypatch.setattr(peers, "NEEDED", {"nobody": "package_that_nobody_has"})
    measured = peers.measure_peers({"PNG 8 x 8": b""}, {}, 2)
    assert [row["name"] for row in measured["rows"]] == ["this project"]
    assert measured["left_out"] == ["The peer nobody is not installed: pip install package_that_nobody_has."]


def test_the_libraries_own_program_runs_on_the_checkpoints_that_ship(tmp_path: Path):
    pytest.importorskip("transformers")
    (tmp_path / "xray.png").write_bytes(inputs.draw_as("PNG", 300))
    folders = {role: str(embedded(role).folder) for role in ROLES}
    environment = {"XRAY_BENCHMARK_FOLDERS": peers.json.dumps(folders), "OMP_NUM_THREADS": "1"}
    program = peers.PEERS["segmentation_models_pytorch and transformers"]
    with working(Checkout(HERE), environment, program) as worker:
        assert worker.answer(tmp_path / "xray.png") == {}
        assert worker.seconds > 0
