"""The page's memory of X-rays that it outlined: small, for a while, and not more than fits."""

import secrets
import threading
import time
import zlib
from collections import OrderedDict
from dataclasses import dataclass, field

import numpy as np

from hub_models.checkpoints.folder import Checkpoint
from hub_models.reports.description import Source
from hub_models.reports.overlay import Sketch, reduced
from hub_models.xray.masks import Involvement, Masks
from hub_models.xray.verdict import reasons_against

MAX_BYTES = 64_000_000
"""Of everything remembered for all visitors together."""


@dataclass(frozen=True)
class PackedMask:
    """A mask, bool (H, W), as a few kilobytes."""

    data: bytes
    shape: tuple[int, int]

    @classmethod
    def pack(cls, mask: np.ndarray) -> "PackedMask":
        """Pack a mask, bool (H, W)."""
        return cls(zlib.compress(np.packbits(mask), 1), mask.shape)

    def unpack(self) -> np.ndarray:
        """Return the mask, bool (H, W)."""
        bits = np.frombuffer(zlib.decompress(self.data), np.uint8)
        return np.unpackbits(bits, count=self.shape[0] * self.shape[1]).reshape(self.shape).astype(bool)


@dataclass(frozen=True)
class PackedMasks:
    """Both masks of an X-ray, and how strange it is."""

    lungs: PackedMask
    infection: PackedMask
    strangeness: float | None
    smooth: bytes | None

    @classmethod
    def pack(cls, masks: Masks) -> "PackedMasks":
        """Pack masks of any size."""
        smooth = None if masks.smooth is None else zlib.compress(masks.smooth, 1)
        return cls(PackedMask.pack(masks.lungs), PackedMask.pack(masks.infection), masks.strangeness, smooth)

    def unpack(self) -> Masks:
        """Return the masks as they were."""
        smooth = None
        if self.smooth is not None:
            smooth = np.frombuffer(zlib.decompress(self.smooth), np.uint8).reshape(2, *self.lungs.shape)
        return Masks(self.lungs.unpack(), self.infection.unpack(), self.strangeness, smooth)

    @property
    def size(self) -> int:
        """Bytes that they take."""
        return len(self.lungs.data) + len(self.infection.data) + len(self.smooth or b"")


@dataclass(frozen=True)
class Outlined:
    """An X-ray that was outlined: not its pixels, which stay in the file, but what the UNet made of them.

    Attributes:
        path: the file.
        source: what it was, and what it says of itself.
        unet: the checkpoint that outlined it.
        masks: as the UNet gave them.
        involvement: infected share of each lung.
        grey: uint8 (h, w), the small picture under an overlay.
        square: float32 (SIDE, SIDE) in 0..1, what the models see of it.
        shape: (H, W) of the picture itself.
    """

    path: str
    source: Source
    unet: Checkpoint
    masks: PackedMasks
    involvement: Involvement
    grey: np.ndarray
    square: np.ndarray
    shape: tuple[int, int]
    made: float = field(default_factory=time.monotonic)

    @classmethod
    def of(
        cls,
        path: str,
        source: Source,
        unet: Checkpoint,
        image: np.ndarray,
        square: np.ndarray,
        masks: Masks,
        involvement: Involvement,
    ) -> "Outlined":
        """Pack what was found on an X-ray, float32 (H, W) in 0..1, of which the models saw `square`."""
        return cls(path, source, unet, PackedMasks.pack(masks), involvement, reduced(image), square, image.shape)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why it is refused as a frontal chest X-ray; empty if it may be read."""
        return reasons_against(self.masks.unpack(), self.source.reasons)

    @property
    def turned(self) -> list[str]:
        """The note that its picture was turned, inverted or mirrored; empty if it was not."""
        return [self.source.turned] if self.source.turned else []

    @property
    def picture(self) -> np.ndarray:
        """The small picture, float32 (h, w) in 0..1."""
        return self.grey / np.float32(255)

    @property
    def sketch(self) -> Sketch:
        """The small picture and masks that an overlay is drawn from."""
        return Sketch(self.grey, self.masks.unpack().at(self.grey.shape))

    @property
    def size(self) -> int:
        """Bytes that it takes."""
        return self.grey.nbytes + self.square.nbytes + self.masks.size


class Memory:
    """Outlined X-rays of all visitors, by keys that cannot be guessed; the least recently used go first."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._kept: OrderedDict[str, Outlined] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, outlined: Outlined) -> str:
        """Remember an X-ray; returns its key."""
        key = secrets.token_urlsafe(16)
        with self._lock:
            self._kept[key] = outlined
            while self.size > self.max_bytes and len(self._kept) > 1:
                self._kept.popitem(last=False)
        return key

    def find(self, key: str | None) -> Outlined | None:
        """Return what a key stands for; None if that is forgotten."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def forget(self, age_seconds: float) -> None:
        """Forget what was outlined longer ago."""
        oldest = time.monotonic() - age_seconds
        with self._lock:
            for key in [key for key, outlined in self._kept.items() if outlined.made < oldest]:
                del self._kept[key]

    @property
    def size(self) -> int:
        """Bytes that all of them take."""
        return sum(outlined.size for outlined in self._kept.values())

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._kept)
