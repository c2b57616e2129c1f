"""Whose turn it is at the models."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from hub_models.page.turns import Turn, Turns


def in_order(turns: Turns, *callers: Turn) -> list[int]:
    """The order in which callers, who all came while somebody else held the models, got them."""
    order: list[int] = []

    def call(number: int, turn: Turn) -> None:
        with turn:
            order.append(number)

    threads = [threading.Thread(target=call, args=caller) for caller in enumerate(callers)]
    with turns.alone:
        for thread in threads:
            before = waiting(turns)
            thread.start()
            until(lambda before=before: waiting(turns) == before + 1)
    for thread in threads:
        thread.join(5)
    return order


def waiting(turns: Turns) -> int:
    return turns._singles_waiting + turns._alone_waiting + turns._batches_waiting


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


def test_who_changes_the_models_goes_before_singles_and_batches():
    turns = Turns(patience=8)
    assert in_order(turns, turns.batch, turns.single, turns.single, turns.alone)[0] == 3


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
    for turn in (turns.single, turns.alone, turns.batch):
        try:
            with turn:
                raise ValueError
        except ValueError:
            pass
    assert in_order(turns, turns.single) == [0]


def test_two_single_x_rays_are_answered_at_once_and_nothing_else_is_beside_another():
    turns, seen = Turns(quiet_seconds=0), Counter()
    together = {turns.single: 2, turns.alone: 1, turns.batch: 1}
    held: list[Turn] = []

    def work(turn: Turn) -> None:
        for _ in range(50):
            with turn:
                held.append(turn)
                now = list(held)
                time.sleep(0.0002)
                held.remove(turn)
            assert set(now) == {turn}
            seen[turn] = max(seen[turn], len(now))

    with ThreadPoolExecutor(9) as pool:
        for working in [pool.submit(work, turn) for turn in [*together] * 3]:
            working.result(20)
    assert seen == together
