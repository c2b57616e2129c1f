"""The header of a DICOM file, read in bounded time and memory: only the elements that the picture needs."""

import logging
import struct
import warnings
import zlib
from io import SEEK_END, BytesIO
from typing import BinaryIO

from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.tag import BaseTag, Tag

MAX_MEGABYTES = 128  # 50 megapixels of 16 bits, and a header
MAX_STEPS = 20_000  # a header takes some hundreds; a made-up one could fill the memory with empty items
MAX_DEFLATION = 100  # a radiograph is packed to a half or a fifth, a made-up one of zeros to a thousandth
MODALITIES = ("CR", "DX", "DR", "RG")

_SYNTAXES = (
    *(uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian),
    *(uid.DeflatedExplicitVRLittleEndian, uid.RLELossless),
    *(uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1),
    *("1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55"),  # progressive JPEG, retired
    *(uid.JPEGLSLossless, uid.JPEGLSNearLossless, uid.JPEG2000Lossless, uid.JPEG2000),
    *(uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K),
)
# A modality is repeated to the visitor only if it is one of DICOM's own words.
_OTHER_MODALITIES = (
    *("AU", "BI", "CT", "ECG", "EPS", "ES", "GM", "HC", "IVOCT", "IVUS", "LS", "MR"),
    *("NM", "OAM", "OCT", "OP", "OPM", "OPT", "OPV", "OT", "PT", "REG", "RESP", "RTDOSE"),
    *("RTRECORD", "RTSTRUCT", "SEG", "SM", "TG", "US", "VA", "XC"),
)
_OTHER_XRAYS = ("BMD", "IO", "MG", "PX", "RF", "RTIMAGE", "XA")
_WITHOUT_PICTURE = {
    "DOC": "document",
    "KO": "Key Object Selection",
    "PR": "Presentation State",
    "RTPLAN": "radiotherapy plan",
    "SR": "Structured Report",
}
_TAGS = [
    Tag(keyword)
    for keyword in (
        *(
            "Modality",
            "SOPClassUID",
            "PresentationIntentType",
            "BodyPartExamined",
            "ViewPosition",
            "PatientOrientation",
        ),
        *("ImageLaterality", "Laterality", "AnatomicalOrientationType"),
        *("SamplesPerPixel", "PhotometricInterpretation", "NumberOfFrames", "Rows", "Columns", "PixelData"),
        *("BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelPaddingValue"),
        *("PixelPaddingRangeLimit", "ModalityLUTSequence", "RescaleSlope", "RescaleIntercept"),
        *("VOILUTSequence", "VOILUTFunction", "WindowCenter", "WindowWidth", "PresentationLUTShape"),
    )
]
_REFERENCE = {
    "SOPClassUID": True,
    "SOPInstanceUID": True,
    "StudyInstanceUID": True,
    "SeriesInstanceUID": True,
    "Rows": True,
    "Columns": True,
    **dict.fromkeys(("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber"), False),
    **dict.fromkeys(("StudyID", "StudyDate", "StudyTime", "ReferringPhysicianName", "Modality"), False),
    **dict.fromkeys(("SpecificCharacterSet", "PixelSpacing", "ImagerPixelSpacing"), False),
}
"""What another object needs of the file that it refers to: keyword -> whether it has to have a value."""

# Raised by pydicom and the decoders on cut, damaged or contradictory files. Always answered with `from None`: these
# errors quote header values, which no log may hold.
DAMAGE = (
    *(BytesLengthException, InvalidDicomError, AttributeError, EOFError, LookupError, OSError, OverflowError),
    *(RuntimeError, SyntaxError, TypeError, ValueError, struct.error, zlib.error),
)


class DicomRefused(ValueError):
    """The file cannot be used; the message goes on where a sentence began with the file's name."""


def open_dicom(stream: BinaryIO) -> Dataset:
    """Return the elements of a DICOM file that its one greyscale picture needs, with the picture still encoded.

    `Rows` and `Columns` are whole numbers, to be checked before the picture is decoded. The 128 bytes and the mark at
    the beginning, and the file meta information, may be missing. Raises DicomRefused.
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
    except DAMAGE:
        raise DicomRefused("is a DICOM file with a damaged header; copy or export it again.") from None
    return dataset


def read_reference(data: bytes) -> Dataset | None:
    """Return the elements of a DICOM file by which another object refers to it: its identifiers, patient and study.

    Elements that may be empty are there, empty, if the file lacks them. Returns None if the bytes are not a DICOM file,
    or the file lacks an identifier, so that nothing can refer to it.
    """
    _keep_quiet()
    try:
        dataset = _parse(_Steps(data), [Tag(keyword) for keyword in _REFERENCE])
        del dataset.file_meta
        for keyword, needed in _REFERENCE.items():
            value = dataset.get(keyword)
            if needed and not value:
                return None
            if value is None:
                setattr(dataset, keyword, None)
    except (DicomRefused, *DAMAGE):
        return None
    return dataset


class _Steps(BytesIO):
    """A file's bytes, to be read in `MAX_STEPS` steps at most; an element of a header takes one to three."""

    steps = 0

    def read(self, size: int | None = -1) -> bytes:
        self.steps += 1
        if self.steps > MAX_STEPS:
            raise DicomRefused("is a DICOM file with an endless header; save the picture in it as PNG.")
        return super().read(size)


