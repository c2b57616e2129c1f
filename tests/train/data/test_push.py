import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from hub_models.xray.images import read_image
from tests.support.fake_hub import READ_TOKEN, WRITE_TOKEN, LoopbackHub, start, used
from tests.support.tiny_models import draw_xray
from train.data.__main__ import main
from train.data.push import _plain_png

REPO = "someone/lung-xrays"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LoopbackHub]:
    """An empty Hub, used with a token that may write."""
    with start() as hub, used(hub.url, tmp_path / "cache", WRITE_TOKEN):
        yield hub


def words(dataset: Path, *more: str) -> list[str]:
    return ["--dataset", str(dataset), "--push_to_hub", REPO, *more]


def test_a_pushed_data_set_is_private_and_has_a_card_that_tells_what_it_holds(hub, covid_qu_ex):
    main(words(covid_qu_ex, "--license", "cc0-1.0", "--columns", "source"))
    repository = hub.repositories[f"datasets/{REPO}"]
    assert repository.private
    _, header, text = repository.commits[-1].files["README.md"].decode().split("---\n", 2)
    header = yaml.safe_load(header)
    assert header["license"] == "cc0-1.0"
    assert header["pretty_name"] == "lung-xrays"
    features = {feature.pop("name"): feature for feature in header["dataset_info"]["features"]}
    own = {"image", "lung_mask", "infection_mask", "lung_boxes", "infection_boxes", "label", "file", "patient"}
    assert features.keys() == own | {"source"}
    assert features["lung_mask"] == features["infection_mask"] == {"dtype": "image"}
    assert features["lung_boxes"] == features["infection_boxes"] == {"list": {"list": "float32"}}
    assert "| train | 4 | 4 | 4 | 4 | 2 | 1 |" in text
    assert "| all | 8 | 8 | 8 | 10 | 6 | 3 |" in text
    assert "`label`: COVID-19, Non-COVID, Normal." in text
    assert "- phantom\n" in text
    assert "- `source`: the hospital" in text
    assert "`age`" not in text
    assert "Patients in more than one split: 0." in text


def test_what_is_pushed_is_said_before_it_is_sent(hub, covid_qu_ex, capsys):
    hub.faults["/repos/create"] = 500
    with pytest.raises(ValueError, match="The data set is not, or not wholly, pushed"):
        main(words(covid_qu_ex, "--license", "cc0-1.0", "--public", "--columns", "view"))
    said = capsys.readouterr().out
    assert f"To {REPO}, PUBLIC: seen by everybody:\n  24 X-rays as PNG files" in said
    assert "24 patients as numbers\n  columns: image, lung_mask" in said
    assert "stay here: headers of the files, names of the files, source, finding, caption, doubt, sex, age\n" in said


def test_a_public_data_set_is_not_pushed_to_as_a_private_one(hub, covid_qu_ex):
    main(words(covid_qu_ex, "--license", "cc0-1.0", "--public"))
    before = list(hub.repositories[f"datasets/{REPO}"].commits)
    with pytest.raises(ValueError, match=f"{REPO} is public; make it private"):
        main(words(covid_qu_ex, "--license", "cc0-1.0"))
    assert hub.repositories[f"datasets/{REPO}"].commits == before


def test_pictures_are_pushed_as_their_pixels_alone(tmp_path):
    exif, drawn = Image.Exif(), draw_xray(1, 64).image
    exif[0x10E] = "DOE^JANE"
    plain, deep = tmp_path / "a.jpg", tmp_path / "b.png"
    Image.fromarray(drawn).save(plain, exif=exif, quality=95)
    Image.fromarray(drawn.astype(np.uint16) * 200 + 7).save(deep)
    made = [_plain_png(str(path)) for path in (plain, deep)]
    assert b"DOE" in plain.read_bytes()
    assert b"DOE" not in made[0]["bytes"]
    assert [image["path"] for image in made] == [None, None]
    assert np.array_equal(Image.open(io.BytesIO(made[0]["bytes"])), Image.open(plain))
    np.testing.assert_allclose(read_image(made[1]["bytes"]), read_image(deep), atol=2e-5)


def test_a_column_that_is_not_there_is_refused_by_name(hub, covid_qu_ex):
    with pytest.raises(ValueError, match="There is no column weight; the columns are image,"):
        main(words(covid_qu_ex, "--license", "cc0-1.0", "--columns", "weight"))
    assert hub.repositories == {}


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
