"""How often each class and source is drawn."""

import datasets
import numpy as np
import pytest

from train.tasks.balance import sampling_weights
from train.tasks.trainer import XrayTrainer

LABELS = np.array([0] * 12 + [1] * 4)
SOURCES = np.array(["a"] * 8 + ["b"] * 2 + [None] * 2 + ["b"] * 4, object)


@pytest.mark.parametrize(("balance", "shares"), [(0, [8 / 12, 2 / 12, 2 / 12]), (1, [1 / 3] * 3)])
def test_classes_are_drawn_alike_and_sources_as_far_as_asked_for(balance, shares):
    weights = sampling_weights(LABELS, SOURCES, balance)
    assert weights[LABELS == 0].sum() == pytest.approx(0.5)
    for name, share in zip(["a", "b", None], shares, strict=True):
        rows = (LABELS == 0) & (name == SOURCES)
        assert weights[rows].sum() == pytest.approx(share / 2)
        assert np.ptp(weights[rows]) == 0
    assert weights[LABELS == 1] == pytest.approx(0.125)


def test_what_cannot_be_balanced_is_refused():
    with pytest.raises(ValueError, match=r"^--balance is 2; it takes 0 to 1\.$"):
        sampling_weights(LABELS, SOURCES, 2)
    several = datasets.Dataset.from_dict({"label": [0], "source": ["a"], "targets": [[0]]})
    with pytest.raises(ValueError, match=r"leave it out with --multi_label\.$"):
        XrayTrainer(rows=several, train_dataset=several, args=None, balance=0.5)


def test_half_balanced_lies_between():
    weights = sampling_weights(LABELS, SOURCES, 0.5)
    assert weights[:8].sum() == pytest.approx(0.5 * 8**0.5 / (8**0.5 + 2 * 2**0.5))
