"""Stored values of a DICOM radiograph -> the greys that a viewer shows: modality, values of interest, presentation.

Where viewers disagree, DCMTK is followed (dcm2pnm 3.6.7 with its first table or window of interest): it is the
reference that other viewers are tested with.
"""

import numpy as np
from pydicom.dataset import Dataset

from hub_models.xray.dicom_header import DAMAGE, DicomRefused


def shown_greys(levels: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Return what a viewer shows for each stored value, on any scale, black lowest.

    Args:
        levels: int32 (N,), all values that the header allows a pixel to have.
        dataset: the header, as `open_dicom` returns it.

    Returns:
        Whole numbers or float32 (N,).

    Raises:
        DicomRefused: if a table or a window cannot be applied.
    """
    try:
        with np.errstate(all="ignore"):
            greys = _apply_interest(_apply_modality(levels, dataset), dataset)
            greys = greys.astype(np.float32) if greys.dtype.kind == "f" else greys
        return greys.max() - greys if _is_inverted(dataset) else greys
    except DAMAGE:
        raise DicomRefused(
            "is a DICOM file with a look-up table or a window that cannot be applied; save the picture in it as PNG."
        ) from None


def _is_inverted(dataset: Dataset) -> bool:
    """Tell whether the lowest value is white.

    Where the presentation's shape contradicts the photometric interpretation, DCMTK follows the shape.
    """
    shape = dataset.get("PresentationLUTShape")
    if shape in ("IDENTITY", "INVERSE"):
        return shape == "INVERSE"
    return dataset.PhotometricInterpretation == "MONOCHROME1"


def _apply_modality(levels: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Apply PS3.3 C.11.1: a table, or else a line, of which DCMTK wants both numbers, and a slope other than 0."""
    for table in dataset.get("ModalityLUTSequence") or ():
        if _is_filled(table):
            return _look_up(levels, table, _word_type(dataset))
    slope, intercept = _number(dataset, "RescaleSlope"), _number(dataset, "RescaleIntercept")
    if not slope or intercept is None or (slope, intercept) == (1, 0):
        return levels
    return levels * slope + intercept


def _apply_interest(values: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Apply PS3.3 C.11.2: the first table, or else the first window."""
    for table in dataset.get("VOILUTSequence") or ():
        if _is_filled(table):
            return _look_up(values, table, _word_type(dataset))
    center, width = _number(dataset, "WindowCenter"), _number(dataset, "WindowWidth")
    if center is None or width is None:
        return values
    return _ramp(values, center, width, dataset.get("VOILUTFunction"))


def _ramp(values: np.ndarray, center: float, width: float, function: str | None) -> np.ndarray:
    """Return a window's greys in 0..1, which rise with the values whatever the sign of the rescale slope.

    A function that the standard does not define counts as LINEAR, as in DCMTK. DCMTK 3.6.7 does not know LINEAR_EXACT
    either; the standard is followed.
    """
    if not np.isfinite([center, width]).all() or width <= 0 or (function != "LINEAR_EXACT" and width < 1):
        raise ValueError("The window has no width.")
    if function == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (values - center) / width))
    if function == "LINEAR_EXACT":
        return np.clip((values - center) / width + 0.5, 0, 1)
    if width == 1:
        return np.where(values > center - 0.5, 1.0, 0.0)
    return np.clip((values - (center - 0.5)) / (width - 1) + 0.5, 0, 1)


def _number(dataset: Dataset, keyword: str) -> float | None:
    """Return the first value of an element, None where it is missing or empty."""
    value = dataset.get(keyword)
    if isinstance(value, str | int | float):
        return float(value) if value != "" else None
    return float(value[0]) if value and value[0] not in ("", None) else None


def _is_filled(table: Dataset) -> bool:
    """Tell whether a table says anything; an item whose elements are missing or empty does not."""
    return any(table.get(keyword) not in (None, b"", "", []) for keyword in ("LUTDescriptor", "LUTData"))


def _word_type(dataset: Dataset) -> str:
    return "<u2" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">u2"


def _look_up(values: np.ndarray, table: Dataset, word_type: str) -> np.ndarray:
    """Return a table's entry for each value, which is rounded; outside what the table maps, the nearest entry."""
    count, first, bits = (int(number) for number in table.LUTDescriptor)
    entries = _entries(table, word_type, (count & 0xFFFF) or 0x10000, bits & 0xFFFF)
    # Whether the first value has a sign depends on the input, not on what the file calls its type (PS3.3 C.11.2.1.1).
    if first > 0x7FFF and values.min() < 0:
        first -= 0x10000
    places = np.clip(np.rint(values) - first, 0, entries.size - 1)
    return entries[places.astype(np.int32)].astype(np.int32)


def _entries(table: Dataset, word_type: str, count: int, bits: int) -> np.ndarray:
    """Return a table's entries, uint16 or uint8, at least `count` of them; 8-bit entries may share a 16-bit word."""
    data = table.LUTData
    if isinstance(data, bytes):
        words = np.frombuffer(data[: len(data) // 2 * 2], word_type)
    else:
        words = (np.atleast_1d(np.asarray(data, dtype=np.int64)) & 0xFFFF).astype("<u2")
    if bits == 8 and words.size == (count + 1) // 2 != count:
        return words.astype("<u2").view(np.uint8)[:count]
    if words.size < count:
        raise ValueError("The table has fewer entries than it says.")
    return words
