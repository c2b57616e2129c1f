"""The whole way: published to a Hub, pulled into an empty cache, shown by the page."""

import shutil
from pathlib import Path

import datasets
import httpx2
import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from gradio_client import Client, handle_file
from huggingface_hub import hf_hub_download
from safetensors.torch import load_file
from transformers import AutoModel, AutoProcessor, pipeline

from hub_models.cards.facts import CardFacts
from hub_models.checkpoints.choices import variable
from hub_models.checkpoints.folder import WEIGHTS_FILE
from hub_models.checkpoints.resolve import resolve
from hub_models.checkpoints.roles import ROLES, repository
from hub_models.models.loading import load_model
from hub_models.models.resnet import ResnetClassifier
from hub_models.page.startup import open_pipeline
from hub_models.pipeline import XrayPipeline
from hub_models.publish.__main__ import main
from hub_models.xray.images import read_image
from hub_models.xray.phantom import draw_phantom
from tests.support import tiny_models
from tests.support.fake_hub import WRITE_TOKEN, start, used
from tests.support.fake_pipeline import serve
from train.data import __main__ as data
from train.data import dataset
from train.data.rows import read_picture

REPO = "someone/chest-xray-resnet"
DATA = "someone/lung-xrays"


def test_what_is_published_comes_back_and_answers_exactly_alike(
    covid_qu_ex,
    checkpoints,
    folder,
    xray,
    tmp_path,
    monkeypatch,
):
    facts = CardFacts.load(folder)
    local = {role: tiny_models.write_release(role, checkpoints[role], facts, tmp_path / "all" / role) for role in ROLES}
    with start() as hub:
        with used(hub.url, tmp_path / "mine", WRITE_TOKEN), monkeypatch.context() as chosen:
            for role in ROLES:
                chosen.setenv(variable(role), str(local[role]))
            commits = main(["all", "--namespace", "someone"])
            data.main(
                [
                    "--dataset",
                    str(covid_qu_ex),
                    "--push_to_hub",
                    DATA,
                    "--license",
                    "cc0-1.0",
                    "--public",
                    "--columns",
                    "file",
                ]
            )
        monkeypatch.setenv("XRAY_NAMESPACE", "someone")
        with used(hub.url, tmp_path / "fresh"):
            pulled = open_pipeline(patience=30)
            elsewhere = {role: read_without_this_project(role) for role in ROLES}
            rows = dataset.load(DATA)
            streamed = next(iter(datasets.load_dataset(DATA, split="test", streaming=True)))

    assert {role: (one.origin, one.name, one.revision, one.problem) for role, one in pulled.checkpoints.items()} == {
        role: ("hub", repository("someone", role), commit.oid, None)
        for role, commit in zip(ROLES, commits, strict=True)
    }
    monkeypatch.delenv("XRAY_NAMESPACE")
    expected = XrayPipeline.from_pretrained({role: str(path) for role, path in local.items()})(read_image(xray))
    with serve(pulled) as url:
        client = Client(url, verbose=False)
        answered = client.predict(handle_file(xray), api_name="/classify")
        assert answered == (expected.classifiers, [], expected.conclusion.describe())
    assert elsewhere == {role: {float(t.double().sum()) for t in tensors(pulled, role)} for role in ROLES}
    local_rows = dataset.load(str(covid_qu_ex))
    assert {split: len(part) for split, part in rows.items()} == {
        split: len(part) for split, part in local_rows.items()
    }
    assert rows["test"]["file"][:] == local_rows["test"]["file"][:]
    assert [mask is None for mask in rows["test"]["lung_mask"]] == [m is None for m in local_rows["test"]["lung_mask"]]
    assert np.array_equal(read_picture(rows["test"][0]["image"]), read_picture(local_rows["test"][0]["image"]))
    assert streamed["file"] == local_rows["test"][0]["file"]


