from transformers import TrainerState

from train.script import clock


def test_the_seconds_of_an_interrupted_run_are_counted_on(monkeypatch):
    now = 100.0
    monkeypatch.setattr(clock.time, "monotonic", lambda: now)
    first, state = clock.Clock(), TrainerState()
    assert clock.elapsed(state) == 0
    first.on_train_begin(None, state, None)
    now = 130.0
    state.log_history.append({"loss": 1.0})
    first.on_log(None, state, None)
    assert clock.elapsed(state) == 30

    resumed, now = clock.Clock(), 5000.0  # another process, another clock
    resumed.on_train_begin(None, state, None)
    now = 5012.0
    state.log_history.append({"loss": 0.5})
    resumed.on_log(None, state, None)
    assert clock.elapsed(state) == 42
