"""Batches in which no class and no source of a class is much more frequent than another."""

import datasets
import numpy as np
import torch
from torch.utils.data import Sampler, WeightedRandomSampler
from transformers import Trainer


def check_balance(balance: float | None) -> None:
    """Refuse a balance that is not in 0..1; None is for none.

    Raises:
        ValueError: as told.
    """
    if balance is not None and not 0 <= balance <= 1:
        raise ValueError(f"--balance is {balance}; it takes 0 to 1.")


def sampling_weights(labels: np.ndarray, sources: np.ndarray, balance: float) -> np.ndarray:
    """Return the probability with which each row is drawn, float64 (N,), adding up to 1.

    Every class is drawn equally often; within a class, a source with n rows in proportion to n ** (1 - balance).

    Args:
        labels: class of each row, (N,).
        sources: source of each row, (N,); None counts as a source.
        balance: 0 draws the sources of a class as they are, 1 each of them equally often.

    Raises:
        ValueError: the balance is not in 0..1.
    """
    check_balance(balance)
    weights = np.zeros(len(labels))
    names = np.array([str(name) for name in sources])
    for label in np.unique(labels):
        groups = {name: (labels == label) & (names == name) for name in np.unique(names[labels == label])}
        shares = {name: int(rows.sum()) ** (1 - balance) for name, rows in groups.items()}
        for name, rows in groups.items():
            weights[rows] = shares[name] / sum(shares.values()) / rows.sum()
    return weights / weights.sum()


class BalancedTrainer(Trainer):
    """A Trainer that draws rows by `sampling_weights`, with replacement; an epoch has as many rows as the data.

    Args:
        rows: the training rows, with `label` and `source`.
        balance: as in `sampling_weights`; None draws all rows alike, as the Trainer does.

    Raises:
        ValueError: the balance is not in 0..1, or an image may have several classes.
    """

    def __init__(self, *args, rows: datasets.Dataset, balance: float | None, **kwargs) -> None:
        self.weights = None
        if balance is not None:
            if "targets" in rows.column_names:
                raise ValueError("--balance draws classes of which an image has one; leave it out with --multi_label.")
            self.weights = sampling_weights(np.array(rows["label"][:]), np.array(rows["source"][:], object), balance)
        super().__init__(*args, **kwargs)

    def _get_train_sampler(self, train_dataset: datasets.Dataset | None = None) -> Sampler:
        if self.weights is None:
            return super()._get_train_sampler(train_dataset)
        generator = torch.Generator().manual_seed(self.args.data_seed or self.args.seed)
        return WeightedRandomSampler(torch.from_numpy(self.weights), len(self.weights), generator=generator)
