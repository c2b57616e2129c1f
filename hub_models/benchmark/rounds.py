"""Variants of one thing timed side by side, so that whatever else the machine does slows each of them alike."""

import random
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from tqdm.auto import tqdm

Name = TypeVar("Name", bound=Hashable)


def interleaved(
    variants: Mapping[Name, Callable[[], object]],
    rounds: int,
    told: str = "Rounds",
    clock: Callable[[], float] = time.perf_counter,
) -> dict[Name, list[float]]:
    """Seconds that each variant took in each round.

    A round runs every variant once, in an order drawn by lot; one before the first warms up and is not counted.

    Args:
        variants: name -> what is timed.
        rounds: how many are counted.
        told: of the progress bar.
        clock: seconds since whenever.
    """
    lot, order = random.Random(0), list(variants)
    seconds: dict[Name, list[float]] = {name: [] for name in variants}
    for number in tqdm(range(rounds + 1), told):
        lot.shuffle(order)
        for name in order:
            start = clock()
            variants[name]()
            took = clock() - start
            if number:
                seconds[name].append(took)
    return seconds


def percentile(seconds: Sequence[float], percent: float) -> float:
    """The value that so many percent of some do not exceed, between two of them as far as it lies."""
    return float(np.percentile(seconds, percent))
