"""The page's models in bounded time: what the environment asks for, or the embedded one, marked with the reason."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from hub_models.checkpoints.choices import chosen_checkpoint
from hub_models.checkpoints.folder import Checkpoint, CheckpointError
from hub_models.checkpoints.resolve import embedded, resolve
from hub_models.checkpoints.roles import ROLES
from hub_models.models.loading import Classifier, load_model
from hub_models.models.unet import Segmenter
from hub_models.page import texts
from hub_models.pipeline import XrayPipeline

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
        checkpoints[role], models[role] = _first_that_loads(fetch)
    pipeline = XrayPipeline(models.pop("unet"), models, checkpoints)
    for fetch in late:
        threading.Thread(target=_bring_in, args=(pipeline, fetch), daemon=True).start()
    return pipeline


def try_again(pipeline: XrayPipeline) -> None:
    """Ask once more for every checkpoint that has a stand-in; what fails again is marked with its new reason."""
    for role in ROLES:
        _replace_stand_in(pipeline, role, partial(resolve, role))


class _Fetch(threading.Thread):
    """Resolves a role's checkpoint; a daemon, so that a silent Hub cannot keep the program from ending."""

    def __init__(self, role: str) -> None:
        super().__init__(daemon=True)
        self.role = role
        self.outcome: Checkpoint | CheckpointError = CheckpointError(
            texts.STILL_FETCHED.format(chosen_checkpoint(role))
        )
        self.start()

    def run(self) -> None:
        try:
            self.outcome = resolve(self.role)
        except CheckpointError as error:
            self.outcome = error

    def result(self) -> Checkpoint:
        """The checkpoint, if it is there by now; else raises why not."""
        if isinstance(self.outcome, CheckpointError):
            raise self.outcome
        return self.outcome


def _first_that_loads(fetch: _Fetch) -> tuple[Checkpoint, Segmenter | Classifier]:
    """The checkpoint and its model, or the embedded ones with the reason."""
    try:
        checkpoint = fetch.result()
        return checkpoint, load_model(checkpoint)
    except CheckpointError as error:
        logger.warning("%s: the embedded checkpoint stands in. %s", fetch.role, error)
        checkpoint = embedded(fetch.role, str(error))
        return checkpoint, load_model(checkpoint)


def _bring_in(pipeline: XrayPipeline, fetch: _Fetch) -> None:
    fetch.join()
    _replace_stand_in(pipeline, fetch.role, fetch.result)


def _replace_stand_in(pipeline: XrayPipeline, role: str, find: Callable[[], Checkpoint]) -> None:
    """Put what is found in place of a role's stand-in, if there still is one: a visitor may have chosen another."""
    in_place = pipeline.checkpoints[role]
    if in_place.problem is None:
        return
    try:
        pipeline.use(find())
    except CheckpointError as error:
        pipeline.checkpoints[role] = replace(in_place, problem=str(error))
