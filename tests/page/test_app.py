"""The page, asked through gradio_client, with a pipeline whose answers are known."""

import base64
import hashlib
import importlib.util
import io
import json
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zipfile import ZipFile

import gradio as gr
import numpy as np
import pandas as pd
import pytest
from gradio.utils import get_upload_folder
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from PIL import Image

import app
from hub_models.cards.facts import CardFacts
from hub_models.checkpoints.folder import Checkpoint, CheckpointError
from hub_models.checkpoints.resolve import EMBEDDED
from hub_models.checkpoints.roles import ROLES
from hub_models.page import texts
from hub_models.page.batch_tab import in_plain_names
from hub_models.page.figures import SCORES
from hub_models.page.findings import shares_html
from hub_models.page.layout import open_tab
from hub_models.page.results import card_html
from hub_models.page.uploads import FILE, serve_picture
from hub_models.page.viewer import greys
from hub_models.page.xray_field import DRAWN, EXAMPLE_SIDE, EXAMPLES
from hub_models.pipeline import XrayPipeline
from hub_models.reports.overlay import draw_overlay, sketch
from hub_models.reports.png import encode_png
from hub_models.reports.sentences import grade_range, share_range
from hub_models.xray.geometry import to_square
from hub_models.xray.images import read_image
from hub_models.xray.masks import Involvement
from hub_models.xray.phantom import draw_phantom
from tests.support.fake_pipeline import (
    CONCLUSION,
    INVOLVEMENT,
    NOTES,
    PROBABILITIES,
    FakePipeline,
    free_port,
    masks_for,
    ready,
    serve,
    uploaded,
)

SPACES = "lent = []\n\n\ndef GPU(event):\n    lent.append(event.__name__)\n    return event\n"
TYPED = "Ill: an ill chest\nWell: a well chest"


def pixels(file: str | Path | io.BytesIO) -> np.ndarray:
    return np.asarray(Image.open(file))


def served(address: str) -> Path | io.BytesIO:
    """What a browser gets from an address of the light box."""
    if address.startswith("data:"):
        return io.BytesIO(base64.b64decode(address.partition(",")[2]))
    return Path(address.removeprefix(FILE))


def overlay_of(xray: Path) -> np.ndarray:
    """What is drawn of the fake's answer to an X-ray of 256 x 256 pixels."""
    return draw_overlay(sketch(read_image(xray), masks_for((256, 256))))


def tab_of(pipeline: FakePipeline | XrayPipeline | Future, name: str = "analyse") -> Any:
    """A tab of a page around a pipeline."""
    models = pipeline if isinstance(pipeline, Future) else ready(pipeline)
    return app.build_demo(models).layout.tabs[name]


@pytest.fixture(scope="module")
def client(pipeline: FakePipeline) -> Iterator[Client]:
    with serve(pipeline) as url:
        yield Client(url, verbose=False)


def test_segment_gives_the_pipelines_shares_and_outlines(client, xray):
    overlay, shares, kept = client.predict(handle_file(xray), api_name="/segment")
    assert shares == INVOLVEMENT.shares
    assert np.array_equal(np.asarray(Image.open(overlay)), overlay_of(xray))
    assert kept["masks"]["lungs"]["pixels"] == 128 * 128
    assert kept["extent_grade"] == {"right": 1, "left": None}
    assert kept["checkpoint"]["origin"] == "embedded"


def test_sixteen_bits_reach_the_pipeline(client, pipeline, tmp_path):
    ramp = np.linspace(0, 65535, 64 * 1024).astype(np.uint16).reshape(64, 1024)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    client.predict(handle_file(tmp_path / "deep.png"), api_name="/segment")
    assert len(np.unique(pipeline.images[-1])) > 20000
    assert np.array_equal(pipeline.images[-1], to_square(read_image(ramp)))


def test_classify_gives_the_pipelines_probabilities_notes_and_conclusion(client, pipeline, xray):
    assert client.predict(handle_file(xray), api_name="/classify") == (PROBABILITIES, NOTES, CONCLUSION)
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
    assert client.predict(handle_file(xray), api_name="/segment")[1] == INVOLVEMENT.shares


def test_no_upload_is_answered_with_what_to_do(client):
    with pytest.raises(AppError, match=r"^Drop a chest X-ray first"):
        client.predict(None, api_name="/segment")


