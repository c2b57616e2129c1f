import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from huggingface_hub import get_session
from safetensors.numpy import save

from hub_models import publish
from hub_models.cards import CardFacts
from hub_models.checkpoints import resolve
from tests.loopback_hub import READ_TOKEN, SILENCE, WRITE_TOKEN, LoopbackHub, start, used

REPO = "someone/chest-xray-resnet"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    """An empty Hub, used with a token that may write."""
    with start() as hub, used(hub.url, tmp_path / "cache", WRITE_TOKEN):
        yield hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A complete checkpoint folder."""
    folder = tmp_path / "resnet"
    results = {"split": "test", "images": 4, "accuracy": 0.75, "precision_macro": 0.5, "recall_macro": 0.5}
    CardFacts(
        role="resnet",
        architecture="ResNet of one block",
        base_model=None,
        parameters=1000,
        labels=["COVID-19", "Normal"],
        image_size=32,
        view="lungs",
        data={
            "name": "phantoms",
            "fingerprint": "0123abcd",
            "license": "cc0-1.0",
            "images": {"test": {"COVID-19": 2, "Normal": 2}},
            "masks": {},
        },
        procedure={"epochs": 1},
        seconds=1.5,
        hardware="a laptop",
        results={**results, "f1_macro": 0.5, "confusion": [[2, 0], [1, 1]]},
    ).save(folder)
    (folder / "config.json").write_text('{"model_type": "resnet"}')
    (folder / "preprocessor_config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(save({"weight": np.arange(1000, dtype=np.float16)}))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refusal(folder: Path, repo_id: str = REPO) -> str:
    """What `publish` says, in one sentence, before it exits with code 1."""
    with pytest.raises(SystemExit) as error:
        publish.main([str(folder), "--repo_id", repo_id])
    message = error.value.code
    assert isinstance(message, str)
    assert message.endswith(".")
    assert "\n" not in message
    return message


def test_a_published_folder_comes_back_byte_for_byte(hub, folder, tmp_path, capsys):
    commit = publish.main([str(folder), "--repo_id", REPO])
    with used(hub.url, tmp_path / "fresh"):
        found = resolve("resnet", REPO)
    assert contents(found.folder) == contents(folder)
    assert found.revision == commit.oid == hub.repositories[REPO].commits[-1].sha
    assert capsys.readouterr().out == f"{folder} is published: {hub.url}/{REPO}\ncommit {commit.oid}\n"


def test_a_folder_is_published_in_one_commit_with_the_card_last(hub, folder):
    publish.main([str(folder), "--repo_id", REPO])
    (_, commit) = hub.repositories[REPO].commits
    expected = ["config.json", "metrics.json", "model.safetensors", "preprocessor_config.json", "README.md"]
    assert commit.written == expected
    assert not hub.repositories[REPO].private


def test_a_repository_is_private_when_asked_for(hub, folder):
    publish.main([str(folder), "--repo_id", REPO, "--private"])
    assert hub.repositories[REPO].private


def test_publishing_again_commits_what_changed_and_nothing_when_nothing_did(hub, folder):
    first = publish.main([str(folder), "--repo_id", REPO])
    assert publish.main([str(folder), "--repo_id", REPO]).oid == first.oid
    (folder / "model.safetensors").write_bytes(save({"weight": np.ones(1000, dtype=np.float16)}))
    publish.main([str(folder), "--repo_id", REPO])
    assert [commit.written for commit in hub.repositories[REPO].commits[2:]] == [["model.safetensors"]]


def test_the_command_publishes_to_the_hub_of_the_environment(hub, folder, tmp_path):
    environment = {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_TOKEN": WRITE_TOKEN,
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_OFFLINE": "0",
    }
    command = [sys.executable, "-m", "hub_models.publish", str(folder), "--repo_id"]
    project = Path(publish.__file__).parents[1]
    run = {"cwd": project, "env": {**os.environ, **environment}, "capture_output": True, "text": True}

    done = subprocess.run([*command, REPO], **run)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, f"{folder} is published: {hub.url}/{REPO}")
    assert hub.repositories[REPO].commits[-1].files.keys() == {*contents(folder), ".gitattributes"}

    refused = subprocess.run([*command, "nobody"], **run)
    assert (refused.returncode, refused.stderr) == (1, "'nobody' is not a Hub id; write USER/NAME.\n")


@pytest.mark.parametrize("name", ["README.md", "config.json", "metrics.json", "model.safetensors"])
def test_an_incomplete_folder_is_refused(hub, folder, name):
    (folder / name).unlink()
    assert f"it has no {name}" in refusal(folder)
    assert hub.requests == []


@pytest.mark.parametrize("name", ["pytorch_model.bin", "training_args.bin", "optimizer.pt", "modeling.py", ".env"])
def test_a_file_that_is_no_part_of_a_checkpoint_is_refused_by_name(hub, folder, name):
    (folder / name).write_bytes(b"")
    assert f"({name})" in refusal(folder)
    assert hub.requests == []


def test_a_subfolder_is_refused_by_name(hub, folder):
    (folder / "checkpoint-4").mkdir()
    assert "(checkpoint-4)" in refusal(folder)
    assert hub.requests == []


@pytest.mark.parametrize("text", ["not JSON", "[]", '{"role": "resnet"}'])
def test_a_folder_without_recorded_facts_is_refused(hub, folder, text):
    (folder / "metrics.json").write_text(text)
    assert refusal(folder).startswith(f"{folder / 'metrics.json'} does not hold the facts of a card")
    assert hub.requests == []


def test_a_missing_folder_is_refused(hub, tmp_path):
    assert refusal(tmp_path / "nothing") == f"There is no folder {tmp_path / 'nothing'}."


@pytest.mark.parametrize("repo_id", ["name", "user/name/more", "user/na me", "user/", "user/a--b"])
def test_a_bad_repo_id_is_refused(hub, folder, repo_id):
    assert f"{repo_id!r} is not a Hub id" in refusal(folder, repo_id)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("token", "reason"),
    [("", "There is no Hub token"), ("hf_wrong", "the token is missing or not valid"), (READ_TOKEN, "no right")],
)
def test_a_token_that_may_not_write_is_refused_before_anything_is_there(hub, folder, monkeypatch, token, reason):
    monkeypatch.setenv("HF_TOKEN", token)
    assert reason in refusal(folder)
    assert hub.repositories == {}


@pytest.mark.parametrize("fault", ["closed", "silent"])
def test_a_hub_that_cannot_be_reached_is_given_up_on(hub, folder, tmp_path, monkeypatch, fault):
    monkeypatch.setattr(publish, "ANSWER_SECONDS", 0.3)
    hub.faults["."] = SILENCE
    with used("http://127.0.0.1:9" if fault == "closed" else hub.url, tmp_path / "other", WRITE_TOKEN):
        assert refusal(folder).startswith(f"Nothing was published: The Hub could not be reached for {REPO}")


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("/repos/create", 500),
        ("/validate-yaml", 500),
        ("/preupload/", 403),
        ("/lfs/objects/batch", 403),
        ("PUT /lfs/", 403),
        ("/commit/", 403),
        ("/commit/", 500),
    ],
)
def test_a_refusal_at_any_step_leaves_the_repository_as_it_was(hub, folder, fault, status):
    publish.main([str(folder), "--repo_id", REPO])
    before = list(hub.repositories[REPO].commits)
    (folder / "model.safetensors").write_bytes(save({"weight": np.ones(1000, dtype=np.float16)}))
    (folder / "config.json").write_text('{"model_type": "other"}')
    hub.faults[fault] = status
    assert refusal(folder).startswith("Nothing was published: ")
    assert hub.repositories[REPO].commits == before


def test_no_request_of_a_publication_may_wait_for_ever(hub, folder):
    publish.main([str(folder), "--repo_id", REPO])
    assert get_session().timeout.read == publish.UPLOAD_SECONDS
