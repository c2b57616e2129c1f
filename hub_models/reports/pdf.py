"""The description of an X-ray as a page to read."""

from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from unicodedata import normalize

import numpy as np
from fpdf import FPDF
from PIL import Image

from hub_models.reports.description import one_line, printable
from hub_models.reports.overlay import COLOURS
from hub_models.reports.sentences import (
    GRADE,
    NOT_A_RISK,
    PROBABILITY_IS_NOT,
    RANGE,
    SIDES,
    agreement,
    grade_range,
    headline,
    percent,
    share_range,
)
from hub_models.xray.masks import MASKS

TITLE = "Chest X-ray: lungs, infection, classes"
LIKELY = """Not told apart: the classes among which the true one probably is. Exactly: such sets are meant to hold the
true class of the share of X-rays in brackets, for X-rays like those that the classifier learned from."""

PICTURE_HEIGHTS_MM = (120, 90, 60, 35)  # the first with which everything fits on one page is used
MAX_CELL_CHARACTERS = 80


class Sheet(FPDF):
    """An A4 page whose texts are said in a language.

    Attributes:
        say: English -> the language.
    """

    def __init__(self, language: str, say: Callable[[str], str]) -> None:
        super().__init__(format="A4")
        self.say = say
        self.set_lang(language)


def write_pdf(
    path: Path, description: dict, overlay: np.ndarray, language: str = "en", say: Callable[[str], str] = str
) -> None:
    """Write an A4 page to read; with dozens of classes it may take more than one.

    Characters outside Latin-1, the letters of the fonts that every reader of PDF has, are written as escapes.

    Args:
        path: the file to write.
        description: the X-ray's, from `describe`; a "label" in it stands below the title.
        overlay: uint8 (h, w, 3), from `draw_overlay`.
        language: code of the language.
        say: says an English sentence, or a part of a table, in it.
    """
    for height in PICTURE_HEIGHTS_MM:
        pdf = _lay_out(Sheet(language, say), description, Image.fromarray(overlay), height)
        if pdf.pages_count == 1:
            break
    pdf.output(path)


def _lay_out(pdf: Sheet, description: dict, picture: Image.Image, height: float) -> Sheet:
    pdf.alias_nb_pages(None)  # or {nb} in a text would become the number of pages
    pdf.set_creation_date(datetime.fromisoformat(description["made"]))
    pdf.set_title(pdf.say(TITLE))
    pdf.set_margin(10)
    pdf.add_page()
    _write(pdf, TITLE, 15, "B")
    if label := description.get("label"):
        _write(pdf, label, 11)
    _write(pdf, description["disclaimer"], 10, "B", fill=True)
    for note in description["notes"]:
        _write(pdf, note, 8, "B")
    pdf.ln(1)
    pdf.image(picture, w=pdf.epw, h=height, keep_aspect_ratio=True, alt_text=pdf.say("The X-ray with its outlines"))
    _write_legend(pdf)
    _write_shares(pdf, description)
    if conclusion := description["conclusion"]:
        _write_conclusion(pdf, conclusion)
    if description["classifiers"]:
        _write_classes(pdf, description["classifiers"])
    _write_origins(pdf, description)
    return pdf


def _write(pdf: Sheet, text: str, size: float, style: str = "", fill: bool = False) -> None:
    pdf.set_font("Helvetica", style, size)
    pdf.set_fill_color(255, 236, 200)
    text = _in_latin(pdf.say(one_line(text)))
    pdf.multi_cell(0, size / 2, text, align="L", fill=fill, new_x="LMARGIN", new_y="NEXT")


def _write_table(pdf: Sheet, rows: Sequence[Sequence[str]], size: float, widths: Sequence[float]) -> None:
    pdf.set_font("Helvetica", "", size)
    pdf.set_fill_color(255)
    layout = {"borders_layout": "HORIZONTAL_LINES", "text_align": "LEFT", "line_height": size / 2, "padding": 0.5}
    with pdf.table(col_widths=widths, **layout) as table:
        for row in rows:
            table.row([_shortened(pdf.say(cell)) for cell in row])
    pdf.ln(1)


def _shortened(text: str) -> str:
    text = _in_latin(text)
    return text if len(text) <= MAX_CELL_CHARACTERS else text[: MAX_CELL_CHARACTERS - 3] + "..."


def _in_latin(text: str) -> str:
    """Write a text in Latin-1, other characters as escapes; an accent apart from its letter is joined to it first."""
    return printable(normalize("NFC", text), "latin-1")


def _write_legend(pdf: Sheet) -> None:
    pdf.set_font("Helvetica", "", 8)
    for name in MASKS:
        pdf.set_fill_color(COLOURS[name])
        pdf.rect(pdf.x + 1, pdf.y + 1, 3, 3, style="F")
        pdf.set_x(pdf.x + 5)
        pdf.cell(22, 5, pdf.say(name))
    pdf.ln(6)


def _write_shares(pdf: Sheet, description: dict) -> None:
    shares, ranges = description["infected_share"], description["infected_share_range"]
    grades = {side: "-" if side == "both" else grade_range(share, ranges[side]) for side, share in shares.items()}
    rows = [
        ["", *({"right": "patient's right lung", "left": "patient's left lung"}.get(side, side) for side in shares)],
        ["share outlined as infected", *(share_range(share, ranges[side]) for side, share in shares.items())],
        ["grade of extent, 0 to 4", *grades.values()],
    ]
    _write_table(pdf, rows, 8, [2, 2, 2, 2])
    _write(pdf, f"{RANGE} {SIDES} {GRADE}", 6.5)
    pdf.ln(1)


def _write_conclusion(pdf: Sheet, conclusion: dict) -> None:
    classes = [_shortened(label) for label in conclusion["classes"]]
    _write(pdf, headline(classes, conclusion["decided"]), 13, "B")
    _write(pdf, agreement(classes, conclusion["agree"], conclusion["of"]), 8)
    pdf.ln(1)


def _write_classes(pdf: Sheet, classifiers: dict[str, dict]) -> None:
    classes = dict.fromkeys(label for answer in classifiers.values() for label in answer["probabilities"])
    rows = [["class", *classifiers]]
    for label in classes:
        cells = [answer["probabilities"].get(label) for answer in classifiers.values()]
        rows.append([label, *("-" if p is None else percent(p) for p in cells)])
    sets = [f"{' or '.join(a['likely'])} ({a['level']:.0%})" if a["likely"] else "-" for a in classifiers.values()]
    _write_table(pdf, [*rows, ["not told apart", *sets]], 8, [1] * len(rows[0]))
    _write(pdf, f"{PROBABILITY_IS_NOT} {NOT_A_RISK} {LIKELY}", 8)
    pdf.ln(1)


def _write_origins(pdf: Sheet, description: dict) -> None:
    rows = [["role", "checkpoint", "origin", "revision", "SHA-256 of the weights", "engine"]]
    for role, origin in description["checkpoints"].items():
        rows.append([role, *(origin[key] or "-" for key in ("name", "origin", "revision", "sha256", "engine"))])
    _write_table(pdf, rows, 6, [20, 20, 14, 44, 74, 18])
    image, source = description["image"], description["source"]
    versions = ", ".join(f"{package} {number}" for package, number in description["versions"].items())
    _write(pdf, f"Image: {image['width']} x {image['height']} pixels. {image['preprocessing']}", 6.5)
    _write(pdf, f"SHA-256 of the file{source['extension'] and ' '}{source['extension']}: {source['sha256']}", 6.5)
    _write(pdf, f"Made {description['made']} (UTC) with {versions}.", 6.5)
