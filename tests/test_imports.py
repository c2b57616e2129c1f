"""Which room may import which; that no imports go round in a circle; and that importing a module does nothing."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "app.py", *ROOT.glob("hub_models/**/*.py"), *ROOT.glob("train/**/*.py")]
MODULES = sorted(path.relative_to(ROOT) for path in FILES)
MODELS = [Path(f"hub_models/models/{name}.py") for name in ("unet", "resnet", "clip", "fusion")]
SCRIPTS = sorted(path for path in MODULES if path.parent == Path("train") and path.stem != "__init__")

BENEATH = {
    "hub_models.xray": "",
    "hub_models.checkpoints": "",
    "hub_models.engines": "checkpoints",
    "hub_models.cards": "engines checkpoints",
    "hub_models.models": "engines xray checkpoints",
    "hub_models.pipeline": "models engines xray checkpoints",
    "hub_models.reports": "xray checkpoints",
    "hub_models.batch": "reports xray checkpoints",
    "hub_models.export": "models engines cards xray checkpoints",
    "hub_models.publish": "models engines cards xray checkpoints",
    "hub_models.benchmark": "export batch reports pipeline models engines xray checkpoints",
    "hub_models.predict": "batch reports pipeline models engines xray checkpoints",
    "hub_models.mcp": "batch reports pipeline models engines xray checkpoints",
    "hub_models.space": "publish engines checkpoints",
    "hub_models.page": "batch reports pipeline models cards engines xray checkpoints",
    "app": "page engines checkpoints",
    "train.data": "",
    "train.networks": "",
    "train.scoring": "train.data",
    "train.tasks": "train.scoring train.data",
    "train.script": "train.tasks train.scoring train.networks train.data",
}
"""Room -> the rooms that it may import; what has no point stands in hub_models. The doors of train stand above all of
train, and whatever is in train above all of hub_models but the page and the doors."""

TYPES = {
    "hub_models.reports": "models",
    "hub_models.batch": "models pipeline",
}
"""Room -> the rooms of which it may, besides, name the types: while it runs, it does not import them."""

LEARNS_FROM = "benchmark export publish batch reports pipeline models cards engines xray checkpoints"
"""The rooms of hub_models that train may import."""

HEAVY = {"torch", "torchvision", "torchcam", "transformers", "timm", "segmentation_models_pytorch"}
"""PyTorch, and the libraries around it."""

MAY_BE_HEAVY = ("hub_models/engines/pytorch/", "hub_models/export/", "train/")
"""Where they are imported: in the PyTorch engine, by export and by training."""

BUSY = re.compile("print|input|open|read|load|pretrained|parse|resolve|run|main")


def imported(path: Path, types: bool = False) -> set[str]:
    """All modules that a module imports, at its top or in a function, as it runs: `hub_models.pipeline`, `numpy`.

    Args:
        path: of the module, from the repository's root.
        types: those that it imports for its annotations only, instead.
    """
    nodes = list(ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))))
    checked = [node for node in nodes if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    inside = {id(node) for block in checked for node in ast.walk(block)}
    return {name for node in nodes if (id(node) in inside) == types for name in names_in(path, node)}


def imported_at_once(path: Path) -> set[str]:
    """Those modules that a module imports at its top."""
    statements = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    inner = [each for node in statements for each in (node.body if isinstance(node, ast.With) else [node])]
    return {name for node in inner for name in names_in(path, node)}


def names_in(path: Path, node: ast.AST) -> Iterator[str]:
    """The modules that a statement imports."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{path} line {node.lineno}: write the whole name of the module"
        whole = {f"{node.module}.{alias.name}" for alias in node.names}
        modules = whole & NAMES.keys()
        yield from modules
        if modules != whole:
            yield node.module


def name_of(path: Path) -> str:
    """The name that a module is imported by."""
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


NAMES = {name_of(path): path for path in MODULES}


def room_of(name: str) -> str:
    """The room that a module stands in: `hub_models.models`; `train` for a door of the training."""
    package, *inner = name.split(".")
    if package == "train" and (inner[-1:] == ["__main__"] or not (ROOT / "train" / Path(*inner[:1])).is_dir()):
        return "train"
    return ".".join([package, *inner[:1]])


def allowed(room: str, table: dict[str, str]) -> set[str]:
    """The rooms that a room may import by a table, its own among them."""
    named = {name if "." in name else f"hub_models.{name}" for name in table.get(room, "").split()}
    if room.partition(".")[0] == "train":
        named |= {f"hub_models.{name}" for name in LEARNS_FROM.split()}
    if room == "train":
        named |= {name for name in BENEATH if name.startswith("train.")}
    return named | {room, "hub_models"}


