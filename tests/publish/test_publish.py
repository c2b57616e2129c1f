import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from huggingface_hub import HfApi, get_session
from PIL import Image
from safetensors.numpy import load_file, save_file

from hub_models.cards.facts import CardFacts
from hub_models.cards.links import Links, with_links
from hub_models.checkpoints.choices import variable
from hub_models.checkpoints.resolve import resolve
from hub_models.checkpoints.roles import ROLES
from hub_models.engines.engine import graph_file
from hub_models.publish import upload
from hub_models.publish.__main__ import main
from tests.support import tiny_models
from tests.support.fake_hub import READ_TOKEN, SILENCE, WRITE_TOKEN, LoopbackHub, start, used

REPO = "someone/chest-xray-resnet"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    """An empty Hub, used with a token that may write."""
    with start() as hub, used(hub.url, tmp_path / "cache", WRITE_TOKEN):
        yield hub


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refusal(folder: Path, repo_id: str = REPO, *more: str) -> str:
    """What `publish` says, in one sentence, before it exits with code 1."""
    with pytest.raises(SystemExit) as error:
        main([str(folder), "--repo_id", repo_id, *more])
    message = error.value.code
    assert isinstance(message, str)
    assert message.endswith(".")
    assert "\n" not in message
    return message


def test_a_published_folder_comes_back_byte_for_byte_and_its_card_with_addresses(hub, folder, tmp_path, capsys):
    (commit,) = main([str(folder), "--repo_id", REPO])
    with used(hub.url, tmp_path / "fresh"):
        found = resolve("resnet", REPO)
    came, sent = contents(found.folder), contents(folder)
    card, plain = came.pop("README.md").decode(), sent.pop("README.md").decode()
    assert came == sent
    assert card == with_links(plain, CardFacts.load(folder), Links(REPO))
    assert f'checkpoint = "{REPO}"\n' in card
    assert found.revision == commit.oid == hub.repositories[REPO].commits[-1].sha
    assert capsys.readouterr().out == f"{folder} is published: {hub.url}/{REPO}\ncommit {commit.oid}\n"


def test_a_folder_is_published_in_one_commit_with_the_card_last(hub, folder):
    main([str(folder), "--repo_id", REPO])
    (_, commit) = hub.repositories[REPO].commits
    files = ["config.json", "metrics.json", "model.safetensors", "preprocessor_config.json"]
    assert commit.written == [*files, "thumbnail.png", "README.md"]
    assert Image.open(io.BytesIO(commit.files["thumbnail.png"])).size == (512, 256)
    assert not hub.repositories[REPO].private


def test_a_repository_is_private_when_asked_for(hub, folder):
    main([str(folder), "--repo_id", REPO, "--private"])
    assert hub.repositories[REPO].private
    tiny_models.change_weights(folder)
    main([str(folder), "--repo_id", REPO, "--private"])
    assert hub.repositories[REPO].commits[-1].written == ["model.safetensors"]


def test_a_public_repository_is_not_published_to_as_a_private_one(hub, folder):
    main([str(folder), "--repo_id", REPO])
    tiny_models.change_weights(folder)
    before = list(hub.repositories[REPO].commits)
    assert f"Nothing was published: {REPO} is public; make it private" in refusal(folder, REPO, "--private")
    assert hub.repositories[REPO].commits == before


def test_publishing_again_commits_what_changed_and_nothing_when_nothing_did(hub, folder):
    (first,) = main([str(folder), "--repo_id", REPO])
    assert main([str(folder), "--repo_id", REPO])[0].oid == first.oid
    tiny_models.change_weights(folder)
    main([str(folder), "--repo_id", REPO])
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
    project = Path(upload.__file__).parents[2]
    run = {"cwd": project, "env": {**os.environ, **environment}, "capture_output": True, "text": True}

    done = subprocess.run([*command, REPO], **run)
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, f"{folder} is published: {hub.url}/{REPO}")
    assert hub.repositories[REPO].commits[-1].files.keys() == {*contents(folder), "thumbnail.png", ".gitattributes"}

    refused = subprocess.run([*command, "nobody"], **run)
    assert (refused.returncode, refused.stderr) == (1, "'nobody' is not a Hub id; write USER/NAME.\n")


