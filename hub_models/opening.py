"""The page's models in bounded time: what the environment asks for, or the embedded one, marked with the reason."""

import logging
import threading
import time

from hub_models.checkpoints import ROLES, Checkpoint, CheckpointError, asked_for, embedded, resolve
from hub_models.pipeline import XrayPipeline, load_model

logger = logging.getLogger(__name__)

OPEN_SECONDS = 7.0  # how long the page waits for the Hub before it opens with what it has


def open_pipeline(patience: float = OPEN_SECONDS) -> XrayPipeline:
    """Load a model for every role.

    A checkpoint that cannot be had, does not load, or has not arrived when patience (in seconds) ends is replaced by
    the embedded one, whose `problem` says why. One that arrives later takes its place then.

    Raises:
        CheckpointError: an embedded checkpoint is needed and does not load.
    """
    deadline = time.monotonic() + patience
    fetches = {role: _Fetch(role) for role in ROLES}
    models, checkpoints, late = {}, {}, []
    for role, fetch in fetches.items():
        fetch.join(max(0.0, deadline - time.monotonic()))
        if fetch.is_alive():
            late.append(fetch)
        checkpoints[role], models[role] = _first_that_loads(role, fetch.outcome)
    pipeline = XrayPipeline(models.pop("unet"), models, checkpoints)
    for fetch in late:
        threading.Thread(target=_bring_in, args=(pipeline, fetch), daemon=True).start()
    return pipeline


def try_again(pipeline: XrayPipeline) -> None:
    """Ask once more for every checkpoint that has a stand-in; what fails again is marked with its new reason."""
    for role, checkpoint in list(pipeline.checkpoints.items()):
        if checkpoint.problem:
            try:
                pipeline.use(resolve(role))
            except CheckpointError as error:
                pipeline.checkpoints[role] = embedded(role, str(error))


class _Fetch(threading.Thread):
    """Resolves a role's checkpoint; a daemon, so that a silent Hub cannot keep the program from ending."""

    def __init__(self, role: str) -> None:
        super().__init__(daemon=True)
        self.role = role
        self.outcome: Checkpoint | str = f"{asked_for(role)} is still being fetched."
        self.start()

    def run(self) -> None:
        try:
            self.outcome = resolve(self.role)
        except CheckpointError as error:
            self.outcome = str(error)


def _first_that_loads(role: str, outcome: Checkpoint | str):
    """The checkpoint and its model, or the embedded ones with the reason."""
    problem = outcome if isinstance(outcome, str) else None
    if problem is None:
        try:
            return outcome, load_model(outcome)
        except CheckpointError as error:
            if outcome.origin == "embedded":
                raise
            problem = str(error)
    logger.warning("%s: the embedded checkpoint stands in. %s", role, problem)
    checkpoint = embedded(role, problem)
    return checkpoint, load_model(checkpoint)


def _bring_in(pipeline: XrayPipeline, fetch: _Fetch) -> None:
    fetch.join()
    try:
        if isinstance(fetch.outcome, str):
            raise CheckpointError(fetch.outcome)
        pipeline.use(fetch.outcome)
    except CheckpointError as error:
        pipeline.checkpoints[fetch.role] = embedded(fetch.role, str(error))
