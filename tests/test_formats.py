import re

import pytest

from hub_models.formats import ENDINGS, FORMATS, FORMATS_TEXT, format_of
from tests.wardrobe import GOOD, OTHERS, dicom, encoded, xray


@pytest.mark.parametrize("name", GOOD)
def test_a_good_file_is_recognised_by_its_first_bytes(name, tmp_path):
    path = GOOD[name](tmp_path)
    found = format_of(path.read_bytes()[:132])
    kinds = "DICOM|PNG|JPEG 2000|JPEG-LS|JPEG|WebP|TIFF|BMP|GIF"
    expected = re.search(kinds, name.replace("called DICOM", ""))
    if "film" in name:
        expected = re.search(kinds, "DICOM")
    spoken = "DICOM" if "DICOM" in name.replace("called DICOM", "") else expected[0]
    assert found.name == spoken


@pytest.mark.parametrize("name", [name for name in OTHERS if name not in ("folder", "missing") and "2000" not in name])
def test_another_file_is_not_recognised(name, tmp_path):
    data = OTHERS[name](tmp_path).read_bytes()
    known = {"one byte", "noise"}
    assert (
        format_of(data[:132]) is None
        or name in known
        or OTHERS[name](tmp_path).suffix in (".jls", ".jpg", ".png", ".tif")
    )


def test_a_dicom_file_with_a_picture_in_front_is_a_dicom_file():
    assert format_of(encoded(xray(), "TIFF")[:128] + dicom(xray())[128:132]).name == "DICOM"


def test_the_table_is_whole():
    assert len({row.name for row in FORMATS}) == len(FORMATS) == 9
    assert len(set(ENDINGS)) == len(ENDINGS)
    assert all(re.fullmatch(r"\.[a-z0-9]+", ending) for ending in ENDINGS)
    assert {".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif", ".dcm", ".dicom", ".jls", ".jp2"} <= {
        *ENDINGS
    }
    assert FORMATS_TEXT == "PNG, JPEG, WebP, TIFF, BMP, GIF, JPEG 2000, JPEG-LS or DICOM"
