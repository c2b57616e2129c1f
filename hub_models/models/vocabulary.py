"""The words that a CLIP's text tower does not know, and the sentences that are longer than it reads."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hub_models.models.labels import SENTENCES, TEMPLATES

Tokens = Callable[[Sequence[str]], Mapping[str, np.ndarray]]
"""Sentences -> "input_ids" and "attention_mask", int64 (N, L), as `ClipClassifier.tokens` returns them."""
NO_LETTER = "\U0010fffd"
"""A character that no text holds: a tokenizer that has a sign for what it does not know uses it here."""
_WORD = re.compile(r"[^\W\d_]{3,}")


@dataclass(frozen=True)
class Unread:
    """The parts of sentences that a text tower does not read as they are written.

    Attributes:
        words: words that it has only pieces or no sign for, and that were not in the captions that it learned from.
        cut: sentences as long as it reads, or longer, whose end it then does not read.
    """

    words: tuple[str, ...]
    cut: tuple[str, ...]


def find_unread(tokens: Tokens, sentences: Iterable[str]) -> Unread:
    """Find what a text tower does not read of sentences, by its tokenizer."""
    sentences = list(sentences)
    words = dict.fromkeys(word for sentence in sentences for word in _WORD.findall(sentence.lower()))
    asked = [word for word in words if word not in learned_words()]
    frame, longest = (int(count) for count in tokens(["", "a " * 5_000])["attention_mask"].sum(axis=1))
    read = tokens(["", *asked, NO_LETTER])
    pieces = read["attention_mask"].sum(axis=1) - frame
    no_sign = set(read["input_ids"][-1]) - set(read["input_ids"][0]) if pieces[-1] == 1 else set()
    strange = [bool(no_sign & set(ids)) for ids in read["input_ids"].tolist()]
    lengths = tokens(sentences)["attention_mask"].sum(axis=1)
    return Unread(
        tuple(word for word, count, odd in zip(asked, pieces[1:], strange[1:], strict=False) if count > 1 or odd),
        tuple(sentence for sentence, length in zip(sentences, lengths, strict=True) if length >= longest),
    )


def learned_words() -> set[str]:
    """Return the words of the sentences that a CLIP of this project learned by."""
    texts = [text for sentences in SENTENCES.values() for text in sentences] + [*TEMPLATES]
    return {word for text in texts for word in _WORD.findall(text.lower())}
