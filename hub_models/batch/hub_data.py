"""Data sets of the Hub, fetched as files: `hf://datasets/USER/NAME[@REVISION]`, as pandas and Ray write them, too."""

from pathlib import Path

from huggingface_hub import HfApi, snapshot_download

from hub_models.batch.archives import NamedPath
from hub_models.batch.folder import CannotGoOn
from hub_models.checkpoints.download import ANSWER_SECONDS, HUB_ERRORS, hub_failure

PREFIX = "hf://datasets/"
NO_PICTURES = ["*.md", "*.csv", "*.json", "*.jsonl", "*.txt", "*.yaml", "*.yml", "*.py", "*.xml", "LICENSE*"]


def named_path(name: str) -> NamedPath:
    """Return the name of a file or folder in the results, and its path; a data set of the Hub is fetched first.

    Raises:
        CannotGoOn: the Hub does not give it.
    """
    if not name.startswith(PREFIX):
        return name, Path(name)
    repo, _, revision = name.removeprefix(PREFIX).strip("/").partition("@")
    try:
        commit = HfApi().dataset_info(repo, revision=revision or None, timeout=ANSWER_SECONDS).sha
        folder = snapshot_download(repo, repo_type="dataset", revision=commit, ignore_patterns=NO_PICTURES)
    except HUB_ERRORS as error:
        raise CannotGoOn(f"No data set {name}: {hub_failure(error, repo, revision or None)}") from error
    return repo, Path(folder)
