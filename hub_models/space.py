"""Put the page on the Hub as a Space, in one commit.

    python -m hub_models.space deploy --space_id USER/lung-xrays --namespace USER
    python -m hub_models.space deploy --space_id USER/lung-xrays --dry_run

With --namespace the Space uses what `hub_models.publish all --namespace USER` wrote, each checkpoint at its present
commit; without, the embedded ones. Files of an earlier deployment that the page no longer needs are removed. Needs a
token that may write.
"""

import argparse
from pathlib import Path

import httpx2
from huggingface_hub import (
    CommitInfo,
    CommitOperationAdd,
    CommitOperationDelete,
    HfApi,
    RepoCard,
    get_session,
    get_token,
)

from hub_models.checkpoints.choices import variable
from hub_models.checkpoints.download import HUB_ERRORS, hub_failure
from hub_models.checkpoints.roles import ROLES, repository
from hub_models.engines.quiet import no_telemetry
from hub_models.publish.upload import ANSWER_SECONDS, UPLOAD_SECONDS, PublishError, check_addresses, check_private

PROJECT = Path(__file__).parents[1]
TOP = ("app.py", "LICENSE", "SECURITY.md")
# A Space installs its requirements.txt together with gradio (sdk_version in its README), uvicorn, websockets and the
# package `spaces`. The lock takes that name there, so that the Space runs the tested versions; it pins gradio to the
# sdk_version, and the other packages can be installed beside it.
REQUIREMENTS = {"requirements.txt": PROJECT / "requirements-page.lock"}
PATTERNS = (
    *(f"hub_models/**/*.{ending}" for ending in ("py", "md", "css", "html", "js", "toml")),
    "hub_models/page/browser/vendor/LICENSES.txt",
    "hub_models/page/examples/*",
    "hub_models/embedded/*/*",
    "hub_models/screenshots/*",
)


def main(argv: list[str] | None = None) -> CommitInfo | None:
    """Deploy the page as a Space, and print its address.

    Raises:
        SystemExit: With one sentence (exit code 1) when it could not be deployed.
    """
    no_telemetry()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["deploy"])
    parser.add_argument("--space_id", required=True, help="USER/NAME of the Space; created if it does not exist")
    parser.add_argument("--namespace", help="use the checkpoints published under this user or organisation")
    parser.add_argument("--private", action="store_true", help="create the Space for your eyes only")
    parser.add_argument("--dry_run", action="store_true", help="show what would go, send nothing")
    args = parser.parse_args(argv)
    if args.dry_run:
        for name, path in space_files().items():
            print(f"{path.stat().st_size:>12,} bytes  {name}")
        return None
    try:
        commit = deploy(args.space_id, args.namespace, args.private)
    except PublishError as error:
        raise SystemExit(str(error)) from error
    print(f"The Space is at {commit.repo_url}\ncommit {commit.oid}")
    return commit


def deploy(space_id: str, namespace: str | None = None, private: bool = False) -> CommitInfo:
    """Create or update a Space.

    Args:
        space_id: `user/name`.
        namespace: Where the published checkpoints are; the Space's variables pin each at its present commit. None for
            the embedded ones.
        private: Make a new Space private.

    Raises:
        PublishError: The id is not a Hub id, there is no token, the Space is public and is to be private, a checkpoint
            is not published, or the Hub refuses or cannot be reached. The Space then has no new commit, unless the
            message says that only its variables are missing.
    """
    check_addresses(space_id)
    if get_token() is None:
        raise PublishError("There is no Hub token; log in with `hf auth login` or set HF_TOKEN.")
    api, repo_id = HfApi(), space_id
    get_session().timeout = httpx2.Timeout(ANSWER_SECONDS)
    try:
        pins = {}
        for role in ROLES if namespace else ():
            repo_id = repository(namespace, role)
            pins[role] = f"{repo_id}@{api.model_info(repo_id, timeout=ANSWER_SECONDS).sha}"
        repo_id = space_id
        api.create_repo(space_id, repo_type="space", space_sdk="gradio", private=private, exist_ok=True)
        info = api.repo_info(space_id, repo_type="space", timeout=ANSWER_SECONDS)
        check_private(info, space_id, private)
        get_session().timeout = httpx2.Timeout(UPLOAD_SECONDS)
        commit = api.create_commit(
            space_id,
            operations(pins, {file.rfilename for file in info.siblings}),
            commit_message="Deploy the page",
            repo_type="space",
            parent_commit=info.sha,
        )
    except HUB_ERRORS as error:
        raise PublishError(f"Nothing was deployed: {hub_failure(error, repo_id)}") from error
    try:
        for role, pin in pins.items():
            api.add_space_variable(space_id, variable(role), pin)
    except HUB_ERRORS as error:
        reason = hub_failure(error, space_id)
        raise PublishError(f"{space_id} is deployed, but its variables are not all set: {reason}") from error
    return commit


def space_files() -> dict[str, Path]:
    """Path in the Space -> file here, of all files that the page needs except its README.md."""
    paths = [PROJECT / name for name in TOP]
    for pattern in PATTERNS:
        paths += sorted(path for path in PROJECT.glob(pattern) if path.is_file())
    return REQUIREMENTS | {path.relative_to(PROJECT).as_posix(): path for path in paths}


def space_card(pins: dict[str, str]) -> str:
    """README.md of the Space: the project's own, its header extended by the models that it uses."""
    card = RepoCard.load(PROJECT / "README.md")
    if pins:
        card.data.models = [pin.partition("@")[0] for pin in pins.values()]
    return str(card)


def operations(pins: dict[str, str], present: set[str]) -> list[CommitOperationAdd | CommitOperationDelete]:
    """Make the commit after which a Space, now with these files, holds exactly the files that the page needs."""
    files = space_files()
    adds = [CommitOperationAdd(name, path) for name, path in files.items()]
    card = CommitOperationAdd("README.md", space_card(pins).encode())
    stale = sorted(present - files.keys() - {"README.md", ".gitattributes"})
    return [*(CommitOperationDelete(name) for name in stale), *adds, card]


if __name__ == "__main__":
    main()
