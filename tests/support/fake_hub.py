"""A Hub on the loopback interface: the routes that huggingface_hub calls to publish and pull a model or a data set, and
their log.

    with start() as hub, used(hub.url, cache=tmp_path, token=WRITE_TOKEN):
        ...  # create_repo, create_commit, model_info, snapshot_download

It keeps every commit, stores large files by checksum as Git LFS does, and applies a commit whole or not at all.
"""

import asyncio
import base64
import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import pytest
import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from huggingface_hub import close_session, constants

WRITE_TOKEN, READ_TOKEN = "hf_loopback_write", "hf_loopback_read"
LARGE = (".safetensors", ".parquet")  # stored by checksum
# Among `LoopbackHub.faults`, instead of a status: not answered while there are faults; the connection closed without an
# answer; half of the body and then closed; a body of the right length with other content.
SILENCE, RESET, TRUNCATED, CORRUPT = -1, -2, -3, -4
RUNNING: list["LoopbackHub"] = []


@dataclass(frozen=True)
class Commit:
    """What one commit wrote, in its order, and all files (path -> content) after it."""

    sha: str
    written: list[str]
    files: dict[str, bytes]


@dataclass
class Repository:
    """Commits, oldest first, tags (name -> sha), commits of pull requests, and a Space's variables."""

    private: bool = False
    commits: list[Commit] = field(default_factory=lambda: [Commit("0" * 40, [], {".gitattributes": b""})])
    tags: dict[str, str] = field(default_factory=dict)
    pulls: list[Commit] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    def at(self, revision: str) -> Commit:
        """The commit that "main", a tag or a sha names; 404 if there is none."""
        wanted = self.commits[-1].sha if revision == "main" else self.tags.get(revision, revision)
        for commit in self.commits:
            if commit.sha == wanted:
                return commit
        raise HTTPException(404, headers={"X-Error-Code": "RevisionNotFound"})

    def commit(self, written: dict[str, bytes]) -> Commit:
        """Add a commit that writes these files."""
        self.commits.append(self.after_last(written))
        return self.commits[-1]

    def after_last(self, written: dict[str, bytes]) -> Commit:
        """The commit that writes these files after the last one; its sha depends on them and on the history."""
        digests = [
            self.commits[-1].sha,
            *(path + hashlib.sha1(content).hexdigest() for path, content in written.items()),
        ]
        sha = hashlib.sha1("\n".join(digests).encode()).hexdigest()
        return Commit(sha, list(written), {**self.commits[-1].files, **written})


@dataclass
class LoopbackHub:
    """What the server holds and has seen.

    Attributes:
        url: Its endpoint.
        repositories: Repo id, with "datasets/" or "spaces/" before it for those -> repository.
        large: SHA-256 -> content of the uploaded LFS objects.
        requests: "METHOD /path" of every request, in order.
        faults: Pattern of "METHOD /path" -> status of the answer, or one of `SILENCE`, `RESET`, `TRUNCATED`, `CORRUPT`.
        sentences: Status -> the sentence that an answer of `faults` with it says, in the Hub's way.
    """

    url: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    large: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    faults: dict[str, int] = field(default_factory=dict)
    sentences: dict[int, str] = field(default_factory=dict)

    def repository(self, request: Request, write: bool = False) -> Repository:
        """The repository that a request names, if its token may do that; else 401, 403 or 404."""
        if write:
            check_writer(request)
        match = re.match("(?:/api)?/((?:datasets|spaces)/)", request.url.path)
        kind = match[1] if match else ""
        found = self.repositories.get(kind + "{user}/{name}".format(**request.path_params))
        if found is None or (found.private and token_of(request) not in (WRITE_TOKEN, READ_TOKEN)):
            raise HTTPException(404, headers={"X-Error-Code": "RepoNotFound"})
        return found


