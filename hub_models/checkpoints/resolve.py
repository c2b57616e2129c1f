"""Role -> checkpoint folder: an explicit choice, an environment variable, or what ships with the project."""

from pathlib import Path

from hub_models.checkpoints.choices import chosen_checkpoint
from hub_models.checkpoints.download import Progress, from_hub
from hub_models.checkpoints.folder import Checkpoint, CheckpointError, complete
from hub_models.checkpoints.hub_id import split_revision
from hub_models.checkpoints.roles import ROLES

EMBEDDED = Path(__file__).parents[1] / "embedded"


def embedded(role: str, problem: str | None = None) -> Checkpoint:
    """The checkpoint that ships with the project; `problem` says why it stands in for another.

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

    `override` comes first, then the environment's choice, then the embedded checkpoint. A choice that fails is an
    error; no other checkpoint takes its place.

    Args:
        role: One of `ROLES`.
        override: "embedded", a folder, `user/repo`, or `user/repo@revision` with a branch, a tag or a commit. A full
            commit sha whose files are in the cache makes no network request.
        progress: Called during a download, from another thread.
        hub_only: Take `override` for a Hub id even if a folder has that name.
        max_bytes: Largest size of a repository's needed files together; None for any size.

    Returns:
        The checkpoint. A branch or tag has been resolved to its commit, once, in `revision`.

    Raises:
        CheckpointError: The role is unknown, the choice is neither a folder nor a Hub id, the folder holds no config
            or no safetensors, the repository is too large, or the Hub refuses or cannot be reached. This gives
            up on a Hub that does not answer for `ANSWER_SECONDS`, and on a download that stalls for `STALL_SECONDS`.
    """
    if role not in ROLES:
        raise CheckpointError(f"There is no role {role!r}; the roles are {', '.join(ROLES)}.")
    choice = override or chosen_checkpoint(role) or "embedded"
    if choice == "embedded":
        return embedded(role)
    folder = Path(choice).expanduser()
    if folder.is_dir() and not hub_only:
        return Checkpoint(role, complete(folder, f"The folder {choice}"), "folder", choice)
    hub_id = split_revision(choice)
    if hub_id is None and hub_only:
        raise CheckpointError(f"{choice!r} is not a Hub id; write user/repo or user/repo@revision.")
    if hub_id is None:
        raise CheckpointError(
            f"{choice!r} is not a checkpoint for {role}: there is no such folder, and a Hub id is written user/repo or "
            "user/repo@revision."
        )
    return from_hub(role, *hub_id, progress, max_bytes)
