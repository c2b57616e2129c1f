"""Outlined lungs that are kept from one training to the next, by the image's bytes and the UNet."""

import hashlib
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

import datasets

from train.data.mask_pictures import source

VARIABLE = "XRAY_LUNGS_CACHE"
"""Environment variable with another folder than the one beside the cache of `datasets`."""
WAIT_SECONDS = 120.0
"""How long a process waits for another that writes."""


def image_key(image: dict) -> str:
    """Return the SHA-256, in hexadecimal, of the file of an undecoded image."""
    data = source(image)
    return hashlib.sha256(data if isinstance(data, bytes) else Path(data).read_bytes()).hexdigest()


class OutlineStore:
    """Masks of lungs as PNG files, in one SQLite file a UNet, which several processes may use at once.

    Args:
        unet: the `answers_digest` of the UNet's folder.
    """

    def __init__(self, unet: str) -> None:
        folder = Path(os.environ.get(VARIABLE) or Path(datasets.config.HF_DATASETS_CACHE) / "xray-lungs")
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{unet[:32]}.sqlite"
        with self._open() as opened:
            opened.execute("CREATE TABLE IF NOT EXISTS lungs (image TEXT PRIMARY KEY, png BLOB NOT NULL)")

    def find(self, keys: Iterable[str]) -> dict[str, bytes]:
        """Return image key -> PNG file, of those images that are known."""
        wanted = set(keys)
        with self._open() as opened:
            return {key: png for key, png in opened.execute("SELECT image, png FROM lungs") if key in wanted}

    def add(self, masks: dict[str, bytes]) -> None:
        """Keep masks, image key -> PNG file; one that is there already stays."""
        with self._open() as opened:
            opened.executemany("INSERT OR IGNORE INTO lungs VALUES (?, ?)", masks.items())

    def _open(self) -> "_Connection":
        return _Connection(self.path)


class _Connection:
    """A connection that commits and closes at the end of its `with`."""

    def __init__(self, path: Path) -> None:
        self.connection = sqlite3.connect(path, timeout=WAIT_SECONDS)

    def __enter__(self) -> sqlite3.Connection:
        return self.connection

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.connection.commit()
        self.connection.close()
