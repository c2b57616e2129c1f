import re

import pytest

from hub_models.xray.formats import BEGINNING_BYTES, ENDINGS, FORMATS, FORMATS_TEXT, format_of
from tests.support.bad_files import GOOD, OTHERS, dicom, encoded, xray

KINDS = ("DICOM", "TIFF", "JPEG 2000", "JPEG-LS", "JPEG", "PNG", "WebP", "BMP", "GIF")


@pytest.mark.parametrize("name", GOOD)
def test_a_good_file_is_recognised_by_its_first_bytes(name, tmp_path):
    expected = "PNG" if name == "PNG called DICOM" else next(kind for kind in KINDS if kind in name)
    assert format_of(GOOD[name](tmp_path).read_bytes()[:BEGINNING_BYTES]).name == expected


@pytest.mark.parametrize("name", sorted(OTHERS.keys() - {"folder", "missing"}))
def test_another_file_is_not_recognised(name, tmp_path):
    assert format_of(OTHERS[name](tmp_path).read_bytes()[:BEGINNING_BYTES]) is None


def test_a_dicom_file_with_a_picture_in_front_is_a_dicom_file():
    assert format_of(encoded(xray(), "TIFF")[:128] + dicom(xray())[128:BEGINNING_BYTES]).name == "DICOM"


def test_the_table_is_whole():
    assert len({row.name for row in FORMATS}) == len(FORMATS) == 9
    assert len(set(ENDINGS)) == len(ENDINGS)
    assert all(re.fullmatch(r"\.[a-z0-9]+", ending) for ending in ENDINGS)
    assert {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".dcm", ".dicom", ".jls", ".jp2"} <= {
        *ENDINGS
    }
    assert FORMATS_TEXT == "PNG, JPEG, WebP, TIFF, BMP, GIF, JPEG 2000, JPEG-LS or DICOM"
