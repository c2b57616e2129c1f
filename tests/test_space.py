import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from hub_models import space
from hub_models.checkpoints.choices import variable
from hub_models.checkpoints.roles import ROLES
from tests.support.fake_hub import READ_TOKEN, WRITE_TOKEN, LoopbackHub, Repository, start, used

SPACE = "someone/lung-xrays"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    """A Hub with a checkpoint of each role, used with a token that may write."""
    with start() as hub, used(hub.url, tmp_path / "cache", WRITE_TOKEN):
        for role in ROLES:
            hub.repositories[f"someone/chest-xray-{role}"] = Repository()
            hub.repositories[f"someone/chest-xray-{role}"].commit({"config.json": role.encode()})
        yield hub


def refusal(*words: str) -> str:
    """The sentence that the command says before it exits with code 1."""
    with pytest.raises(SystemExit) as error:
        space.main(["deploy", "--space_id", *words])
    message = str(error.value.code)
    assert message.endswith(".")
    assert "\n" not in message
    return message


def files_of(node: ast.AST) -> set[str]:
    """The files of this project that an import statement needs."""
    if not isinstance(node, ast.ImportFrom) or not node.module.startswith("hub_models"):
        return set()
    modules = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    paths = [Path(*module.split(".")) for module in modules]
    found = [path for stem in paths for path in (stem.with_suffix(".py"), stem / "__init__.py")]
    packages = [parent / "__init__.py" for path in found for parent in path.parents if parent != Path(".")]
    return {path.as_posix() for path in (*found, *packages) if (space.PROJECT / path).is_file()}


def test_a_space_gets_what_the_page_imports_and_its_requirements_in_one_commit(hub):
    commit = space.main(["deploy", "--space_id", SPACE])
    (_, made) = hub.repositories[f"spaces/{SPACE}"].commits
    assert made.sha == commit.oid
    files = made.files
    imported = {"app.py"}
    for _ in range(8):  # what is imported, and what that imports
        trees = [ast.parse(files[name]) for name in imported if name in files]
        imported |= {name for tree in trees for node in ast.walk(tree) for name in files_of(node)}
    assert {"hub_models/page/startup.py", "hub_models/models/unet.py", "hub_models/xray/dicom.py"} <= imported
    assert imported <= set(files)
    assert {"README.md", "requirements.txt", "LICENSE", "hub_models/cards/card_template.md"} <= set(files)
    assert not [name for name in files if re.search(r"^(train|tests|\.ci|Makefile|runs)|__pycache__", name)]


def test_every_embedded_checkpoint_goes_with_the_page(hub):
    space.deploy(SPACE)
    files = hub.repositories[f"spaces/{SPACE}"].commits[-1].files
    for role in ROLES:
        assert {f"hub_models/embedded/{role}/{name}" for name in ("config.json", "model.safetensors")} <= set(files)


def test_the_header_is_that_of_the_readme_and_names_the_models(hub):
    space.deploy(SPACE, namespace="someone")
    header = yaml.safe_load(hub.repositories[f"spaces/{SPACE}"].commits[-1].files["README.md"].split(b"---")[1])
    own = yaml.safe_load((space.PROJECT / "README.md").read_text(encoding="utf-8").split("---")[1])
    assert header == own | {"models": [f"someone/chest-xray-{role}" for role in ROLES]}


def test_its_variables_pin_the_published_checkpoints_at_their_commits(hub):
    space.deploy(SPACE, namespace="someone")
    pinned = {
        variable(role): f"someone/chest-xray-{role}@{hub.repositories[f'someone/chest-xray-{role}'].commits[-1].sha}"
        for role in ROLES
    }
    assert hub.repositories[f"spaces/{SPACE}"].variables == pinned


def test_without_a_namespace_it_keeps_to_the_embedded_checkpoints(hub):
    space.deploy(SPACE)
    assert hub.repositories[f"spaces/{SPACE}"].variables == {}
    assert b"models:" not in hub.repositories[f"spaces/{SPACE}"].commits[-1].files["README.md"]


def test_an_update_removes_what_the_page_no_longer_needs(hub):
    space.deploy(SPACE)
    hub.repositories[f"spaces/{SPACE}"].commit({"hub_models/old.py": b"", "notes.txt": b""})
    space.deploy(SPACE)
    files = hub.repositories[f"spaces/{SPACE}"].commits[-1].files
    assert set(files) == {*space.space_files(), "README.md", ".gitattributes"}


def test_a_checkpoint_that_is_not_published_stops_it_before_anything_is_made(hub):
    del hub.repositories["someone/chest-xray-resnet"]
    assert "someone/chest-xray-resnet is not on the Hub" in refusal(SPACE, "--namespace", "someone")
    assert f"spaces/{SPACE}" not in hub.repositories


@pytest.mark.parametrize(("token", "reason"), [("", "There is no Hub token"), (READ_TOKEN, "no right")])
def test_a_token_that_may_not_write_is_refused(hub, monkeypatch, token, reason):
    monkeypatch.setenv("HF_TOKEN", token)
    assert reason in refusal(SPACE)
    assert f"spaces/{SPACE}" not in hub.repositories


def test_a_bad_id_is_refused(hub):
    assert refusal("nobody") == "'nobody' is not a Hub id; write USER/NAME."


def test_a_dry_run_lists_the_files_and_sends_nothing(hub, capsys):
    assert space.main(["deploy", "--space_id", SPACE, "--dry_run"]) is None
    listed = [line.split("bytes  ")[1] for line in capsys.readouterr().out.splitlines()]
    assert listed == list(space.space_files())
    assert hub.requests == []


def test_a_public_space_is_not_deployed_to_as_a_private_one(hub):
    space.main(["deploy", "--space_id", SPACE])
    before = list(hub.repositories[f"spaces/{SPACE}"].commits)
    assert refusal(SPACE, "--private").startswith(f"Nothing was published: {SPACE} is public; make it private")
    assert hub.repositories[f"spaces/{SPACE}"].commits == before
