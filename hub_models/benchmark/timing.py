"""Seconds of variants that run side by side, and of the stages of one task."""

import random
import time
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
from tqdm.auto import tqdm

Name = TypeVar("Name", bound=Hashable)


def interleaved(
    variants: Mapping[Name, Callable[[], object]],
    rounds: int,
    description: str = "Rounds",
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Name, list[float]]:
    """Time each variant in each round.

    A round runs every variant once, in a random order. One round before the first warms up and is not counted.

    Args:
        variants: name -> function to time.
        rounds: number of counted rounds.
        description: text of the progress bar.
        clock: returns seconds since any fixed moment.

    Returns:
        Name -> seconds of each round.
    """
    generator, order = random.Random(0), list(variants)
    seconds: dict[Name, list[float]] = {name: [] for name in variants}
    for number in tqdm(range(rounds + 1), description):
        generator.shuffle(order)
        for name in order:
            start = clock()
            variants[name]()
            took = clock() - start
            if number:
                seconds[name].append(took)
    return seconds


def percentile(seconds: Sequence[float], percent: float) -> float:
    """Percentile of some seconds, interpolated between neighbours."""
    return float(np.percentile(seconds, percent))


class Stages:
    """Seconds of each stage, which add up to the whole measured time.

    Attributes:
        seconds: stage -> its own seconds, without those of the stages inside it.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self.seconds: dict[str, float] = {}
        self._inside = [0.0]

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Count the time while this is open for a stage."""
        start = self.clock()
        self._inside.append(0.0)
        try:
            yield
        finally:
            took = self.clock() - start
            self.seconds[name] = self.seconds.get(name, 0.0) + took - self._inside.pop()
            self._inside[-1] += took

    def take(self) -> dict[str, float]:
        """Return the seconds so far, and start again at zero."""
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
