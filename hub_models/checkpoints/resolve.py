"""Role -> checkpoint folder: an explicit choice, an environment variable, or what ships with the project."""

import re
from pathlib import Path

from hub_models.checkpoints.choices import asked_for
from hub_models.checkpoints.download import Progress, from_hub
from hub_models.checkpoints.folder import Checkpoint, CheckpointError, complete
from hub_models.checkpoints.roles import ROLES

EMBEDDED = Path(__file__).parents[1] / "embedded"
HUB_ID = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>\S+))?")


def embedded(role: str, problem: str | None = None) -> Checkpoint:
    """The checkpoint that ships with the project, perhaps standing in for another because of a problem.

    Raises:
        CheckpointError: It is not there.
    """
    folder = complete(EMBEDDED / role, f"The embedded checkpoint for {role}")
    return Checkpoint(role, folder, "embedded", "embedded", problem=problem)


def resolve(
    role: str,
    override: str | None = None,
    progress: Progress | None = None,
    hub_only: bool = False,
    max_bytes: int | None = None,
) -> Checkpoint:
    """Find the checkpoint of a role; download it when it is on the Hub and not yet in the cache.

    What was asked for comes first: `override`, then what the environment asks for, then the embedded checkpoint. A
    request that fails is an error; it is never answered with another checkpoint.

    Args:
        role: One of `ROLES`.
        override: "embedded", a folder, `user/repo`, or `user/repo@revision` with a branch, a tag or a commit. A full
            commit sha whose files are in the cache makes no network request.
        progress: Told of a download while it goes on, from another thread.
        hub_only: Take `override` for a Hub id even if a folder has that name.
        max_bytes: The most that the wanted files of a repository may have; None for any size.

    Returns:
        The checkpoint. A branch or tag has been resolved to its commit, once, in `revision`.

    Raises:
        CheckpointError: The role is unknown, the request is neither a folder nor a Hub id, the folder holds no config
            or no safetensors, the repository is too large, or the Hub refuses or cannot be reached. A Hub that does not
            answer is given up on after `ANSWER_SECONDS`, one that falls silent during a download after `STALL_SECONDS`.
    """
    if role not in ROLES:
        raise CheckpointError(f"There is no role {role!r}; the roles are {', '.join(ROLES)}.")
    wish = override or asked_for(role) or "embedded"
    if wish == "embedded":
        return embedded(role)
    folder = Path(wish).expanduser()
    if folder.is_dir() and not hub_only:
        return Checkpoint(role, complete(folder, f"The folder {wish}"), "folder", wish)
    match = HUB_ID.fullmatch(wish)
    if match is None and hub_only:
        raise CheckpointError(f"{wish!r} is not a Hub id; write user/repo or user/repo@revision.")
    if match is None:
        raise CheckpointError(
            f"{wish!r} is not a checkpoint for {role}: there is no such folder, and a Hub id is written user/repo or "
            "user/repo@revision."
        )
    return from_hub(role, match["repo"], match["revision"], progress, max_bytes)
