"""A DICOM radiograph -> its greys as a viewer shows them. Of its header only what the pixels need is read."""

import logging
import struct
import warnings
from io import SEEK_END, BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import get_frame
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset, read_preamble
from pydicom.pixels import apply_modality_lut, apply_voi_lut, get_decoder
from pydicom.tag import Tag

MAX_MEGABYTES = 128  # 50 megapixels of 16 bits, and a header
MAX_STEPS = 20_000  # a header takes some hundreds; a made-up one could fill the memory with empty items
MODALITIES = ("CR", "DX", "DR", "RG")
VIEWS = ("PA", "AP", "LATERAL", "LL", "RL", "LLD", "RLD", "LLO", "RLO")

# What Pillow can decode. RLE Lossless and Deflated are left out though pydicom decodes them: without any bound.
_SYNTAXES = (
    *(uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian),
    *(uid.JPEGBaseline8Bit, uid.JPEG2000Lossless, uid.JPEG2000),
)
# A modality is repeated to the visitor only if it is one of DICOM's own words.
_OTHER_MODALITIES = (
    *("AU", "BI", "BMD", "CT", "DOC", "ECG", "EPS", "ES", "GM", "HC", "IO", "IVOCT", "IVUS", "KO", "LS", "MG", "MR"),
    *("NM", "OAM", "OCT", "OP", "OPM", "OPT", "OPV", "OT", "PR", "PT", "PX", "REG", "RESP", "RF", "RTDOSE", "RTIMAGE"),
    *("RTPLAN", "RTRECORD", "RTSTRUCT", "SEG", "SM", "SR", "TG", "US", "VA", "XA", "XC"),
)
_TAGS = [
    Tag(keyword)
    for keyword in (
        *("Modality", "ViewPosition", "SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames"),
        *("Rows", "Columns", "BitsAllocated", "BitsStored", "PixelRepresentation", "PixelData"),
        *("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept"),
        *("VOILUTSequence", "VOILUTFunction", "WindowCenter", "WindowWidth"),
    )
]
# What pydicom and Pillow's decoders are seen to raise on cut, damaged or contradictory files. Always answered with
# `from None`: these errors quote header values, which no log may hold.
_DAMAGE = (
    *(BytesLengthException, InvalidDicomError, Image.DecompressionBombError, Image.DecompressionBombWarning),
    *(AttributeError, EOFError, LookupError, OSError, OverflowError, RuntimeError, SyntaxError, TypeError, ValueError),
    struct.error,
)


class DicomRefused(ValueError):
    """The file cannot be used; the message goes on where a sentence began with the file's name."""


def open_dicom(stream: BinaryIO) -> Dataset:
    """Return what a DICOM file says of its one greyscale picture, with the picture still encoded.

    `Rows` and `Columns` are whole numbers, to be checked before `grey_of_dicom` decodes it. Raises DicomRefused.
    """
    _keep_quiet()
    if stream.seek(0, SEEK_END) > MAX_MEGABYTES * 1_000_000:
        raise DicomRefused(f"is a DICOM file of more than {MAX_MEGABYTES} megabytes; save the picture in it as PNG.")
    stream.seek(0)
    try:
        dataset = _parse(_Steps(stream.read()))
        _check(dataset)
    except DicomRefused:
        raise
    except _DAMAGE:
        raise DicomRefused("is a DICOM file with a damaged header; copy or export it again.") from None
    return dataset


def grey_of_dicom(dataset: Dataset) -> np.ndarray:
    """Return the picture of `open_dicom` as whole numbers or float32 (H, W), on any scale, black lowest.

    Modality table or rescaling, then the first table or window of interest are applied as in PS3.3 C.11.1 and C.11.2
    of the standard; MONOCHROME1, where the lowest value is white, is inverted. Raises DicomRefused.
    """
    syntax = dataset.file_meta.TransferSyntaxUID
    try:
        if syntax.is_encapsulated:
            _check_frame(dataset)
        pixels, _ = get_decoder(syntax).as_array(dataset, index=0 if syntax.is_encapsulated else None)
    except _DAMAGE:
        raise DicomRefused(
            f"is a DICOM file whose pixel data ({syntax.name}) are truncated, damaged or of another size than its "
            "header says; copy or export it again."
        ) from None
    if pixels.ndim != 2:
        raise DicomRefused("holds several frames; save the one to look at as PNG.")
    low = int(pixels.min())
    shown = _presented(np.arange(low, int(pixels.max()) + 1, dtype=np.int32), dataset)
    index = pixels.astype(np.int32)
    index -= low
    return shown[index]


