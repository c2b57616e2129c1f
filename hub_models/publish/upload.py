"""A checkpoint's folder on its way to the Hub: one commit, its model card last."""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import httpx2
from huggingface_hub import (
    CommitInfo,
    CommitOperationAdd,
    DatasetInfo,
    HfApi,
    ModelInfo,
    RepoFile,
    SpaceInfo,
    get_session,
    get_token,
)
from huggingface_hub.errors import RepositoryNotFoundError

from hub_models.cards.facts import CARD_FILE, CardFacts
from hub_models.cards.links import THUMBNAIL_FILE, Links, with_links
from hub_models.checkpoints.download import HUB_ERRORS, hub_failure
from hub_models.checkpoints.hub_id import is_hub_id
from hub_models.checkpoints.resolve import resolve
from hub_models.checkpoints.roles import ROLES, repository
from hub_models.publish.check import check_folder, files_of
from hub_models.publish.thumbnail import thumbnail

ANSWER_SECONDS, UPLOAD_SECONDS = 10.0, 120.0  # the longest silence of the Hub, before and during the upload


class PublishError(Exception):
    """A failed publication; the message is one sentence for the person who tried."""


@dataclass(frozen=True)
class Release:
    """A checked folder, the role of its checkpoint, and the addresses that its card gets."""

    folder: Path
    role: str
    links: Links

    @property
    def repo_id(self) -> str:
        """The repository that it goes to."""
        return self.links.repo_id

    def contents(self) -> dict[str, bytes | Path]:
        """Return what is written, name -> content or file, the card with its addresses last."""
        *files, card = files_of(self.folder)
        text = with_links(card.read_text(encoding="utf-8"), CardFacts.load(self.folder), self.links)
        return {file.name: file for file in files} | {THUMBNAIL_FILE: thumbnail(), CARD_FILE: text.encode()}


def prepare(
    what: str,
    repo_id: str | None,
    namespace: str | None,
    project: str | None = None,
    space: str | None = None,
) -> list[Release]:
    """Find and check the folders to publish.

    Args:
        what: "all", one of `ROLES`, or a folder.
        repo_id: `user/name`, for one checkpoint.
        namespace: user or organisation; the names in it are those of `checkpoints.repository`.
        project: the address to clone the project from, for the cards.
        space: the Hub id of the Space with the page, for the cards.

    Raises:
        PublishError: A name is not a Hub id or the project's not an address, or there is one name for all checkpoints.
        UnfitError: A folder is not fit to be shared, see `check_folder`.
        CheckpointError: A role's checkpoint cannot be had.
    """
    if what == "all" and repo_id:
        raise PublishError("One repository holds one checkpoint: give --namespace USER to publish all of them.")
    check_addresses(repo_id or f"{namespace}/name", project, space)
    roles = ROLES if what == "all" else (what,)
    folders = [resolve(role).folder if role in ROLES else Path(role) for role in roles]
    checked = {check_folder(folder).role: folder for folder in folders}
    ids = {role: repo_id or repository(namespace, role) for role in checked}
    return [
        Release(folder, role, Links(ids[role], {other: ids[other] for other in ids if other != role}, project, space))
        for role, folder in checked.items()
    ]


def check_addresses(repo_id: str, project: str | None = None, space: str | None = None) -> None:
    """Refuse addresses for the Hub and for cards that are not written as such.

    Raises:
        PublishError: as told.
    """
    for name in filter(None, (repo_id, space)):
        if not is_hub_id(name):
            raise PublishError(f"{name!r} is not a Hub id; write USER/NAME.")
    if project and not re.fullmatch(r"https?://[^\s\"'`]+", project):
        raise PublishError(f"{project!r} is not the address of a project; write https://HOST/USER/NAME.")


def describe(release: Release) -> str:
    """Say which files a release would send, and where."""
    sizes = {
        name: len(content) if isinstance(content, bytes) else content.stat().st_size
        for name, content in release.contents().items()
    }
    files = "".join(f"\n  {size:>12,} bytes  {name}" for name, size in sizes.items())
    return f"{release.role} would go from {release.folder} to {release.repo_id}:{files}"


