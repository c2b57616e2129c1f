"""File formats that an X-ray may come in: one row a format."""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Format:
    """A file format.

    Attributes:
        name: for the person who reads a message.
        endings: of its files, in lower case, with the dot.
        beginning: matches the first `BEGINNING_BYTES` of its files.
    """

    name: str
    endings: tuple[str, ...]
    beginning: re.Pattern[bytes]


BEGINNING_BYTES = 132

_VR = b"(?:CS|DA|LO|OB|SH|TM|UI|UL)"
# 128 bytes of anything and the mark; or, without these, the first element of the file meta information or of the data
# set: with its type (little-endian, big-endian), or without one and then with a length of at most 128.
_DICOM = (
    rb".{128}DICM|\x02\0[\0-\x02]\0" + _VR + rb"|\x08\0[\0-\x20]\0" + _VR + rb"|\0\x08\0[\0-\x20]" + _VR
) + rb"|\x08\0[\0\x01\x05\x08\x12-\x18]\0[\0-\x80]\0\0\0"

FORMATS = (
    Format("PNG", (".png",), re.compile(rb"\x89PNG")),
    Format("JPEG", (".jpg", ".jpeg"), re.compile(rb"\xff\xd8\xff")),
    Format("WebP", (".webp",), re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
    Format("TIFF", (".tif", ".tiff"), re.compile(rb"II\*\0|MM\0\*|II\+\0|MM\0\+")),
    Format("BMP", (".bmp",), re.compile(rb"BM.{4}\0{4}", re.DOTALL)),
    Format("GIF", (".gif",), re.compile(rb"GIF8")),
    Format(
        "JPEG 2000",
        (".jp2", ".j2k", ".jpc", ".jph"),
        re.compile(rb"\0\0\0\x0cjP {2}\r\n\x87\n|\xff\x4f\xff\x51"),
    ),
    Format("JPEG-LS", (".jls",), re.compile(rb"\xff\xd8\xff(?:\xf7|\xe8..SPIFF)", re.DOTALL)),
    Format("DICOM", (".dcm", ".dicom"), re.compile(_DICOM, re.DOTALL)),
)
ENDINGS = tuple(ending for row in FORMATS for ending in row.endings)
FORMATS_TEXT = f"{', '.join(row.name for row in FORMATS[:-1])} or {FORMATS[-1].name}"


def format_of(beginning: bytes) -> Format | None:
    """Return the format of the file that begins with these bytes, None if it is none of `FORMATS`."""
    # The later rows are the closer look: a DICOM file may have any other beginning in the 128 bytes before its mark.
    return next((row for row in reversed(FORMATS) if row.beginning.match(beginning)), None)
