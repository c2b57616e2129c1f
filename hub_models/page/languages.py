"""The languages of the page: English is written everywhere, and what leaves for a visitor is translated at the border.

`german.toml` holds English -> German, with `{}` for a value. A value is translated, too, if it is a text of the
catalogue, and a number gets the other language's signs. What no text of the catalogue fits stays as it is.
"""

import html
import re
import tomllib
from collections.abc import Mapping
from contextvars import ContextVar
from functools import cache
from pathlib import Path

LANGUAGES = {"en": "English", "de": "Deutsch"}
"""Code -> name in the language itself; the first is that in which everything is written."""
QUERY = COOKIE = "lang"
SPOKEN: ContextVar[str] = ContextVar("spoken", default="en")
"""Code of the language of the visitor who is answered."""
_PLACE = re.compile(r"\{(\d*)(?::[^{}]*)?\}")
_NUMBER = re.compile(r"([\d,]*\.?\d+)( ?%)?")
_SENTENCES = re.compile(r"(?<=[.!?:]) (?=[A-Z\"])")
_TAG = re.compile(r"(<[^>]*>)")
_READ_IN_TAGS = re.compile(r"""(\s(?:title|aria-label|alt|data-[\w-]+)=)(['"])(.*?)\2""", re.DOTALL)


def language_of(query: Mapping[str, str], cookies: Mapping[str, str], accepted: str | None) -> str:
    """Choose a language of `LANGUAGES`: the address's, else the cookie's, else the browser's first that is known.

    Args:
        query: the address's, with `QUERY`.
        cookies: with `COOKIE`.
        accepted: the header Accept-Language, as in "fr, de-CH;q=0.8, en;q=0.5"; None if there is none.
    """
    for chosen in (query.get(QUERY), cookies.get(COOKIE)):
        if chosen in LANGUAGES:
            return chosen
    return next((code for code in _by_preference(accepted or "") if code in LANGUAGES), "en")


def _by_preference(accepted: str) -> list[str]:
    wished = []
    for part in accepted[:200].split(","):
        name, _, quality = part.partition(";q=")
        number = re.fullmatch(r"[01](\.\d{1,3})?", quality.strip())
        wished.append((-float(number[0]) if number else -1.0, name.strip().partition("-")[0].lower()))
    return [name for _, name in sorted(wished, key=lambda each: each[0])]


def spoken_catalogue() -> "Catalogue | None":
    """Return the catalogue of the visitor who is answered; None for English."""
    return Catalogue.german() if SPOKEN.get() == "de" else None


def in_spoken(text: str) -> str:
    """Translate a sentence for the visitor who is answered."""
    catalogue = spoken_catalogue()
    return (catalogue and catalogue.find(text)) or text


class Catalogue:
    """English -> another language.

    Attributes:
        texts: texts without values.
    """

    def __init__(self, sentences: Mapping[str, str], values: Mapping[str, str]) -> None:
        """Read a catalogue.

        Args:
            sentences: English -> translation, of whole texts.
            values: of texts that only stand for a value in another, such as "{} or {}".
        """
        self.texts = {_one_line(english): other for english, other in (sentences | values).items()}
        self._sentences, self._values = (_patterns(texts) for texts in (sentences, values))

    @classmethod
    @cache
    def german(cls) -> "Catalogue":
        """Return the one that ships with the page."""
        read = tomllib.loads(Path(__file__).with_name("german.toml").read_text(encoding="utf-8"))
        return cls(read["sentences"], read["values"])

    def find(self, text: str, inner: bool = False) -> str | None:
        """Return the translation of a text on one line, or None if there is none.

        Args:
            text: a whole text, or several sentences of the catalogue one after the other.
            inner: whether it stands for a value in another text.
        """
        if (found := self._find_whole(text, inner)) is not None:
            return found
        parts, said = _SENTENCES.split(text), []
        while len(parts) > 1 or (said and parts):
            lengths = range(len(parts), 0, -1) if said else range(len(parts) - 1, 0, -1)
            found = ((length, self._find_whole(" ".join(parts[:length]))) for length in lengths)
            length, each = next((one for one in found if one[1] is not None), (1, None))
            said.append((each, " ".join(parts[:length])))
            parts = parts[length:]
        return " ".join(each or text for each, text in said) if any(each for each, _ in said) else None

    def _find_whole(self, text: str, inner: bool = False) -> str | None:
        """`find`, of a text that is one of the catalogue's, or a number."""
        if (found := self.texts.get(text)) is not None:
            return found
        if number := _NUMBER.fullmatch(text):
            return number[1].translate(str.maketrans(",.", ".,")) + (f" {number[2].strip()}" if number[2] else "")
        for pattern, order, other in (*self._sentences, *(self._values if inner else ())):
            if fits := pattern.fullmatch(text):
                values = [self.find(value, inner=True) or value for value in fits.groups()]
                return _filled(other, dict(zip(order, values, strict=True)))
        return None

    def in_html(self, markup: str) -> str:
        """Translate the texts between the tags of HTML, and those in its tags that visitors read."""

        def attribute(fits: re.Match) -> str:
            found = self.find(_one_line(html.unescape(fits[3])))
            return fits[0] if found is None else f"{fits[1]}{fits[2]}{html.escape(found)}{fits[2]}"

        parts = _TAG.split(markup)
        parts[1::2] = [_READ_IN_TAGS.sub(attribute, tag) for tag in parts[1::2]]
        parts[::2] = [self._between(text) for text in parts[::2]]
        return "".join(parts)

    def _between(self, text: str) -> str:
        words = _one_line(html.unescape(text))
        if not words or (found := self.find(words)) is None:
            return text
        before, after = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
        return f"{before}{html.escape(found, quote=False)}{after}"

    def in_markdown(self, text: str) -> str:
        """Translate Markdown: all of it, or each of its lines, entries of a list and cells of a table."""
        if (found := self.texts.get(_one_line(text))) is not None:
            return found
        return "\n".join(self._line(line) for line in text.split("\n"))

    def _line(self, line: str) -> str:
        if line.startswith("|"):
            return "|".join(self._cell(cell) for cell in line.split("|"))
        mark = "- " if line.startswith("- ") else ""
        found = self.find(_one_line(html.unescape(line.removeprefix(mark))))
        if found is None:
            return line
        return mark + (re.sub(r"[&<>`\[\]|$~\\!#@]", lambda sign: f"&#{ord(sign[0])};", found) if mark else found)

    def _cell(self, cell: str) -> str:
        return f" {self.find(cell.strip()) or cell.strip()} " if cell.strip() else cell


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _patterns(texts: Mapping[str, str]) -> list[tuple[re.Pattern, list[str], str]]:
    """`_compiled` of each text with values; those with the most letters of their own come first."""
    with_values = [each for each in texts.items() if _PLACE.search(each[0])]
    return [_compiled(*each) for each in sorted(with_values, key=lambda each: -len(_PLACE.sub("", each[0])))]


def _compiled(english: str, other: str) -> tuple[re.Pattern, list[str], str]:
    """A pattern of an English text, the places of its values in order, and its translation."""
    english = _one_line(english)
    places = [place[1] or str(number) for number, place in enumerate(_PLACE.finditer(english))]
    literal = [re.escape(part) for part in _PLACE.split(english)[::2]]
    return re.compile("(.+?)".join(literal), re.DOTALL), places, other


def _filled(text: str, values: Mapping[str, str]) -> str:
    numbers = iter(range(99))
    return _PLACE.sub(lambda place: values[place[1] or str(next(numbers))], text)