def make_app(hub: LoopbackHub) -> FastAPI:
    """The server's routes, on the state in `hub`."""
    app = FastAPI()

    @app.middleware("http")
    async def log(request: Request, answer: Any) -> Response:
        line = f"{request.method} {request.url.path}"
        hub.requests.append(line)
        status = next((status for pattern, status in hub.faults.items() if re.search(pattern, line)), None)
        if status is None:
            return await answer(request)
        if status > 0 and status in hub.sentences:
            return JSONResponse({"error": hub.sentences[status]}, status)
        if status > 0:
            return Response(status_code=status)
        if status == SILENCE:
            while hub.faults:
                await asyncio.sleep(0.02)
            return await answer(request)
        if status == RESET:
            return cut_off(b"", 1, {})
        whole = await answer(request)
        body = b"".join([part async for part in whole.body_iterator])
        headers = {name: value for name, value in whole.headers.items() if name != "content-length"}
        if status == TRUNCATED:
            return cut_off(body[: len(body) // 2], len(body), headers)
        return Response(bytes(len(body)), whole.status_code, headers)

    @app.post("/api/repos/create")
    async def create(request: Request) -> Response:
        check_writer(request)
        wish = await request.json()
        kind = {"dataset": "datasets/", "space": "spaces/"}.get(wish.get("type"), "")
        repo = f"{kind}{wish['organization']}/{wish['name']}"
        status = 409 if repo in hub.repositories else 200
        hub.repositories.setdefault(repo, Repository(private=wish.get("visibility") == "private"))
        return JSONResponse({"url": f"{hub.url}/{repo}"}, status)

    @app.get("/api/whoami-v2")
    def whoami(request: Request) -> Any:
        if token_of(request) not in (WRITE_TOKEN, READ_TOKEN):
            raise HTTPException(401)
        return {"type": "user", "name": "someone", "auth": {"type": "access_token"}, "orgs": []}

    @app.post("/api/validate-yaml")
    async def validate(request: Request) -> Response:
        card = (await request.json())["content"]
        return JSONResponse({"errors": []}, 200 if card.startswith("---\n") else 400)

    @app.post("/api/{kind}/{user}/{name}/preupload/main")
    async def preupload(request: Request) -> Any:
        files = {entry["path"]: entry for entry in tree(request, "main")}
        return {"files": [upload_mode(wish["path"], files) for wish in (await request.json())["files"]]}

    @app.post("/datasets/{user}/{name}.git/info/lfs/objects/batch")
    @app.post("/spaces/{user}/{name}.git/info/lfs/objects/batch")
    @app.post("/{user}/{name}.git/info/lfs/objects/batch")
    async def batch(request: Request) -> Any:
        hub.repository(request, write=True)
        objects = [{"oid": item["oid"], "size": item["size"]} for item in (await request.json())["objects"]]
        for item in objects:
            if item["oid"] not in hub.large:
                item["actions"] = {"upload": {"href": f"{hub.url}/lfs/{item['oid']}"}}
        return {"transfer": "basic", "objects": objects}

    @app.put("/lfs/{oid}")
    async def store(request: Request, oid: str) -> None:
        content = await request.body()
        if hashlib.sha256(content).hexdigest() != oid:
            raise HTTPException(400)
        hub.large[oid] = content

    @app.post("/api/{kind}/{user}/{name}/commit/main")
    async def commit(request: Request) -> Any:
        repository = hub.repository(request, write=True)
        head, *lines = [json.loads(line) for line in (await request.body()).splitlines()]
        head, deleted = head["value"], [line["value"]["path"] for line in lines if line["key"] == "deletedFile"]
        steps = [line["value"] for line in lines if line["key"] != "deletedFile"]
        if head.get("parentCommit") not in (None, repository.commits[-1].sha):
            raise HTTPException(412)
        if any(step["oid"] not in hub.large for step in steps if "oid" in step):
            raise HTTPException(400)
        written = {step["path"]: content_of(step, hub.large) for step in steps}
        page = "{}/{user}/{name}".format(hub.url, **request.path_params)
        if request.query_params.get("create_pr") == "1":
            repository.pulls.append(repository.after_last(written))
            sha, more = repository.pulls[-1].sha, {"pullRequestUrl": f"{page}/discussions/{len(repository.pulls)}"}
        else:
            sha, more = repository.commit(written).sha, {}
            for path in deleted:
                del repository.commits[-1].files[path]
        return {"commitOid": sha, "commitUrl": f"{page}/commit/{sha}", **more}

    @app.post("/api/{kind}/{user}/{name}/tag/{revision}")
    async def tag(request: Request, revision: str) -> None:
        repository, name = hub.repository(request, write=True), (await request.json())["tag"]
        if name in repository.tags:
            raise HTTPException(409)
        repository.tags[name] = repository.at(revision).sha

    @app.post("/api/spaces/{user}/{name}/variables")
    async def set_variable(request: Request) -> Any:
        repository, wish = hub.repository(request, write=True), await request.json()
        repository.variables[wish["key"]] = wish["value"]
        return {key: {"value": value} for key, value in repository.variables.items()}

    @app.get("/api/{kind}/{user}/{name}/refs")
    def refs(request: Request) -> Any:
        repository = hub.repository(request)
        names = {"branches": {"main": repository.commits[-1].sha}, "tags": repository.tags, "converts": {}}
        return {
            kind: [{"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": sha} for name, sha in known.items()]
            for kind, known in names.items()
        }

    @app.get("/api/{kind}/{user}/{name}")
    @app.get("/api/{kind}/{user}/{name}/revision/{revision:path}")
    def info(request: Request, user: str, name: str, revision: str = "main", blobs: bool = False) -> Any:
        at = hub.repository(request).at(revision)
        siblings = [{"rfilename": path} | ({"size": len(data)} if blobs else {}) for path, data in at.files.items()]
        return {"id": f"{user}/{name}", "sha": at.sha, "private": hub.repository(request).private, "siblings": siblings}

    @app.get("/api/{kind}/{user}/{name}/tree/{revision}")
    @app.get("/api/{kind}/{user}/{name}/tree/{revision}/{folder:path}")
    def tree(request: Request, revision: str, folder: str = "") -> Any:
        files = hub.repository(request).at(revision).files
        if folder and not any(path.startswith(f"{folder}/") for path in files):
            raise HTTPException(404, headers={"X-Error-Code": "EntryNotFound"})
        folders = {path.partition("/")[0] for path in files if "/" in path} if not folder else set()
        listed = [tree_entry(path, content) for path, content in files.items() if path.startswith(folder)]
        return listed + [{"type": "directory", "path": path, "size": 0, "oid": "0" * 40} for path in folders]

    @app.api_route("/datasets/{user}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
    @app.api_route("/{user}/{name}/resolve/{revision}/{path:path}", methods=["GET", "HEAD"])
    def resolve(request: Request, revision: str, path: str) -> Response:
        at = hub.repository(request).at(revision)
        if path not in at.files:
            raise HTTPException(404, headers={"X-Error-Code": "EntryNotFound"})
        content, headers = at.files[path], {"X-Repo-Commit": at.sha, "ETag": tree_entry(path, at.files[path])["oid"]}
        if match := re.fullmatch(r"bytes=(\d+)-(\d*)", request.headers.get("range", "")):
            first, last = int(match[1]), min(int(match[2] or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            return Response(content[first : last + 1], 206, headers)
        return Response(content, headers=headers)  # uvicorn leaves the body out of the answer to a HEAD request

    return app


def cut_off(body: bytes, promised: int, headers: dict[str, str]) -> Response:
    """An answer that breaks off: the server closes a connection on which it sent less than it promised."""
    return StreamingResponse(iter([body]), headers={**headers, "content-length": str(promised)})


def token_of(request: Request) -> str:
    """The token a request came with, or ""."""
    return request.headers.get("authorization", "").removeprefix("Bearer ")


def check_writer(request: Request) -> None:
    """401 for a token that is not known, 403 for one that may only read."""
    if token_of(request) != WRITE_TOKEN:
        raise HTTPException(403 if token_of(request) == READ_TOKEN else 401)


def tree_entry(path: str, content: bytes) -> dict[str, Any]:
    """One line of a repository's listing; "oid" is Git's blob id, or the SHA-256 of a large file."""
    entry = {"type": "file", "path": path, "size": len(content)}
    if path.endswith(LARGE):
        sha256 = hashlib.sha256(content).hexdigest()
        return {**entry, "oid": sha256, "lfs": {"oid": sha256, "size": len(content), "pointerSize": 130}}
    return {**entry, "oid": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()}


def upload_mode(path: str, files: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """How a file is to be uploaded, and the id of what the repository holds now (None for a new file)."""
    mode = "lfs" if path.endswith(LARGE) else "regular"
    return {"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": files.get(path, {}).get("oid")}


def content_of(step: dict[str, str], large: dict[str, bytes]) -> bytes:
    """What one line of a commit writes: an uploaded large file, or the small one that it carries."""
    return large[step["oid"]] if "oid" in step else base64.b64decode(step["content"])


@contextmanager
def start() -> Iterator[LoopbackHub]:
    """Run an empty Hub on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        hub = LoopbackHub(f"http://127.0.0.1:{listener.getsockname()[1]}")
        server = uvicorn.Server(uvicorn.Config(make_app(hub), log_level="error", timeout_graceful_shutdown=1))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        RUNNING.append(hub)
        yield hub
        RUNNING.remove(hub)
        hub.faults.clear()
        server.should_exit = True
        thread.join()


@contextmanager
def used(url: str, cache: Path, token: str = "") -> Iterator[None]:
    """Let this process use the Hub at `url`, with an empty cache and a token of its own."""
    changed = {
        "ENDPOINT": url,
        "HUGGINGFACE_CO_URL_TEMPLATE": url + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HUB_CACHE": str(cache / "hub"),
        "HF_TOKEN_PATH": str(cache / "token"),
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_OFFLINE": False,
    }
    for_datasets = {
        "HF_ENDPOINT": url,
        "HF_DATASETS_CACHE": cache / "datasets",
        "HF_HUB_OFFLINE": False,
        "HF_UPDATE_DOWNLOAD_COUNTS": False,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in changed.items():
            patch.setattr(constants, name, value)
        for name, value in for_datasets.items():
            patch.setattr(datasets.config, name, value)
        patch.setenv("HF_TOKEN", token)
        try:
            yield
        finally:
            for hub in RUNNING:
                hub.faults.clear()
            for thread in threading.enumerate():
                if thread.name.startswith("download of "):  # given up on, it would go on to disturb what comes next
                    thread.join(30)
            close_session()  # the time limits that the product gave it go with it
