"""Captions: what they say of an X-ray, and what they leave out."""

import random
import re

import datasets
import pytest

from hub_models.models.labels import SENTENCES, TEMPLATES
from train.data.captions import CAPTION_COLUMNS, FINDINGS, caption, check_captions, first_sentence, technique

PLACE_OR_DEGREE = r"\b(left|right|bilateral|both|basal|upper|lobes?|peripheral|patchy|mild|extensive|multifocal)\b"


def row(**known: str) -> dict:
    return {**dict.fromkeys(CAPTION_COLUMNS), "file": "a.png", **known}


def first(options: int) -> int:
    return 0


def wordings(finding: str) -> set[str]:
    draw = random.Random(0).randrange
    return {first_sentence(finding, draw) for _ in range(400)}


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"view": "AP", "sex": "F", "age": "68.0"}, "Frontal chest radiograph, AP view, of an elderly woman."),
        (
            {"view": "AP Supine", "sex": "male", "age": "64"},
            "Frontal chest radiograph, supine AP view, of an adult man.",
        ),
        ({"view": "PA", "age": "12"}, "Frontal chest radiograph, PA view, of a child."),
        ({"view": "PA", "sex": "M", "age": "13"}, "Frontal chest radiograph, PA view, of an adolescent boy."),
        ({"view": "PA", "sex": "Unknown"}, "Frontal chest radiograph, PA view."),
        ({"view": "Lateral"}, "Chest radiograph, Lateral view."),
        ({"sex": "F"}, "Chest radiograph of a female patient."),
        ({"age": "0"}, "Chest radiograph of an infant."),
        ({"age": "19"}, "Chest radiograph of an adult."),
        ({"view": "", "sex": " ", "age": ""}, ""),
    ],
)
def test_view_sex_and_age_group_are_said_as_far_as_they_are_known(facts, sentence):
    assert technique(row(**facts)) == sentence


def test_the_finding_comes_first():
    assert caption(row(finding="Tuberculosis", view="PA", age="30"), first) == (
        "Tuberculosis. Frontal chest radiograph, PA view, of an adult."
    )
    assert caption(row(finding="No Finding"), first) == "The lungs are clear."


def test_a_finding_without_words_is_said_by_its_own_name():
    assert wordings("edema") == {
        "Edema.",
        "Chest X-ray of edema.",
        "Chest radiograph showing edema.",
        "Findings consistent with edema.",
        "Lungs of a patient with edema.",
    }


@pytest.mark.parametrize("finding", FINDINGS)
def test_a_finding_has_several_wordings_that_stand_alone_and_claim_no_place_or_degree(finding):
    sentences = wordings(finding)
    assert len(sentences) >= 5
    for sentence in sentences:
        assert re.fullmatch(r"[A-Z][^.{}]*\.", sentence), sentence  # one sentence, so that cutting leaves it whole
        claim = sentence.partition(", which often shows as ")[0]  # the rest is said of the disease
        assert re.findall(PLACE_OR_DEGREE, claim, re.IGNORECASE) in ([], ["Bilateral"] * (finding == "ARDS")), claim
    assert (FINDINGS[finding] is FINDINGS["No Finding"]) == ("The lungs are clear." in sentences)


def test_no_sentence_is_said_of_two_findings():
    findings = [finding for finding in FINDINGS if finding != "Normal"]  # another name of "No Finding"
    sentences = [sentence for finding in findings for sentence in wordings(finding)]
    assert len(set(sentences)) == len(sentences)


FINDINGS_OF = {
    "COVID-19": ["COVID-19"],
    "Non-COVID": ["Pneumonia", "Bacterial pneumonia", "Viral pneumonia", "Tuberculosis"],
    "Normal": ["Normal"],
}


@pytest.mark.parametrize("label", FINDINGS_OF)
def test_captions_have_the_sentences_of_the_prompts(label):
    captions = {sentence.lower() for finding in FINDINGS_OF[label] for sentence in wordings(finding)}
    assert [prompt for prompt in SENTENCES[label] if f"{prompt.lower()}." not in captions] == []


def test_captions_have_the_templates_of_the_prompts():
    sentences = {sentence.lower() for sentence in wordings("edema")}
    prompts = [template.format("edema").lower().removeprefix("a ").removeprefix("frontal ") for template in TEMPLATES]
    assert [prompt for prompt in prompts if f"{prompt}." not in sentences] == []


def test_validation_always_has_the_same_caption_and_not_one_wording_for_all():
    rows = [row(file=f"{number}.png", finding="COVID-19") for number in range(40)]
    fixed = [caption(each) for each in rows]
    assert fixed == [caption(each) for each in rows]
    assert len(set(fixed)) > 5


def test_a_caption_that_somebody_wrote_stays_as_it_is():
    own = "Opacity in the left lower zone. Seen in 2019."
    assert caption(row(finding="Pneumonia", view="PA", age="unreadable", caption=own), first) == own


def test_without_a_finding_there_is_no_caption():
    assert caption(row(view="PA", age="30")) is None
    assert caption(row(finding="", view="PA")) is None


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({"age": "45Y"}, r"^The age of b\.png is '45Y'; write years, a number from 0 to 120, or leave it blank\.$"),
        ({"age": "nan"}, r"^The age of b\.png is 'nan'"),
        ({"age": "-1"}, r"^The age of b\.png is '-1'"),
        ({"age": "121"}, r"^The age of b\.png is '121'"),
        ({"sex": "1"}, r"^The sex of b\.png is '1'; write one of m, male, f, female, o, other, u, unknown, or leave"),
        ({"finding": None}, r"^--method captions needs a finding for every image, and b\.png has none: .* full\.$"),
    ],
)
def test_rows_that_captions_cannot_be_learned_from_are_refused_before_training(facts, sentence):
    good = row(finding="Pneumonia", sex="F", age="120")
    check_captions(datasets.Dataset.from_list([good]))
    with pytest.raises(ValueError, match=sentence):
        check_captions(datasets.Dataset.from_list([good, {**good, "file": "b.png", **facts}]))
