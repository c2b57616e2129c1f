"""Role -> checkpoint folder: an explicit choice, an environment variable, or what ships with the project."""

import json
import os
import queue
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx2
from huggingface_hub import HfApi, get_cached_repo_tree, snapshot_download
from huggingface_hub.errors import (
    CachedRepoTreeNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import tqdm

ROLES = ("unet", "resnet", "clip-zero-shot", "clip-finetuned", "fusion")

EMBEDDED = Path(__file__).parents[1] / "embedded"
HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>\S+))?")
COMMIT = re.compile(r"[0-9a-f]{40}")
# Weights, configuration and text from the top of a repository. Never code.
PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.md")
GRAPHS = "*.onnx"
PICKLE = "pytorch_model.bin"
PICKLED = ("openai/clip-vit-base-patch32", "openai/clip-vit-base-patch16")
"""Well-known repositories that offer their weights as a pickle only; it is read as tensors alone (`weights_only`)."""
ANSWER_SECONDS = 5.0  # how long the Hub may stay silent before it counts as unreachable
BYTES_BAR = "huggingface_hub.snapshot_download"  # the client's name for the bar that counts bytes, of all it shows
STALL_SECONDS = 60.0  # how long a download may bring nothing; the client counts in steps of 10 MB
Progress = Callable[[int, int], None]
"""Told how many bytes of a download have arrived, and of how many that are known so far."""
STATUS = {
    400: "the request or the model card is not as it should be",
    401: "the token is missing or not valid",
    403: "the token has no right to do this",
    404: "there is no such thing",
    409: "something else changed it at the same time",
    412: "something else changed it at the same time",
    429: "too many requests, wait a few minutes",
}
# ValueError: a bad repo id, an answer that is not JSON. RuntimeError: a transfer of large files that broke off.
HUB_ERRORS = (OSError, httpx2.HTTPError, ValueError, RuntimeError)


class CheckpointError(RuntimeError):
    """A checkpoint cannot be had. The message is one sentence for the person who asked for it."""


@dataclass(frozen=True)
class Checkpoint:
    """A folder that a model can be loaded from, and where it came from.

    Attributes:
        role: One of `ROLES`.
        folder: Holds config.json and safetensors weights.
        origin: "embedded" (ships with the project), "folder" or "hub".
        name: Repo id for "hub", the path as it was given for "folder", else "embedded".
        revision: Commit sha (40 hex digits) for "hub", else None.
        problem: Why this one stands in for the checkpoint that was asked for, in one sentence; else None.
    """

    role: str
    folder: Path
    origin: Literal["embedded", "folder", "hub"]
    name: str
    revision: str | None = None
    problem: str | None = None

    @property
    def pickled(self) -> bool:
        """Whether its weights are the pickle of one of `PICKLED`."""
        return self.origin == "hub" and self.name in PICKLED and not any(self.folder.glob("*.safetensors"))


def variable(role: str) -> str:
    """Name of the environment variable that chooses a role's checkpoint: `XRAY_CLIP_ZERO_SHOT` for "clip-zero-shot"."""
    return "XRAY_" + role.upper().replace("-", "_")


def repository(namespace: str, role: str) -> str:
    """Hub id that a role's checkpoint has in a namespace, unless it was published under another one."""
    return f"{namespace}/chest-xray-{role}"


def asked_for(role: str) -> str | None:
    """What the environment asks for: the role's own variable, or its repository in the namespace `XRAY_NAMESPACE`."""
    namespace = os.environ.get("XRAY_NAMESPACE")
    return os.environ.get(variable(role)) or (repository(namespace, role) if namespace else None)


def embedded(role: str, problem: str | None = None) -> Checkpoint:
    """The checkpoint that ships with the project, perhaps standing in for another because of a problem.

    Raises:
        CheckpointError: It is not there.
    """
    folder = _complete(EMBEDDED / role, f"The embedded checkpoint for {role}")
    return Checkpoint(role, folder, "embedded", "embedded", problem=problem)


def resolve(role: str, override: str | None = None, progress: Progress | None = None) -> Checkpoint:
    """Find the checkpoint of a role; download it when it is on the Hub and not yet in the cache.

    What was asked for comes first: `override`, then what the environment asks for, then the embedded checkpoint. A
    request that fails is an error; it is never answered with another checkpoint.

    Args:
        role: One of `ROLES`.
        override: "embedded", a folder, `user/repo`, or `user/repo@revision` with a branch, a tag or a commit. A full
            commit sha whose files are in the cache makes no network request.
        progress: Told of a download while it goes on, from another thread.

    Returns:
        The checkpoint. A branch or tag has been resolved to its commit, once, in `revision`.

    Raises:
        CheckpointError: The role is unknown, the request is neither a folder nor a Hub id, the folder holds no config
            or no safetensors, or the Hub refuses or cannot be reached. A Hub that does not answer is given up on after
            `ANSWER_SECONDS`, one that falls silent during a download after `STALL_SECONDS`.
    """
    if role not in ROLES:
        raise CheckpointError(f"There is no role {role!r}; the roles are {', '.join(ROLES)}.")
    wish = override or asked_for(role) or "embedded"
    if wish == "embedded":
        return embedded(role)
    folder = Path(wish).expanduser()
    if folder.is_dir():
        return Checkpoint(role, _complete(folder, f"The folder {wish}"), "folder", wish)
    match = HUB_ID.fullmatch(wish)
    if match is None:
        raise CheckpointError(
            f"{wish!r} is not a checkpoint for {role}: there is no such folder, and a Hub id is written user/repo or "
            "user/repo@revision."
        )
    return _from_hub(role, match["repo"], match["revision"], progress)


