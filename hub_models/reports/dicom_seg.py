"""The outlines of an X-ray as a DICOM Segmentation, which refers to the X-ray's own file."""

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from hub_models.checkpoints.folder import Checkpoint, weights_digest
from hub_models.xray.dicom_header import read_reference
from hub_models.xray.masks import MASKS, Masks
from hub_models.xray.placement import AS_IT_IS, Placement

if TYPE_CHECKING:  # highdicom takes a second to import
    from highdicom.seg import SegmentDescription

SEGMENTATION_FILE, CAPTURE_FILE = "segmentation.dcm", "secondary-capture.dcm"
MAKER = "UNet, ResNet and CLIP for lung X-rays"
"""Manufacturer of the objects, and the name of the model beside it."""

WORDS = {
    "lungs": ("Lungs", "AnatomicalStructure", "Lung"),
    "infection": ("Infected region (opacity)", "MorphologicallyAbnormalStructure", "Opacity"),
}
"""Mask -> label, and the concepts of its category and type (SNOMED CT, but Opacity, which is DICOM's own 112001: the
standard's context groups for the chest, CID 6102 and 6104, hold no SNOMED CT code for it)."""


def write_segmentation(
    file: bytes, image: np.ndarray, masks: Masks, placement: Placement, checkpoint: Checkpoint, by_hand: bool = False
) -> dict[str, bytes]:
    """Write the masks of an X-ray as a DICOM Segmentation (PS3.3 A.51), one segment for each of `MASKS`.

    Args:
        file: the bytes of the X-ray's file. If it is a DICOM file, the segmentation refers to it, in its patient's
            study; of any other picture a Secondary Capture is made first, of an anonymous patient.
        image: the X-ray as it was read, float32 (H, W) in 0..1.
        masks: its masks, of any size.
        placement: how the X-ray lies beside the rows and columns of a DICOM file.
        checkpoint: that of the UNet.
        by_hand: whether somebody corrected the masks.

    Returns:
        File name -> bytes: `SEGMENTATION_FILE`, and `CAPTURE_FILE` where one was made.
    """
    from highdicom.seg import Segmentation, SegmentationTypeValues

    reference, files = read_reference(file), {}
    if reference is None:
        reference, placement = _secondary_capture(image), AS_IT_IS
        files[CAPTURE_FILE] = _bytes_of(reference)
    drawn = masks.at(image.shape)
    pixels = np.stack([placement.undo(getattr(drawn, name)) for name in MASKS], axis=-1)
    segmentation = Segmentation(
        source_images=[reference],
        pixel_array=np.ascontiguousarray(pixels[None], np.uint8),
        segmentation_type=SegmentationTypeValues.BINARY,
        segment_descriptions=_segments(checkpoint, by_hand),
        **_new_identity(series_number=2),
        manufacturer_model_name="UNet",
        software_versions=_version(checkpoint),
        device_serial_number=_version(checkpoint),
        omit_empty_frames=False,  # a region without a pixel was looked for, too
        content_label="LUNGS",
        content_description="Lungs and infected region. Research only, not for diagnosis.",
    )
    return {SEGMENTATION_FILE: _bytes_of(segmentation), **files}


def _segments(checkpoint: Checkpoint, by_hand: bool) -> "list[SegmentDescription]":
    from highdicom import AlgorithmIdentificationSequence
    from highdicom.seg import SegmentAlgorithmTypeValues, SegmentDescription
    from pydicom.sr.codedict import codes

    algorithm = AlgorithmIdentificationSequence(
        name="UNet",
        family=codes.DCM.ArtificialIntelligence,
        version=_version(checkpoint),
        source=checkpoint.name[:64],
    )
    kinds = SegmentAlgorithmTypeValues
    return [
        SegmentDescription(
            segment_number=number,
            segment_label=WORDS[name][0],
            segmented_property_category=getattr(codes.SCT, WORDS[name][1]),
            segmented_property_type=getattr(codes.DCM if name == "infection" else codes.SCT, WORDS[name][2]),
            algorithm_type=kinds.SEMIAUTOMATIC if by_hand else kinds.AUTOMATIC,
            algorithm_identification=algorithm,
            tracking_uid=generate_uid(),
            tracking_id=f"{name} of the X-ray",
            anatomic_regions=[codes.SCT.Lung] if name == "infection" else None,
        )
        for number, name in enumerate(MASKS, start=1)
    ]


def _secondary_capture(image: np.ndarray) -> Dataset:
    """Make a Secondary Capture of 16 bits of a picture, float32 (H, W) in 0..1, whose patient is not known."""
    from highdicom.sc import SCImage

    return SCImage(
        pixel_array=(image * 65535).round().astype(np.uint16),
        photometric_interpretation="MONOCHROME2",
        bits_allocated=16,
        coordinate_system="PATIENT",
        study_instance_uid=generate_uid(),
        patient_orientation=("L", "F"),  # as every picture is read, and as right and left are told
        **_new_identity(series_number=1),
    )


def _new_identity(series_number: int) -> dict[str, str | int]:
    """What identifies a new object, the first of a new series, and who made it."""
    return {
        "series_instance_uid": generate_uid(),
        "series_number": series_number,
        "sop_instance_uid": generate_uid(),
        "instance_number": 1,
        "manufacturer": MAKER,
    }


def _version(checkpoint: Checkpoint) -> str:
    """Which weights drew the masks; their digest is not known where they are in several files."""
    return (weights_digest(checkpoint.folder) or checkpoint.revision or "unknown")[:16]


def _bytes_of(dataset: Dataset) -> bytes:
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