def test_four_endpoints_are_offered_and_they_are_described(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert list(endpoints) == ["/analyse", "/segment", "/classify", "/batch"]
    assert all(endpoint["description"] for endpoint in endpoints.values())
    for endpoint in endpoints.values():  # the image or the files come first, everything after has a default
        assert [p["parameter_has_default"] for p in endpoint["parameters"]][1:] in ([True], [True, True])
    assert endpoints["/segment"]["description"].startswith("Outline the lungs")
    assert [p["parameter_name"] for p in endpoints["/classify"]["parameters"]] == ["xray", "prompts", "anyway"]
    assert [p["parameter_has_default"] for p in endpoints["/classify"]["parameters"]] == [False, True, True]


def test_a_new_picture_clears_the_old_results_before_it_is_read_and_its_refusal_takes_their_place(pipeline, tmp_path):
    (tmp_path / "letter.png").write_text("Dear colleague")
    tab = tab_of(pipeline)
    cleared, refused = tab.show(uploaded(tmp_path / "letter.png"))
    for step in (cleared, refused):
        assert {step[part] for part in (tab.viewer, tab.masks, tab.visit.key)} == {None}
        assert {step[part] for part in (tab.shares, tab.conclusion, tab.notes, *tab.sets.values())} == {""}
        assert step[tab.anyway] == gr.update(visible=False)
    assert cleared[tab.refusal] == ""
    assert "&quot;letter.png&quot; is not an image" in refused[tab.refusal]


def test_an_x_ray_fills_the_tab_the_outlines_first(pipeline, xray):
    tab, given = tab_of(pipeline), uploaded(xray)
    steps = tab.show(given)
    next(steps)
    outlined = next(steps)
    files = outlined[tab.masks]
    assert "12 %" in outlined[tab.shares]
    assert [Path(file).name for file in files] == ["lungs.png", "infection.png", "masks.json"]
    assert np.array_equal(np.asarray(Image.open(files[0])) > 0, masks_for((256, 256)).lungs)
    assert outlined[tab.conclusion] == ""
    classified = next(steps)
    said = classified[tab.conclusion]
    assert "<b>Undecided: Ill or Well</b><p class='agreed'>3 of 4 classifiers agree on &quot;Ill&quot;.</p>" in said
    for part in (tab.viewer, tab.shares, tab.masks, tab.visit.key):  # whoever missed a step gets all with the last
        assert classified[part] == outlined[part]
    assert re.findall(r"(?:<td[^>]*>|</td><td[^>]*>)(\d+%)", said.partition(">Well<")[0]) == [
        "62%",
        "88%",
        "25%",
        "50%",
    ]
    assert classified[tab.notes] == "- A note for the visitor."
    zero_shot, finetuned, resnet, _ = (classified[text] for text in tab.sets.values())
    assert zero_shot == "**Ill or Well**: sets like this one held the true class of 90% of X-rays like its own."
    assert finetuned.startswith("**Ill**: ")
    assert resnet.startswith("**Well**: ")
    assert pipeline.prompts[-1] is None  # each CLIP its own sentences


def test_the_light_box_gets_the_picture_and_each_mask_with_what_its_values_mean(pipeline, xray):
    tab = tab_of(pipeline)
    *_, shown = tab.show(uploaded(xray))
    film, image = shown[tab.viewer], read_image(xray)
    assert np.array_equal(pixels(served(film["picture"])), np.rint(255 * image).astype(np.uint8))
    lungs, infection = film["layers"]
    assert [layer["name"] for layer in film["layers"]] == ["lungs", "infection"]
    assert (lungs["threshold"], infection["threshold"]) == (0.5, 0.25)
    assert (lungs["colour"], infection["colour"]) == ("#56B4E9", "#E69F00")
    for layer, mask in ((lungs, masks_for((256, 256)).lungs), (infection, masks_for((256, 256)).infection)):
        assert np.array_equal(pixels(served(layer["address"])) >= layer["inside"], mask)


def test_a_picture_of_more_than_256_greys_is_sent_with_16_bits_and_a_huge_one_smaller():
    ramp = np.linspace(0, 1, 64 * 1024, dtype=np.float32).reshape(64, 1024)
    assert np.array_equal(greys(ramp), np.rint(65535 * ramp).astype(np.uint16))
    coarse = np.rint(ramp * 255) / np.float32(255)
    assert np.array_equal(greys(coarse), np.rint(255 * ramp).astype(np.uint8))
    wide = greys(np.repeat([[0.0, 1.0]], 5001, axis=1).astype(np.float32).repeat(3, axis=0))
    assert wide.shape == (1, 3334)
    assert set(wide[0].tolist()) == {0, 255}


def test_the_unet_runs_once_an_image_however_many_tabs_ask_and_again_for_another_or_a_new_unet(
    pipeline, xray, tmp_path
):
    tabs, given = app.build_demo(ready(pipeline)).layout.tabs, uploaded(xray)
    tab = tabs["analyse"]
    *_, outlined, _ = tab.show(given)
    key = outlined[tab.visit.key]
    before = len(pipeline.images)
    tabs["prompts"].compare_prompts(given, TYPED, key)
    tab.explain(given, key)
    list(tab.keep(given, key))
    assert len(pipeline.images) == before
    other = tmp_path / "other.png"
    Image.open(xray).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(other)
    tab.explain(uploaded(other), key)
    assert len(pipeline.images) == before + 1
    pipeline.checkpoints["unet"] = replace(pipeline.checkpoints["unet"], name="another")
    tab.explain(given, key)
    assert len(pipeline.images) == before + 2


def test_a_picture_that_looks_strange_is_refused_with_the_reason_until_the_visitor_insists(tmp_path, xray):
    demo, given = app.build_demo(ready(FakePipeline(tmp_path, strangeness=2.34))), uploaded(xray)
    tab = demo.layout.tabs["analyse"]
    first, _, refused = tab.show(given)
    assert (first[tab.anyway], first[tab.refusal]) == (gr.update(visible=False), "")
    assert "does not look like a frontal chest X-ray" in refused[tab.refusal]
    assert refused[tab.anyway] == gr.update(visible=True)
    assert (refused[tab.masks], refused[tab.shares], refused[tab.conclusion]) == (None, "", "")
    assert refused[tab.viewer]["layers"] == []  # the picture itself is shown
    _, outlined, classified = tab.show(given, refused[tab.visit.key], True)
    for step in (outlined, classified):  # the warning stays beside every number
        assert step[tab.refusal] == refused[tab.refusal]
        assert step[tab.visit.insisted] is True
    assert "12 %" in outlined[tab.shares]
    assert classified[tab.conclusion].count("%</td>") == 8
    assert "nothing is decided" in classified[tab.conclusion]
    assert demo.layout.endpoints.segment(given)[2]["strangeness"] == 2.34
    assert [demo.layout.endpoints.classify(given, anyway=anyway)[2] for anyway in (False, True)] == [
        None,
        CONCLUSION | {"unlike": True},
    ]


def test_a_picture_that_is_unlike_most_is_answered_and_nothing_is_decided(tmp_path, xray):
    demo, given = app.build_demo(ready(FakePipeline(tmp_path, strangeness=0.85))).layout, uploaded(xray)
    tab, unlike = demo.tabs["analyse"], "It is unlike most X-rays that the models learned from, so nothing is decided."
    *_, classified = tab.show(given)
    assert classified[tab.refusal] == ""
    assert unlike in classified[tab.conclusion]
    _, told = demo.endpoints.analyse(given)
    assert (told["status"], told["conclusion"]) == ("answered", CONCLUSION | {"unlike": True})
    assert told["notes"] == [unlike, *NOTES]


def test_both_clips_are_asked_the_visitors_sentences(pipeline, xray):
    tab = tab_of(pipeline, "prompts")
    answer = tab.compare_prompts(uploaded(xray), TYPED)
    assert [answer[label] for label in tab.classes.values()] == [*PROBABILITIES.values()][:3]
    assert answer[tab.notes] == "- A note for the visitor."
    assert pipeline.prompts[-1] == {"Ill": ["an ill chest"], "Well": ["a well chest"]}
    assert answer[tab.similarity].to_dict("records") == [
        {"Class": label, "Sentence": text, "CLIP, zero-shot": 0.123, "CLIP, fine-tuned": -0.5}
        for label, text in (("Ill", "an ill chest"), ("Well", "a well chest"))
    ]
    warned = tab.compare_prompts(uploaded(xray), f"Ill: an atelectasis\nWell: {'very ' * 12}well")[
        tab.notes
    ].splitlines()
    assert warned[0] == "- The text model was not taught these words and reads them in pieces, if at all: atelectasis."
    assert warned[1].startswith("- The text model does not read the end of this sentence, so shorten it: very very")
    assert tab.ask_about("Nodule").startswith("Nodule: chest X-ray showing a lung nodule\n")
    assert tab.ask_about("classes") == "Ill: an ill chest\nIll: a sick chest\nWell: a well chest"
    with pytest.raises(gr.Error, match=r'^.*"Well:" is not a "class: sentence"'):
        tab.compare_prompts(uploaded(xray), "Ill: an ill chest\nWell: ")
    with pytest.raises(gr.Error, match="There are 21 classes"):
        tab.compare_prompts(uploaded(xray), "\n".join(f"class {number}: a sentence" for number in range(21)))


def test_heat_comes_for_each_classifier_with_how_much_of_it_lies_in_the_lungs(pipeline, xray):
    tab = tab_of(pipeline)
    resnet, zero_shot = tab.explain(uploaded(xray))[tab.viewer]["heat"]
    assert [resnet["name"], zero_shot["name"]] == ["resnet", "clip-zero-shot"]
    assert np.array_equal(pixels(served(resnet["address"])), 255 * masks_for((256, 256)).infection.astype(np.uint8))
    assert not pixels(served(zero_shot["address"])).any()
    assert resnet["caption"] == 'What speaks for "Well": 75.0 % of the heat lies in the lungs.'
    assert zero_shot["caption"] == 'Nothing in the picture speaks for "Ill".'


def test_analyse_gives_the_overlay_and_the_whole_description(client, pipeline, xray):
    overlay, told = client.predict(handle_file(xray), {"Ill": ["a cough"], "Well": ["fine"]}, api_name="/analyse")
    assert np.array_equal(np.asarray(Image.open(overlay)), overlay_of(xray))
    assert told["infected_share"] == INVOLVEMENT.shares
    assert {role: found["probabilities"] for role, found in told["classifiers"].items()} == PROBABILITIES
    assert told["conclusion"] == CONCLUSION
    assert told["classifiers"]["resnet"]["likely"] == ["Well"]
    assert told["classifiers"]["clip-zero-shot"]["likely"] is None  # a set holds for its own sentences only
    assert told["source"] == {"sha256": hashlib.sha256(xray.read_bytes()).hexdigest(), "extension": ".png"}
    assert told["prompts"] == pipeline.prompts[-1] == {"Ill": ["a cough"], "Well": ["fine"]}


def test_a_batch_gives_a_row_a_file_and_a_bad_one_stops_nothing(client, xray, tmp_path):
    (tmp_path / "letter.png").write_text("Dear colleague")
    files = [handle_file(path) for path in (xray, tmp_path / "letter.png", xray)]
    table, (summary, archive) = client.predict(files, api_name="/batch")
    rows = [dict(zip(table["headers"], row, strict=True)) for row in table["data"]]
    assert [row["Status"] for row in rows] == ["answered", "refused", "answered"]
    assert [row["Conclusion"] or None for row in rows] == ["Undecided: Ill or Well", None, "Undecided: Ill or Well"]
    assert rows[0]["Infected share right"] == 0.123
    assert rows[2]["Resnet class"] == "Well"
    assert "is not an image" in rows[1]["Note"]
    assert len(pd.read_csv(summary)) == 3
    with ZipFile(archive) as packed:
        assert len([name for name in packed.namelist() if name.endswith("lungs.png")]) == 2
    with pytest.raises(AppError, match=r"^Choose some files first"):
        client.predict([], api_name="/batch")


def test_a_visitor_sees_a_batch_with_pictures_and_shares_as_per_cent_and_opens_a_row(pipeline, xray, tmp_path):
    (tmp_path / "letter.png").write_text("Dear colleague")
    with ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(xray, "inner/second.png")
    layout = app.build_demo(ready(pipeline)).layout
    tab = layout.tabs["batch"]
    files = [uploaded(path)["path"] for path in (tmp_path / "letter.png", xray, tmp_path / "more.zip")]
    *_, step, last = tab.show(files)
    assert (step[tab.progress], last[tab.asked]) == ("<p role='status'>3 done, 0 left.</p>", files)
    table = last[tab.table]
    assert table["No."].tolist() == [1, 2, 3]
    assert table["Status"].tolist() == ["refused", "answered", "answered"]
    assert table["Right, %"].tolist()[1:] == [12.3, 12.3]
    assert table["Both, %"].tolist()[1:] == [50.0, 50.0]
    assert table["Picture"][0] == ""
    picture = served(table["Picture"][2].split("'")[1])
    assert pixels(picture).shape == (64, 64)
    assert [Path(file).name for file in last[tab.kept]] == ["summary.csv", "results.zip"]
    opened = tab.open_row(files, SimpleNamespace(row_value=["3", "", "second.png"]))
    assert np.array_equal(layout.state.files.read(uploaded(opened))[1].image, read_image(xray))
    for number in ("4", "1000"):
        with pytest.raises(gr.Error, match="does not have this file"):
            tab.open_row(files, SimpleNamespace(row_value=[number]))


@pytest.mark.parametrize(
    ("conclusion", "plain"),
    [
        ("Normal", "Nothing found"),
        ("Undecided: Normal or COVID-19", "Undecided: nothing found or COVID-19"),
        ("Undecided", "Undecided"),
        ("", ""),
    ],
)
def test_a_batch_names_classes_as_the_page_does(conclusion, plain):
    assert in_plain_names(conclusion) == plain


def test_a_report_holds_what_the_page_shows(pipeline, xray):
    (files,) = tab_of(pipeline).keep(uploaded(xray))
    assert [Path(file).name for file in files] == ["report.pdf", "report.json", "overlay.png"]
    steps = tab_of(pipeline).keep(uploaded(xray))
    pdf, told, overlay = next(steps)
    described = json.loads(Path(told).read_text())
    assert (described["infected_share"], described["conclusion"]) == (INVOLVEMENT.shares, CONCLUSION)
    assert Path(pdf).read_bytes().startswith(b"%PDF")
    assert np.array_equal(np.asarray(Image.open(overlay)), overlay_of(xray))


def test_a_file_that_browsers_do_not_show_is_answered_itself_and_its_report_names_it(pipeline, tmp_path):
    deep = np.random.default_rng(0).integers(0, 65535, (64, 96)).astype(np.uint16)
    Image.fromarray(deep).save(tmp_path / "anna.tif")
    layout, original = app.build_demo(ready(pipeline)).layout, uploaded(tmp_path / "anna.tif")
    shown = layout.field.open_file(original["path"])
    image = read_image(tmp_path / "anna.tif")
    assert pixels(shown).shape == (1, 1)  # the field is not seen
    assert "anna" not in shown
    given = uploaded(shown)  # as gradio copies it
    _, described = layout.endpoints.analyse(given)
    assert np.array_equal(pipeline.images[-1], to_square(image))  # all of its bits
    digest = hashlib.sha256((tmp_path / "anna.tif").read_bytes()).hexdigest()
    assert described["source"] == {"sha256": digest, "extension": ".tif"}
    Path(original["path"]).unlink()
    with pytest.raises(gr.Error, match="does not have this file"):
        layout.endpoints.analyse(given)
    (tmp_path / "anna.tif").write_text("no picture")
    tab = layout.tabs["analyse"]
    *_, refused = tab.show(uploaded(layout.field.open_file(uploaded(tmp_path / "anna.tif")["path"])))
    assert "&quot;anna.tif&quot; is not an image" in refused[tab.refusal]
    with pytest.raises(gr.Error, match="does not have this file"):
        layout.field.open_file("/etc/hostname")


def test_the_figures_of_the_checkpoints_in_use_are_compared(tmp_path):
    pipeline = FakePipeline(tmp_path)
    pipeline.checkpoints = {role: Checkpoint(role, EMBEDDED / role, "embedded", "embedded") for role in ROLES}
    tab = tab_of(pipeline, "compare")
    answer = tab.compare(None, "resnet")
    classes, outlines, label, role = (answer[part] for part in (tab.scores, tab.outlines, tab.label, tab.role))
    curves, sure, confusion = (answer[part] for part in (tab.roc, tab.reliability, tab.confusion))
    titles = [texts.TITLES[role] for role in list(ROLES)[1:]]
    assert classes["Model"].tolist() == titles
    assert answer[tab.figures].count("<div class='score'>") == 4 * len(SCORES)
    resnet = CardFacts.load(EMBEDDED / "resnet").results
    low, high = resnet["intervals"]["accuracy"]
    drawn = f"--low: {low:.4f}; --high: {high:.4f}; --at: {resnet['accuracy']:.4f}"
    assert drawn in answer[tab.figures].partition("<figcaption>Accuracy<")[2].partition("</figure>")[0]
    assert set(outlines["Mask"]) == {"lungs", "infection"}
    assert (label["value"], role["value"]) == ("COVID-19", "resnet")
    assert set(curves["Model"]) == set(sure["Model"]) == set(titles)
    assert confusion["True class"].tolist() == ["COVID-19", "Non-COVID", "Normal"]
    pipeline.checkpoints = {"resnet": Checkpoint("resnet", tmp_path, "folder", "bare")}
    tab = tab_of(pipeline, "compare")
    assert tab.compare(None, None)[tab.confusion] is None


@pytest.mark.parametrize(("query", "opened"), [({"tab": "batch"}, "batch"), ({"tab": "x"}, None), ({}, None)])
def test_the_address_opens_a_tab(query, opened):
    update = open_tab(SimpleNamespace(query_params=query))
    assert getattr(update, "selected", None) == opened


def test_no_lungs_are_said_plainly_and_a_classifier_without_an_answer_stays_empty(tmp_path, xray):
    tab = tab_of(FakePipeline(tmp_path, lungs=False))
    *_, refused = tab.show(uploaded(xray))
    assert "No lungs were found" in refused[tab.refusal]
    assert refused[tab.conclusion] == ""
    _, outlined, classified = tab.show(uploaded(xray), anyway=True)
    assert "%" not in outlined[tab.shares].partition("<p>")[0]
    assert outlined[tab.masks] is None  # no files of masks that are not there
    assert classified[tab.conclusion].count("<td>-</td>") == 6
    assert re.findall(r"(\d+%)</td>", classified[tab.conclusion]) == ["25%", "75%"]


@pytest.mark.parametrize(
    ("share", "ends", "written", "grade"),
    [
        (0.0, (0.0, 0.0), "0 %", "0"),
        (0.0, None, "0 %", "0"),
        (0.12345, (0.119, 0.1241), "12 %", "1"),
        (0.24, (0.2, 0.354), "20 to 35 %", "1 to 2"),
        (0.004, (0.0, 0.012), "0 to 1 %", "0 to 1"),
        (1.0, (0.951, 1.0), "95 to 100 %", "4"),
        (None, None, "not found", "-"),
    ],
)
def test_shares_and_grades_are_written_as_exactly_as_they_are_known(share, ends, written, grade):
    assert share_range(share, ends) == written
    assert grade_range(share, ends) == grade


def test_each_share_stands_beside_its_own_lung():
    html = shares_html(masks_for((64, 64)), Involvement(right=0.1, left=0.25, both=0.2))
    for cell in (
        "10 %</b><span>patient's right lung</span><small>grade 1 of 4</small><small class='exact'>0 of 512 pixels",
        "25 %</b><span>patient's left lung</span><small>grade 2 of 4</small><small class='exact'>64 of 512 pixels",
        "20 %</b><span>both lungs</span><small></small><small class='exact'>64 of 1,024 pixels",
    ):
        assert cell in html


def test_a_card_is_shown_without_its_front_matter_and_may_be_missing(pipeline):
    assert card_html(pipeline.checkpoints["resnet"]).startswith("<h1>Card of the ResNet</h1>\n")
    assert card_html(pipeline.checkpoints["unet"]) == "<p>This checkpoint has no model card.</p>"


def test_a_checkpoint_that_cannot_be_had_ends_with_a_sentence(monkeypatch):
    def refuse():
        raise CheckpointError("The folder /tmp/x is not a checkpoint: it has no config.json.")

    monkeypatch.setattr("hub_models.page.startup.open_pipeline", refuse)
    monkeypatch.setenv("GRADIO_SERVER_PORT", str(free_port()))
    monkeypatch.setattr(sys, "argv", ["app.py"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(app.__file__, run_name="__main__")
    assert end.value.code == "The folder /tmp/x is not a checkpoint: it has no config.json."  # printed; exit code 1


@pytest.mark.parametrize(
    ("environment", "address"),
    [
        ({}, "127.0.0.1"),
        ({"SPACE_ID": "someone/xray"}, "0.0.0.0"),
        ({"SPACE_ID": "someone/xray", "GRADIO_SERVER_NAME": "localhost"}, "localhost"),
    ],
)
def test_it_is_served_to_this_computer_only_unless_it_is_a_space(monkeypatch, pipeline, environment, address):
    launched, port = {}, free_port()
    monkeypatch.setenv("GRADIO_SERVER_PORT", str(port))
    for name in ("SPACE_ID", "GRADIO_SERVER_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("hub_models.page.startup.open_pipeline", lambda: pipeline)
    small = draw_phantom(1, size=64)
    monkeypatch.setattr("hub_models.xray.phantom.draw_phantom", lambda *_, **__: small)

    def launch(demo: gr.Blocks, **options) -> tuple[None, str, None]:
        launched.update(options)
        return None, "", None

    monkeypatch.setattr(gr.Blocks, "launch", launch)
    monkeypatch.setattr(sys, "argv", ["app.py"])
    runpy.run_path(app.__file__, run_name="__main__")
    assert launched["server_name"] == address
    assert launched["server_port"] == port
    assert not launched["mcp_server"]


def test_the_tools_for_assistants_need_a_package_and_say_which(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["app.py", "--mcp"])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit) as end:
        app.main()
    assert end.value.code.startswith("--mcp needs the package mcp: pip install 'gradio[mcp]==")


@pytest.fixture(scope="module")
def real(checkpoints: dict[str, Path]) -> XrayPipeline:
    """A pipeline of tiny checkpoints."""
    return XrayPipeline.from_pretrained({role: str(folder) for role, folder in checkpoints.items()})


def test_a_stand_in_is_told_with_its_reason_and_can_be_tried_again(real, monkeypatch):
    marked = replace(real.checkpoints["resnet"], problem="someone/<resnet> is not on the Hub.")
    monkeypatch.setitem(real.checkpoints, "resnet", marked)
    layout = app.build_demo(ready(real)).layout
    told, tab = layout.tell(), layout.tabs["models"]
    problems, again, table = told[layout.stand_ins.problems], told[layout.stand_ins.retry], told[tab.table]
    assert "<b>resnet: the embedded checkpoint stands in.</b> someone/&lt;resnet&gt; is not on the Hub." in problems
    assert again["visible"]
    assert table.count("(stand-in)") == 1


def test_without_a_stand_in_there_is_nothing_to_try_again(real):
    layout = app.build_demo(ready(real)).layout
    told, tab = layout.tell(), layout.tabs["models"]
    problems, again, table = told[layout.stand_ins.problems], told[layout.stand_ins.retry], told[tab.table]
    assert (problems, again["visible"]) == ("", False)
    assert "stand-in" not in table


def test_events_that_run_the_models_borrow_a_graphics_card_where_zerogpu_is(pipeline, monkeypatch, tmp_path):
    (tmp_path / "spaces.py").write_text(
        "lent = []\ndef GPU(event):\n    lent.append(event.__name__)\n    return event\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    app.build_demo(ready(pipeline))
    import spaces

    names = ["analyse", "batch", "classify", "compare_prompts", "explain", "keep", "segment", "show"]
    assert sorted(set(spaces.lent)) == names
    del sys.modules["spaces"]


def test_the_page_is_imported_without_torch_which_takes_seconds():
    told = subprocess.run(
        [sys.executable, "-c", "import sys, app; print({'torch', 'transformers', 'timm'} & sys.modules.keys())"],
        cwd=Path(app.__file__).parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "set()\n"


def test_an_x_ray_that_comes_before_the_models_waits_for_them_and_the_page_says_so(pipeline, xray):
    models = Future()
    tab = tab_of(models)
    steps = tab.show(uploaded(xray))
    next(steps)
    assert "still being loaded" in next(steps)[tab.shares]
    models.set_result(pipeline)
    assert "12 %" in next(steps)[tab.shares]


def test_no_two_answers_share_a_file_that_one_may_fetch_while_the_other_is_written_or_deleted():
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    first, second = Path(serve_picture(picture)), Path(serve_picture(picture))
    assert first != second
    assert first.read_bytes() == second.read_bytes() == encode_png(picture)
    assert first.is_relative_to(get_upload_folder())


def test_the_examples_are_what_the_phantom_draws():
    for name, (seed, opacities) in zip(texts.EXAMPLES, DRAWN, strict=True):
        drawn = draw_phantom(seed, size=EXAMPLE_SIDE, opacities=opacities).image
        with Image.open(EXAMPLES / f"{name}.png") as picture:
            assert picture.mode == "L"
            assert np.abs(np.asarray(picture, int) - drawn).max() <= 1  # a processor may round otherwise