@pytest.mark.parametrize("name", ["README.md", "config.json", "metrics.json", "model.safetensors"])
def test_an_incomplete_folder_is_refused(hub, folder, name):
    (folder / name).unlink()
    assert f"it has no {name}" in refusal(folder)
    assert hub.requests == []


@pytest.mark.parametrize(
    "name",
    [
        "pytorch_model.bin",
        "training_args.bin",
        "optimizer.pt",
        "modeling.py",
        ".env",
        "model.onnx",
        "text.onnx",
        "network.int4.onnx",
        "network.onnx.data",
    ],
)
def test_a_file_that_is_no_part_of_a_checkpoint_is_refused_by_name(hub, folder, name):
    (folder / name).write_bytes(b"")
    assert f"({name})" in refusal(folder)
    assert hub.requests == []


@pytest.fixture
def graph(exported, tmp_path) -> Path:
    """The ONNX file of a ResNet, in a complete folder that is to be changed."""
    folder = shutil.copytree(exported("resnet"), tmp_path / "with onnx")
    return graph_file(folder, "network", "float32")


def test_onnx_files_of_these_weights_go_up_too(hub, graph):
    shutil.copy(graph, graph_file(graph.parent, "network", "int8"))
    main([str(graph.parent), "--repo_id", REPO])
    written = {name: hub.repositories[REPO].commits[-1].files[name] for name in ("network.onnx", "network.int8.onnx")}
    assert written == dict.fromkeys(written, graph.read_bytes())
    assert hub.repositories[REPO].commits[-1].written[-1] == "README.md"


@pytest.mark.parametrize("precision", ["float32", "int8"])
@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_an_onnx_file_of_other_weights_is_refused_by_name(hub, graph, monkeypatch, engine, precision):
    monkeypatch.setenv("XRAY_ENGINE", engine)  # also where there is none that would open it
    file = graph.rename(graph_file(graph.parent, "network", precision))
    tiny_models.change_weights(file.parent)
    assert refusal(file.parent) == f"{file} was not made of these weights; export it again, or delete it."
    assert hub.requests == []


def test_an_onnx_file_that_cannot_be_opened_is_refused_by_name(hub, graph):
    data = graph.read_bytes()
    graph.write_bytes(b"\xff" * 2000 + data[2000:])
    assert f"{graph.parent} is not fit to be shared: network.onnx cannot be opened;" in refusal(graph.parent)
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
    monkeypatch.setattr(upload, "ANSWER_SECONDS", 0.3)
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
    main([str(folder), "--repo_id", REPO])
    before = list(hub.repositories[REPO].commits)
    tiny_models.change_weights(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"remark": "other"}))
    hub.faults[fault] = status
    hub.sentences[status] = "Private storage limit reached.\nUpgrade."
    said = refusal(folder)
    assert said.startswith("Nothing was published: ")
    assert 'says: "Private storage limit reached. Upgrade"' in said or "PUT" in fault  # a store says nothing
    assert hub.repositories[REPO].commits == before


def test_no_request_of_a_publication_may_wait_for_ever(hub, folder):
    main([str(folder), "--repo_id", REPO])
    assert get_session().timeout.read == upload.UPLOAD_SECONDS


def test_all_roles_go_to_one_namespace_under_the_names_that_are_pulled(hub, folder, checkpoints, monkeypatch, tmp_path):
    facts = CardFacts.load(folder)
    for role in ROLES:
        monkeypatch.setenv(
            variable(role), str(tiny_models.write_release(role, checkpoints[role], facts, tmp_path / "all" / role))
        )
    main(["all", "--namespace", "someone", "--tag", "v1"])
    assert set(hub.repositories) == {f"someone/chest-xray-{role}" for role in ROLES}
    for role in ROLES:
        repository = hub.repositories[f"someone/chest-xray-{role}"]
        assert repository.tags == {"v1": repository.commits[-1].sha}
        files = {*repository.commits[-1].files} - {".gitattributes", "thumbnail.png"}
        assert files == {*contents(tmp_path / "all" / role)}