def rooms(path: Path, types: bool = False) -> set[str]:
    """The rooms of this project that a module imports from."""
    return {room_of(name) for name in imported(path, types) if name.partition(".")[0] in ("app", "hub_models", "train")}


def test_the_modules_are_found_and_their_imports_are_read():
    assert {*MODELS, *SCRIPTS, Path("app.py"), Path("hub_models/xray/images.py")} <= set(MODULES)
    assert {"hub_models.models.unet", "hub_models.models.features", "numpy"} <= imported(Path("hub_models/pipeline.py"))
    assert "hub_models.models.report" in imported(Path("hub_models/reports/description.py"), types=True)
    assert "hub_models.models.report" not in imported(Path("hub_models/reports/description.py"))
    assert "hub_models.page.startup" in imported(Path("hub_models/page/server.py"))  # in a function
    assert "hub_models.page.layout" in imported(Path("app.py"))
    assert room_of("hub_models.models.unet") == "hub_models.models"
    assert room_of("train.data.rows") == "train.data"
    assert room_of("train.data.__main__") == room_of("train.unet") == "train"
    assert {room_of(name) for name in NAMES} <= {*BENEATH, "train", "hub_models"}


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_a_module_imports_its_own_room_and_those_beneath(path):
    room = room_of(name_of(path))
    assert rooms(path) <= allowed(room, BENEATH)
    assert rooms(path, types=True) <= allowed(room, BENEATH) | allowed(room, TYPES)
    assert "tests" not in {name.partition(".")[0] for name in imported(path)}


def test_no_room_is_beneath_itself():
    def beneath(room: str, above: tuple[str, ...]) -> None:
        assert room not in above, " -> ".join([*above, room])
        for other in allowed(room, BENEATH) - {room, "hub_models"}:
            beneath(other, (*above, room))

    for room in BENEATH:
        beneath(room, ())


def test_no_imports_go_round_in_a_circle():
    graph = {name: (imported(path) & NAMES.keys()) - {name} for name, path in NAMES.items()}
    done: set[str] = set()

    def follow(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join([*above, name])
        if name not in done:
            for other in graph[name]:
                follow(other, (*above, name))
            done.add(name)

    for name in graph:
        follow(name, ())
    assert done == set(NAMES)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_only_the_page_imports_gradio_and_only_the_app_the_page(path):
    room = room_of(name_of(path))
    if room != "hub_models.page":
        assert "gradio" not in {name.partition(".")[0] for name in imported(path) | imported(path, types=True)}
    if room not in ("hub_models.page", "app"):
        assert "hub_models.page" not in rooms(path) | rooms(path, types=True)


@pytest.mark.parametrize("path", MODULES, ids=str)
def test_pytorch_is_imported_by_its_engine_by_export_and_by_training_alone(path):
    if path.as_posix().startswith(MAY_BE_HEAVY):
        return
    assert not HEAVY & {name.partition(".")[0] for name in imported(path)}
    lazily = {name for name in imported(path) if name.startswith("hub_models.engines.pytorch")}
    assert not lazily & imported_at_once(path)


@pytest.mark.parametrize("path", [path for path in MODULES if path.parts[0] == "hub_models"], ids=str)
def test_what_is_shared_imports_neither_the_training_nor_the_app(path):
    assert not rooms(path) & {"app", "train"}
    assert not [room for room in rooms(path) | rooms(path, types=True) if room.startswith("train")]


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
            case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                continue
            case ast.Expr(value=ast.Constant(value=str())):  # the docstring of the module or of a constant
                continue
            case ast.With(items=[ast.withitem(context_expr=ast.Call(func=ast.Name(id="no_garbage_collection")))]):
                assert all(isinstance(inner, ast.Import | ast.ImportFrom) for inner in statement.body)
            case ast.If(test=ast.Compare(left=ast.Name(id="__name__")) | ast.Name(id="TYPE_CHECKING")):
                continue
            case ast.Assign() | ast.AnnAssign():
                calls = [node.func for node in ast.walk(statement) if isinstance(node, ast.Call)]
                words = {ast.unparse(call).rpartition(".")[2] for call in calls}
                assert not [word for word in words if BUSY.search(word)], f"{path} line {statement.lineno}"
            case _:
                pytest.fail(f"{path} line {statement.lineno} does something on import: {ast.unparse(statement)}")
