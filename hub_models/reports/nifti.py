"""The outlines of an X-ray as NIfTI files, whose geometry says where the patient's left and head are."""

import gzip

import numpy as np

from hub_models.xray.dicom_header import read_reference
from hub_models.xray.masks import MASKS, Masks
from hub_models.xray.placement import Placement


def write_nifti(file: bytes, shape: tuple[int, int], masks: Masks, placement: Placement) -> dict[str, bytes]:
    """Write each mask as a NIfTI-1 image of one slice (https://nifti.nimh.nih.gov/nifti-1): uint8, 0 outside, 1 inside.

    The first axis runs along the rows of the X-ray, to the patient's left, the second down its columns, to the feet.
    Millimetres are those of a DICOM file's PixelSpacing, or ImagerPixelSpacing (at the detector, where everything is a
    little larger than in the patient); 1 where the file does not say.

    Args:
        file: the bytes of the X-ray's file.
        shape: (H, W) of the X-ray.
        masks: its masks, of any size.
        placement: how the X-ray lies beside the rows and columns of a DICOM file.

    Returns:
        File name, "lungs.nii.gz" and "infection.nii.gz", -> bytes.
    """
    import nibabel

    drawn, (height, width) = masks.at(shape), _spacing(file, placement)
    affine = np.diag([-width, 1.0, 1.0, 1.0])[:, [0, 2, 1, 3]]  # the third axis is from front to back
    affine[:3, 1], affine[:3, 2] = (0, 0, -height), (0, -1, 0)
    files = {}
    for name in MASKS:
        image = nibabel.Nifti1Image(np.uint8(getattr(drawn, name).T[:, :, None]), affine)
        image.header.set_xyzt_units("mm")
        image.header["descrip"] = f"{name}; research only".encode()
        files[f"{name}.nii.gz"] = gzip.compress(image.to_bytes(), mtime=0)
    return files


def _spacing(file: bytes, placement: Placement) -> tuple[float, float]:
    """Millimetres between the rows, and between the columns, of the X-ray as it lies."""
    header = read_reference(file)
    spacing = (header.get("PixelSpacing") or header.get("ImagerPixelSpacing")) if header is not None else None
    try:
        rows, columns = map(float, spacing or (1.0, 1.0))
    except (TypeError, ValueError):
        return 1.0, 1.0
    if not (np.isfinite([rows, columns]).all() and rows > 0 and columns > 0):
        return 1.0, 1.0
    return (columns, rows) if placement.transposed else (rows, columns)
