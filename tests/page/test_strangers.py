"""What a second visitor obtains of the first one's X-rays: nothing, by any event, endpoint or address of the page.

Events, endpoints and addresses are read from the page itself, so that a new one is tried the day that it appears.
"""

import hashlib
import json
import os
import secrets
import tempfile
import zipfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import pytest
from gradio.utils import get_upload_folder
from PIL import Image

import app
from hub_models.xray.images import read_image
from hub_models.xray.phantom import draw_phantom
from tests.support.fake_pipeline import FakePipeline, ready

VICTIMS = 200
FILES = ("image", "file", "uploadbutton", "gallery", "imageeditor", "multimodaltextbox")
SESSION = "a-stranger"


@dataclass(frozen=True)
class Victim:
    """A file of the first visitor: its name and its bytes, of which no part may reach another."""

    name: str
    data: bytes

    def is_in(self, answer: bytes) -> bool:
        return self.name.encode() in answer or self.data in answer or self.data[100:160] in answer


@pytest.fixture(scope="module")
def victims(url: str) -> list[Victim]:
    """The first visitor's files, on the server: X-rays of which each is another."""
    drawn = draw_phantom(1, size=128).image
    files = []
    for number in range(VICTIMS):
        picture, stream = drawn.copy(), BytesIO()
        picture[:, number % 128] = np.random.default_rng(number).integers(0, 255, 128)
        Image.fromarray(picture).save(stream, "PNG")
        files.append(Victim(f"victim-{number:03d}-{secrets.token_hex(4)}.png", stream.getvalue()))
    for start in range(0, VICTIMS, 50):
        parts = [("files", (victim.name, victim.data)) for victim in files[start : start + 50]]
        httpx.post(f"{url}gradio_api/upload", files=parts, timeout=60).raise_for_status()
    return files


def guesses(folder: Path, victims: list[Victim]) -> list[str]:
    """Paths that a stranger may think of: folders, patterns, detours, links, addresses, other files of the server."""
    name, data = victims[0].name, victims[0].data
    hashes = [hashlib.sha256(data).hexdigest(), hashlib.sha256(b"" + data).hexdigest()]
    link, loop = folder.parent / "link-to-uploads", folder.parent / "loop"
    for file, target in ((link, folder), (loop, loop)):
        if not file.is_symlink():
            file.symlink_to(target)
    return [
        *map(str, (folder, f"{folder}/", folder.parent, f"{folder}/..", f"{folder}/*", f"{folder}/*/*", link, loop)),
        *(f"{folder}/{known}/{name}" for known in hashes),
        *(f"{folder}/{known}" for known in hashes),
        f"{folder}/../{folder.name}",
        f"{folder}/%2e%2e",
        f"file://{folder}",
        f"http://127.0.0.1:1/gradio_api/file={folder}",
        "/etc/passwd",
        "/proc/self/environ",
        "/dev/stdin",
        str(Path(__file__)),
        ".",
        "",
        "\0",
    ]


def shapes(path: str, several: bool) -> list:
    """The ways to name a file to an event."""
    bare, meta = {"path": path}, {"path": path, "meta": {"_type": "gradio.FileData"}}
    found = [bare, meta, {**meta, "url": f"/gradio_api/file={path}", "orig_name": "a.zip"}, path]
    return [[one] for one in found] if several else found


def run_event(client: httpx.Client, fn: int, data: list, session: str) -> bytes:
    """Everything that the server answers to one event, as every client of gradio would ask."""
    body = {"fn_index": fn, "data": data, "session_hash": session, "trigger_id": None, "event_data": None}
    joined = client.post("/gradio_api/queue/join", json=body)
    found = joined.content
    if joined.status_code == 200:
        with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": session}) as stream:
            found += b"".join(stream.iter_bytes())
    direct = client.post(f"/gradio_api/run/predict?__{fn}", json={**body, "session_hash": f"{session}-direct"})
    return found + direct.content


