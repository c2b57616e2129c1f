"""Outlined lungs that are kept from one training to the next, by the image's bytes and the UNet."""

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

import datasets

from hub_models.xray.mask_pictures import source

VARIABLE = "XRAY_LUNGS_CACHE"
"""Environment variable with another folder than the one beside the cache of `datasets`."""
MAX_KEYS = 500
"""How many images are asked for at once."""
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

    def known(self, keys: Iterable[str]) -> set[str]:
        """Return which of these images are known."""
        with self._open() as opened:
            return {key for (key,) in opened.execute("SELECT image FROM lungs")} & set(keys)

    def find(self, keys: Sequence[str]) -> list[bytes]:
        """Return the PNG file of each of at most `MAX_KEYS` known images, in their order."""
        places = ", ".join("?" * len(keys))
        with self._open() as opened:
            found = dict(opened.execute(f"SELECT image, png FROM lungs WHERE image IN ({places})", list(keys)))
        return [found[key] for key in keys]

    def add(self, masks: dict[str, bytes]) -> None:
        """Keep masks, image key -> PNG file; one that is there already stays."""
        with self._open() as opened:
            opened.executemany("INSERT OR IGNORE INTO lungs VALUES (?, ?)", masks.items())

    def _open(self) -> "_Connection":
        return _Connection(self.path)


class OutlinesOnce:
    """Masks of lungs that are kept in memory, for a UNet that nobody asks again."""

    def __init__(self) -> None:
        self.masks: dict[str, bytes] = {}

    def known(self, keys: Iterable[str]) -> set[str]:
        """Return which of these images are known."""
        return self.masks.keys() & set(keys)

    def find(self, keys: Sequence[str]) -> list[bytes]:
        """Return the PNG file of each of these known images, in their order."""
        return [self.masks[key] for key in keys]

    def add(self, masks: dict[str, bytes]) -> None:
        """Keep masks, image key -> PNG file."""
        self.masks |= masks


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
