"""The order of a training's images and their random changes: by seed, epoch and draw, whoever draws."""

import torch

from train.tasks.draws import Drawn, Draws, seed_of


def drawn(draws: Draws, epoch: int) -> list[tuple[int, int, int]]:
    draws.set_epoch(epoch)
    return list(draws)


def test_every_row_is_drawn_once_an_epoch_and_the_first_ones_again_to_fill_the_last_batch():
    draws = Draws(10, 4, seed=3)
    assert len(draws) == 12
    epochs = [drawn(draws, epoch) for epoch in (0, 1)]
    for number, epoch in enumerate(epochs):
        rows = [row for _, _, row in epoch]
        assert sorted(rows[:10]) == list(range(10))
        assert rows[10:] == rows[:2]
        assert [(of, draw) for of, draw, _ in epoch] == [(number, draw) for draw in range(12)]
    assert [row for *_, row in epochs[0]] != [row for *_, row in epochs[1]]
    assert drawn(draws, 0) == epochs[0]
    assert [row for *_, row in drawn(Draws(10, 4, seed=4), 0)] != [row for *_, row in epochs[0]]


def test_rows_are_drawn_as_often_as_their_weights_say():
    rows = [row for *_, row in Draws(3000, 1, seed=0, weights=torch.tensor([0.75, 0.25] + [0.0] * 2998))]
    assert set(rows) == {0, 1}
    assert abs(rows.count(0) - 2250) < 100


class Noise:
    """Rows that are random numbers; each notes that the random numbers outside go on."""

    def __len__(self) -> int:
        return 4

    def __getitem__(self, position: int) -> tuple[int, float]:
        return position, float(torch.rand(()))


def test_a_change_is_that_of_the_draw_and_leaves_the_other_random_numbers_alone():
    rows = Drawn(Noise(), seed=5)
    torch.manual_seed(1)
    expected = float(torch.rand(()))
    torch.manual_seed(1)
    first = rows[0, 7, 2]
    assert float(torch.rand(())) == expected
    assert rows[0, 7, 2] == first
    assert first[0] == 2
    others = [rows[1, 7, 2], rows[0, 8, 2], Drawn(Noise(), seed=6)[0, 7, 2]]
    assert len({number for _, number in [first, *others]}) == 4  # also the same row, drawn again
    assert seed_of(1, 2) != seed_of(2, 1)
