"""The pencil, the visitor's opinion, and what they take away."""

import base64
import csv
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from playwright.sync_api import Page, expect
from pydicom import dcmread
from pydicom.uid import DigitalXRayImageStorageForPresentation

import app
from hub_models.models.orientation import Suggestion
from hub_models.page import texts
from hub_models.page.annotation import Annotation, drawn_elsewhere, drawn_masks
from hub_models.page.uploads import served_folder
from hub_models.reports.description import Source
from hub_models.reports.png import encode_png
from hub_models.xray.geometry import SIDE
from hub_models.xray.images import read_image, read_xray
from hub_models.xray.mask_pictures import read_mask
from hub_models.xray.masks import MASKS, Agreement
from hub_models.xray.phantom import draw_phantom
from tests.support.bad_files import dicom
from tests.support.browsing import BROWSER, OPEN, expect_answered
from tests.support.fake_pipeline import FakePipeline, launch, masks_for, ready
from train.data.dataset import load

SQUARE = masks_for((SIDE, SIDE))
UPPER = np.indices((SIDE, SIDE))[0] < SIDE // 2
GROUND = Path(__file__)


class Kept:
    """A data set that remembers what it was given."""

    repo_id = "owner/corrections"

    def __init__(self) -> None:
        self.given = []

    def give(self, corrected: object) -> None:
        self.given.append(corrected)


@pytest.fixture(scope="module")
def feedback() -> Kept:
    return Kept()


@pytest.fixture(scope="module")
def demo(pipeline: FakePipeline, feedback: Kept) -> gr.Blocks:
    return app.build_demo(ready(pipeline), None, feedback)


@pytest.fixture(scope="module")
def url(demo: gr.Blocks) -> Iterator[str]:
    yield launch(demo, quiet=True)
    demo.close(verbose=False)


@pytest.fixture
def annotation(demo: gr.Blocks) -> Annotation:
    return demo.layout.tabs["analyse"].annotation


@pytest.fixture
def asked(annotation: Annotation, xray: Path, tmp_path: Path) -> tuple[dict, str]:
    """An X-ray as the page holds it, and what it is remembered by."""
    held = {"path": annotation.state.files.stand_in(str(stored(xray)))}
    _, outlined = annotation.state.outline(held)
    return held, annotation.state.memory.keep(outlined)


def stored(file: Path) -> Path:
    """A file as gradio stores an upload."""
    path = served_folder() / file.name
    path.write_bytes(file.read_bytes())
    return path


def drawn(lungs: np.ndarray, infection: np.ndarray) -> dict[str, str]:
    """Masks, bool (SIDE, SIDE), as the pencil sends them."""
    planes = zip(MASKS, (lungs, infection), strict=True)
    return {name: base64.b64encode(np.packbits(plane)).decode() for name, plane in planes}


def test_shares_follow_what_is_drawn_and_go_back_to_the_networks(annotation, asked):
    shares = annotation.measure(*asked, drawn(SQUARE.lungs, SQUARE.lungs & UPPER))
    assert texts.AS_DRAWN in shares
    assert shares.count("<b>50 %</b>") == 3
    for nothing in (None, ""):
        assert texts.AS_DRAWN not in annotation.measure(*asked, nothing)


@pytest.mark.parametrize(
    "sent", [{"lungs": ""}, {"lungs": "AAAA", "infection": "AAAA"}, {"lungs": 1, "infection": "?"}, [1]]
)
def test_what_is_no_mask_is_refused_in_a_sentence(annotation, asked, sent):
    with pytest.raises(gr.Error, match="not a mask of one region"):
        annotation.measure(*asked, sent)


def test_a_correction_is_kept_as_files_that_training_reads_bit_for_bit(annotation, asked, tmp_path, feedback):
    before = len(feedback.given)
    infection = SQUARE.lungs & UPPER
    kept = annotation.keep(*asked, drawn(SQUARE.lungs, infection), "Non-COVID", " looks like TB\n", False)
    assert (kept[annotation.agreed], len(feedback.given)) == (False, before)
    with zipfile.ZipFile(kept[annotation.files][0]) as archive:
        archive.extractall(tmp_path / "corrections")
    (row,) = load(str(tmp_path / "corrections"))["train"]
    image = read_image(Path(row["image"]["path"]))
    (folder,) = (tmp_path / "corrections").iterdir()
    record = json.loads((folder / "record.json").read_text())
    assert (record["label"], record["remark"]) == ("Non-COVID", "looks like TB")
    assert record["after"]["infection"]["size"] == [SIDE, SIDE]
    (line,) = csv.DictReader(io.StringIO((folder / "metadata.csv").read_text()))
    assert line["label"] == "Non-COVID"
    masks = drawn_masks(drawn(SQUARE.lungs, infection), remembered(annotation, asked)).at(image.shape)
    assert np.array_equal(read_mask(row["infection_mask"]), masks.infection)
    assert np.array_equal(read_mask(row["lung_mask"]), masks.lungs)


def remembered(annotation: Annotation, asked: tuple[dict, str]):
    return annotation.state.remembered(*asked)


def test_a_correction_is_given_only_with_the_tick_which_is_gone_afterwards(annotation, asked, feedback):
    before = len(feedback.given)
    annotation.keep(*asked, None, None, "", False)
    assert len(feedback.given) == before
    kept = annotation.keep(*asked, None, "Normal", "", True)
    assert len(feedback.given) == before + 1
    assert feedback.given[-1].label == "Normal"
    assert kept[annotation.agreed] is False


@pytest.mark.parametrize(("label", "remark"), [("Cat", ""), ("Normal", "x" * 1001)])
def test_an_opinion_that_cannot_be_chosen_is_refused(annotation, asked, label, remark):
    with pytest.raises(gr.Error, match="none of those that can be chosen"):
        annotation.keep(*asked, None, label, remark, True)


