"""Batches in which no class and no source of a class is much more frequent than another."""

import numpy as np


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
