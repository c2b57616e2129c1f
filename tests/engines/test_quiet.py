"""No library reports who uses the project: no other host is looked up or called, and the home folder stays empty."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub.constants
import pytest

from hub_models.engines.quiet import VARIABLES, no_telemetry

PROJECT = Path(__file__).parents[2]
ALONE = PROJECT / "train" / "job.py"
"""Runs where nothing of the project is installed yet, so it imports nothing that could report."""
DOORS = [
    path.relative_to(PROJECT)
    for path in (PROJECT / "app.py", *PROJECT.glob("hub_models/**/*.py"), *PROJECT.glob("train/**/*.py"))
    if "\ndef main(" in path.read_text(encoding="utf-8") and path != ALONE
]

WATCH = '''
"""Refuses every connection that leaves this computer, and every look-up of a name, and writes down which they were."""
import os
import sys

ASKED = {"socket.getaddrinfo": 0, "socket.gethostbyname": 0, "socket.connect": 1, "socket.sendto": 1}
LOCAL = (None, "", "localhost", "127.0.0.1", "0.0.0.0", "::1", "::")


def watch(event, args):
    if event not in ASKED:
        return
    host = args[ASKED[event]]
    host = host[0] if isinstance(host, tuple) else host
    host = host.decode() if isinstance(host, bytes) else host
    if host in LOCAL or host.startswith("/"):
        return
    with open(os.environ["WATCHED"], "a") as file:
        file.write(f"{event} {host}\\n")
    raise OSError(f"{host} is not to be asked")


sys.addaudithook(watch)
'''
PAGE = '''
"""Serves the page, has it analyse an X-ray, and ends."""
import os
import socket
import sys

import app
from hub_models.page import server


def analyse(demo):
    from gradio_client import Client, handle_file

    client = Client(demo.local_url, verbose=False, analytics_enabled=False)
    told = client.predict(handle_file(os.environ["XRAY"]), None, api_name="/analyse")[1]
    print("unet runs in", told["checkpoints"]["unet"]["engine"])
    client.close()
    demo.close(verbose=False)


with socket.create_server(("127.0.0.1", 0)) as free:
    os.environ["GRADIO_SERVER_PORT"] = str(free.getsockname()[1])
server.wait = analyse  # the last thing that main does
sys.argv = ["app.py"]
app.main()
'''


def watched(tmp_path: Path, xray: Path, *words: str, **variables: str) -> tuple[str, list[str], list[str]]:
    """The output of a Python program, the hosts that it asked, and the files that it left in its empty home folder."""
    site, home, hosts = tmp_path / "site", tmp_path / "home", tmp_path / "hosts"
    for folder in (site, home):
        folder.mkdir()
    (site / "sitecustomize.py").write_text(WATCH, encoding="utf-8")
    (tmp_path / "page.py").write_text(PAGE, encoding="utf-8")
    hosts.touch()
    kept = {name: os.environ[name] for name in ("PATH", "OMP_NUM_THREADS") if name in os.environ}
    paths = os.pathsep.join(map(str, (site, PROJECT)))
    given = {"HOME": str(home), "USERPROFILE": str(home), "PYTHONPATH": paths, "WATCHED": str(hosts)}
    environment = kept | given | {"XRAY": str(xray)} | variables
    done = subprocess.run(
        [sys.executable, *words], env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr
    left = [path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file()]
    return done.stdout, hosts.read_text().splitlines(), left


def test_the_watch_sees_what_is_looked_up_and_called(tmp_path, xray):
    script = "import socket\nfor ask in (lambda: socket.getaddrinfo('example.invalid', 80), lambda: socket.socket("
    script += ").connect(('192.0.2.1', 80))):\n try: ask()\n except OSError as error: print(error)"
    printed, hosts, _ = watched(tmp_path, xray, "-c", script)
    assert hosts == ["socket.getaddrinfo example.invalid", "socket.connect 192.0.2.1"]
    assert printed.splitlines() == ["example.invalid is not to be asked", "192.0.2.1 is not to be asked"]


def test_the_page_starts_and_analyses_without_a_word_to_others(tmp_path, xray):
    printed, hosts, left = watched(tmp_path, xray, str(tmp_path / "page.py"))
    assert "unet runs in openvino" in printed
    assert hosts == []
    assert left == []


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "torch"])
def test_the_command_answers_without_a_word_to_others(tmp_path, xray, engine):
    words = ("-m", "hub_models.predict", str(xray), "--output_dir", str(tmp_path / "results"), "--pdf")
    printed, hosts, left = watched(tmp_path, xray, *words, XRAY_ENGINE=engine)
    assert "1 of 1 images answered" in printed
    assert (tmp_path / "results" / "phantom" / "report.pdf").is_file()
    assert hosts == []
    assert left == []


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime"])
def test_python_code_that_loads_a_model_calls_no_one_either(tmp_path, xray, engine):
    """ONNX Runtime asks the system itself, past Python; that it writes no id tells that it is switched off."""
    code = "from hub_models.checkpoints.resolve import embedded; from hub_models.models.loading import load_model\n"
    code += "print(load_model(embedded('unet')).engine)"
    printed, hosts, left = watched(tmp_path, xray, "-c", code, XRAY_ENGINE=engine)
    assert engine in printed
    assert (hosts, left) == ([], [])


@pytest.mark.parametrize("path", DOORS, ids=str)
def test_every_command_switches_reports_off_first(path):
    (main,) = (
        node
        for node in ast.parse((PROJECT / path).read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and node.name == "main"
    )
    first = next(
        part for part in main.body if not (isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant))
    )
    assert ast.unparse(first) == "no_telemetry()"


def test_what_runs_alone_imports_nothing_but_python():
    tree = ast.parse(ALONE.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names <= sys.stdlib_module_names


def test_all_commands_are_found():
    assert {Path("app.py"), Path("hub_models/predict.py"), Path("train/unet.py")} <= set(DOORS)


def test_libraries_that_are_imported_already_are_told_too(monkeypatch):
    import datasets.config

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_DISABLE_TELEMETRY", False)
    monkeypatch.setattr(datasets.config, "HF_UPDATE_DOWNLOAD_COUNTS", True)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    no_telemetry()
    assert huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY is True
    assert datasets.config.HF_UPDATE_DOWNLOAD_COUNTS is False
    assert {name: os.environ[name] for name in VARIABLES} == VARIABLES
    with pytest.raises(ImportError):
        import openvino_telemetry  # noqa: F401
