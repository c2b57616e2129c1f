"""The images of a training in the order in which they are drawn, each with random changes of its own.

Which image is drawn when, and how it is changed, depends on the seed, the epoch and the number of the draw alone: not
on the number of processes or workers, and not on where an interrupted training goes on.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler

Draw = tuple[int, int, int]
"""Epoch, number of the draw in it, position of the row."""


def seed_of(*numbers: int) -> int:
    """Return a seed that depends on all of some numbers."""
    return int.from_bytes(hashlib.sha256(repr(numbers).encode()).digest()[:7])


class Draws(Sampler):
    """The draws of each epoch, filled up with the first ones to whole batches.

    Args:
        count: number of rows.
        batch: images in a step of all processes together.
        seed: the seed of the order.
        weights: probability of each row, float64 (N,), which are then drawn with replacement; None draws each once.
    """

    def __init__(self, count: int, batch: int, seed: int, weights: torch.Tensor | None = None) -> None:
        self.count, self.batch, self.seed, self.weights = count, batch, seed, weights
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Draw for another epoch."""
        self.epoch = int(epoch)

    def __len__(self) -> int:
        """Return the number of draws in an epoch."""
        return -(-self.count // self.batch) * self.batch

    def __iter__(self) -> Iterator[Draw]:
        """Yield the draws of the epoch."""
        generator = torch.Generator().manual_seed(seed_of(self.seed, self.epoch))
        if self.weights is None:
            order = torch.randperm(self.count, generator=generator)
        else:
            order = torch.multinomial(self.weights, self.count, replacement=True, generator=generator)
        for number in range(len(self)):
            yield self.epoch, number, int(order[number % self.count])


class Drawn(Dataset):
    """Rows by their draws; what is random in a row's transform follows the draw."""

    def __init__(self, rows: Sequence[Any], seed: int) -> None:
        self.rows, self.seed = rows, seed

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.rows)

    def __getitem__(self, draw: Draw) -> Any:
        """Return the row of a draw, transformed."""
        epoch, number, position = draw
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of(self.seed, epoch, number))
            return self.rows[position]
