"""Masks in the formats of other programs, read back by readers of others."""

import gzip
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
from highdicom.seg import Segmentation, segread
from pydicom import Dataset, dcmread
from pydicom.uid import DigitalXRayImageStorageForPresentation, generate_uid

from hub_models.checkpoints.resolve import embedded
from hub_models.models.orientation import Suggestion
from hub_models.reports.dicom_seg import CAPTURE_FILE, SEGMENTATION_FILE, write_segmentation
from hub_models.reports.nifti import write_nifti
from hub_models.xray.images import read_xray
from hub_models.xray.masks import MASKS, Masks
from hub_models.xray.phantom import draw_phantom
from hub_models.xray.placement import AS_IT_IS
from tests.support.bad_files import PATIENT, dicom, encoded

PHANTOM = draw_phantom(2, size=200, opacities=2)
UPRIGHT, LUNGS = PHANTOM.image[:, :181], PHANTOM.lungs[:, :181]
RIGHT_LUNG = LUNGS & (np.indices(LUNGS.shape)[1] < 90)  # lies on the left of the upright picture
MASKED = Masks(LUNGS, RIGHT_LUNG)
UNET = embedded("unet")

STORED = {
    ("L", "F"): UPRIGHT,
    ("R", "F"): UPRIGHT[:, ::-1],
    ("R", "H"): UPRIGHT[::-1, ::-1],
    ("F", "L"): UPRIGHT.T,
    ("H", "L"): UPRIGHT.T[:, ::-1],
}
"""PatientOrientation -> the phantom as such a file stores it."""

