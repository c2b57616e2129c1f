"""A role's checkpoint from the Hub: at one commit, from the cache or downloaded, in bounded time."""

import json
import queue
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx2
from huggingface_hub import HfApi, ModelInfo, get_cached_repo_tree, snapshot_download
from huggingface_hub.errors import (
    CachedRepoTreeNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import filter_repo_objects, tqdm

from hub_models.checkpoints.choices import chosen_engine
from hub_models.checkpoints.folder import PICKLE, PICKLED, Checkpoint, CheckpointError, complete

COMMIT = re.compile(r"[0-9a-f]{40}")
# Weights, configuration and text from the top of a repository. Never code.
PATTERNS = ("*.safetensors", "*.json", "*.txt", "*.md")
GRAPHS = "*.onnx"
ANSWER_SECONDS = 5.0  # silence after which the Hub counts as unreachable
BYTES_BAR = "huggingface_hub.snapshot_download"  # the one of the client's progress bars that counts bytes
STALL_SECONDS = 60.0  # silence after which a download has stalled; the client counts in steps of 10 MB
Progress = Callable[[int, int], None]
"""Called with the bytes of a download that have arrived, and the bytes of it that are known so far."""
STATUS = {
    400: "the request or the model card is not as it should be",
    401: "the token is missing or not valid",
    403: "the token has no right to do this",
    404: "there is no such thing",
    409: "something else changed it at the same time",
    412: "something else changed it at the same time",
    429: "too many requests, wait a few minutes",
}
# ValueError: a bad repo id or an answer that is not JSON. RuntimeError: an interrupted transfer of large files.
HUB_ERRORS = (OSError, httpx2.HTTPError, ValueError, RuntimeError)


def hub_failure(error: Exception, repo: str, revision: str | None = None) -> str:
    """Say in one sentence why a request to the Hub about `repo` failed."""
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
            words = " ".join((error.server_message or "").split()).rstrip(".")
            said = f' (it says: "{words}")' if words else ""
            return f"The Hub refused {repo} with status {status}: {STATUS.get(status, 'a fault on its side')}{said}."
        case httpx2.HTTPError() | ConnectionError() | TimeoutError() | LocalEntryNotFoundError():
            return f"The Hub could not be reached for {repo} ({type(error.__cause__ or error).__name__})."
        case json.JSONDecodeError():
            return f"The answer about {repo} was not the Hub's: a proxy or a log-in page may be in between."
        case _:
            return f"{repo} could not be transferred: {' '.join(str(error).split()).rstrip('.')}."


def from_hub(
    role: str, repo: str, revision: str | None, progress: Progress | None = None, max_bytes: int | None = None
) -> Checkpoint:
    """Fetch a repository at one commit, from the cache if it holds all needed files."""
    try:
        commit, folder = revision, _cached(repo, revision)
        if folder is None:
            info = HfApi().model_info(
                repo, revision=revision, timeout=ANSWER_SECONDS, files_metadata=max_bytes is not None
            )
            if max_bytes is not None:
                _check_size(repo, info, max_bytes)
            commit = info.sha
            folder = _cached(repo, commit) or _download(repo, commit, progress)
    except CheckpointError:
        raise
    except HUB_ERRORS as error:
        raise CheckpointError(f"No {role} model: {hub_failure(error, repo, revision)}") from error
    folder = complete(Path(folder), f"{repo} at {commit}", pickled=repo in PICKLED)
    return Checkpoint(role, folder, "hub", repo, commit)


def _check_size(repo: str, info: ModelInfo, max_bytes: int) -> None:
    """Refuse a repository whose needed files are larger together than `max_bytes`, or of unknown size."""
    names = filter_repo_objects((file.rfilename for file in info.siblings), **_files(repo))
    sizes = {file.rfilename: file.size for file in info.siblings}
    needed = [sizes[name] for name in names]
    if None in needed:
        raise CheckpointError(f"The Hub does not say how large {repo} is, so it is not loaded here.")
    if sum(needed) > max_bytes:
        limit = f"at most {max_bytes / 1e6:.0f} MB are loaded here"
        raise CheckpointError(f"{repo} has {sum(needed) / 1e6:.0f} MB; {limit}.")


def _files(repo: str) -> dict[str, list[str]]:
    """Patterns of the needed files, as `snapshot_download` takes them; ONNX files where an engine would run them."""
    patterns = [*PATTERNS, PICKLE] if repo in PICKLED else [*PATTERNS]
    if chosen_engine() != "torch":
        patterns.append(GRAPHS)
    return {"allow_patterns": patterns, "ignore_patterns": ["*/*"]}


def _cached(repo: str, revision: str | None) -> str | None:
    """Folder of a full commit sha whose needed files are all in the local cache, else None; makes no request."""
    if COMMIT.fullmatch(revision or "") is None:
        return None
    try:
        get_cached_repo_tree(repo, revision=revision)  # without this list, the folder may be half a download
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
                self.counted += int(n or 0)  # tqdm itself does not count while its bar is hidden
                progress(self.counted, int(self.total or 0))
            return super().update(n)

    def work() -> None:
        try:
            outcome.put(snapshot_download(repo, revision=commit, **_files(repo), tqdm_class=Bar))
        except Exception as error:  # of any type: the waiting thread raises it again
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
