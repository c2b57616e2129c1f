"""Wall clock of a training that may have been interrupted."""

import time

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

KEY = "elapsed_seconds"


class Clock(TrainerCallback):
    """A callback that adds the seconds trained so far, in earlier runs too, to every log entry.

    `train_runtime` knows the last run only. The time that a run spent after its last checkpoint is not counted.
    """

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        """Start from the seconds that the checkpoint recorded."""
        self.start = time.monotonic() - elapsed(state)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        """Add the seconds to the newest log entry."""
        if state.log_history:
            state.log_history[-1][KEY] = time.monotonic() - self.start


def elapsed(state: TrainerState) -> float:
    """Return the seconds trained, 0 before the first log entry."""
    return max((entry.get(KEY, 0.0) for entry in state.log_history), default=0.0)