def test_masks_are_taken_away_as_they_are_drawn(annotation, asked):
    files = annotation.write_formats(*asked, drawn(SQUARE.lungs, SQUARE.lungs & UPPER))
    names = [Path(file).name for file in files]
    assert names == ["segmentation.dcm", "secondary-capture.dcm", "lungs.nii.gz", "infection.nii.gz"]
    found = dcmread(files[0])
    assert {segment.SegmentAlgorithmType for segment in found.SegmentSequence} == {"SEMIAUTOMATIC"}
    share = found.pixel_array[1].sum() / found.pixel_array[0].sum()
    assert share == pytest.approx(0.5, abs=0.02)


def test_a_film_that_the_visitor_mirrored_is_segmented_at_the_rows_and_columns_of_their_own_file(annotation, tmp_path):
    files, own = annotation.state.files, tmp_path / "own.dcm"
    identifiers = dict.fromkeys(("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"), "1.2.3")
    pixels = np.ascontiguousarray(draw_phantom(1, size=64).image[:, :50])
    own.write_bytes(dicom(pixels, SOPClassUID=DigitalXRayImageStorageForPresentation, **identifiers))
    path, mirrored = stored(own), Suggestion(90, False, True, "")
    xray = read_xray(own)
    source = replace(Source.of("own.dcm", own.read_bytes(), xray), placement=mirrored.placement)
    held = {"path": files.keep_corrected(mirrored.apply(xray.image), source, path)}
    _, outlined = annotation.state.outline(held)
    taken = annotation.write_formats(held, annotation.state.memory.keep(outlined), None)
    names = [Path(file).name for file in taken]  # no secondary capture: it refers to the visitor's file
    assert names == ["segmentation.dcm", "lungs.nii.gz", "infection.nii.gz"]
    found = dcmread(taken[0])
    lungs = outlined.masks.unpack().at((50, 64)).lungs
    assert np.array_equal(found.pixel_array[0].astype(bool), mirrored.placement.undo(lungs))
    assert found.pixel_array[0].shape == pixels.shape


def test_everything_that_is_taken_away_is_called_after_the_label(annotation, demo, asked):
    tab = demo.layout.tabs["analyse"]
    taken = [
        *annotation.write_formats(*asked, None, " Bed 7/left "),
        *annotation.keep(*asked, None, None, "", False, " Bed 7/left ")[annotation.files],
        *tab.name_masks(*asked, " Bed 7/left "),
    ]
    names = [Path(file).name for file in taken]
    assert len(names) == 8
    assert {name.partition("-")[0] for name in names} == {"Bed_7_left"}
    assert [Path(file).name for file in tab.name_masks(*asked, "")] == ["lungs.png", "infection.png", "masks.json"]
    assert tab.name_masks(None, None, "x") == gr.skip()


def test_another_mask_is_compared_and_the_difference_is_a_layer(annotation, asked, tmp_path):
    file = tmp_path / "other.png"
    file.write_bytes(encode_png((SQUARE.lungs & UPPER).astype(np.uint8) * 255))
    shown = annotation.compare(*asked, None, str(stored(file)), "lungs")
    assert "lungs: Dice 0.667, IoU 0.500." in shown[annotation.agreement]
    assert shown[annotation.pencil]["difference"]["name"] == "difference"
    (tmp_path / "three.png").write_bytes(encode_png(np.arange(9, dtype=np.uint8).reshape(3, 3)))
    for wrong in (tmp_path / "three.png", GROUND):
        with pytest.raises(gr.Error, match="not a mask of one region"):
            annotation.compare(*asked, None, str(stored(wrong)), "lungs")


def test_blank_masks_agree_and_one_of_zeros_is_blank(tmp_path):
    blank = np.zeros((4, 4), bool)
    assert Agreement.of(blank, blank) == Agreement(1.0, 1.0)
    (tmp_path / "blank.png").write_bytes(encode_png(np.zeros((4, 4), np.uint8)))
    assert not drawn_elsewhere(tmp_path / "blank.png").any()


@pytest.mark.skipif(BROWSER is None, reason="no chromium and no google-chrome is installed")
def test_strokes_change_the_shares_undo_takes_them_back_and_the_film_is_drawn_again(page: Page, xray: Path):
    page.locator(OPEN).set_input_files(xray)
    expect_answered(page)
    page.locator("#annotate > button").click()
    shares, path = page.locator("#shares"), page.locator("#viewer path[data-layer=infection]")
    before, outline = shares.inner_text(), path.get_attribute("d")
    page.locator("#formats").click()
    expect(page.locator("#taken")).to_contain_text("segmentation")
    page.get_by_role("button", name=texts.PENCIL_TOOLS["draw"], exact=True).click()
    page.locator("#viewer").scroll_into_view_if_needed()
    box = page.locator("#viewer .film").bounding_box()
    for stroke in range(20):
        y = box["y"] + box["height"] * (0.3 + 0.01 * stroke)
        page.mouse.move(box["x"] + box["width"] * 0.3, y)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.45, y, steps=4)
        page.mouse.up()
    expect(shares).to_contain_text(texts.AS_DRAWN)
    assert path.get_attribute("d") != outline
    for _ in range(20):
        page.get_by_role("button", name=texts.PENCIL_ACTS["undo"]).click()
    expect(shares).to_contain_text("0 of 8,192 pixels")  # right lung
    assert path.get_attribute("d") == outline
    page.get_by_role("button", name=texts.PENCIL_ACTS["again"]).click()
    expect(shares).not_to_contain_text(texts.AS_DRAWN)
    assert shares.inner_text() == before
