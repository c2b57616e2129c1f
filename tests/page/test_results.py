"""What the page says of a result, word for word."""

import html
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from markdown_it import MarkdownIt

from hub_models.cards.facts import CardFacts
from hub_models.checkpoints.folder import Checkpoint
from hub_models.engines.engine import Engine
from hub_models.models.conclusion import Conclusion
from hub_models.models.gradcam import Explanation
from hub_models.page.findings import classes_table, conclusion_html, likely_text, trust_texts
from hub_models.page.results import (
    card_html,
    checkpoints_table,
    control_text,
    heat_text,
    plain,
    plain_html,
    problems_html,
)


def checkpoint(folder: Path) -> Checkpoint:
    return Checkpoint("resnet", folder, "folder", "given")


def test_a_score_stands_beside_the_one_with_the_lungs_hidden(folder):
    assert control_text(checkpoint(folder)) == "How much of its score needs the lungs is not measured."
    facts = CardFacts.load(folder)
    figures = {"shown its own view": 0.84, "shown lungs hidden": 0.4051}
    facts.results["controls"] = {name: {"accuracy": figure, "images": 562} for name, figure in figures.items()}
    facts.save(folder)
    said = "It named the right class on 84% of 562 test images, and on 41% of them with the lungs hidden."
    assert control_text(checkpoint(folder)) == said


def test_a_checkpoint_without_figures_gets_no_sentence(tmp_path):
    assert control_text(checkpoint(tmp_path)) == control_text(None) == ""


def test_the_table_of_checkpoints_names_what_runs_each_and_why_it_is_nothing_faster(tmp_path):
    places = {role: Checkpoint(role, tmp_path, "folder", "given") for role in ("unet", "resnet", "fusion")}
    engines = {"unet": Engine("openvino", "int8"), "resnet": Engine(problem="network.onnx is torn.")}
    lines = checkpoints_table(places, engines).splitlines()
    assert lines[0] == "| Role | Checkpoint | Origin | Revision | Runs in |"
    assert [line.split(" | ")[-1] for line in lines[2:5]] == ["openvino, int8 |", "torch, float32 |", "- |"]
    assert lines[5:] == ["", "resnet runs in PyTorch: network.onnx is torn."]


def test_the_conclusion_says_one_class_or_that_it_is_undecided_and_why():
    answers = {"resnet": {"Non-COVID": 0.25, "Normal": 0.75}}

    def said(*classes: str, **found) -> str:
        html = conclusion_html(Conclusion(classes, **found), answers, {}, ["a & b", "exactly"])
        return html.partition("role='status'>")[2].partition("<table")[0]

    assert conclusion_html(None) == ""
    assert said("Normal", agree=4, of=4) == "<b>Nothing found</b><p class='agreed'>4 of 4 classifiers agree.</p>"
    agreed = "<p class='agreed'>2 of 4 classifiers agree on &quot;COVID-19&quot;.</p>"
    both = "COVID-19", "Non-COVID"
    assert said(*both, agree=2, of=4) == f"<b>Undecided: COVID-19 or other pneumonia</b>{agreed}"
    assert said("Ill", "<i>Well</i>", agree=2, of=4).startswith("<b>Undecided: Ill or &lt;i&gt;Well&lt;/i&gt;</b>")
    why = "<p>It is unlike most X-rays that the models learned from, so nothing is decided.</p>"
    assert said("Ill", agree=3, of=4, unlike=True).startswith(f"<b>Undecided</b>{why}")
    whole = conclusion_html(Conclusion(both, agree=2, of=4), answers, {}, ["a & b", "exactly"])
    assert "<p class='trust'>a &amp; b</p><details" in whole
    assert "<p>exactly</p>" in whole.partition("<details")[2]


def test_the_table_has_a_row_a_class_always_in_the_same_order_and_marks_what_is_not_told_apart():
    resnet = {"Normal": 0.5, "<b>": 0.25, "Non-COVID": 0.25, "COVID-19": 0.0}
    table = classes_table({"resnet": resnet, "clip-zero-shot": {"COVID-19": 1.0}}, {"resnet": ["Normal"]})
    rows = [row.split("</th>")[0].rpartition(">")[2] for row in table.split("<tr>")[2:]]
    assert rows == ["COVID-19", "Other pneumonia", "Nothing found", "&lt;b&gt;"]
    first, *_, normal, _ = table.split("<tr>")[2:]
    assert "<td style='--share: 1.000'>100%</td><td>-</td><td style='--share: 0.000'>0%</td><td>-</td>" in first
    assert "<td class='likely' style='--share: 0.500'>50%</td>" in normal
    assert table.count("likely") == 1