def test_onnx_files_come_back_and_run_unless_they_were_made_of_other_weights(exported, tmp_path):
    with start() as hub, used(hub.url, tmp_path / "mine", WRITE_TOKEN):
        main([str(exported("resnet")), "--repo_id", REPO])
        with used(hub.url, tmp_path / "fresh"):
            pulled = resolve("resnet", REPO)
            fast = load_model(pulled)
            assert (pulled.folder / "network.onnx").read_bytes() == (exported("resnet") / "network.onnx").read_bytes()
            assert (str(fast.engine), fast.engine.problem) == ("openvino, float32", None)
            other = shutil.copytree(exported("resnet"), tmp_path / "other")
            tiny_models.change_weights(other)
            hub.repositories[REPO].commit({WEIGHTS_FILE: (other / WEIGHTS_FILE).read_bytes()})
            slow = load_model(resolve("resnet", REPO))
    assert str(slow.engine) == "torch, float32"
    assert slow.engine.problem == "network.onnx was not made of these weights; export it again, or delete it."
    image, lungs = draw_phantom(1, size=64).image.astype(np.float32) / 255, np.ones((64, 64), bool)
    first, second = (ResnetClassifier.from_pretrained(folder)(image, lungs) for folder in (exported("resnet"), other))
    assert fast(image, lungs) == pytest.approx(first, abs=1e-4)
    assert slow(image, lungs) == second


def read_without_this_project(role: str) -> set[float]:
    """The sums of the tensors of a published checkpoint, loaded by its Hub id with public libraries only."""
    repo_id = repository("someone", role)
    if role == "fusion":  # no public library knows its network
        return {float(tensor.double().sum()) for tensor in load_file(hf_hub_download(repo_id, WEIGHTS_FILE)).values()}
    if role == "unet":
        model = smp.from_pretrained(repo_id)
    elif role == "resnet":
        model = pipeline("image-classification", repo_id).model
    else:
        model = AutoModel.from_pretrained(repo_id)
        assert AutoProcessor.from_pretrained(repo_id).tokenizer("lungs").input_ids
    return {float(tensor.double().sum()) for tensor in model.state_dict().values()}


def tensors(pulled: XrayPipeline, role: str) -> list[torch.Tensor]:
    """The tensors of a role's model on the page."""
    place = pulled.checkpoints[role].folder / WEIGHTS_FILE
    return list(load_file(place).values())


class Killed(BaseException):
    """The end of a process, which no handler of the product sees."""


def killed_at(request: int, after: bool):
    """A way to send requests that ends the process at one of them, before or after the server has done it."""
    send, seen = httpx2.Client.send, 0

    def counted(client, *args, **kwargs):
        nonlocal seen
        seen += 1
        if seen == request and not after:
            raise Killed
        answer = send(client, *args, **kwargs)
        if seen == request:
            raise Killed
        return answer

    return counted


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_publication_killed_at_any_request_leaves_the_repository_as_it_was_or_complete(
    folder: Path,
    tmp_path,
    after,
):
    with start() as hub, used(hub.url, tmp_path / "cache", WRITE_TOKEN):
        main([str(folder), "--repo_id", REPO])
        before = list(hub.repositories[REPO].commits)
        tiny_models.change_weights(folder)
        config = folder / "config.json"
        config.write_text(config.read_text().replace("{", '{"remark": "other",', 1))
        expected = {path.name: path.read_bytes() for path in folder.iterdir()}
        for request in range(1, 100):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(httpx2.Client, "send", killed_at(request, after))
                try:
                    main([str(folder), "--repo_id", REPO])
                except Killed:
                    commits = hub.repositories[REPO].commits
                    if commits != before:  # killed after the one commit: nothing is missing from it
                        assert len(commits) == len(before) + 1
                        assert {name: commits[-1].files[name] for name in expected} == expected
                        del commits[-1]
                else:
                    break
        assert 5 < request < 99  # there were moments to be killed at, and in the end it went through
        assert hub.repositories[REPO].commits[-1].written == ["config.json", "model.safetensors"]
