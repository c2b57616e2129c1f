import pytest

from hub_models.models.labels import LABELS, prompts_for, read_prompts, write_prompts
from hub_models.xray.masks import MASKS


def test_the_order_of_the_outputs_is_the_one_that_checkpoints_were_trained_with():
    assert MASKS == ("lungs", "infection")
    assert LABELS == ("COVID-19", "Non-COVID", "Normal")


def test_a_default_class_gets_its_own_sentences_in_this_order():
    sentences = prompts_for(["Normal"])["Normal"]
    assert (sentences[0], sentences[-1]) == ("the lungs are clear", "chest X-ray of healthy lungs, no finding")
    assert prompts_for(["No Finding"])["No Finding"] == sentences
    assert all("COVID" in sentence for sentence in prompts_for(["COVID-19"])["COVID-19"])
    assert not any("COVID" in sentence for sentence in prompts_for(["Non-COVID"])["Non-COVID"])


def test_a_class_without_sentences_is_said_by_its_name():
    assert prompts_for(["lung cancer"])["lung cancer"] == [
        "a chest X-ray of lung cancer",
        "a frontal chest radiograph showing lung cancer",
        "lungs of a patient with lung cancer",
    ]


def test_the_classes_keep_the_order_they_are_asked_in():
    assert list(prompts_for(["Normal", "lung cancer", "COVID-19"])) == ["Normal", "lung cancer", "COVID-19"]


def test_no_sentence_stands_for_two_classes_or_twice_for_one():
    sentences = [sentence for prompts in prompts_for(LABELS).values() for sentence in prompts]
    assert len(sentences) == len(set(sentences)) == 18


def test_typed_prompts_are_read_line_by_line_in_the_order_of_their_classes():
    typed = "well: clear lungs\n\n  ill :  a cough: dry \nwell:no finding\n"
    assert list(read_prompts(typed).items()) == [("well", ["clear lungs", "no finding"]), ("ill", ["a cough: dry"])]


def test_prompts_that_are_written_are_read_back_unchanged():
    assert read_prompts(write_prompts(prompts_for(LABELS))) == prompts_for(LABELS)


@pytest.mark.parametrize("line", ["clear lungs", ": clear lungs", "well:", "well:  "])
def test_a_line_without_class_or_sentence_is_refused_as_it_was_typed(line):
    with pytest.raises(ValueError, match=rf'^"{line.strip()}" is not a "class: sentence" line, as in "Normal: '):
        read_prompts(f"ill: a cough\n{line}")


@pytest.mark.parametrize("typed", ["", "\n", "ill: a cough\nill: a fever"])
def test_fewer_than_two_classes_are_refused(typed):
    with pytest.raises(ValueError, match=r"^Write sentences for at least two classes"):
        read_prompts(typed)
