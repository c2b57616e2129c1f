"""The locks hold every requirement, at versions that the requirements allow and that agree with one another."""

from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).parents[1]
FOLDERS = (PROJECT, *(PROJECT / name for name in ("hub_models", "tests", "train")))
HEAVY = {"torch", "transformers", "timm", "segmentation-models-pytorch", "torchvision", "torchcam"}
LOCKS = [path.relative_to(PROJECT) for folder in FOLDERS for path in sorted(folder.glob("requirements*.lock"))]


def required(path: Path) -> list[Requirement]:
    """Every requirement of a requirements.txt and of the files that it takes in with -r."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        line = line.partition("#")[0].strip()
        if line.startswith("-r "):
            found += required(path.parent / line.removeprefix("-r "))
        elif line:
            found.append(Requirement(line))
    return found


def locked(lock: Path) -> dict[str, Requirement]:
    """Canonical name -> line of a lock."""
    lines = (PROJECT / lock).read_text(encoding="utf-8").splitlines()
    found = [Requirement(line) for line in lines if not line.startswith("#")]
    names = [canonicalize_name(requirement.name) for requirement in found]
    assert len(names) == len(set(names))
    return dict(zip(names, found, strict=True))


def pin(requirement: Requirement) -> str:
    """The one version that a line of a lock allows."""
    (specifier,) = requirement.specifier
    assert specifier.operator == "=="
    assert "*" not in specifier.version
    return specifier.version


def test_every_requirements_file_has_its_lock():
    files = [path for folder in FOLDERS for path in sorted(folder.glob("requirements*.txt"))]
    assert [path.relative_to(PROJECT).with_suffix(".lock") for path in files] == LOCKS
    assert len(LOCKS) == 6


def test_the_page_needs_nothing_that_imports_pytorch_and_everything_that_it_needs_is_in_the_whole():
    page, whole = (
        {str(requirement) for requirement in required(PROJECT / f"{name}.txt")}
        for name in ("requirements-page", "requirements")
    )
    assert page < whole
    assert not HEAVY & locked(Path("requirements-page.lock")).keys()
    assert {canonicalize_name(requirement.name) for requirement in required(PROJECT / "requirements.txt")} >= HEAVY


def test_the_whole_names_the_libraries_that_the_project_uses():
    names = {canonicalize_name(requirement.name) for requirement in required(PROJECT / "requirements.txt")}
    used = {"gradio", "transformers", "huggingface-hub", "torch", "datasets", "accelerate", "evaluate"}
    assert used | {"segmentation-models-pytorch"} <= names


@pytest.mark.parametrize("lock", LOCKS, ids=str)
def test_a_lock_holds_every_requirement_at_a_version_that_is_allowed(lock):
    pins = locked(lock)
    for requirement in required((PROJECT / lock).with_suffix(".txt")):
        line = pins[canonicalize_name(requirement.name)]
        assert line.marker is None, f"{line} is not installed everywhere"
        assert requirement.specifier.contains(pin(line)), f"{line} against {requirement}"


def test_the_locks_agree_with_one_another():
    versions: dict[str, set[str]] = {}
    for lock in LOCKS:
        for name, line in locked(lock).items():
            versions.setdefault(name, set()).add(str(line))
    assert {name: lines for name, lines in versions.items() if len(lines) > 1} == {}


@pytest.mark.parametrize("lock", LOCKS, ids=str)
def test_a_lock_names_no_index_and_no_place_on_a_disk(lock):
    text = (PROJECT / lock).read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if "://" in line or " @ " in line or line.startswith(("-", "/"))] == []


def test_make_installs_the_locks_and_makes_each_of_them():
    makefile = (PROJECT / "Makefile").read_text(encoding="utf-8")
    installed = {line.split()[1] for line in makefile.splitlines() if line.startswith(".venv/")}
    assert installed == {"requirements-page.lock", "tests/requirements.lock", "train/requirements-towers.lock"}
    recipe = makefile.partition("\nlock:")[2]
    for lock in LOCKS:
        assert lock.with_suffix("").as_posix() in recipe
