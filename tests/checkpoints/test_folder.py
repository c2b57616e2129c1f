"""Weights are known by their digest, and read for it once."""

import hashlib

from hub_models.checkpoints import folder
from hub_models.checkpoints.folder import answers_digest, weights_digest


def test_weights_are_read_once_and_again_when_they_change(tmp_path, monkeypatch):
    read = []
    file_digest = hashlib.file_digest
    monkeypatch.setattr(
        folder.hashlib, "file_digest", lambda stream, kind: read.append(stream.name) or file_digest(stream, kind)
    )
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(b"weights")
    assert [weights_digest(tmp_path) for _ in range(3)] == [hashlib.sha256(b"weights").hexdigest()] * 3
    assert len(read) == 1
    weights.write_bytes(b"others!!")
    assert weights_digest(tmp_path) == hashlib.sha256(b"others!!").hexdigest()


def test_a_folder_without_weights_has_no_digest(tmp_path):
    assert weights_digest(tmp_path) is None


def test_any_file_that_may_decide_answers_changes_the_digest_of_answers(tmp_path):
    digests = {answers_digest(tmp_path)}
    for name in ("model.safetensors", "config.json", "network.int8.onnx", "merges.txt", "pytorch_model.bin"):
        (tmp_path / name).write_bytes(b"here")
        digests.add(answers_digest(tmp_path))
    (tmp_path / "config.json").write_bytes(b"others")
    digests.add(answers_digest(tmp_path))
    assert len(digests) == 7
    (tmp_path / "README.md").write_bytes(b"card")
    (tmp_path / "metrics.json").write_bytes(b"figures of the card")
    (tmp_path / "more").mkdir()
    assert answers_digest(tmp_path) in digests