def served_by(answer: bytes, client: httpx.Client) -> bytes:
    """The files that an answer names, as far as the server hands them out."""
    found, decoder = [], json.JSONDecoder()
    for line in answer.split(b"data: "):
        try:
            value, _ = decoder.raw_decode(line.decode())
        except ValueError:
            continue
        stack = [value]
        while stack:
            part = stack.pop()
            if isinstance(part, dict):
                if isinstance(part.get("url"), str):
                    found.append(part["url"].partition("/gradio_api/")[2])
                stack += part.values()
            elif isinstance(part, list):
                stack += part
    content = b""
    for name in dict.fromkeys(found):
        file = client.get(f"/gradio_api/{name}")
        content += file.content
        if file.content[:2] == b"PK":
            with zipfile.ZipFile(BytesIO(file.content)) as archive:
                content += b"".join(name.encode() + archive.read(name) for name in archive.namelist())
    return content


def test_no_event_answers_or_returns_the_files_of_another(url, pipeline, victims):
    folder = Path(get_upload_folder())
    before, known = len(pipeline.images), [read_image(victim.data) for victim in victims]
    with httpx.Client(base_url=url, timeout=60) as client:
        config = client.get("/config").json()
        kinds = {component["id"]: component for component in config["components"]}
        tried = 0
        for dependency in config["dependencies"]:
            inputs = [kinds[number] for number in dependency["inputs"]]
            places = [place for place, component in enumerate(inputs) if component["type"] in FILES]
            for path in guesses(folder, victims):
                for place in places:
                    several = inputs[place]["props"].get("file_count") == "multiple"
                    for number, value in enumerate(shapes(path, several)):
                        data = [component["props"].get("value") for component in inputs]
                        data[place] = value
                        session = f"{SESSION}-{dependency['id']}-{place}-{number}-{tried}"
                        answer = run_event(client, dependency["id"], data, session)
                        answer += served_by(answer, client)
                        assert not [v.name for v in victims if v.is_in(answer)], (dependency["api_name"], value)
                        tried += 1
    assert tried > 300
    asked = pipeline.images[before:]
    assert not [image for image in asked if any(np.array_equal(image, other) for other in known)]


def test_no_address_hands_out_the_files_of_another(url, victims):
    folder = Path(get_upload_folder())
    names = [*guesses(folder, victims), *(f"{folder}/{hashlib.sha256(v.data).hexdigest()}/{v.name}" for v in victims)]
    demo = app.build_demo(ready(FakePipeline(Path(tempfile.mkdtemp()))))
    patterns = {getattr(route, "path", "") for route in demo.app.routes} | {"/gradio_api/file={path}"}
    answers = []
    with httpx.Client(base_url=url, timeout=20) as client:
        for pattern in sorted(filter(None, patterns)):
            if any(word in pattern for word in ("heartbeat", "queue/data", "dev/reload", "upload_progress")):
                continue  # these stream, and take no path
            head, brace, tail = pattern.partition("{")
            for name in names if brace else [""]:
                try:
                    answers.append(client.get(head + name.replace("\0", "%00") + tail.partition("}")[2]).content)
                except httpx.InvalidURL:
                    continue
        for victim in victims[:3]:
            answers += [client.get("/", params={"view": victim.name}).content, client.get("/config").content]
    assert not [v.name for v in victims if any(v.is_in(answer) for answer in answers)]


def test_errors_say_the_same_whatever_is_there_and_hold_no_path(url, tmp_path):
    there, not_there = tmp_path / "there.png", tmp_path / "not-there.png"
    Image.fromarray(draw_phantom(1, size=64).image).save(there)
    pipe = tmp_path / "pipe"
    if hasattr(os, "mkfifo"):
        os.mkfifo(pipe)
    with httpx.Client(base_url=url, timeout=20) as client:
        config = client.get("/config").json()
        (segment,) = [one["id"] for one in config["dependencies"] if one["api_name"] == "segment"]
        said = set()
        for number, path in enumerate((there, not_there, pipe, tmp_path, "/etc/passwd", "/etc/shadow", "/nowhere")):
            data = [{"path": str(path), "meta": {"_type": "gradio.FileData"}}]
            answer = run_event(client, segment, data, f"errors-{number}")
            assert str(path).encode() not in answer
            said.add(json.loads(answer.split(b"data: ")[1])["output"]["error"])
            assert client.get(f"/gradio_api/file={path}").status_code == 404
        bodies = {
            client.get(f"/gradio_api/file={path}").content for path in (there, not_there, tmp_path, "/etc/passwd")
        }
    assert said == {"The page does not have this file, or no longer; drop or choose it again."}
    assert len(bodies) == 1
