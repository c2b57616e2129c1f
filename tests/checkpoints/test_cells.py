"""No text of a CSV file is a formula, whatever sign, width, locale or invisible character it hides behind."""

import io
import re

import numpy as np
import pandas as pd
import pytest

from hub_models.batch.outputs import table_csv, table_row
from hub_models.batch.run import Result
from hub_models.checkpoints.cells import as_cell, as_cells, from_cell, from_cells

SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63"
FORMULAS = {
    **{f"{sign}1+1": f"'{sign}1+1" for sign in SIGNS},
    " =1+1": "' =1+1",
    "\u00a0\u3000=1+1": "'\u00a0\u3000=1+1",
    '"=1+1': "'\"=1+1",
    "'=1+1": "''=1+1",
    "\u201c=1+1": "'\u201c=1+1",
    "\x00\x1b=1+1": "'\x00\x1b=1+1",
    "\u200b\ufeff\u202e=1+1": "'\u200b\ufeff\u202e=1+1",
    "a;=1+1": "a;'=1+1",
    'a; "=1+1': "a;' \"=1+1",
    "a;;\uff1d1": "a;;'\uff1d1",
    "a\t=1+1": "a\t'=1+1",
    "a\n=1+1;@b": "a\n'=1+1;'@b",
    "a\r\n-1": "a\r'\n'-1",
    "a\u2028+1": "a\u2028'+1",
    "\t1": "'\t1",
    "\r1": "'\r1",
}
HARMLESS = [
    "",
    "a",
    "a=b",
    "x-1.png",
    "a, -b",
    "a;b",
    "5-3",
    "1;2\n3",
    '肺, "x"\ny.png',
    "l'été",
    "it's; fine",
    "\u22121",
]


@pytest.mark.parametrize("text", FORMULAS, ids=ascii)
def test_an_apostrophe_stands_before_each_beginning_of_a_formula(text):
    assert as_cell(text) == FORMULAS[text]


@pytest.mark.parametrize("text", HARMLESS, ids=ascii)
def test_other_texts_stay_as_they_are(text):
    assert as_cell(text) == text


@pytest.mark.parametrize("number", [-1, -0.5, np.float64(-2.5), np.int64(-3), None, True])
def test_numbers_stay_numbers(number):
    assert as_cell(number) is number


def test_every_text_can_be_had_back():
    rng = np.random.default_rng(0)
    alphabet = list("=+-@'\" \t\r\n;,ab1\u200b\uff1d\u2028")
    texts = ["".join(rng.choice(alphabet, size)) for size in rng.integers(0, 9, 4000)]
    assert [from_cell(as_cell(text)) for text in [*texts, *FORMULAS, *HARMLESS]] == [*texts, *FORMULAS, *HARMLESS]
    assert len({as_cell(text) for text in texts}) == len(set(texts))


def test_no_program_finds_a_formula_whichever_separator_it_takes():
    """Commas, semicolons, tabs: read as a program that is set to each would, without regard to quotes, too."""
    names = [*FORMULAS, *HARMLESS]
    data = table_csv([table_row(Result(name, refusal=name)) for name in names]).decode("utf-8-sig")
    for cell in re.split("[;\t\r\n\u2028]", data):
        seen = cell.lstrip("'\" \u00a0\u3000\u200b\ufeff\u202e\u201c\x00\x1b")
        assert not (seen.startswith(tuple(SIGNS)) and not re.match("[\"\\s]*'", cell)), cell
    read = pd.read_csv(io.StringIO(data), keep_default_na=False)
    assert list(read["file"].map(from_cell)) == names
    assert list(read["note"].map(from_cell)) == names


def test_a_table_comes_back_from_its_file_as_it_was(tmp_path):
    table = pd.DataFrame(
        {"file": ["=a", "b;-c", "'d"], "p =x": [-0.25, 0.5, np.nan], "count": [-1, 0, 1], "a;@b": ["+1", "-", ""]}
    )
    as_cells(table).to_csv(tmp_path / "table.csv", index=False)
    read = pd.read_csv(tmp_path / "table.csv", keep_default_na=False, na_values={"p =x": [""]})
    assert list(read.columns) == ["file", "p =x", "count", "a;'@b"]
    assert list(read["file"]) == ["'=a", "b;'-c", "'d"]
    assert read["p =x"].tolist()[:2] == [-0.25, 0.5]
    pd.testing.assert_frame_equal(from_cells(read), table)


def test_the_names_of_classes_are_no_formulas_in_the_head_of_the_table():
    row = table_row(Result("a.png", refusal="No.")) | {"resnet p a;=1+1": -0.5, "=2": 1.0}
    head, line = table_csv([row]).decode("utf-8-sig").splitlines()
    assert "resnet p a;'=1+1,'=2," in head
    assert ",-0.5,1.0," in line


def test_half_a_character_is_an_escape_in_the_table():
    """A checkpoint's JSON may hold the name of a class with one half of a surrogate pair."""
    assert r"resnet p a\ud800," in table_csv([table_row(Result("a.png")) | {"resnet p a\ud800": 1.0}]).decode(
        "utf-8-sig"
    )
