"""Whose turn it is at the models."""

import threading
import time
from collections.abc import Callable

from hub_models.page.turns import Turn, Turns


def in_order(turns: Turns, *callers: Turn) -> list[int]:
    """The order in which callers, who all came while somebody else held the models, got them."""
    order: list[int] = []

    def call(number: int, turn: Turn) -> None:
        with turn:
            order.append(number)

    threads = [threading.Thread(target=call, args=caller) for caller in enumerate(callers)]
    with turns.single:
        for thread in threads:
            before = waiting(turns)
            thread.start()
            until(lambda before=before: waiting(turns) == before + 1)
    for thread in threads:
        thread.join(5)
    return order


def waiting(turns: Turns) -> int:
    return turns._singles_waiting + turns._batches_waiting


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)
    assert condition()


def test_single_x_rays_go_before_a_batch_that_came_first():
    turns = Turns(patience=8)
    assert in_order(turns, turns.batch, turns.single, turns.single)[-1] == 0


def test_a_batch_waits_for_no_more_singles_than_the_patience():
    turns = Turns(patience=2)
    order = in_order(turns, turns.batch, *[turns.single] * 6)
    assert order.index(0) == 2


def test_a_batch_waits_until_no_single_x_ray_follows_another():
    turns = Turns(quiet_seconds=0.3)
    with turns.single:
        pass
    before = time.monotonic()
    with turns.batch:
        assert time.monotonic() - before >= 0.29
    before = time.monotonic()
    with turns.batch:
        assert time.monotonic() - before < 0.2


def test_the_models_are_given_back_when_a_caller_fails():
    turns = Turns()
    for turn in (turns.single, turns.batch):
        try:
            with turn:
                raise ValueError
        except ValueError:
            pass
    assert in_order(turns, turns.single) == [0]


def test_only_one_caller_holds_the_models_at_a_time():
    turns, held, most = Turns(), 0, 0

    def work(turn: Turn) -> None:
        nonlocal held, most
        for _ in range(50):
            with turn:
                held += 1
                most = max(most, held)
                time.sleep(0)
                held -= 1

    threads = [threading.Thread(target=work, args=(turn,)) for turn in (turns.single, turns.batch) * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert most == 1
