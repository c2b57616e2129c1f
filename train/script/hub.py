"""A finished release on its way to the Hub, by the checks of `hub_models.publish`, and the questions before that."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
from huggingface_hub import HfApi, get_session, get_token
from transformers import TrainingArguments

from hub_models.checkpoints.download import HUB_ERRORS, hub_failure
from hub_models.publish.upload import (
    ANSWER_SECONDS,
    PublishError,
    check_addresses,
    check_private,
    check_targets,
    prepare,
    present,
    publish,
)

if TYPE_CHECKING:  # the arguments ask the Hub
    from train.script.arguments import XrayTrainingArguments


def use_token(training_args: TrainingArguments) -> None:
    """Move the token of the command line into the environment, so that no file of the training holds it."""
    if training_args.hub_token:
        os.environ["HF_TOKEN"] = training_args.hub_token
        training_args.hub_token = None


@dataclass(frozen=True)
class Target:
    """Where a release goes, and what its card links to.

    Attributes:
        repo_id: `user/name`.
        private: the repository is to be private.
        project: the address that the project is cloned from; None for none.
        space: the Hub id of the Space with the page; None for none.
    """

    repo_id: str
    private: bool
    project: str | None = None
    space: str | None = None


def target(training_args: "XrayTrainingArguments") -> Target | None:
    """Return where a training's release is to go, None if nowhere."""
    if training_args.release_id is None:
        return None
    private = bool(training_args.hub_private_repo)
    return Target(training_args.release_id, private, training_args.hub_project, training_args.hub_space)


def check_hub(wanted: Target) -> None:
    """Ask the Hub, before a training starts, whether its release may go where it is to go.

    Raises:
        ValueError: an address is not written as one, there is no token or one that the Hub does not know, the
            repository is public and is to be private, or the Hub refuses or cannot be reached.
    """
    if get_token() is None:
        raise ValueError("--push_to_hub needs a Hub token; log in with `hf auth login` or set HF_TOKEN.")
    get_session().timeout = httpx2.Timeout(ANSWER_SECONDS)
    try:
        check_addresses(wanted.repo_id, wanted.project, wanted.space)
        api = HfApi()
        api.whoami()
        check_private(present(api, wanted.repo_id), wanted.repo_id, wanted.private)
    except PublishError as error:
        raise ValueError(str(error)) from error
    except HUB_ERRORS as error:
        raise ValueError(f"The release could not be published: {hub_failure(error, wanted.repo_id)}") from error


def publish_release(folder: Path, wanted: Target) -> None:
    """Publish a release's folder as `hub_models.publish` does: config, processor, safetensors, figures and card.

    Raises:
        ValueError: the Hub refuses or cannot be reached; the folder stays as it is.
    """
    try:
        releases = prepare(str(folder), wanted.repo_id, None, wanted.project, wanted.space)
        check_targets(releases, wanted.private)
        commit = publish(releases[0], wanted.private)
    except PublishError as error:
        command = f"python -m hub_models.publish {folder} --repo_id {wanted.repo_id}"
        private = " --private" if wanted.private else ""
        raise ValueError(f"{error} The release is in {folder}; try again with {command}{private}.") from error
    print(f"{folder} is published: {commit.repo_url}")
