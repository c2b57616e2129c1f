"""Texts of others in CSV files, written so that no spreadsheet takes one for a formula.

A file name or the name of a class may read `=HYPERLINK(...)`, and a spreadsheet that opens the file would compute it.
Programs set to another language split the same file at `;`, at tabs or at line breaks inside a cell, so a formula may
begin at each of these as well as at the start of the cell.
"""

import re
from typing import Any

import pandas as pd

_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b"
"""Characters that begin a formula, in ASCII and in the full and small widths that East Asian programs read alike."""

_IGNORED = (
    "\\s\\x00-\\x1f\\x7f-\\xa0'\"`\u00b4\u2018-\u201f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uff02\uff07\uffa0\ufff9-\ufffb"
)
"""Characters that a spreadsheet may ignore before the sign: spaces, quotes, control and zero-width characters."""

_BREAKS = ";\\t\\n\\x0b\\x0c\\r\\x1c-\\x1e\\x85\u2028\u2029\uff1b"
"""Characters at which a program that is set to another language may begin a new cell."""

_BEGINS = f"(?=[{_IGNORED}]*[{_SIGNS}])"
_FIRST = f"(?='*[{_BREAKS}])"  # a cell that begins with a break is quoted, whatever follows
_FORMULA = re.compile(f"(\\A){_FIRST}|(\\A|[{_BREAKS}]){_BEGINS}")
_QUOTED = re.compile(f"(\\A)'{_FIRST}|(\\A|[{_BREAKS}])'{_BEGINS}")


def as_cell(value: Any) -> Any:
    """Return a text with an apostrophe before each place that could be read as a formula; anything else as it is."""
    return _FORMULA.sub(lambda match: f"{match[0]}'", value) if isinstance(value, str) else value


def from_cell(value: Any) -> Any:
    """Return the text that `as_cell` made this one of; anything else as it is."""
    return _QUOTED.sub(lambda match: match[0][:-1], value) if isinstance(value, str) else value


def as_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with all of its texts and the names of its columns as `as_cell` writes them."""
    return table.map(as_cell).rename(columns=as_cell)


def from_cells(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table that `as_cells` made this one of."""
    return table.map(from_cell).rename(columns=from_cell)
