"""The page, asked through gradio_client, with a pipeline whose answers are known."""

import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

import app
from hub_models.checkpoints import Checkpoint, CheckpointError
from hub_models.images import read_image
from hub_models.phantom import draw_phantom
from hub_models.pipeline import Involvement, XrayPipeline
from hub_models.unet import Masks

PROMPTS = {"Ill": ["an ill chest", "a sick chest"], "Well": ["a well chest"]}
PROBABILITIES = {
    "clip-zero-shot": {"Ill": 0.625, "Well": 0.375},
    "clip-finetuned": {"Ill": 0.875, "Well": 0.125},
    "resnet": {"Ill": 0.25, "Well": 0.75},
}
NOTES = ["A note for the visitor."]
INVOLVEMENT = Involvement(right=0.12345, left=None, both=0.5)
LUNGS_COLOUR, INFECTION_COLOUR = (0x56, 0xB4, 0xE9), (0xE6, 0x9F, 0x00)
CARD = "---\nlicense: other\ntags:\n- xray\n---\n# Card of {}\n\n![badge](https://badges.invalid/b.svg)\n"


class FakePipeline:
    """Outlines two rectangles, gives fixed numbers, and remembers what it was asked."""

    def __init__(self, folder: Path, lungs: bool = True) -> None:
        views = zip(PROBABILITIES, ("lungs", "crop", "full"), strict=True)
        self.classifiers = {role: SimpleNamespace(view=view) for role, view in views}
        self.classifiers["clip-zero-shot"].prompts = PROMPTS
        self.checkpoints = {
            "unet": Checkpoint("unet", folder / "no-card", "embedded", "embedded"),
            "resnet": Checkpoint("resnet", folder, "hub", "someone/resnet", "c0ffee" * 6 + "c0ff"),
        }
        (folder / "README.md").write_text(CARD.format("the ResNet"), encoding="utf-8")
        self.lungs = lungs
        self.images: list[np.ndarray] = []
        self.prompts: list[dict | None] = []

    def segment(self, image: np.ndarray) -> tuple[Masks, Involvement]:
        self.images.append(image)
        return masks_for(image.shape, self.lungs), INVOLVEMENT if self.lungs else Involvement(None, None, None)

    def classify(self, image: np.ndarray, masks: Masks, prompts: dict | None = None) -> tuple[dict, list[str]]:
        self.prompts.append(prompts)
        return (PROBABILITIES if masks.lungs.any() else {"resnet": PROBABILITIES["resnet"]}), NOTES


