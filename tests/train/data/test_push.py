from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.support.fake_hub import READ_TOKEN, WRITE_TOKEN, LoopbackHub, start, used
from train.data.__main__ import main

REPO = "someone/lung-xrays"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    """An empty Hub, used with a token that may write."""
    with start() as hub, used(hub.url, tmp_path / "cache", WRITE_TOKEN):
        yield hub


def words(dataset: Path, *more: str) -> list[str]:
    return ["--dataset", str(dataset), "--push_to_hub", REPO, *more]


def test_a_pushed_data_set_has_a_card_that_tells_what_it_holds(hub, covid_qu_ex):
    main(words(covid_qu_ex, "--license", "cc0-1.0", "--private"))
    repository = hub.repositories[f"datasets/{REPO}"]
    assert repository.private
    _, header, text = repository.commits[-1].files["README.md"].decode().split("---\n", 2)
    header = yaml.safe_load(header)
    assert header["license"] == "cc0-1.0"
    assert header["pretty_name"] == "lung-xrays"
    features = {feature.pop("name"): feature for feature in header["dataset_info"]["features"]}
    assert features["lung_mask"] == features["infection_mask"] == {"dtype": "image"}
    assert features["lung_boxes"] == features["infection_boxes"] == {"list": {"list": "float32"}}
    assert "| train | 4 | 4 | 4 | 4 | 2 | 1 |" in text
    assert "| all | 8 | 8 | 8 | 10 | 6 | 3 |" in text
    assert "`label`: COVID-19, Non-COVID, Normal." in text
    assert "- phantom\n" in text
    assert "Patients in more than one split: 0." in text


def test_a_push_without_a_licence_is_refused_before_anything_is_read(hub, covid_qu_ex, capsys):
    with pytest.raises(SystemExit):
        main(words(covid_qu_ex))
    assert "--push_to_hub needs --license" in capsys.readouterr().err
    assert hub.requests == []


@pytest.mark.parametrize(
    ("token", "reason"), [("", "There is no Hub token"), (READ_TOKEN, "no right to do this"), ("hf_x", "not valid")]
)
def test_a_token_that_may_not_write_is_refused_in_a_sentence(hub, covid_qu_ex, monkeypatch, token, reason):
    monkeypatch.setenv("HF_TOKEN", token)
    with pytest.raises(ValueError, match=rf"{reason}[^\n]*\.$"):
        main(words(covid_qu_ex, "--license", "cc0-1.0"))
    assert hub.repositories == {}