def view_position(source: str | Path | bytes) -> str | None:
    """Return from which side a DICOM file says that its X-ray was taken, one of `VIEWS`; None where it does not say.

    `source` is the path or the bytes of any file. Raises DicomRefused as `open_dicom` does, and OSError.
    """
    with BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as stream:
        if stream.read(132)[128:] != b"DICM":
            return None
        view = open_dicom(stream).get("ViewPosition")
    return view if view in VIEWS else None


class _Steps(BytesIO):
    """A file's bytes, to be read in `MAX_STEPS` steps at most; an element of a header takes one to three."""

    steps = 0

    def read(self, size: int | None = -1) -> bytes:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise DicomRefused("is a DICOM file with an endless header; save the picture in it as PNG.")
        return super().read(size)


def _keep_quiet() -> None:
    """Pydicom's warnings and log lines quote header values; nobody is to see those."""
    warnings.filterwarnings("ignore", module="pydicom")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)


def _parse(stream: BytesIO) -> Dataset:
    """Read as pydicom's `dcmread` does, but refuse what is compressed otherwise before anything is unpacked."""
    read_preamble(stream, force=False)
    meta = read_dataset(
        stream,
        is_implicit_VR=False,
        is_little_endian=True,
        stop_when=lambda tag, vr, length: tag >> 16 != 2,
        specific_tags=[Tag("TransferSyntaxUID")],
    )
    syntax = meta.get("TransferSyntaxUID")
    if syntax not in _SYNTAXES or not get_decoder(syntax).is_available:
        known = isinstance(syntax, uid.UID) and syntax.name != syntax
        raise DicomRefused(
            f"is a DICOM file in {syntax.name if known else 'an unknown transfer syntax'}, which cannot be read here; "
            "save it uncompressed, or as PNG."
        )
    dataset = read_dataset(stream, syntax.is_implicit_VR, syntax.is_little_endian, specific_tags=_TAGS)
    dataset.file_meta = FileMetaDataset(meta)
    return dataset


def _check(dataset: Dataset) -> None:
    modality = dataset.get("Modality")
    if modality and modality not in MODALITIES:
        named = f"modality {modality}" if modality in _OTHER_MODALITIES else "unknown modality"
        raise DicomRefused(f"is a DICOM file of {named}, no projection X-ray; give one of {', '.join(MODALITIES)}.")
    if not dataset.get("PixelData"):
        raise DicomRefused("is a DICOM file without pixel data, or cut before them; copy or export it again.")
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise DicomRefused("holds several frames; save the one to look at as PNG.")
    photometric = dataset.get("PhotometricInterpretation")
    if photometric not in ("MONOCHROME1", "MONOCHROME2") or dataset.SamplesPerPixel != 1:
        raise DicomRefused("is a DICOM file in colour, not in MONOCHROME1 or MONOCHROME2; save it as PNG.")
    if dataset.BitsAllocated not in (8, 16):
        raise DicomRefused("is a DICOM file with neither 8 nor 16 bits a pixel; save it as PNG.")
    dataset.Rows, dataset.Columns = int(dataset.Rows), int(dataset.Columns)


def _check_frame(dataset: Dataset) -> None:
    """Refuse a compressed picture that would unpack to another size than the header's, which has been checked."""
    encoded = get_frame(dataset.PixelData, 0, number_of_frames=1)
    with Image.open(BytesIO(encoded), formats=("JPEG", "JPEG2000")) as frame:
        if frame.size != (dataset.Columns, dataset.Rows):
            raise ValueError("The header and the compressed picture differ in size.")


def _presented(levels: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Return what a viewer shows for each stored value: int32 (N,) -> whole numbers or float32 (N,)."""
    try:
        for table in dataset.get("VOILUTSequence") or ():
            if table.LUTDescriptor[2] == 8:
                table.LUTDescriptor[2] = 16  # pydicom counts the entries of a table in the entries' own 8 bits
        with np.errstate(all="ignore"):
            shown = apply_voi_lut(apply_modality_lut(levels, dataset), dataset)
            shown = shown.astype(np.float32) if shown.dtype.kind == "f" else shown
    except _DAMAGE:
        raise DicomRefused(
            "is a DICOM file with a look-up table or a window that cannot be applied; save the picture in it as PNG."
        ) from None
    return shown.max() - shown if dataset.PhotometricInterpretation == "MONOCHROME1" else shown
