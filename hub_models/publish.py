"""Put one checkpoint folder on the Hub, in one commit with its model card last.

    python -m hub_models.publish hub_models/embedded/unet --repo_id USER/chest-xray-unet
    python -m hub_models.publish runs/resnet/release --repo_id USER/chest-xray-resnet --private

Needs a token that may write: `hf auth login`, or the environment variable HF_TOKEN.
"""

import argparse
import re
from pathlib import Path

import httpx2
from huggingface_hub import CommitInfo, CommitOperationAdd, HfApi, get_session, get_token

from hub_models.cards import CARD_FILE, FACTS_FILE, CardFacts
from hub_models.checkpoints import HUB_ERRORS, hub_failure

REQUIRED = ("config.json", FACTS_FILE, "model.safetensors", CARD_FILE)
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
TOKENIZERS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
)
ANSWER_SECONDS, UPLOAD_SECONDS = 10.0, 120.0  # how long the Hub may stay silent, before and during the upload


class PublishError(RuntimeError):
    """Nothing was published. The message is one sentence for the person who wanted to."""


def main(argv: list[str] | None = None) -> CommitInfo:
    """Publish the folder that the command line names, and print where it went.

    Raises:
        SystemExit: With one sentence (exit code 1) when nothing could be published.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="a checkpoint folder, as the training scripts write it")
    parser.add_argument("--repo_id", required=True, help="USER/NAME on the Hub; created if it does not exist")
    parser.add_argument("--private", action="store_true", help="create the repository for your eyes only")
    args = parser.parse_args(argv)
    try:
        commit = publish(args.folder, args.repo_id, private=args.private)
    except PublishError as error:
        raise SystemExit(str(error)) from error
    print(f"{args.folder} is published: {commit.repo_url}\ncommit {commit.oid}")
    return commit


def publish(folder: Path, repo_id: str, private: bool = False) -> CommitInfo:
    """Create the repository if need be and commit the whole folder at once.

    Args:
        folder: A complete checkpoint folder, see `files_to_publish`.
        repo_id: `user/name`.
        private: Make a new repository private; an existing one stays as it is.

    Returns:
        The commit: `oid` is its sha, `repo_url` the repository's page.

    Raises:
        PublishError: The folder is not fit to publish, the id is no Hub id, there is no token, or the Hub cannot be
            reached or refuses. The repository then has no new commit.
    """
    files = files_to_publish(folder)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo_id):
        raise PublishError(f"{repo_id!r} is not a Hub id; write USER/NAME.")
    try:
        facts = CardFacts.load(folder)
    except ValueError as error:
        raise PublishError(str(error)) from error
    if get_token() is None:
        raise PublishError("There is no Hub token; log in with `hf auth login` or set HF_TOKEN.")
    operations = [CommitOperationAdd(path_in_repo=file.name, path_or_fileobj=file) for file in files]
    api = HfApi()
    try:
        # Without these the client waits for a silent server for ever.
        get_session().timeout = httpx2.Timeout(ANSWER_SECONDS)
        api.create_repo(repo_id, private=private, exist_ok=True)
        get_session().timeout = httpx2.Timeout(UPLOAD_SECONDS)
        return api.create_commit(repo_id, operations, commit_message=f"Publish the {facts.role} checkpoint")
    except HUB_ERRORS as error:
        raise PublishError(f"Nothing was published: {hub_failure(error, repo_id)}") from error


def files_to_publish(folder: Path) -> list[Path]:
    """Files of a checkpoint folder in the order they are committed, the model card last.

    Raises:
        PublishError: The folder is missing, lacks one of `REQUIRED`, or holds anything a checkpoint does not need
            (pickles, optimizer state, subfolders).
    """
    if not folder.is_dir():
        raise PublishError(f"There is no folder {folder}.")
    found = {path.name: path for path in sorted(folder.iterdir())}
    if missing := [name for name in REQUIRED if name not in found]:
        raise PublishError(f"{folder} is not a complete checkpoint: it has no {', '.join(missing)}.")
    allowed = {*REQUIRED, *PROCESSORS, *TOKENIZERS}
    if strange := [name for name, path in found.items() if name not in allowed or not path.is_file()]:
        raise PublishError(f"{folder} holds what is not published ({', '.join(strange)}): take it out first.")
    return sorted(found.values(), key=lambda path: path.name == CARD_FILE)


if __name__ == "__main__":
    main()
