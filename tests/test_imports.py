"""Which module may import which: app -> hub_models <- train; and that importing one does nothing."""

import ast
import re
from collections.abc import Iterable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "app.py", *ROOT.glob("hub_models/**/*.py"), *ROOT.glob("train/**/*.py")]
MODULES = sorted(path.relative_to(ROOT) for path in FILES)
MODELS = [Path(f"hub_models/models/{name}.py") for name in ("unet", "resnet", "clip", "fusion")]
SCRIPTS = [Path(f"train/{name}.py") for name in ("unet", "resnet", "clip", "compare", "study", "controls", "fusion")]

BUSY = re.compile("print|input|open|read|load|pretrained|parse|resolve|run|main")


def imported(path: Path) -> set[str]:
    """All that a module imports, at its top or in a function: `hub_models.pipeline`, `hub_models.pipeline.Report`."""
    return names_in(path, ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))))


def imported_at_the_top(path: Path) -> set[str]:
    """What a module imports when it is imported itself."""
    return names_in(path, ast.parse((ROOT / path).read_text(encoding="utf-8")).body)


def names_in(path: Path, nodes: Iterable[ast.AST]) -> set[str]:
    names = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} line {node.lineno}: write the whole name of the module"
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def packages(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imported(path)}


def name_of(path: Path) -> str:
    return ".".join(path.with_suffix("").parts)


def test_the_modules_are_found_and_their_imports_are_read():
    assert {*MODELS, *SCRIPTS, Path("app.py")} <= set(MODULES)
    assert {"hub_models.models.unet", "hub_models.models.unet.Segmenter", "numpy"} <= imported(
        Path("hub_models/pipeline.py")
    )


@pytest.mark.parametrize("path", [path for path in MODULES if path.parts[0] == "hub_models"], ids=str)
def test_what_is_shared_imports_neither_the_training_nor_the_page(path):
    assert not packages(path) & {"tests", "app", "gradio"}
    from_training = {name for name in imported(path) if name.split(".")[0] == "train"}
    allowed = {"train.scoring.quality", "train.scoring.quality.Quality"} if path in MEASURING else set()
    assert from_training <= allowed
    assert not from_training & imported_at_the_top(path)


@pytest.mark.parametrize("path", [path for path in MODULES if path.parts[0] == "train"], ids=str)
def test_the_training_does_not_import_the_page(path):
    assert not packages(path) & {"tests", "app", "gradio"}


def test_the_page_does_not_import_the_training():
    assert not packages(Path("app.py")) & {"train", "tests"}


@pytest.mark.parametrize("family", [MODELS, SCRIPTS], ids=["models", "scripts"])
def test_models_and_training_scripts_do_not_import_one_another(family):
    for path in family:
        assert not imported(path) & {name_of(other) for other in family}, path


def test_nothing_imports_a_training_script():
    for path in MODULES:
        assert not imported(path) & {name_of(script) for script in SCRIPTS}, path


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_importing_a_module_does_nothing(path):
    """Its top holds imports, definitions and constants; a constant is no answer of the network, a file or the user."""
    for statement in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        match statement:
            case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.ClassDef():
                continue
            case ast.Expr(value=ast.Constant(value=str())):  # the docstring of the module or of a constant
                continue
            case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id="gc")))):  # how the imports are made
                continue
            case ast.If(test=ast.Compare(left=ast.Name(id="__name__")) | ast.Name(id="TYPE_CHECKING")):
                continue
            case ast.Assign() | ast.AnnAssign():
                calls = [node.func for node in ast.walk(statement) if isinstance(node, ast.Call)]
                words = {ast.unparse(call).rpartition(".")[2] for call in calls}
                assert not [word for word in words if BUSY.search(word)], f"{path} line {statement.lineno}"
            case _:
                pytest.fail(f"{path} line {statement.lineno} does something on import: {ast.unparse(statement)}")
