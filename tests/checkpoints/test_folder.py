"""Weights are known by their digest, and read for it once."""

import hashlib

from hub_models.checkpoints import folder
from hub_models.checkpoints.folder import weights_digest


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
