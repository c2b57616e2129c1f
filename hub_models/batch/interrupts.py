"""Ctrl-C and SIGTERM, held back while something must not be left half done."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Interrupts:
    """A context in which Ctrl-C and SIGTERM raise one KeyboardInterrupt, but not in the middle of what is `held`.

    Further signals are ignored: they would break the tidying up after the first.
    """

    def __init__(self) -> None:
        self.requested = False
        self._held = False
        self._handlers: dict[signal.Signals, object] = {}

    def __enter__(self) -> "Interrupts":
        """Take both signals over; in another thread than the main one, Python lets nobody do that."""
        if threading.current_thread() is threading.main_thread():
            self._handlers = {name: signal.signal(name, self._interrupt) for name in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *error: object) -> None:
        """Give both signals back."""
        for name, handler in self._handlers.items():
            signal.signal(name, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold an interrupt back until the end of this context."""
        self._held = True
        try:
            yield
        finally:
            self._held = False
        if self.requested:
            raise KeyboardInterrupt

    def _interrupt(self, number: int, frame: object) -> None:
        first, self.requested = not self.requested, True
        if first and not self._held:
            raise KeyboardInterrupt