IDENTIFIERS = {
    "SOPClassUID": DigitalXRayImageStorageForPresentation,
    **{name: generate_uid() for name in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")},
    "PatientID": "7",
}


def stored(direction: tuple[str, str], **elements: object) -> bytes:
    """A DICOM file of the phantom whose rows and columns run in these directions."""
    pixels = np.ascontiguousarray(STORED[direction], np.uint16)
    elements = {**IDENTIFIERS, **elements}
    given = {keyword: value for keyword, value in elements.items() if value is not None}
    return dicom(pixels, PatientOrientation=list(direction), **given)


def segmented(file: bytes) -> tuple[dict[str, bytes], dict[str, np.ndarray]]:
    """The files of a segmentation of a file, and the masks in it as stored, read by pydicom."""
    xray = read_xray(file)
    files = write_segmentation(file, xray.image, MASKED, xray.placement, UNET)
    frames = dcmread(BytesIO(files[SEGMENTATION_FILE])).pixel_array.astype(bool)
    return files, dict(zip(MASKS, frames, strict=True))


@pytest.mark.parametrize("direction", STORED)
def test_a_segmentation_has_the_rows_and_columns_of_the_file_that_it_refers_to(direction, tmp_path):
    file = stored(direction)
    files, found = segmented(file)
    assert list(files) == [SEGMENTATION_FILE]
    bright = dcmread(BytesIO(file)).pixel_array
    for name in MASKS:
        drawn = read_xray(file).placement.undo(getattr(MASKED, name))
        assert np.array_equal(found[name], drawn)
        assert found[name].shape == bright.shape
    image = read_xray(file).image  # the mask lies on the same pixels of the file as of the upright picture
    assert bright[found["infection"]].mean() / bright.max() == pytest.approx(UPRIGHT[RIGHT_LUNG].mean() / UPRIGHT.max())
    assert image.shape == LUNGS.shape
    path = tmp_path / "seg.dcm"
    path.write_bytes(files[SEGMENTATION_FILE])
    assert np.array_equal(sitk.GetArrayFromImage(sitk.ReadImage(str(path))) > 0, np.stack([*found.values()]))


def test_it_belongs_to_the_patient_and_study_of_the_xray_and_says_what_made_it():
    files, _ = segmented(stored(("L", "F"), SpecificCharacterSet="ISO_IR 100", PatientName="Müller^Änne"))
    found = segread(BytesIO(files[SEGMENTATION_FILE]))
    assert isinstance(found, Segmentation)
    assert (found.PatientName, found.PatientID) == ("Müller^Änne", "7")
    assert found.StudyInstanceUID == IDENTIFIERS["StudyInstanceUID"]
    assert found.SeriesInstanceUID != IDENTIFIERS["SeriesInstanceUID"]
    assert references(found) == {IDENTIFIERS["SOPInstanceUID"]}
    lungs, infection = found.SegmentSequence
    codes = [
        (code.CodeValue, code.CodingSchemeDesignator)
        for segment in (lungs, infection)
        for code in (segment.SegmentedPropertyCategoryCodeSequence[0], segment.SegmentedPropertyTypeCodeSequence[0])
    ]
    assert codes == [("91723000", "SCT"), ("39607008", "SCT"), ("49755003", "SCT"), ("112001", "DCM")]
    assert infection.AnatomicRegionSequence[0].CodeValue == "39607008"
    assert {segment.SegmentAlgorithmType for segment in (lungs, infection)} == {"AUTOMATIC"}


def test_masks_that_somebody_corrected_are_called_semiautomatic():
    file = stored(("L", "F"))
    files = write_segmentation(file, UPRIGHT / np.float32(255), MASKED, AS_IT_IS, UNET, by_hand=True)
    kinds = {segment.SegmentAlgorithmType for segment in dcmread(BytesIO(files[SEGMENTATION_FILE])).SegmentSequence}
    assert kinds == {"SEMIAUTOMATIC"}


@pytest.mark.parametrize(
    "file",
    [encoded(UPRIGHT), stored(("L", "F"), StudyInstanceUID=None), stored(("R", "F"), SOPInstanceUID=None), b"cut"],
    ids=["PNG", "no study", "no instance", "no file"],
)
def test_what_cannot_be_referred_to_gets_a_secondary_capture_of_nobody_first(file):
    image = np.float32(UPRIGHT / 255)
    files = write_segmentation(file, image, MASKED, Suggestion(0, False, True, "").placement, UNET)
    capture, found = dcmread(BytesIO(files[CAPTURE_FILE])), dcmread(BytesIO(files[SEGMENTATION_FILE]))
    assert np.abs(capture.pixel_array / 65535 - image).max() < 1e-4
    assert references(found) == {capture.SOPInstanceUID}
    assert found.StudyInstanceUID == capture.StudyInstanceUID
    assert np.array_equal(found.pixel_array[0].astype(bool), LUNGS)
    assert (str(capture.PatientName), capture.PatientID or "") == ("", "")
    assert PATIENT.encode() not in files[CAPTURE_FILE] + files[SEGMENTATION_FILE]


def references(segmentation: Dataset) -> set[str]:
    """Instances that the frames of a segmentation refer to."""
    return {
        source.ReferencedSOPInstanceUID
        for frame in segmentation.PerFrameFunctionalGroupsSequence
        for image in frame.DerivationImageSequence
        for source in image.SourceImageSequence
    }


@pytest.mark.parametrize("direction", STORED)
def test_nifti_files_say_where_the_patients_left_and_feet_are(direction, tmp_path: Path):
    file = stored(direction, ImagerPixelSpacing=[0.2, 0.3])
    xray = read_xray(file)
    rows, columns = (0.3, 0.2) if xray.placement.transposed else (0.2, 0.3)
    files = write_nifti(file, xray.image.shape, MASKED, xray.placement)
    assert list(files) == ["lungs.nii.gz", "infection.nii.gz"]
    centres = []
    for (name, data), mask in zip(files.items(), (LUNGS, RIGHT_LUNG), strict=True):
        image = nibabel.Nifti1Image.from_bytes(gzip.decompress(data))
        assert nibabel.aff2axcodes(image.affine) == ("L", "I", "P")
        assert np.array_equal(np.asarray(image.dataobj)[:, :, 0].T, mask)
        (tmp_path / name).write_bytes(data)
        other = sitk.ReadImage(str(tmp_path / name))
        assert np.array_equal(sitk.GetArrayFromImage(other)[0], mask)
        assert other.GetSpacing() == pytest.approx((columns, rows, 1))
        middle = [*np.argwhere(mask).mean(axis=0)[::-1].tolist(), 0.0]
        centres.append(other.TransformContinuousIndexToPhysicalPoint(middle)[0])  # grows to the patient's left
    lungs, right_lung = centres
    assert right_lung < lungs


@pytest.mark.parametrize("spacing", [None, [0.0, 0.3], [-1, 1]])
def test_nifti_files_of_a_picture_without_a_size_have_pixels_of_one_millimetre(spacing):
    elements = {} if spacing is None else {"PixelSpacing": spacing}
    data = write_nifti(stored(("L", "F"), **elements), LUNGS.shape, MASKED, AS_IT_IS)["lungs.nii.gz"]
    assert nibabel.Nifti1Image.from_bytes(gzip.decompress(data)).header.get_zooms() == (1, 1, 1)
