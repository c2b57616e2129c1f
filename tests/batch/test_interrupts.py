"""An interrupt ends what can be ended at once, and waits for what must be whole."""

import signal
import threading

import pytest

from hub_models.batch.interrupts import Interrupts

BOTH = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@BOTH
def test_a_signal_is_raised_at_once_and_later_ones_are_ignored(number):
    before = signal.getsignal(number)
    with Interrupts():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
        signal.raise_signal(number)
    assert signal.getsignal(number) == before


@BOTH
def test_a_signal_waits_for_what_is_held(number):
    done = []

    def work(step: int) -> None:
        with interrupts.held():
            if step == 2:
                signal.raise_signal(number)
            done.append(step)

    with Interrupts() as interrupts:
        work(1)
        for step in (2, 3):  # an interrupt that was swallowed ends the next step
            with pytest.raises(KeyboardInterrupt):
                work(step)
    assert done == [1, 2, 3]


def test_another_thread_leaves_the_signals_alone():
    handlers = []

    def work() -> None:
        with Interrupts():
            handlers.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [signal.getsignal(signal.SIGTERM)]
