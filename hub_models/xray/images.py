"""Any picture a visitor or a data set may hold -> one greyscale X-ray, or one plain sentence that says why not."""

from dataclasses import dataclass
from io import BytesIO
from math import isqrt
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from hub_models.xray.dicom import DicomRefused, open_dicom, read_radiograph
from hub_models.xray.formats import BEGINNING_BYTES, FORMATS_TEXT, format_of
from hub_models.xray.images_deep import deep_grey
from hub_models.xray.images_grey import (
    DAMAGE,
    DAMAGE_TEXT,
    MAX_MEGAPIXELS,
    ImageRefused,
    check_size,
    finite,
    grey_of_array,
    grey_of_picture,
)
from hub_models.xray.placement import AS_IT_IS, Placement

PERCENTILES = (0.5, 99.5)
SAMPLED_PIXELS = 1 << 16
MIN_LEVELS = 4  # whole-number pictures whose greys span less hold only rounding noise
_OF_PILLOW = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")


@dataclass(frozen=True)
class Xray:
    """An X-ray that was read.

    Attributes:
        image: float32 (H, W) in 0..1, upright, greyscale and contrast-normalised.
        reasons: plain sentences why the file itself says that this is not a frontal chest X-ray for reading; empty if
            it does not say so.
        turned: a plain sentence if the picture was turned or mirrored, because a DICOM header says how it lies.
        placement: how the picture then lies beside the rows and columns of its DICOM file.
    """

    image: np.ndarray
    reasons: tuple[str, ...] = ()
    turned: str | None = None
    placement: Placement = AS_IT_IS

    @property
    def notes(self) -> tuple[str, ...]:
        """`reasons`, then `turned` if there is one: what a reader of any answer about this X-ray has to know."""
        return (*self.reasons, self.turned) if self.turned else self.reasons


def read_xray(source: str | Path | bytes | Image.Image | np.ndarray) -> Xray:
    """Return the X-ray that a source holds, and what a DICOM header says about it.

    `source` is the path or the bytes of a file in one of the formats of `formats`, a PIL image, or an array (H, W) or
    (H, W, 1 | 3 | 4) of bool, whole numbers or floats on any scale. EXIF rotation is applied, colour becomes grey as in
    Pillow's mode "L", transparent parts become black, greys of more than 8 bits keep their precision, a DICOM file is
    shown as a viewer shows it and hung as a frontal chest, and the result goes through `stretch_contrast`. Raises
    ImageRefused.
    """
    if isinstance(source, np.ndarray):
        return Xray(stretch_contrast(grey_of_array(source)))
    if isinstance(source, Image.Image):
        return Xray(stretch_contrast(grey_of_picture(source, "The image")))
    if isinstance(source, bytes):
        return _read_stream(BytesIO(source), "The image")
    if isinstance(source, str | Path):
        with _open_file(Path(source)) as stream:
            return _read_stream(stream, f'"{_printable(Path(source).name)}"')
    raise ImageRefused(
        f"An X-ray is given as a file path, bytes, a PIL image or a NumPy array; this is a {type(source).__name__}."
    )


def read_image(source: str | Path | bytes | Image.Image | np.ndarray) -> np.ndarray:
    """Return the picture of `read_xray`: float32 (H, W) in 0..1. Raises ImageRefused."""
    return read_xray(source).image


def stretch_contrast(image: np.ndarray, padding: np.ndarray | None = None) -> np.ndarray:
    """Map the 0.5 and 99.5 percentiles to 0 and 1 and clip: real (H, W), any range -> float32 (H, W) in 0..1.

    The percentiles of a picture of 262,144 pixels or more come from an even grid of at least 65,536 of them. Where
    `padding`, bool (H, W), is true, a pixel does not count and becomes 0. Raises ImageRefused if the picture has no
    contrast.
    """
    step = max(1, isqrt(image.size // SAMPLED_PIXELS))
    sample = image[::step, ::step]
    sample = sample if padding is None else sample[~padding[::step, ::step]]
    low, high = map(float, np.percentile(sample, PERCENTILES)) if sample.size else (0.0, 0.0)
    if np.issubdtype(image.dtype, np.integer):
        too_flat = high - low < MIN_LEVELS
    else:
        too_flat = high - low <= 1e-6 * max(abs(low), abs(high))
    if too_flat:
        raise ImageRefused("The image is blank: it has no contrast to look at; give a chest X-ray.")
    stretched = np.subtract(image, low, dtype=np.float32, order="C")
    stretched /= np.float32(high - low)
    np.clip(stretched, 0.0, 1.0, out=stretched)
    if padding is not None:
        stretched[padding] = 0
    return stretched


def _open_file(path: Path) -> BinaryIO:
    name = _printable(str(path))
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise ImageRefused(f"The file {name} was not found; check its name and folder.") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ImageRefused(f"The file {name} cannot be opened ({reason}); give a readable image file.") from error


def _printable(name: str) -> str:
    """Return a file's name on one line: its last 80 characters, "?" for those that no screen shows as they are."""
    shown = "".join(character if character.isprintable() else "?" for character in name)
    return shown if len(shown) <= 80 else f"…{shown[-79:]}"


def _read_stream(stream: BinaryIO, name: str) -> Xray:
    beginning = stream.read(BEGINNING_BYTES)
    stream.seek(0)
    if not beginning:
        raise ImageRefused(f"{name} is empty (0 bytes); copy or export it again.")
    found = format_of(beginning)
    kind = found and found.name
    if kind == "DICOM":
        return _read_dicom(stream, name)
    grey = deep_grey(stream, kind, name)
    if grey is not None:
        return Xray(stretch_contrast(grey))
    try:
        picture = Image.open(stream, formats=_OF_PILLOW)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageRefused(
            f"{name} has far more than {MAX_MEGAPIXELS} megapixels, the most that is read; make it smaller."
        ) from None
    except DAMAGE as error:
        if kind is not None:
            raise ImageRefused(f"{name} {DAMAGE_TEXT}") from error
        raise ImageRefused(f"{name} is not an image that can be read; give a {FORMATS_TEXT} file.") from error
    with picture:
        return Xray(stretch_contrast(grey_of_picture(picture, name)))


def _read_dicom(stream: BinaryIO, name: str) -> Xray:
    try:
        dataset = open_dicom(stream)
        check_size(dataset.Columns, dataset.Rows, name)  # before anything is decoded
        found = read_radiograph(dataset)
    except DicomRefused as refusal:
        raise ImageRefused(f"{name} {refusal}") from None
    return Xray(stretch_contrast(finite(found.grey), found.padding), found.reasons, found.turned, found.placement)