def test_the_conclusion_tells_how_often_it_is_right_at_home_and_where_it_was_not_trained(folder, tmp_path):
    facts = CardFacts.load(folder)
    facts.results |= {"accuracy": 0.871, "images": 562}
    facts.save(tmp_path / "clip")
    facts.save(tmp_path / "resnet")
    places = {"resnet": checkpoint(tmp_path / "resnet"), "clip-finetuned": checkpoint(tmp_path / "clip")}
    home = "How far to trust it: right on 87% of 562 test X-rays from the hospitals that it learned from; "
    short, exact = trust_texts(places)
    assert short == "Right on 87% of X-rays from hospitals that it learned from; elsewhere it is not measured."
    assert exact == f"{home}how often in another hospital is not measured."
    called = {"healthy_called": dict.fromkeys(facts.labels)}
    rest = dict.fromkeys(("set_coverage", "set_size_mean", "validation"))
    figures = {"first": 0.5, "second": 0.8, "third": 0.65}
    sources = {name: {"images": 2, "balanced_accuracy": figure} | called | rest for name, figure in figures.items()}
    facts.results["left_out"] = {"sources": sources, "means": {"balanced_accuracy": 0.65} | called | rest}
    facts.save(tmp_path / "clip")
    away = "on 65% (mean; 50% to 80%) of those from 3 hospitals, each left out of a training"
    short, exact = trust_texts(places)
    assert short.startswith("Right on 87% of X-rays from hospitals that it learned from, and on 65% (50% to 80%) in")
    assert exact == f"{home}{away}."
    facts.save(tmp_path / "resnet")
    del facts.results["left_out"]
    facts.save(tmp_path / "clip")
    assert trust_texts(places)[1] == f"{home}{away} like that of ResNet."
    assert trust_texts({}) == []


@pytest.mark.parametrize(
    "text",
    [
        "a & b &amp; c",
        "<b>x</b>",
        "*a* __b__ ~~c~~",
        "[l](javascript:1)",
        "![p](http://x.invalid)",
        "`c`",
        "a|b",
        "$x$",
    ],
)
def test_markdown_shows_a_text_of_others_as_it_is(text):
    shown = MarkdownIt("gfm-like", {"linkify": False}).render(f"**{plain(text)}**")
    assert html.unescape(shown) == f"<p><strong>{text}</strong></p>\n"
    assert plain_html(text) == html.escape(text)


def test_addresses_are_no_links_and_what_moves_other_text_is_an_escape():
    assert plain("see https://x.invalid or WWW.x.invalid") == "see https&#58;//x.invalid or WWW&#46;x.invalid"
    assert plain("a\n\n# b\x00\u202ec") == r"a &#35; b&#92;x00&#92;u202ec"
    assert plain_html("a\n<b>\u202ec") == r"a &lt;b&gt;\u202ec"
    assert plain("COVID-19, Non-COVID: network.onnx (肺)") == "COVID-19, Non-COVID: network.onnx (肺)"


def test_names_of_classes_and_checkpoints_are_text_in_every_sentence(tmp_path):
    assert "hospitals left out of training" in likely_text(["a"], 0.9, elsewhere=True)
    assert likely_text(["<i>", "a*b"], 0.9).startswith("**&#60;i&#62; or a&#42;b**: sets like this one")
    heat = np.zeros((2, 2), np.float32)
    assert (
        heat_text(Explanation(heat, "<i>", None)) == 'Nothing in the picture speaks for "<i>".'
    )  # it is shown as text
    assert heat_text(Explanation(heat, "<i>\n\u202e", 0.5)).startswith('What speaks for "<i> \\u202e": 50.0 %')
    named = replace(checkpoint(tmp_path), name="a`|<i>", revision="b|c", problem="<i>\nno")
    line = checkpoints_table({"resnet": named}, {"resnet": Engine(problem="![x](y)")}).splitlines()
    assert line[2] == (
        "| resnet | <code>a&#96;&#124;&#60;i&#62;</code> (stand-in) | folder | <code>b&#124;c</code> | torch, float32 |"
    )
    assert line[4] == "resnet runs in PyTorch: &#33;&#91;x&#93;(y)"
    assert "</b> &lt;i&gt; no</div>" in problems_html({"resnet": named})


def test_a_card_keeps_its_text_tables_code_and_links_and_loses_all_that_acts(tmp_path):
    lines = [
        "---",
        "license: other",
        "---",
        "# T <b id=x>",
        "",
        "*a* [p](https://p.invalid/?a=1&b=2) ![d](https://x.y/z)",
    ]
    lines += ["[j](javascript:1) [r](/gradio_api)", "", "| h |", "|---|", "| `<c>` |", "", "```python", "a < b", "```"]
    (tmp_path / "README.md").write_text("\n".join(lines), encoding="utf-8")
    link = '<a href="https://p.invalid/?a=1&amp;b=2" target="_blank" rel="noopener noreferrer nofollow">p</a>'
    assert card_html(checkpoint(tmp_path)) == (
        "<h1>T &lt;b id=x&gt;</h1>\n"
        f"<p><em>a</em> {link} <em>[picture: d]</em>\n[j](javascript:1) [r](/gradio_api)</p>\n"
        "<table>\n<thead>\n<tr>\n<th>h</th>\n</tr>\n</thead>\n"
        "<tbody>\n<tr>\n<td><code>&lt;c&gt;</code></td>\n</tr>\n</tbody>\n</table>\n"
        "<pre><code>a &lt; b\n</code></pre>\n"
    )
    (tmp_path / "README.md").write_bytes(b"\xff")
    assert card_html(checkpoint(tmp_path)) == "<p>\ufffd</p>\n"
