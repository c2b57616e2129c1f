"""The stored pixel values of a DICOM radiograph, from whatever encoding its transfer syntax names."""

import struct
from io import BytesIO

import numpy as np
from pydicom import uid
from pydicom.dataset import Dataset
from pydicom.encaps import generate_fragments, parse_basic_offsets

from hub_models.xray.dicom_header import DAMAGE, DicomRefused
from hub_models.xray.images_streams import StreamRefused, decode_frame, describe_frame

_FRAMES = "holds several frames; save the one to look at as PNG."
_STREAM_BEGINNINGS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")


def read_cells(dataset: Dataset) -> tuple[np.ndarray, int]:
    """Return the pixel cells of `open_dicom`'s picture, and which of their bits is the highest that is stored.

    The cells are uint8 or uint16 (Rows, Columns), with all their bits; the lowest bit is 0. Raises DicomRefused if they
    are cut, damaged or of another size than the header says.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        stored = int(dataset.get("BitsStored") or dataset.BitsAllocated)
        high_bit = dataset.get("HighBit")
        high_bit = stored - 1 if high_bit is None else int(high_bit)
        if syntax == uid.RLELossless:
            return _unpack_rle(dataset), high_bit
        # Pixel data of an undefined length are in fragments, whatever the header calls them.
        if syntax.is_encapsulated or dataset["PixelData"].is_undefined_length:
            cells, precision = _decode(dataset)
            return cells, stored - 1 if precision <= stored else high_bit  # decoders put the lowest bit lowest
        return _unpack(dataset), high_bit
    except StreamRefused as refusal:
        raise DicomRefused(str(refusal)) from None
    except DicomRefused:
        raise
    except DAMAGE:
        raise DicomRefused(
            f"is a DICOM file whose pixel data ({syntax.name}) are truncated, damaged or of another size than its "
            "header says; copy or export it again."
        ) from None


def _unpack(dataset: Dataset) -> np.ndarray:
    data, bits = dataset.PixelData, dataset.BitsAllocated
    swapped = not dataset.file_meta.TransferSyntaxUID.is_little_endian
    count = dataset.Rows * dataset.Columns
    if len(data) >= 2 * count * bits // 8:
        raise DicomRefused(_FRAMES)
    if bits == 8:
        cells = np.frombuffer(data, np.uint8)
        # PS3.5 annex D: 8-bit cells that are called words are swapped with them.
        if swapped and dataset["PixelData"].VR == "OW":
            cells = cells[: cells.size // 2 * 2].reshape(-1, 2)[:, ::-1].ravel()
    else:
        cells = np.frombuffer(data[: count * 2], ">u2" if swapped else "<u2")
    return cells[:count].reshape(dataset.Rows, dataset.Columns).astype(np.uint8 if bits == 8 else np.uint16)


def _join_fragments(dataset: Dataset) -> bytes:
    """Return the one frame; a table of offsets before its fragments is skipped, since real ones are often wrong."""
    buffer = BytesIO(dataset.PixelData)
    parse_basic_offsets(buffer)
    fragments = list(generate_fragments(buffer))
    if sum(fragment.startswith(_STREAM_BEGINNINGS) for fragment in fragments) > 1:
        raise DicomRefused(_FRAMES)
    return b"".join(fragments)


def _decode(dataset: Dataset) -> tuple[np.ndarray, int]:
    """Return the cells of a JPEG, JPEG-LS or JPEG 2000 picture, and the bits of a value in its codestream.

    Which of them it is, the codestream tells; the transfer syntax is often that of a relative.
    """
    stream = _join_fragments(dataset)
    frame = describe_frame(stream)
    if (frame.height, frame.width, frame.components) != (dataset.Rows, dataset.Columns, 1):
        raise ValueError("The header and the compressed picture differ in size.")
    if frame.precision > dataset.BitsAllocated:
        raise ValueError("The compressed picture has more bits than the header says.")
    pixels = decode_frame(stream, frame).reshape(dataset.Rows, dataset.Columns)
    return (pixels.view(np.uint8) if pixels.dtype.itemsize == 1 else pixels.astype(np.uint16)), frame.precision


def _unpack_rle(dataset: Dataset) -> np.ndarray:
    """Unpack PS3.5 annex G: a segment a byte of the cell, the high one first; none may be larger than the picture."""
    import imagecodecs  # here, since most pictures need none

    data, planes = _join_fragments(dataset), dataset.BitsAllocated // 8
    count = dataset.Rows * dataset.Columns
    segments, *offsets = struct.unpack_from("<16I", data)
    if segments != planes:
        raise ValueError("The number of segments is not that of the bytes of a pixel.")
    ends = (*offsets[1:planes], len(data))
    cells = np.zeros(count, np.uint16 if planes == 2 else np.uint8)
    for start, end in zip(offsets, ends, strict=False):
        plane = imagecodecs.packbits_decode(data[start:end], out=np.empty(count + 256, np.uint8))
        if len(plane) < count:
            raise ValueError("A segment is too short.")
        cells = cells << 8 | plane[:count] if planes == 2 else plane[:count]
    return cells.reshape(dataset.Rows, dataset.Columns)