def masks_for(shape: tuple[int, int], lungs: bool = True) -> Masks:
    """The fake's masks: lungs over the middle half, infection over a part of it."""
    height, width = shape
    found, infection = np.zeros(shape, bool), np.zeros(shape, bool)
    found[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = lungs
    infection[height // 2 : 5 * height // 8, width // 2 : 5 * width // 8] = lungs
    return Masks(found, infection)


@contextmanager
def serve(pipeline: FakePipeline) -> Iterator[str]:
    """The page's address while it is served."""
    demo = app.build_demo(pipeline)
    try:
        yield demo.launch(prevent_thread_lock=True, quiet=True, **app.LOOK)[1]
    finally:
        demo.close(verbose=False)


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> FakePipeline:
    return FakePipeline(tmp_path_factory.mktemp("cards"))


@pytest.fixture(scope="module")
def client(pipeline: FakePipeline) -> Iterator[Client]:
    with serve(pipeline) as url:
        yield Client(url, verbose=False)


@pytest.fixture(scope="module")
def xray(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("xrays") / "phantom.png"
    Image.fromarray(draw_phantom(1, size=256).image).save(path)
    return path


def test_segment_gives_the_pipelines_shares_and_its_masks_in_the_legends_colours(client, xray):
    overlay, shares = client.predict(handle_file(xray), api_name="/segment")

    assert shares == asdict(INVOLVEMENT)
    picture, image = np.asarray(Image.open(overlay)), read_image(xray)
    assert picture.shape == (256, 256, 3)
    assert tuple(picture[64, 100]) == LUNGS_COLOUR  # the upper edge of the lungs
    assert tuple(picture[128, 140]) == INFECTION_COLOUR  # the upper edge of the infection
    assert np.array_equal(picture[10, 10], [np.uint8(255 * image[10, 10])] * 3)  # outside both
    for (row, column), colour, opacity in (((80, 80), LUNGS_COLOUR, 0.12), ((150, 150), INFECTION_COLOUR, 0.4)):
        grey = np.floor(255 * image[row, column])
        assert np.array_equal(picture[row, column], np.round(grey + opacity * (np.array(colour) - grey)))


def test_sixteen_bits_reach_the_pipeline(client, pipeline, tmp_path):
    ramp = np.linspace(0, 65535, 64 * 1024).astype(np.uint16).reshape(64, 1024)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    client.predict(handle_file(tmp_path / "deep.png"), api_name="/segment")
    assert len(np.unique(pipeline.images[-1])) > 60000
    assert np.array_equal(pipeline.images[-1], read_image(ramp))


def test_classify_gives_the_pipelines_probabilities_and_notes(client, pipeline, xray):
    assert client.predict(handle_file(xray), api_name="/classify") == (PROBABILITIES, NOTES)
    assert pipeline.prompts[-1] is None


def test_prompts_reach_the_pipeline_without_blank_lines(client, pipeline, xray):
    client.predict(handle_file(xray), {"Ill": [" a cough ", ""], "Well": ["fine"]}, api_name="/classify")
    assert pipeline.prompts[-1] == {"Ill": ["a cough"], "Well": ["fine"]}


def test_a_class_without_prompts_is_refused_by_name(client, xray):
    with pytest.raises(AppError, match=r"^Write at least one sentence for Well\.$"):
        client.predict(handle_file(xray), {"Ill": ["a cough"], "Well": [" "]}, api_name="/classify")


@pytest.mark.parametrize("prompts", [["a cough"], {"Ill": "a cough"}])
def test_prompts_of_another_shape_are_answered_with_the_shape_wanted(client, xray, prompts):
    with pytest.raises(AppError, match=r"^Give a list of sentences for each class"):
        client.predict(handle_file(xray), prompts, api_name="/classify")


@pytest.mark.parametrize("endpoint", ["/segment", "/classify"])
def test_a_text_file_named_png_is_refused_in_a_sentence_and_the_server_goes_on(client, xray, tmp_path, capfd, endpoint):
    (tmp_path / "letter.png").write_text("Dear colleague, the X-ray is in the post.")
    with pytest.raises(AppError, match=r'^"letter\.png" is not an image that can be read; .*\.$'):
        client.predict(handle_file(tmp_path / "letter.png"), api_name=endpoint)
    assert "Traceback" not in capfd.readouterr().err
    assert client.predict(handle_file(xray), api_name="/segment")[1] == asdict(INVOLVEMENT)


def test_no_upload_is_answered_with_what_to_do(client):
    with pytest.raises(AppError, match=r"^Drop a chest X-ray first"):
        client.predict(None, api_name="/segment")


def test_only_segment_and_classify_are_offered_and_they_are_described(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert list(endpoints) == ["/segment", "/classify"]
    assert endpoints["/segment"]["description"].startswith("Outline the lungs")
    assert [p["parameter_name"] for p in endpoints["/classify"]["parameters"]] == ["xray", "prompts"]
    assert [p["parameter_has_default"] for p in endpoints["/classify"]["parameters"]] == [False, True]


def test_a_new_picture_clears_the_old_results_before_it_is_read(pipeline, tmp_path):
    (tmp_path / "letter.png").write_text("Dear colleague")
    steps = app.Actions(pipeline).analyse({"path": str(tmp_path / "letter.png")}, "an ill chest", "a well chest")
    assert next(steps) == [None, "", None, None, None, ""]
    with pytest.raises(gr.Error, match="is not an image"):
        next(steps)


def test_analyse_fills_both_tabs(pipeline, xray):
    _, outlined, classified = app.Actions(pipeline).analyse({"path": str(xray)}, "an ill chest", "a well chest")
    assert np.array_equal(outlined[0], app.draw_overlay(read_image(xray), masks_for((256, 256))))
    assert "12.3 %" in outlined[1]
    assert classified[2:] == [*PROBABILITIES.values(), "- A note for the visitor."]
    assert pipeline.prompts[-1] == {"Ill": ["an ill chest"], "Well": ["a well chest"]}


def test_no_lungs_are_said_plainly_and_a_classifier_without_an_answer_stays_empty(tmp_path, xray):
    page = app.Actions(FakePipeline(tmp_path, lungs=False))
    _, outlined, classified = page.analyse({"path": str(xray)}, "an ill chest", "a well chest")
    assert "No lungs found." in outlined[1]
    assert "%" not in outlined[1]
    assert classified[2:5] == [None, None, PROBABILITIES["resnet"]]


@pytest.mark.parametrize(
    ("share", "written"),
    [(0.0, "0.0 %"), (0.12345, "12.3 %"), (0.0006, "0.1 %"), (1.0, "100.0 %"), (None, "not found")],
)
def test_shares_are_written_in_percent_with_one_decimal(share, written):
    assert app.percent(share) == written


def test_each_share_stands_beside_its_own_lung():
    html = app.shares_html(masks_for((64, 64)), Involvement(right=0.1, left=0.25, both=0.2))
    for cell in ("10.0 %</b>patient's right lung", "25.0 %</b>patient's left lung", "20.0 %</b>both lungs"):
        assert cell in html


def test_a_large_picture_is_drawn_at_a_fraction_of_its_size_in_place():
    image = np.zeros((2000, 3000), np.float32)
    image[1000:] = 1
    picture = app.draw_overlay(image, masks_for(image.shape))
    assert picture.shape == (667, 1000, 3)
    assert tuple(picture[168, 500]) == LUNGS_COLOUR
    assert tuple(picture[0, 0]) == (0, 0, 0)
    assert tuple(picture[-1, -1]) == (255, 255, 255)


def test_a_card_is_shown_without_its_front_matter_and_may_be_missing(pipeline):
    assert app.card_text(pipeline.checkpoints["resnet"]).startswith("# Card of the ResNet\n")
    assert app.card_text(pipeline.checkpoints["unet"]) == "This checkpoint has no model card."


def test_a_checkpoint_that_cannot_be_had_ends_with_a_sentence(monkeypatch):
    def refuse(cls):
        raise CheckpointError("The folder /tmp/x is not a checkpoint: it has no config.json.")

    monkeypatch.setattr(XrayPipeline, "from_pretrained", classmethod(refuse))
    with pytest.raises(SystemExit) as end:
        runpy.run_path(app.__file__, run_name="__main__")
    assert end.value.code == "The folder /tmp/x is not a checkpoint: it has no config.json."  # printed; exit code 1


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, "127.0.0.1"),
        ({"SPACE_ID": "someone/xray"}, "0.0.0.0"),
        ({"SPACE_ID": "someone/xray", "GRADIO_SERVER_NAME": "10.0.0.1"}, "10.0.0.1"),
    ],
)
def test_it_is_served_to_this_computer_only_unless_it_is_a_space(monkeypatch, pipeline, environment, address):
    launched = {}
    for name in ("SPACE_ID", "GRADIO_SERVER_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(XrayPipeline, "from_pretrained", classmethod(lambda cls: pipeline))
    small = draw_phantom(1, size=64)
    monkeypatch.setattr("hub_models.phantom.draw_phantom", lambda *_, **__: small)
    monkeypatch.setattr(gr.Blocks, "launch", lambda demo, **options: launched.update(options))
    runpy.run_path(app.__file__, run_name="__main__")
    assert launched["server_name"] == address
    assert "server_port" not in launched  # gradio's own: GRADIO_SERVER_PORT, else 7860


def test_only_the_page_imports_gradio():
    folder = Path(app.__file__).parent / "hub_models"
    assert "gradio" in sys.modules
    assert [path.name for path in folder.glob("*.py") if "import gradio" in path.read_text(encoding="utf-8")] == []
