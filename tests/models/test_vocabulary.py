"""What a text tower does not read, by the tokenizers of the embedded CLIP and of a stand-in."""

import pytest

from hub_models.checkpoints.resolve import EMBEDDED
from hub_models.models.labels import QUESTIONS, SENTENCES
from hub_models.models.tokens import SavedTokenizer
from hub_models.models.vocabulary import Unread, find_unread
from tests.support.fake_pipeline import tokens


@pytest.fixture(scope="module")
def embedded() -> SavedTokenizer:
    return SavedTokenizer(EMBEDDED / "clip-zero-shot", positions=512)


def test_its_own_sentences_are_read_whole(embedded):
    assert find_unread(embedded, [text for texts in SENTENCES.values() for text in texts]) == Unread((), ())


def test_words_in_pieces_or_without_a_sign_are_named_once(embedded):
    asked = ["Lungen mit Verschattung", "a lung with 肺炎肺, verschattung", "a chest X-ray of COVID-19"]
    assert set(find_unread(embedded, asked).words) >= {"verschattung"}
    assert find_unread(embedded, asked).words.count("verschattung") == 1
    assert "covid" not in find_unread(embedded, asked).words


def test_a_sentence_is_cut_at_the_limit_and_not_before(embedded):
    short, long = "lung " * 125, "lung " * 126  # two more tokens frame a sentence
    assert find_unread(embedded, [short, long]).cut == (long,)


def test_the_questions_are_short_enough(embedded):
    sentences = [text for prompts in QUESTIONS.values() for texts in prompts.values() for text in texts]
    unread = find_unread(embedded, sentences)
    assert unread.cut == ()
    assert "pneumothorax" not in unread.words  # it was taught, if only denied


def test_another_tokenizer_is_asked_in_the_same_way():
    assert find_unread(tokens, ["an atelectasis here", "a " * 10, "a " * 9]) == Unread(("atelectasis",), ("a " * 10,))