def check_targets(
    releases: list[Release], private: bool = False, create_pr: bool = False, tag: str | None = None
) -> dict[str, str]:
    """Ask the Hub, before anything is written, whether the releases may go where they are to go.

    Args:
        releases: those of `prepare`.
        private: the repositories are to be private.
        create_pr: the releases go to pull requests.
        tag: a name for the new commits.

    Returns:
        Hub id -> sha of the commit, of the repositories in which the tag names this very checkpoint already.

    Raises:
        PublishError: there is no token, a repository is public and is to be private, the tag names another checkpoint,
            or the Hub refuses or cannot be reached.
    """
    if get_token() is None:
        raise PublishError("There is no Hub token; log in with `hf auth login` or set HF_TOKEN.")
    if create_pr and tag:
        raise PublishError("A pull request gets no tag before it is merged: leave out --tag or --create_pr.")
    # Without time limits the client waits for a silent server for ever.
    get_session().timeout = httpx2.Timeout(ANSWER_SECONDS)
    api, complete = HfApi(), {}
    for release in releases:
        try:
            check_private(present(api, release.repo_id), release.repo_id, private)
            tagged = _tagged(api, release.repo_id, tag) if tag else None
            if tagged and _holds(api, release, tagged):
                complete[release.repo_id] = tagged
        except HUB_ERRORS as error:
            raise PublishError(f"Nothing was published: {hub_failure(error, release.repo_id)}") from error
        if tagged and release.repo_id not in complete:
            raise PublishError(
                f"Nothing was published: {release.repo_id} already has a tag {tag}; choose another, because it names "
                "another checkpoint."
            )
    return complete


def present(api: HfApi, repo_id: str, kind: str = "model") -> ModelInfo | DatasetInfo | None:
    """Return what the Hub says of a repository, a "model" or "dataset"; None if the token may see none of this name."""
    try:
        return api.repo_info(repo_id, repo_type=kind, timeout=ANSWER_SECONDS)
    except RepositoryNotFoundError:
        return None


def check_private(info: ModelInfo | DatasetInfo | SpaceInfo | None, repo_id: str, private: bool) -> None:
    """Refuse to publish in public what is to be private.

    Raises:
        PublishError: the repository is there, and public.
    """
    if private and info is not None and not info.private:
        raise PublishError(
            f"Nothing was published: {repo_id} is public; make it private on its settings page, or name another."
        )


def publish(release: Release, private: bool = False, create_pr: bool = False, tag: str | None = None) -> CommitInfo:
    """Create the repository if need be and commit the whole folder at once. `check_targets` comes first.

    Args:
        release: A release of `prepare`.
        private: Make a new repository private.
        create_pr: Commit to a pull request.
        tag: A new name for the commit.

    Returns:
        The commit: `oid` is its sha, `repo_url` the repository's page.

    Raises:
        PublishError: The repository is public and is to be private, somebody else wrote at the same time, or the Hub
            cannot be reached or refuses. The repository then has no new commit, unless the message says that only the
            tag is missing.
    """
    repo_id, api = release.repo_id, HfApi()
    operations = [CommitOperationAdd(name, content) for name, content in release.contents().items()]
    try:
        get_session().timeout = httpx2.Timeout(ANSWER_SECONDS)
        api.create_repo(repo_id, private=private, exist_ok=True)
        info = api.model_info(repo_id)
        check_private(info, repo_id, private)
        get_session().timeout = httpx2.Timeout(UPLOAD_SECONDS)
        commit = api.create_commit(
            repo_id,
            operations,
            commit_message=f"Publish the {release.role} checkpoint",
            parent_commit=info.sha,
            create_pr=create_pr,
        )
    except HUB_ERRORS as error:
        raise PublishError(f"Nothing was published: {hub_failure(error, repo_id)}") from error
    if tag:
        _create_tag(api, repo_id, tag, commit.oid)
    return commit


def _tagged(api: HfApi, repo_id: str, tag: str) -> str | None:
    """Return the commit that a tag names, None if there is no such tag or no such repository."""
    try:
        tags = api.list_repo_refs(repo_id).tags
    except RepositoryNotFoundError:
        return None
    return next((ref.target_commit for ref in tags if ref.name == tag), None)


def _holds(api: HfApi, release: Release, revision: str) -> bool:
    """Return whether a commit holds the checkpoint of a release: every file, byte for byte, but what only shows it."""
    files = {
        file.path: file for file in api.list_repo_tree(release.repo_id, revision=revision) if isinstance(file, RepoFile)
    }
    needed = {name: content for name, content in release.contents().items() if name not in (CARD_FILE, THUMBNAIL_FILE)}
    return all(name in files and _same(files[name], content) for name, content in needed.items())


def _same(file: RepoFile, content: bytes | Path) -> bool:
    data = content if isinstance(content, bytes) else content.read_bytes()
    if file.lfs is not None:
        return file.lfs.sha256 == hashlib.sha256(data).hexdigest()
    return file.blob_id == hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def _create_tag(api: HfApi, repo_id: str, tag: str, commit: str) -> None:
    try:
        api.create_tag(repo_id, tag=tag, revision=commit)
    except HUB_ERRORS as error:
        reason = hub_failure(error, repo_id)
        raise PublishError(f"{repo_id} is published as {commit}, but without the tag {tag}: {reason}") from error
