import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import hf_hub_download
from safetensors.numpy import save
from safetensors.torch import load as load_tensors
from safetensors.torch import load_file

from hub_models.checkpoints.folder import Checkpoint, CheckpointError
from hub_models.checkpoints.resolve import resolve
from hub_models.checkpoints.roles import ROLES
from hub_models.models.loading import load_model
from tests.support.fake_hub import READ_TOKEN, SILENCE, LoopbackHub, Repository, start, used

REPO = "someone/chest-xray-unet"
FILES = {
    "README.md": b"---\nlicense: mit\n---\n# A model\n",
    "config.json": json.dumps({"model_type": "resnet"}).encode(),
    "model.safetensors": save({"weight": np.arange(1000, dtype=np.float16)}),
    "preprocessor_config.json": b"{}",
    "merges.txt": b"a b",
}
UNWANTED = {"pytorch_model.bin": b"pickle", "modeling.py": b"import os", "onnx/config.json": b"{}"}


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    """A Hub with one model, used with an empty cache."""
    with start() as hub, used(hub.url, tmp_path / "cache"):
        hub.repositories[REPO] = Repository()
        hub.repositories[REPO].commit({**FILES, **UNWANTED})
        yield hub


def write(folder: Path, files: dict[str, bytes] = FILES) -> Path:
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def sentence(error: pytest.ExceptionInfo[BaseException]) -> str:
    """The error's message, which is one line that ends as a sentence does."""
    message = str(error.value)
    assert message.endswith(".")
    assert "\n" not in message
    return message


def test_an_argument_beats_the_environment_which_beats_the_embedded_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr("hub_models.checkpoints.resolve.EMBEDDED", tmp_path / "embedded")
    embedded = write(tmp_path / "embedded" / "clip-zero-shot")
    chosen, argument = write(tmp_path / "chosen"), write(tmp_path / "argument")

    assert resolve("clip-zero-shot") == Checkpoint("clip-zero-shot", embedded, "embedded", "embedded", None)
    monkeypatch.setenv("XRAY_CLIP_ZERO_SHOT", "")
    assert resolve("clip-zero-shot").origin == "embedded"
    monkeypatch.setenv("XRAY_CLIP_ZERO_SHOT", str(chosen))
    assert resolve("clip-zero-shot") == Checkpoint("clip-zero-shot", chosen, "folder", str(chosen), None)
    assert resolve("clip-zero-shot", str(argument)).folder == argument


def test_an_unknown_role_is_answered_with_the_roles_there_are():
    with pytest.raises(CheckpointError) as error:
        resolve("vit")
    assert sentence(error) == f"There is no role 'vit'; the roles are {', '.join(ROLES)}."


@pytest.mark.parametrize(("missing", "reason"), [("config.json", "no config.json"), ("model.safetensors", "pickled")])
def test_a_folder_that_no_model_can_be_loaded_from_is_refused(tmp_path, missing, reason):
    files = {name: content for name, content in {**FILES, "pytorch_model.bin": b"pickle"}.items() if name != missing}
    with pytest.raises(CheckpointError) as error:
        resolve("unet", str(write(tmp_path / "folder", files)))
    assert str(tmp_path / "folder") in sentence(error)
    assert reason in str(error.value)