@pytest.fixture
def releases(folder: Path, checkpoints: dict[str, Path], monkeypatch, tmp_path: Path) -> dict[str, Path]:
    """Role -> a complete folder of it, which the environment chooses."""
    facts = CardFacts.load(folder)
    made = {role: tiny_models.write_release(role, checkpoints[role], facts, tmp_path / "all" / role) for role in ROLES}
    for role in ROLES:
        monkeypatch.setenv(variable(role), str(made[role]))
    return made


@pytest.mark.parametrize("done", [1, 3, 5])
def test_a_publication_of_all_that_broke_off_is_completed_by_the_same_command(hub, releases, done, capsys):
    main(["all", "--namespace", "someone", "--tag", "v1"])
    for role in list(ROLES)[done:]:
        del hub.repositories[f"someone/chest-xray-{role}"]
    last = hub.repositories[f"someone/chest-xray-{list(ROLES)[done - 1]}"]
    last.tags.clear()  # its commit was made, its tag was not
    commits = {name: list(repository.commits) for name, repository in hub.repositories.items()}
    capsys.readouterr()
    main(["all", "--namespace", "someone", "--tag", "v1"])
    said = capsys.readouterr().out
    assert said.count("holds this checkpoint as v1 already, and stays as it is.") == done - 1
    for role in ROLES:
        repository = hub.repositories[f"someone/chest-xray-{role}"]
        assert repository.tags == {"v1": repository.commits[-1].sha}
        assert repository.commits == commits.get(f"someone/chest-xray-{role}", repository.commits)


def test_a_role_that_was_published_alone_is_one_of_all(hub, releases, capsys):
    main(["unet", "--namespace", "someone", "--tag", "v1"])
    main(["all", "--namespace", "someone", "--tag", "v1"])
    assert "someone/chest-xray-unet holds this checkpoint as v1 already" in capsys.readouterr().out
    for role in ROLES:
        repository = hub.repositories[f"someone/chest-xray-{role}"]
        assert repository.tags == {"v1": repository.commits[-1].sha}


def test_all_are_refused_before_anything_is_sent_when_the_tag_of_one_names_other_files(hub, releases):
    main(["resnet", "--namespace", "someone", "--tag", "v1"])
    tiny_models.change_weights(releases["resnet"])
    with pytest.raises(
        SystemExit, match="chest-xray-resnet already has a tag v1; choose another, because it names another"
    ):
        main(["resnet", "--namespace", "someone", "--tag", "v1"])
    with pytest.raises(SystemExit, match="The fusion was trained with another resnet"):  # its ResNet is another now
        main(["all", "--namespace", "someone", "--tag", "v1"])
    assert set(hub.repositories) == {"someone/chest-xray-resnet"}


def test_the_cards_of_all_link_to_one_another_to_the_space_and_to_the_project(hub, releases):
    project, space = "https://example.org/someone/lungs", "someone/lung-xrays"
    main(["all", "--namespace", "someone", "--project", project, "--space", space])
    for role in ROLES:
        card = hub.repositories[f"someone/chest-xray-{role}"].commits[-1].files["README.md"].decode()
        links = dict(re.findall(r"\[([^\]]+)\]\((http[^)]+)\)", card))
        others = {ROLES[other].title: f"{hub.url}/someone/chest-xray-{other}" for other in ROLES if other != role}
        assert links == others | {space: f"{hub.url}/spaces/{space}"}
        assert f"- **Project:** {project}\n" in card
        assert f"git clone {project} lung-xrays && cd lung-xrays\n" in card
        assert f'checkpoint = "someone/chest-xray-{role}"\n' in card
        assert ('resolve("unet", "someone/chest-xray-unet").folder' in card) == (role != "unet")
        header = yaml.safe_load(card.split("---\n")[1])
        assert header["thumbnail"] == f"{hub.url}/someone/chest-xray-{role}/resolve/main/thumbnail.png"
        parts = [f"someone/chest-xray-{part}" for part in ROLES[role].parts]
        assert header.get("base_model") == (parts or None)


