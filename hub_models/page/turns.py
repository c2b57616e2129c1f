"""Turns at the models: whoever waits for one X-ray goes before those who sent many."""

import math
import threading
import time
from collections.abc import Callable
from types import TracebackType

PATIENCE = 8
"""So many single X-rays may go before a group of a batch that waits."""

QUIET_SECONDS = 0.25
"""Once no single X-ray came for so long, a batch may go on. Between two that follow each other, one is read."""


class Turn:
    """A way to hold the models, for a `with` statement; many threads may use the same one."""

    def __init__(self, take: Callable[[], None], give_back: Callable[[], None]) -> None:
        self._take, self._give_back = take, give_back

    def __enter__(self) -> None:
        """Wait until the models are free for this kind of caller, and hold them."""
        self._take()

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Give the models back."""
        self._give_back()


class Turns:
    """The models, held by one caller at a time.

    Attributes:
        single: the turn of a caller with one X-ray.
        batch: the turn of a group of a batch: once no single X-ray came for `quiet_seconds`, or `patience` of them have
            gone before.
    """

    def __init__(self, patience: int = PATIENCE, quiet_seconds: float = QUIET_SECONDS) -> None:
        self.patience, self.quiet_seconds = patience, quiet_seconds
        self.single = Turn(self._take_single, self._give_back_single)
        self.batch = Turn(self._take_batch, self._give_back)
        self._changed = threading.Condition()
        self._held = False
        self._singles_waiting = self._batches_waiting = 0
        self._singles_ahead = 0  # that went while a batch waited
        self._last_single = -math.inf  # when it gave the models back

    def _take_single(self) -> None:
        with self._changed:
            self._singles_waiting += 1
            self._changed.wait_for(lambda: not self._held and not (self._batches_waiting and self._batch_is_due()))
            self._singles_waiting -= 1
            self._held = True
            self._singles_ahead += bool(self._batches_waiting)

    def _take_batch(self) -> None:
        with self._changed:
            self._batches_waiting += 1
            while self._held or not (self._is_quiet() or self._batch_is_due()):
                self._changed.wait(self.quiet_seconds)
            self._batches_waiting -= 1
            self._held, self._singles_ahead = True, 0

    def _is_quiet(self) -> bool:
        return not self._singles_waiting and time.monotonic() - self._last_single >= self.quiet_seconds

    def _batch_is_due(self) -> bool:
        return self._singles_ahead >= self.patience

    def _give_back_single(self) -> None:
        self._last_single = time.monotonic()
        self._give_back()

    def _give_back(self) -> None:
        with self._changed:
            self._held = False
            self._changed.notify_all()
