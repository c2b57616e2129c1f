"""A checkpoint's folder: the files it must hold, and the SHA-256 of its weights, which identifies it."""

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

WEIGHTS_FILE = "model.safetensors"
PICKLE = "pytorch_model.bin"
PICKLED = ("openai/clip-vit-base-patch32", "openai/clip-vit-base-patch16")
"""Well-known repositories that offer their weights as a pickle only; it is read as tensors alone (`weights_only`)."""

ANSWER_FILES = (".safetensors", ".bin", ".onnx", ".json", ".txt")
"""Endings of files with weights, exported networks, settings and tokenizers."""
FACTS_FILE = "metrics.json"
"""File with what the card tells, which decides no answer."""


def weights_digest(folder: Path) -> str | None:
    """SHA-256, in hexadecimal, of the `WEIGHTS_FILE` in a checkpoint's folder; None if there is none.

    An unchanged file is read only once, because 40 MB take a tenth of a second.
    """
    weights = folder / WEIGHTS_FILE
    if not weights.is_file():
        return None
    status = weights.stat()
    return _digest(weights, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=64)
def _digest(weights: Path, changed: int, size: int) -> str:
    with weights.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def answers_digest(folder: Path) -> str:
    """SHA-256, in hexadecimal, of all `ANSWER_FILES` in a checkpoint's folder but `FACTS_FILE`."""
    digest = hashlib.sha256()
    for file in sorted(folder.iterdir()):
        if file.suffix in ANSWER_FILES and file.name != FACTS_FILE:
            status = file.stat()
            digest.update(f"{file.name} {_digest(file, status.st_mtime_ns, status.st_size)}\n".encode())
    return digest.hexdigest()


class CheckpointError(RuntimeError):
    """A checkpoint that cannot be had; the message is one sentence for the person who chose it."""


@dataclass(frozen=True)
class Checkpoint:
    """A folder that a model can be loaded from, and where it came from.

    Attributes:
        role: One of `ROLES`.
        folder: Holds config.json and safetensors weights.
        origin: "embedded" (ships with the project), "folder" or "hub".
        name: Repo id for "hub", the path as the user wrote it for "folder", else "embedded".
        revision: Commit sha (40 hex digits) for "hub", else None.
        problem: Why this one stands in for the chosen checkpoint, in one sentence; else None.
    """

    role: str
    folder: Path
    origin: Literal["embedded", "folder", "hub"]
    name: str
    revision: str | None = None
    problem: str | None = None

    @property
    def pickled(self) -> bool:
        """Whether its weights are the pickle of one of `PICKLED`."""
        return self.origin == "hub" and self.name in PICKLED and not any(self.folder.glob("*.safetensors"))


def complete(folder: Path, subject: str, pickled: bool = False) -> Path:
    """Return the folder if a model can be loaded from it, else raise CheckpointError about `subject`.

    `pickled` says that the repository is one of `PICKLED`, so that its pickle will do.
    """
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{subject} is not a checkpoint: it has no config.json.")
    if not any(folder.glob("*.safetensors")) and not (pickled and (folder / PICKLE).is_file()):
        raise CheckpointError(f"{subject} has no safetensors weights; pickled weights are never loaded.")
    return folder