@pytest.mark.parametrize("words", [("--project", "my folder"), ("--space", "lungs")])
def test_an_address_that_is_none_is_refused(hub, folder, words):
    assert "is not" in refusal(folder, REPO, *words)
    assert hub.requests == []


def test_one_repository_cannot_take_all_roles(hub):
    with pytest.raises(SystemExit, match="give --namespace USER"):
        main(["all", "--repo_id", REPO])


def test_a_tag_that_is_taken_is_refused_before_anything_is_sent(hub, folder):
    main([str(folder), "--repo_id", REPO, "--tag", "v1"])
    tiny_models.change_weights(folder)
    before = list(hub.repositories[REPO].commits)
    with pytest.raises(SystemExit, match=f"{REPO} already has a tag v1; choose another"):
        main([str(folder), "--repo_id", REPO, "--tag", "v1"])
    assert hub.repositories[REPO].commits == before


def test_a_dry_run_shows_every_file_and_sends_nothing(hub, folder, capsys, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "")
    assert main([str(folder), "--namespace", "someone", "--dry_run"]) == []
    shown = capsys.readouterr().out
    assert f"resnet would go from {folder} to someone/chest-xray-resnet:" in shown
    for name, content in contents(folder).items():
        if name != "README.md":  # it gets addresses
            assert f"{len(content):,} bytes  {name}\n" in shown
    assert shown.endswith(" bytes  README.md\n")
    assert hub.requests == []


def test_a_pull_request_leaves_main_as_it_was(hub, folder):
    main([str(folder), "--repo_id", REPO])
    tiny_models.change_weights(folder)
    before = list(hub.repositories[REPO].commits)
    (commit,) = main([str(folder), "--repo_id", REPO, "--create_pr"])
    assert hub.repositories[REPO].commits == before
    assert [pull.written for pull in hub.repositories[REPO].pulls] == [["model.safetensors"]]
    assert commit.pr_url == f"{hub.url}/{REPO}/discussions/1"


def test_somebody_who_writes_at_the_same_time_is_not_overwritten(hub, folder, monkeypatch):
    main([str(folder), "--repo_id", REPO])
    tiny_models.change_weights(folder)
    create_commit = HfApi.create_commit

    def overtaken(api, *args, **kwargs):
        hub.repositories[REPO].commit({"notes.txt": b"mine"})
        return create_commit(api, *args, **kwargs)

    monkeypatch.setattr(HfApi, "create_commit", overtaken)
    assert "something else changed it at the same time" in refusal(folder)
    assert hub.repositories[REPO].commits[-1].written == ["notes.txt"]


def test_weights_that_do_not_fit_are_refused(hub, folder):
    tensors = load_file(folder / "model.safetensors")
    del tensors["classifier.1.bias"]
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    assert "missing keys classifier.1.bias" in refusal(folder)
    assert hub.requests == []


def test_weights_that_answer_nonsense_are_refused(hub, folder):
    tensors = load_file(folder / "model.safetensors")
    tensors["classifier.1.bias"][:] = float("nan")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    assert "not finite" in refusal(folder)
    assert hub.requests == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda card: card.replace("value: 0.75", "value: 0.95"), "The results in the metadata"),
        (lambda card: card.replace("| accuracy | 0.750 |", "| accuracy | 0.950 |"), "lacks what metrics.json says"),
        (lambda card: card.split("---\n", 2)[2], "The results in the metadata"),
        (lambda card: card.replace("license:", "license: [", 1), "is not YAML"),
    ],
)
def test_a_card_that_tells_other_figures_than_were_recorded_is_refused(hub, folder, change, reason):
    card = (folder / "README.md").read_text()
    (folder / "README.md").write_text(change(card))
    assert change(card) != card
    assert reason in refusal(folder)
    assert hub.requests == []


def test_words_may_be_added_to_a_card(hub, folder):
    with (folder / "README.md").open("a") as card:
        card.write("\nWith thanks to the people who drew the masks.\n")
    main([str(folder), "--repo_id", REPO])
    card = hub.repositories[REPO].commits[-1].files["README.md"]
    assert card.endswith(b"masks.\n")
    assert f'checkpoint = "{REPO}"\n'.encode() in card
