"""A checkpoint's folder on its way to the Hub: one commit, its model card last."""

import re
from dataclasses import dataclass
from pathlib import Path

import httpx2
from huggingface_hub import CommitInfo, CommitOperationAdd, HfApi, get_session, get_token

from hub_models.checkpoints.download import HUB_ERRORS, hub_failure
from hub_models.checkpoints.resolve import resolve
from hub_models.checkpoints.roles import ROLES, repository
from hub_models.publish.check import check_folder, files_of

ANSWER_SECONDS, UPLOAD_SECONDS = 10.0, 120.0  # the longest silence of the Hub, before and during the upload


class PublishError(Exception):
    """A failed publication; the message is one sentence for the person who tried."""


@dataclass(frozen=True)
class Release:
    """A checked folder, the role of its checkpoint, and the repository that it goes to."""

    folder: Path
    role: str
    repo_id: str


def prepare(what: str, repo_id: str | None, namespace: str | None) -> list[Release]:
    """Find and check the folders to publish.

    Args:
        what: "all", one of `ROLES`, or a folder.
        repo_id: `user/name`, for one checkpoint.
        namespace: user or organisation; the names in it are those of `checkpoints.repository`.

    Raises:
        PublishError: A name is not a Hub id, or there is one name for all checkpoints.
        UnfitError: A folder is not fit to be shared, see `check_folder`.
        CheckpointError: A role's checkpoint cannot be had.
    """
    if what == "all" and repo_id:
        raise PublishError("One repository holds one checkpoint: give --namespace USER to publish all of them.")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name := repo_id or f"{namespace}/name"):
        raise PublishError(f"{name!r} is not a Hub id; write USER/NAME.")
    roles = ROLES if what == "all" else (what,)
    folders = [resolve(role).folder if role in ROLES else Path(role) for role in roles]
    checked = [(folder, check_folder(folder).role) for folder in folders]
    return [Release(folder, role, repo_id or repository(namespace, role)) for folder, role in checked]


def describe(release: Release) -> str:
    """Say which files a release would send, and where."""
    files = "".join(f"\n  {file.stat().st_size:>12,} bytes  {file.name}" for file in files_of(release.folder))
    return f"{release.role} would go from {release.folder} to {release.repo_id}:{files}"


def publish(release: Release, private: bool = False, create_pr: bool = False, tag: str | None = None) -> CommitInfo:
    """Create the repository if need be and commit the whole folder at once.

    Args:
        release: A release of `prepare`.
        private: Make a new repository private; an existing one stays as it is.
        create_pr: Commit to a pull request.
        tag: A new name for the commit.

    Returns:
        The commit: `oid` is its sha, `repo_url` the repository's page.

    Raises:
        PublishError: There is no token, the tag is taken, somebody else wrote at the same time, or the Hub cannot be
            reached or refuses. The repository then has no new commit, unless the message says that only the tag is
            missing.
    """
    if get_token() is None:
        raise PublishError("There is no Hub token; log in with `hf auth login` or set HF_TOKEN.")
    if create_pr and tag:
        raise PublishError("A pull request gets no tag before it is merged: leave out --tag or --create_pr.")
    repo_id, api = release.repo_id, HfApi()
    operations = [CommitOperationAdd(file.name, file) for file in files_of(release.folder)]
    try:
        # Without time limits the client waits for a silent server for ever.
        get_session().timeout = httpx2.Timeout(ANSWER_SECONDS)
        api.create_repo(repo_id, private=private, exist_ok=True)
        if tag and tag in [ref.name for ref in api.list_repo_refs(repo_id).tags]:
            raise PublishError(f"Nothing was published: {repo_id} already has a tag {tag}; choose another.")
        parent = api.model_info(repo_id).sha
        get_session().timeout = httpx2.Timeout(UPLOAD_SECONDS)
        commit = api.create_commit(
            repo_id,
            operations,
            commit_message=f"Publish the {release.role} checkpoint",
            parent_commit=parent,
            create_pr=create_pr,
        )
    except HUB_ERRORS as error:
        raise PublishError(f"Nothing was published: {hub_failure(error, repo_id)}") from error
    if tag:
        _create_tag(api, repo_id, tag, commit.oid)
    return commit


def _create_tag(api: HfApi, repo_id: str, tag: str, commit: str) -> None:
    try:
        api.create_tag(repo_id, tag=tag, revision=commit)
    except HUB_ERRORS as error:
        reason = hub_failure(error, repo_id)
        raise PublishError(f"{repo_id} is published as {commit}, but without the tag {tag}: {reason}") from error