def _keep_quiet() -> None:
    """Silence pydicom: its warnings and log lines quote header values, which nobody is to see."""
    warnings.filterwarnings("ignore", module="pydicom")
    logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)


def _parse(stream: _Steps, tags: list[BaseTag] = _TAGS) -> Dataset:
    """Read as pydicom's `dcmread` does, but refuse what is not read, and what is too large, before it is unpacked."""
    start = 132 if stream.getbuffer()[128:132] == b"DICM" else 0
    stream.seek(start)
    meta = Dataset()
    if stream.getbuffer()[start : start + 2] == b"\x02\0":
        meta = read_dataset(
            stream,
            is_implicit_VR=False,
            is_little_endian=True,
            stop_when=lambda tag, vr, length: tag >> 16 != 2,
            specific_tags=[Tag("TransferSyntaxUID"), Tag("MediaStorageSOPClassUID")],
        )
    if meta.get("MediaStorageSOPClassUID") == uid.MediaStorageDirectoryStorage:
        raise DicomRefused("is a DICOMDIR, the list of a disc's files, which has no picture; give one of those files.")
    syntax = meta.get("TransferSyntaxUID") or _guess_syntax(stream)
    if syntax not in _SYNTAXES:
        known = isinstance(syntax, uid.UID) and syntax.name != syntax
        raise DicomRefused(
            f"is a DICOM file in {syntax.name if known else 'an unknown transfer syntax'}, which cannot be read here; "
            "save it uncompressed, or as PNG."
        )
    if syntax.is_deflated:
        stream = _inflate(stream)
    dataset = read_dataset(stream, syntax.is_implicit_VR, syntax.is_little_endian, specific_tags=tags)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    return dataset


def _guess_syntax(stream: _Steps) -> uid.UID | None:
    """Return the uncompressed transfer syntax in which the element that follows is written, None if it is not one."""
    element = bytes(stream.getbuffer()[stream.tell() : stream.tell() + 6])
    if not element.startswith((b"\x08\0", b"\0\x08")):
        return None
    if not element[4:].isalpha():
        return uid.ImplicitVRLittleEndian
    return uid.ExplicitVRBigEndian if element[:1] == b"\0" else uid.ExplicitVRLittleEndian


def _inflate(stream: _Steps) -> _Steps:
    packed = stream.read()
    limit = min(MAX_MEGABYTES * 1_000_000, 1_000_000 + MAX_DEFLATION * len(packed))
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    data = unpacker.decompress(packed, limit)
    if unpacker.unconsumed_tail:
        raise DicomRefused(
            f"is a deflated DICOM file that unpacks to more than {limit / 1e6:.0f} megabytes; save the picture in it "
            "as PNG."
        )
    if not unpacker.eof:
        raise EOFError
    return _Steps(data)


def _check(dataset: Dataset) -> None:
    _check_modality(dataset.get("Modality"))
    if not dataset.get("PixelData"):
        raise DicomRefused("is a DICOM file without pixel data, or cut before them; copy or export it again.")
    if int(dataset.get("NumberOfFrames") or 1) != 1:
        raise DicomRefused("holds several frames; save the one to look at as PNG.")
    photometric = dataset.get("PhotometricInterpretation")
    if photometric not in ("MONOCHROME1", "MONOCHROME2") or (dataset.get("SamplesPerPixel") or 1) != 1:
        raise DicomRefused("is a DICOM file in colour, not in MONOCHROME1 or MONOCHROME2; save it as PNG.")
    if dataset.BitsAllocated not in (8, 16):
        raise DicomRefused("is a DICOM file with neither 8 nor 16 bits a pixel; save it as PNG.")
    dataset.Rows, dataset.Columns = int(dataset.Rows), int(dataset.Columns)


def _check_modality(modality: str | None) -> None:
    allowed = f"give one of {', '.join(MODALITIES)}."
    if not modality or modality in MODALITIES:
        return
    if modality in _WITHOUT_PICTURE:
        raise DicomRefused(f"is a DICOM {_WITHOUT_PICTURE[modality]}, which has no picture of its own; {allowed}")
    if modality in _OTHER_XRAYS:
        raise DicomRefused(f"is a DICOM file of modality {modality}, not a plain radiograph; {allowed}")
    named = f"modality {modality}" if modality in _OTHER_MODALITIES else "unknown modality"
    raise DicomRefused(f"is a DICOM file of {named}, no projection X-ray; {allowed}")
