"""Nothing that leaves the machine holds a token, folder, patient id, file name, header or a text that stays here."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from huggingface_hub import HfApi
from PIL import Image, PngImagePlugin

from tests.support.fake_hub import READ_TOKEN, WRITE_TOKEN, LoopbackHub, start, used
from train import resnet, unet
from train.data import __main__ as data
from train.script.arguments import parse_arguments

SECRETS = ("patient-", "covid-19_", "non-covid_", "normal_", "DOE^JANE", "Drawn by a program", "20.0", WRITE_TOKEN)
"""Words of the drawn data set and of this machine that stay at home; the tiny data writes them, as a clinic's might."""
TINY = ("--image_size", "32", "--max_steps", "1", "--report_to", "none")


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    """An empty Hub, used with a token that may write."""
    with start() as hub, used(hub.url, tmp_path / "cache", WRITE_TOKEN):
        yield hub


@pytest.fixture
def clinic(covid_qu_ex: Path, tmp_path: Path) -> Path:
    """The drawn data set with a patient's name in the header of every picture."""
    folder = shutil.copytree(covid_qu_ex, tmp_path / "clinic")
    header = PngImagePlugin.PngInfo()
    header.add_text("PatientName", "DOE^JANE")
    for path in folder.rglob("images/*.png"):
        Image.open(path).save(path, pnginfo=header)
    table = pd.read_csv(folder / "metadata.csv", dtype=str)
    table.assign(caption=table["notes"]).to_csv(folder / "metadata.csv", index=False)
    assert all(b"DOE^JANE" in path.read_bytes() for path in folder.rglob("images/*.png"))
    return folder


def everything(hub: LoopbackHub) -> bytes:
    """All that was ever uploaded: large files, and the files and names of every commit."""
    written = [
        content
        for repository in hub.repositories.values()
        for commit in repository.commits
        for content in (*commit.files.values(), " ".join(commit.files).encode())
    ]
    return b"\n".join([*hub.large.values(), *written])


def test_trainings_that_publish_their_release_and_a_pushed_data_set_tell_nothing_private(hub, clinic, tmp_path):
    said = [
        "--dataset",
        str(clinic),
        "--license",
        "cc0-1.0",
        "--data_name",
        "Drawn X-rays",
        "--citation",
        "A. Body. 2026.",
    ]
    pushed = ["--push_to_hub", "True", "--hub_token", WRITE_TOKEN, "--hub_model_id"]
    resnet.main([*said, *TINY, "--depth", "10", "--output_dir", str(tmp_path / "resnet"), *pushed, "someone/resnet"])
    encoder = ["--encoder", "resnet18", "--encoder_weights", "none"]
    private = ["--hub_private_repo", "True", "--hub_space", "someone/page"]
    unet.main([*said, *TINY, *encoder, "--output_dir", str(tmp_path / "unet"), *pushed, "someone/unet", *private])
    data.main(["--dataset", str(clinic), "--push_to_hub", "someone/xrays", "--license", "cc0-1.0", "--public"])

    assert set(hub.repositories) == {"someone/resnet", "someone/unet", "datasets/someone/xrays"}
    for name in ("resnet", "unet"):
        files = hub.repositories[f"someone/{name}"].commits[-1].files
        release = {path.name for path in (tmp_path / name / "release").iterdir()}
        assert {*files} - {".gitattributes", "thumbnail.png"} == release
        assert "training_args.bin" not in release
        card = files["README.md"].decode()
        assert "license: cc0-1.0\n" in card
        assert "Trained on Drawn X-rays (" in card
        assert "- A. Body. 2026.\n" in card
    assert f"({hub.url}/spaces/someone/page)" in card
    assert [hub.repositories[f"someone/{name}"].private for name in ("resnet", "unet")] == [False, True]
    uploaded = everything(hub)
    assert len(uploaded) > 1_000_000
    found = [secret for secret in (*SECRETS, str(tmp_path), str(Path.home())) if secret.encode() in uploaded]
    assert not found
    kept = [path for path in tmp_path.rglob("*") if path.is_file() and "cache" not in path.parts]
    assert not [path for path in kept if WRITE_TOKEN.encode() in path.read_bytes()]


@pytest.mark.parametrize(
    ("more", "token", "sentence"),
    [
        ([], WRITE_TOKEN, "needs --hub_model_id USER/NAME"),
        (["--hub_model_id", "someone/try"], "", "needs a Hub token"),
        (["--hub_model_id", "someone/try"], "hf_wrong", "the token is missing or not valid"),
        (["--hub_model_id", "someone/try", "--hub_private_repo", "True"], READ_TOKEN, "someone/try is public"),
        (["--hub_model_id", "someone/try", "--hub_project", "lungs"], WRITE_TOKEN, "not the address of a project"),
        (["--hub_model_id", "try"], WRITE_TOKEN, "'try' is not a Hub id"),
        (["--hub_model_id", "someone/try", "--license", "CC BY 4.0"], WRITE_TOKEN, "write the Hub's id of it"),
    ],
)
def test_a_release_that_could_not_be_published_is_refused_before_anything_starts(
    hub, tmp_path, monkeypatch, more, token, sentence
):
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)
    if "public" in sentence:
        HfApi().create_repo("someone/try")
    monkeypatch.setenv("HF_TOKEN", token)
    words = ["--dataset", "nowhere", "--output_dir", str(tmp_path / "run"), "--push_to_hub", "True", *more]
    with pytest.raises(ValueError, match=sentence):
        parse_arguments(resnet.ResnetArguments, words)
    assert not (tmp_path / "run").exists()
