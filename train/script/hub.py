"""A finished release on its way to the Hub, by the checks of `hub_models.publish`, and the questions before that."""

import os
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, get_session, get_token
from transformers import TrainingArguments

from hub_models.checkpoints.download import HUB_ERRORS, hub_failure
from hub_models.publish.upload import (
    ANSWER_SECONDS,
    PublishError,
    check_private,
    check_targets,
    prepare,
    present,
    publish,
)


def use_token(training_args: TrainingArguments) -> None:
    """Move the token of the command line into the environment, so that no file of the training holds it."""
    if training_args.hub_token:
        os.environ["HF_TOKEN"] = training_args.hub_token
        training_args.hub_token = None


def check_hub(repo_id: str, private: bool) -> None:
    """Ask the Hub, before a training starts, whether its release may go to a repository.

    Args:
        repo_id: `user/name`.
        private: the repository is to be private.

    Raises:
        ValueError: there is no token or one that the Hub does not know, the repository is public and is to be private,
            or the Hub refuses or cannot be reached.
    """
    if get_token() is None:
        raise ValueError("--push_to_hub needs a Hub token; log in with `hf auth login` or set HF_TOKEN.")
    get_session().timeout = httpx2.Timeout(ANSWER_SECONDS)
    try:
        api = HfApi()
        api.whoami()
        check_private(present(api, repo_id), repo_id, private)
    except PublishError as error:
        raise ValueError(str(error)) from error
    except HUB_ERRORS as error:
        raise ValueError(f"The release could not be published: {hub_failure(error, repo_id)}") from error


def publish_release(folder: Path, repo_id: str, private: bool) -> None:
    """Publish a release's folder as `hub_models.publish` does: config, processor, safetensors, figures and card.

    Raises:
        ValueError: the Hub refuses or cannot be reached; the folder stays as it is.
    """
    try:
        releases = prepare(str(folder), repo_id, None)
        check_targets(releases, private)
        commit = publish(releases[0], private)
    except PublishError as error:
        advice = f"The release is in {folder}; try again with python -m hub_models.publish {folder} --repo_id {repo_id}"
        raise ValueError(f"{error} {advice}{' --private' if private else ''}.") from error
    print(f"{folder} is published: {commit.repo_url}")
