"""A DICOM radiograph -> its greys as a viewer shows them, hung as a frontal chest, and what its header says."""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset

from hub_models.xray.dicom_header import DAMAGE, DicomRefused, open_dicom
from hub_models.xray.dicom_luts import shown_greys
from hub_models.xray.dicom_orientation import describe_turn, directions, is_frontal, placement
from hub_models.xray.dicom_pixels import read_cells
from hub_models.xray.dicom_reasons import header_reasons
from hub_models.xray.formats import BEGINNING_BYTES, format_of
from hub_models.xray.placement import AS_IT_IS, Placement

VIEWS = ("PA", "AP", "LATERAL", "LL", "RL", "LLD", "RLD", "LLO", "RLO")


@dataclass(frozen=True)
class Radiograph:
    """A decoded picture.

    Attributes:
        grey: whole numbers or float32 (H, W), on any scale, black lowest.
        padding: bool (H, W), the pixels that are not part of the X-ray; None if all are.
        reasons: plain sentences why the header says that this is not a frontal chest X-ray for reading.
        turned: a plain sentence if the stored picture was turned or mirrored.
        placement: how the picture lies beside the stored one.
    """

    grey: np.ndarray
    padding: np.ndarray | None
    reasons: tuple[str, ...]
    turned: str | None
    placement: Placement = AS_IT_IS


def read_radiograph(dataset: Dataset) -> Radiograph:
    """Return the picture of `open_dicom`, whose `Rows` and `Columns` have been checked.

    Bits that the header does not count as stored are cleared, among them old overlays; overlays in groups of their own
    (60xx) are not drawn, as they would hide the lungs. Raises DicomRefused.
    """
    cells, high_bit = read_cells(dataset)
    try:
        stored = int(dataset.get("BitsStored") or dataset.BitsAllocated)
        values, index = _stored_values(cells, stored, high_bit, bool(dataset.get("PixelRepresentation")))
        padding = _padding(cells, values, index, dataset)
        reasons, found = header_reasons(dataset), directions(dataset)
    except DAMAGE:
        raise DicomRefused("is a DICOM file with a damaged header; copy or export it again.") from None
    grey = shown_greys(values, dataset)[index]
    if found is None or not is_frontal(*found):
        return Radiograph(grey, padding, reasons, None)
    placed = placement(*found)
    padding = None if padding is None else placed.apply(padding)
    return Radiograph(placed.apply(grey), padding, reasons, describe_turn(*found), placed)


def _stored_values(cells: np.ndarray, stored: int, high_bit: int, signed: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return all values that `stored` bits up to `high_bit` can have, int32 (2 ** stored,), and each pixel's place.

    Raises ValueError if the cells are not so wide.
    """
    shift = high_bit + 1 - stored
    if stored < 1 or shift < 0 or high_bit >= 16:
        raise ValueError("The stored bits do not lie in the pixel cell.")
    values = np.arange(1 << stored, dtype=np.int32)
    if signed:
        values[1 << stored - 1 :] -= 1 << stored
    index = cells >> shift if shift else cells
    return values, index & ((1 << stored) - 1) if (1 << stored) - 1 < np.iinfo(cells.dtype).max else index


def _padding(cells: np.ndarray, values: np.ndarray, index: np.ndarray, dataset: Dataset) -> np.ndarray | None:
    """Return which pixels PS3.3 C.7.5.1.1.2 leaves out, bool (H, W): those of a value or a range; None if none are.

    A value that the stored bits cannot have, as old files give it, is looked for in the whole cells. DCMTK shows
    padding as any other pixel; the standard is followed, since a white frame would steer the contrast.
    """
    value, limit = dataset.get("PixelPaddingValue"), dataset.get("PixelPaddingRangeLimit")
    if not isinstance(value, int):
        return None
    bounds = sorted(_as_stored(one, values) for one in (value, limit if isinstance(limit, int) else value))
    if bounds[0] == bounds[1] and not values.min() <= bounds[0] <= values.max():
        padding = cells == (value & np.iinfo(cells.dtype).max)
    else:
        padding = ((values >= bounds[0]) & (values <= bounds[1]))[index]
    return padding if padding.any() else None


def _as_stored(value: int, values: np.ndarray) -> int:
    """Return a 16-bit value with the sign that the stored values have, whatever the file calls its type."""
    value &= 0xFFFF
    return value - 0x10000 if value > 0x7FFF and values.min() < 0 else value


def view_position(source: str | Path | bytes) -> str | None:
    """Return from which side a DICOM file says that its X-ray was taken, one of `VIEWS`; None where it does not say.

    `source` is the path or the bytes of any file. Raises DicomRefused as `open_dicom` does, and OSError.
    """
    with BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as stream:
        found = format_of(stream.read(BEGINNING_BYTES))
        if found is None or found.name != "DICOM":
            return None
        view = open_dicom(stream).get("ViewPosition")
    return view if view in VIEWS else None
