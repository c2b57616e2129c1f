"""PNG files, written in half the time that the usual encoders take."""

import struct
from zlib import crc32

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB = 0, 2  # colour types
UP = 2  # the filter that stores a row as its difference from the row above
LEVEL = 1  # of libdeflate


def encode_png(picture: np.ndarray) -> bytes:
    """Encode a picture as a PNG file (https://www.w3.org/TR/png-3/): uint8 (h, w, 3), uint8 (h, w) or uint16 (h, w).

    Every row is stored as its difference from the row above: most encoders try five filters for each row, which takes
    longer than everything else. libdeflate compresses the rows twice as fast as the libraries for PNG do.
    """
    import imagecodecs  # here, because a page opens sooner without it

    height, width = picture.shape[:2]
    rows = picture.astype(">u2") if picture.dtype == np.uint16 else np.ascontiguousarray(picture)
    rows = rows.reshape(height, -1).view(np.uint8)
    filtered = np.empty((height, 1 + rows.shape[1]), np.uint8)
    filtered[:, 0], filtered[0, 1:] = UP, rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    colour = RGB if picture.ndim == 3 else GREY
    header = struct.pack(">IIBBBBB", width, height, 8 * picture.itemsize, colour, 0, 0, 0)
    chunks = {b"IHDR": header, b"IDAT": imagecodecs.deflate_encode(filtered, level=LEVEL), b"IEND": b""}
    return SIGNATURE + b"".join(_chunk(kind, bytes(data)) for kind, data in chunks.items())


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc32(data, crc32(kind)))