@pytest.mark.parametrize("wish", ["no-such-folder", "/no/such/folder", "user/repo/file", "user/repo@", "..//x"])
def test_what_is_neither_a_folder_nor_a_hub_id_is_refused(wish, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # what lies beside the project must not be found
    with pytest.raises(CheckpointError) as error:
        resolve("unet", wish)
    assert repr(wish) in sentence(error)
    assert "user/repo@revision" in str(error.value)


@pytest.mark.parametrize("revision", [None, "main", "v1", "sha"])
def test_a_branch_a_tag_and_a_commit_lead_to_the_same_files_at_the_same_commit(hub, revision):
    repository = hub.repositories[REPO]
    sha = repository.commits[-1].sha
    repository.tags["v1"] = sha
    wish = REPO if revision is None else f"{REPO}@{sha if revision == 'sha' else revision}"

    found = resolve("unet", wish)

    assert found == Checkpoint("unet", found.folder, "hub", REPO, sha)
    assert contents(found.folder) == FILES


def test_a_commit_that_is_in_the_cache_makes_no_request(hub):
    first = resolve("unet", REPO)
    hub.requests.clear()
    assert resolve("unet", f"{REPO}@{first.revision}") == first
    assert hub.requests == []


def test_a_branch_whose_commit_is_in_the_cache_is_asked_for_once_and_not_downloaded_again(hub):
    first = resolve("unet", REPO)
    hub.requests.clear()
    assert resolve("unet", REPO) == first
    assert hub.requests == [f"GET /api/models/{REPO}"]


def test_a_branch_that_moved_is_followed_and_the_old_commit_stays(hub):
    old = resolve("unet", REPO)
    hub.repositories[REPO].commit({"README.md": b"---\nlicense: mit\n---\n# Better\n"})
    new = resolve("unet", REPO)
    assert new.revision == hub.repositories[REPO].commits[-1].sha != old.revision
    assert contents(new.folder)["README.md"] == b"---\nlicense: mit\n---\n# Better\n"
    assert contents(resolve("unet", f"{REPO}@{old.revision}").folder) == FILES


def test_half_a_download_in_the_cache_is_completed(hub):
    sha = hub.repositories[REPO].commits[-1].sha
    hf_hub_download(REPO, "config.json", revision=sha)
    found = resolve("unet", f"{REPO}@{sha}")
    assert contents(found.folder) == FILES
    (found.folder / "preprocessor_config.json").unlink()
    assert contents(resolve("unet", f"{REPO}@{sha}").folder) == FILES


def test_onnx_files_are_brought_where_an_engine_runs_them_also_later(hub, monkeypatch):
    hub.repositories[REPO].commit({"network.onnx": b"graph", "network.onnx.data": b"outside", "sub/text.onnx": b"no"})
    monkeypatch.setenv("XRAY_ENGINE", "torch")
    found = resolve("unet", REPO)
    assert contents(found.folder) == FILES
    hub.requests.clear()
    assert resolve("unet", f"{REPO}@{found.revision}") == found
    assert hub.requests == []
    monkeypatch.setenv("XRAY_ENGINE", "onnxruntime")
    assert resolve("unet", f"{REPO}@{found.revision}") == found
    assert contents(found.folder) == {**FILES, "network.onnx": b"graph"}
    hub.requests.clear()
    assert resolve("unet", f"{REPO}@{found.revision}") == found
    assert hub.requests == []


def test_an_engine_that_there_is_not_is_told_before_anything_is_downloaded(hub, monkeypatch):
    monkeypatch.setenv("XRAY_ENGINE", "tensorrt")
    with pytest.raises(CheckpointError) as error:
        resolve("unet", REPO)
    assert "XRAY_ENGINE is 'tensorrt'; choose one of openvino, onnxruntime, torch" in sentence(error)


def test_a_hub_repository_with_pickled_weights_only_is_refused(hub):
    hub.repositories["someone/pickle"] = Repository()
    hub.repositories["someone/pickle"].commit({"config.json": b"{}", "pytorch_model.bin": b"pickle"})
    with pytest.raises(CheckpointError) as error:
        resolve("resnet", "someone/pickle")
    assert "pickled weights are never loaded" in sentence(error)


def test_a_private_repository_needs_a_token(hub, monkeypatch):
    hub.repositories[REPO].private = True
    with pytest.raises(CheckpointError) as error:
        resolve("unet", REPO)
    assert sentence(error).startswith(f"No unet model: {REPO} is not on the Hub, or it is private")
    monkeypatch.setenv("HF_TOKEN", READ_TOKEN)
    assert contents(resolve("unet", REPO).folder) == FILES


def test_a_download_tells_how_much_of_it_has_arrived(hub):
    told = []
    resolve("unet", REPO, lambda n, total: told.append((n, total)))
    sizes = {name: len(content) for name, content in FILES.items()}
    assert told[-1] == (sum(sizes.values()), sum(sizes.values()))
    assert all(n <= total for n, total in told)


def test_a_pickle_is_brought_from_a_named_repository_only_and_read_as_tensors_alone(hub, checkpoints):
    files = {path.name: path.read_bytes() for path in checkpoints["clip-zero-shot"].iterdir()}
    buffer = io.BytesIO()
    torch.save(load_tensors(files.pop("model.safetensors")), buffer)
    for name in ("openai/clip-vit-base-patch32", "someone/clip"):
        hub.repositories[name] = Repository()
        hub.repositories[name].commit({**files, "pytorch_model.bin": buffer.getvalue()})
    with pytest.raises(CheckpointError, match="pickled weights are never loaded"):
        resolve("clip-zero-shot", "someone/clip")
    found = resolve("clip-zero-shot", "openai/clip-vit-base-patch32")
    model = load_model(found)
    saved = load_file(checkpoints["clip-zero-shot"] / "model.safetensors")
    assert torch.equal(model.model.visual_projection.weight, saved["visual_projection.weight"].float())

    class Harm:
        def __reduce__(self):
            return os.mkdir, ("harm",)

    buffer = io.BytesIO()
    torch.save(Harm(), buffer)
    hub.repositories["openai/clip-vit-base-patch32"].commit({"pytorch_model.bin": buffer.getvalue()})
    with pytest.raises(CheckpointError, match="holds more than tensors; it is not loaded"):
        load_model(resolve("clip-zero-shot", "openai/clip-vit-base-patch32"))
    assert not Path("harm").exists()


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ("someone/else", "someone/else is not on the Hub"),
        (f"{REPO}@v9", f"{REPO} has no revision v9"),
        (f"{REPO}@{'1' * 40}", f"{REPO} has no revision {'1' * 40}"),
        ("some--one/x..y", "'some--one/x..y' is not a checkpoint for unet: there is no such folder, and a Hub id is"),
    ],
)
def test_what_the_hub_does_not_have_is_said_in_one_sentence(hub, wish, reason):
    with pytest.raises(CheckpointError) as error:
        resolve("unet", wish)
    assert reason in sentence(error)