def hub_failure(error: Exception, repo: str, revision: str | None = None) -> str:
    """Say in one sentence why the Hub did not do what was asked of it about `repo`."""
    match error:
        case HFValidationError():
            return f"{repo!r} is not a Hub id; write user/repo, with letters, digits, '-', '_' and '.' only."
        case GatedRepoError():
            return f"{repo} is gated: accept its terms on its Hub page, then log in with `hf auth login`."
        case RepositoryNotFoundError():
            return f"{repo} is not on the Hub, or it is private and the token in use may not see it."
        case RevisionNotFoundError():
            return f"{repo} has no revision {revision}."
        case HfHubHTTPError():
            status = error.response.status_code
            return f"The Hub refused {repo} with status {status}: {STATUS.get(status, 'a fault on its side')}."
        case httpx2.HTTPError() | ConnectionError() | TimeoutError() | LocalEntryNotFoundError():
            return f"The Hub could not be reached for {repo} ({type(error.__cause__ or error).__name__})."
        case json.JSONDecodeError():
            return f"The answer about {repo} was not the Hub's: a proxy or a log-in page may be in between."
        case _:
            return f"{repo} could not be transferred: {' '.join(str(error).split()).rstrip('.')}."


def _from_hub(role: str, repo: str, revision: str | None, progress: Progress | None) -> Checkpoint:
    """A repository at one commit, from the cache when all of it is there."""
    try:
        commit, folder = revision, _cached(repo, revision)
        if folder is None:
            commit = HfApi().model_info(repo, revision=revision, timeout=ANSWER_SECONDS).sha
            folder = _cached(repo, commit) or _download(repo, commit, progress)
    except HUB_ERRORS as error:
        raise CheckpointError(f"No {role} model: {hub_failure(error, repo, revision)}") from error
    folder = _complete(Path(folder), f"{repo} at {commit}", pickled=repo in PICKLED)
    return Checkpoint(role, folder, "hub", repo, commit)


def _files(repo: str) -> dict[str, list[str]]:
    """Which files of a repository are wanted, as `snapshot_download` takes it; ONNX where an engine would run it."""
    from hub_models.engines.engine import wanted_engine  # here, because it brings torch, which takes seconds

    wanted = [*PATTERNS, PICKLE] if repo in PICKLED else [*PATTERNS]
    if wanted_engine() != "torch":
        wanted.append(GRAPHS)
    return {"allow_patterns": wanted, "ignore_patterns": ["*/*"]}


def _cached(repo: str, revision: str | None) -> str | None:
    """Folder of a full commit sha whose wanted files are all in the local cache, else None; looks at the disk only."""
    if COMMIT.fullmatch(revision or "") is None:
        return None
    try:
        get_cached_repo_tree(repo, revision=revision)  # without the list of files, a folder may be half a download
        return snapshot_download(repo, revision=revision, **_files(repo), local_files_only=True)
    except (CachedRepoTreeNotFoundError, LocalEntryNotFoundError):
        return None


def _download(repo: str, commit: str, progress: Progress | None) -> str:
    """Bring a commit into the cache; TimeoutError once nothing has arrived for `STALL_SECONDS`.

    The download runs in a thread of its own, because some of the client's requests have no time limit.
    """
    outcome: queue.SimpleQueue[str | Exception] = queue.SimpleQueue()
    arrived = time.monotonic()

    class Bar(tqdm):
        def __init__(self, *args, name: str | None = None, **options) -> None:
            super().__init__(*args, name=name, **options)
            self.counted = 0 if name == BYTES_BAR else None

        def update(self, n: float | None = 1) -> bool | None:
            nonlocal arrived
            arrived = time.monotonic()
            if progress is not None and self.counted is not None:
                self.counted += int(n or 0)  # of its own: a bar that is not shown does not count
                progress(self.counted, int(self.total or 0))
            return super().update(n)

    def work() -> None:
        try:
            outcome.put(snapshot_download(repo, revision=commit, **_files(repo), tqdm_class=Bar))
        except Exception as error:  # every kind: it is raised again where the download was asked for
            outcome.put(error)

    threading.Thread(target=work, name=f"download of {repo}", daemon=True).start()
    while (left := arrived + STALL_SECONDS - time.monotonic()) > 0:
        try:
            result = outcome.get(timeout=left)
        except queue.Empty:
            continue
        if isinstance(result, Exception):
            raise result
        return result
    raise TimeoutError(f"nothing arrived for {STALL_SECONDS:.0f} seconds")


def _complete(folder: Path, subject: str, pickled: bool = False) -> Path:
    """Return the folder if a model can be loaded from it, else raise CheckpointError about `subject`.

    Weights that are `pickled` will do only where the repository is one of `PICKLED`.
    """
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{subject} is not a checkpoint: it has no config.json.")
    if not any(folder.glob("*.safetensors")) and not (pickled and (folder / PICKLE).is_file()):
        raise CheckpointError(f"{subject} has no safetensors weights; pickled weights are never loaded.")
    return folder
