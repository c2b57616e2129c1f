"""A clock for the stages of one task: what a stage takes counts for it alone, not for the one around it."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Stages:
    """Seconds of each stage, which add up to all that was measured.

    Attributes:
        seconds: stage -> its own, without those of the stages inside it.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.seconds: dict[str, float] = {}
        self._inside = [0.0]

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Count what happens now for a stage."""
        start = self.clock()
        self._inside.append(0.0)
        try:
            yield
        finally:
            took = self.clock() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + took - self._inside.pop()
            self._inside[-1] += took

    def take(self) -> dict[str, float]:
        """The seconds so far; from now on they are counted anew."""
        taken, self.seconds = self.seconds, {}
        return taken

    @contextmanager
    def watch(self, owner: object, method: str, name: str) -> Iterator[None]:
        """Count each call of a method of one object for a stage."""
        original = getattr(owner, method)

        def counted(*args, **options):
            with self(name):
                return original(*args, **options)

        setattr(owner, method, counted)
        try:
            yield
        finally:
            delattr(owner, method)
