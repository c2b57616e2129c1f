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


TOGETHER = 2
"""So many single X-rays are answered at once."""


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
    """The models, held by a few callers with one X-ray each, or by one of any other kind.

    While the networks look at one X-ray, another's masks are mended: two at once are answered sooner than one by one.

    Attributes:
        single: the turn of a caller with one X-ray; `TOGETHER` of them may hold the models at once.
        alone: the turn of a caller who changes the models; singles that come later wait.
        batch: the turn of a group of a batch, which is alone, too: once no single X-ray came for `quiet_seconds`, or
            `patience` of them have gone before.
    """

    def __init__(self, patience: int = PATIENCE, quiet_seconds: float = QUIET_SECONDS) -> None:
        self.patience, self.quiet_seconds = patience, quiet_seconds
        self.single = Turn(self._take_single, self._give_back_single)
        self.alone = Turn(self._take_alone, self._give_back_alone)
        self.batch = Turn(self._take_batch, self._give_back_alone)
        self._changed = threading.Condition()
        self._singles_held, self._alone_held = 0, False
        self._singles_waiting = self._alone_waiting = self._batches_waiting = 0
        self._singles_ahead = 0  # that went while a batch waited
        self._last_single = -math.inf  # when it gave the models back

    def _take_single(self) -> None:
        with self._changed:
            self._singles_waiting += 1
            self._changed.wait_for(self._single_may_go)
            self._singles_waiting -= 1
            self._singles_held += 1
            self._singles_ahead += bool(self._batches_waiting)

    def _single_may_go(self) -> bool:
        due = self._alone_waiting or (self._batches_waiting and self._batch_is_due())
        return not self._alone_held and not due and self._singles_held < TOGETHER

    def _take_alone(self) -> None:
        with self._changed:
            self._alone_waiting += 1
            self._changed.wait_for(self._is_free)
            self._alone_waiting -= 1
            self._alone_held = True

    def _take_batch(self) -> None:
        with self._changed:
            self._batches_waiting += 1
            while not self._is_free() or not (self._is_quiet() or self._batch_is_due()):
                self._changed.wait(self.quiet_seconds)
            self._batches_waiting -= 1
            self._alone_held, self._singles_ahead = True, 0

    def _is_free(self) -> bool:
        return not self._alone_held and not self._singles_held

    def _is_quiet(self) -> bool:
        return not self._singles_waiting and time.monotonic() - self._last_single >= self.quiet_seconds

    def _batch_is_due(self) -> bool:
        return self._singles_ahead >= self.patience

    def _give_back_single(self) -> None:
        with self._changed:
            self._last_single = time.monotonic()
            self._singles_held -= 1
            self._changed.notify_all()

    def _give_back_alone(self) -> None:
        with self._changed:
            self._alone_held = False
            self._changed.notify_all()
