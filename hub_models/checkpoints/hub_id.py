"""Names of repositories of the Hub: USER/NAME, with a branch, a tag or a commit where one is meant."""

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id


def is_hub_id(name: str | None) -> bool:
    """Say whether a name is written USER/NAME as the Hub allows."""
    if not name or name.count("/") != 1:
        return False
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return True


def split_revision(name: str) -> tuple[str, str | None] | None:
    """Split USER/NAME[@REVISION] into repository and revision; None if it is not written so."""
    repo, at, revision = name.partition("@")
    if not is_hub_id(repo) or (at and (not revision or any(map(str.isspace, revision)))):
        return None
    return repo, revision or None