@pytest.mark.parametrize(
    ("status", "reason"),
    [(401, "token is missing"), (403, "no right"), (429, "too many requests"), (500, "fault"), (503, "fault")],
)
def test_a_refusal_of_the_hub_is_said_in_one_sentence_and_never_answered_with_another_checkpoint(
    hub, tmp_path, monkeypatch, status, reason
):
    monkeypatch.setattr("hub_models.checkpoints.resolve.EMBEDDED", tmp_path / "embedded")
    write(tmp_path / "embedded" / "unet")
    hub.faults["."] = status
    with pytest.raises(CheckpointError) as error:
        resolve("unet", REPO)
    assert f"status {status}" in sentence(error)
    assert reason in str(error.value)


def test_a_page_in_the_place_of_the_hub_is_recognised(hub):
    hub.faults["."] = 200
    with pytest.raises(CheckpointError) as error:
        resolve("unet", REPO)
    assert "was not the Hub's" in sentence(error)


@pytest.mark.parametrize("revision", ["", f"@{'1' * 40}"])
@pytest.mark.parametrize("fault", ["closed", "silent", "silent while downloading"])
def test_a_hub_that_cannot_be_reached_is_given_up_on(hub, tmp_path, monkeypatch, fault, revision):
    monkeypatch.setattr("hub_models.checkpoints.download.ANSWER_SECONDS", 0.3)
    monkeypatch.setattr("hub_models.checkpoints.download.STALL_SECONDS", 0.3)
    if fault == "silent":
        hub.faults["."] = SILENCE
    if fault == "silent while downloading":
        revision = revision.replace("1" * 40, hub.repositories[REPO].commits[-1].sha)
        hub.faults["/tree/"] = SILENCE
    url = "http://127.0.0.1:9" if fault == "closed" else hub.url
    with used(url, tmp_path / "other"), pytest.raises(CheckpointError) as error:
        resolve("unet", REPO + revision)
    assert sentence(error).startswith(f"No unet model: The Hub could not be reached for {REPO}")


def test_a_commit_in_the_cache_is_found_when_the_hub_is_down(hub, tmp_path):
    first = resolve("unet", REPO)
    with used("http://127.0.0.1:9", tmp_path / "cache"):
        assert resolve("unet", f"{REPO}@{first.revision}") == first
