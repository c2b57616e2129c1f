"""The description of an X-ray as a page to read."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from unicodedata import normalize

import numpy as np
from fpdf import FPDF
from PIL import Image

from hub_models.reports.description import one_line, printable
from hub_models.reports.overlay import COLOURS
from hub_models.reports.sentences import GRADE, NOT_A_RISK, SIDES, percent
from hub_models.xray.masks import MASKS

TITLE = "Chest X-ray: lungs, infection, classes"
LIKELY = """Not told apart: the classes between which a classifier does not decide; such sets held the true class of the
share of X-rays in brackets, measured on X-rays like those that it learned from."""

PICTURE_HEIGHTS = (120, 90, 60, 35)  # millimetres; the first with which everything is on one page
LONGEST = 80  # characters of a name on the page


def write_pdf(path: Path, description: dict, overlay: np.ndarray) -> None:
    """Write an A4 page to read; with dozens of classes it may take more than one.

    Characters outside Latin-1, the letters of the fonts that every reader of PDF has, are written as escapes.

    Args:
        path: the file.
        description: what `describe` gives.
        overlay: uint8 (h, w, 3), what `draw_overlay` gives.
    """
    for height in PICTURE_HEIGHTS:
        pdf = _lay_out(description, Image.fromarray(overlay), height)
        if pdf.pages_count == 1:
            break
    pdf.output(path)


def _lay_out(told: dict, picture: Image.Image, height: float) -> FPDF:
    pdf = FPDF(format="A4")
    pdf.alias_nb_pages(None)  # else {nb} in somebody's text becomes the number of pages
    pdf.set_creation_date(datetime.fromisoformat(told["made"]))
    pdf.set_title(TITLE)
    pdf.set_lang("en")
    pdf.set_margin(10)
    pdf.add_page()
    _write(pdf, TITLE, 15, "B")
    _write(pdf, told["disclaimer"], 10, "B", fill=True)
    for note in told["notes"]:
        _write(pdf, note, 8, "B")
    pdf.ln(1)
    pdf.image(picture, w=pdf.epw, h=height, keep_aspect_ratio=True, alt_text="The X-ray with its outlines")
    _write_legend(pdf)
    _write_shares(pdf, told)
    if told["classifiers"]:
        _write_classes(pdf, told["classifiers"])
    _write_origins(pdf, told)
    return pdf


def _write(pdf: FPDF, text: str, size: float, style: str = "", fill: bool = False) -> None:
    pdf.set_font("Helvetica", style, size)
    pdf.set_fill_color(255, 236, 200)
    text = _in_latin(one_line(text))
    pdf.multi_cell(0, size / 2, text, align="L", fill=fill, new_x="LMARGIN", new_y="NEXT")


def _write_table(pdf: FPDF, rows: Sequence[Sequence[str]], size: float, widths: Sequence[float]) -> None:
    pdf.set_font("Helvetica", "", size)
    pdf.set_fill_color(255)
    layout = {"borders_layout": "HORIZONTAL_LINES", "text_align": "LEFT", "line_height": size / 2, "padding": 0.5}
    with pdf.table(col_widths=widths, **layout) as table:
        for row in rows:
            table.row([_shortened(cell) for cell in row])
    pdf.ln(1)


def _shortened(text: str) -> str:
    text = _in_latin(text)
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _in_latin(text: str) -> str:
    """The text in Latin-1, the rest of it as escapes; names of folders may hold an accent apart from its letter."""
    return printable(normalize("NFC", text), "latin-1")


def _write_legend(pdf: FPDF) -> None:
    pdf.set_font("Helvetica", "", 8)
    for name in MASKS:
        pdf.set_fill_color(COLOURS[name])
        pdf.rect(pdf.x + 1, pdf.y + 1, 3, 3, style="F")
        pdf.set_x(pdf.x + 5)
        pdf.cell(22, 5, name)
    pdf.ln(6)


def _write_shares(pdf: FPDF, told: dict) -> None:
    shares, grades = told["infected_share"], told["extent_grade"]
    shown = {side: "-" if grades.get(side) is None else f"{grades[side]} of 4" for side in shares}
    rows = [
        ["", *({"right": "patient's right lung", "left": "patient's left lung"}.get(side, side) for side in shares)],
        ["share outlined as infected", *map(percent, shares.values())],
        ["grade of extent", *shown.values()],
    ]
    _write_table(pdf, rows, 8, [2, 2, 2, 2])
    _write(pdf, f"{SIDES} {GRADE}", 6.5)
    pdf.ln(1)


def _write_classes(pdf: FPDF, classifiers: dict[str, dict]) -> None:
    classes = dict.fromkeys(label for answer in classifiers.values() for label in answer["probabilities"])
    rows = [["class", *classifiers]]
    for label in classes:
        found = [answer["probabilities"].get(label) for answer in classifiers.values()]
        rows.append([label, *("-" if p is None else percent(p) for p in found)])
    sets = [f"{' or '.join(a['likely'])} ({a['level']:.0%})" if a["likely"] else "-" for a in classifiers.values()]
    _write_table(pdf, [*rows, ["not told apart", *sets]], 8, [1] * len(rows[0]))
    _write(pdf, f"What a probability here is not: {NOT_A_RISK} {LIKELY}", 8)
    pdf.ln(1)


def _write_origins(pdf: FPDF, told: dict) -> None:
    rows = [["role", "checkpoint", "origin", "revision", "SHA-256 of the weights", "engine"]]
    for role, found in told["checkpoints"].items():
        rows.append([role, *(found[key] or "-" for key in ("name", "origin", "revision", "sha256", "engine"))])
    _write_table(pdf, rows, 6, [20, 20, 14, 44, 74, 18])
    image, source = told["image"], told["source"]
    versions = ", ".join(f"{package} {number}" for package, number in told["versions"].items())
    _write(pdf, f"Image: {image['width']} x {image['height']} pixels. {image['preprocessing']}", 6.5)
    _write(pdf, f"SHA-256 of the file{source['extension'] and ' '}{source['extension']}: {source['sha256']}", 6.5)
    _write(pdf, f"Made {told['made']} (UTC) with {versions}.", 6.5)
