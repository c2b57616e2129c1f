"""Harmless changes of an X-ray's file: other sizes, formats, positions and greys, in which it shows the same chest."""

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from scipy import ndimage

from hub_models.xray.geometry import SIDE
from hub_models.xray.images_grey import grey_of_picture

MOVED_PIXELS, TURNED_DEGREES, GAMMA, JPEG_QUALITY = 4, 3, 1.2, 90
DEPTH_FACTOR = 257
"""Factor from a grey of 8 bits to the same grey of 16 bits."""


def eight_bit_greys(data: bytes) -> np.ndarray:
    """Return the greys of an image file, uint8 (H, W); those of more bits are fitted into 0..255.

    Raises ImageRefused.
    """
    with Image.open(BytesIO(data)) as picture:
        grey = grey_of_picture(picture, "The image")
    if grey.dtype == np.uint8:
        return grey
    low, high = float(grey.min()), float(grey.max())
    return np.rint((grey.astype(np.float64) - low) * (255 / max(high - low, 1e-9))).astype(np.uint8)


def larger(grey: np.ndarray, factor: int) -> np.ndarray:
    """Enlarge a picture, uint8 (H, W), with Pillow's bicubic filter."""
    height, width = grey.shape
    return np.asarray(Image.fromarray(grey).resize((factor * width, factor * height), Image.Resampling.BICUBIC))


def moved(picture: np.ndarray) -> np.ndarray:
    """Move a picture or mask (H, W) to the right by `MOVED_PIXELS` of `SIDE`; the border is repeated."""
    width = picture.shape[1]
    columns = max(1, round(width * MOVED_PIXELS / SIDE))
    return np.pad(picture, ((0, 0), (columns, 0)), mode="edge")[:, :width]


def turned(picture: np.ndarray) -> np.ndarray:
    """Turn a picture, uint8 (H, W), or a mask, bool (H, W), by `TURNED_DEGREES`; the border is repeated."""
    is_mask = picture.dtype == bool
    order = 0 if is_mask else 3
    values = ndimage.rotate(picture.astype(np.float32), TURNED_DEGREES, reshape=False, order=order, mode="nearest")
    return values > 0.5 if is_mask else np.rint(values.clip(0, 255)).astype(np.uint8)


def with_gamma(grey: np.ndarray) -> np.ndarray:
    """Raise greys, uint8 (H, W), as shares of 255 to the power `GAMMA`."""
    return np.rint(255 * (grey / 255) ** GAMMA).astype(np.uint8)


def deep(grey: np.ndarray) -> np.ndarray:
    """Return greys, uint8 (H, W), as the same greys of 16 bits, uint16 (H, W)."""
    return grey.astype(np.uint16) * np.uint16(DEPTH_FACTOR)


def png(grey: np.ndarray) -> bytes:
    """Write greys, uint8 or uint16 (H, W), as a PNG file."""
    return _written(grey, "PNG", compress_level=1)


def jpeg(grey: np.ndarray) -> bytes:
    """Write greys, uint8 (H, W), as a JPEG file of `JPEG_QUALITY`."""
    return _written(grey, "JPEG", quality=JPEG_QUALITY)


def _written(grey: np.ndarray, kind: str, **options: int) -> bytes:
    stream = BytesIO()
    Image.fromarray(grey).save(stream, kind, **options)
    return stream.getvalue()


def dicom(grey: np.ndarray) -> bytes:
    """Write greys, uint16 (H, W), as a DICOM radiograph whose window covers all 16 bits (MONOCHROME2)."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = uid.DigitalXRayImageStorageForPresentation
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid.generate_uid(entropy_srcs=["xray"])
    dataset.Modality, dataset.PhotometricInterpretation = "DX", "MONOCHROME2"
    dataset.Rows, dataset.Columns = grey.shape
    dataset.SamplesPerPixel, dataset.PixelRepresentation = 1, 0
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.WindowCenter, dataset.WindowWidth = 32768, 65536  # PS3.3 C.11.2.1.2: the whole of 0..65535, evenly
    dataset.PixelData = grey.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def unmoved(mask: np.ndarray) -> np.ndarray:
    """Return a mask as it is."""
    return mask


@dataclass(frozen=True)
class Change:
    """A harmless change of an X-ray's file.

    Attributes:
        write: the greys of the X-ray, uint8 (H, W) -> the bytes of the changed file.
        move: an outline on the X-ray, bool (H, W) -> where it lies after the change, but for the size.
    """

    write: Callable[[np.ndarray], bytes]
    move: Callable[[np.ndarray], np.ndarray] = unmoved


CHANGES = {
    "2 times larger": Change(lambda grey: png(larger(grey, 2))),
    "4 times larger": Change(lambda grey: png(larger(grey, 4))),
    f"JPEG of quality {JPEG_QUALITY}": Change(jpeg),
    f"moved by {MOVED_PIXELS} of {SIDE} pixels": Change(lambda grey: png(moved(grey)), moved),
    f"turned by {TURNED_DEGREES} degrees": Change(lambda grey: png(turned(grey)), turned),
    f"gamma {GAMMA}": Change(lambda grey: png(with_gamma(grey))),
    "PNG of 16 bits": Change(lambda grey: png(deep(grey))),
    "DICOM of 16 bits": Change(lambda grey: dicom(deep(grey))),
    "mirrored and mirrored back": Change(lambda grey: png(np.fliplr(np.fliplr(grey)))),
}
"""Name -> change. The last one leaves every pixel as it is: any difference there would come from chance."""
