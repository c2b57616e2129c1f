"""The wall clock of a training that may have been interrupted."""

import time

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

KEY = "elapsed_seconds"


class Clock(TrainerCallback):
    """Adds the seconds trained so far to every log entry, those of earlier runs included.

    `train_runtime` knows the last run only. What a run did after its last checkpoint is lost with it, and not counted.
    """

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        """Start from what the checkpoint recorded."""
        self.start = time.monotonic() - elapsed(state)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_) -> None:
        """Complete the entry that was just made."""
        if state.log_history:
            state.log_history[-1][KEY] = time.monotonic() - self.start


def elapsed(state: TrainerState) -> float:
    """Seconds trained, 0 before the first log entry."""
    return max((entry.get(KEY, 0.0) for entry in state.log_history), default=0.0)
