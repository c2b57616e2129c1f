"""The inputs of the benchmark: drawn X-rays as files, and checkpoints with ONNX files from other folders."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset

from hub_models.benchmark import WrongUse
from hub_models.checkpoints.resolve import resolve
from hub_models.checkpoints.roles import ROLES
from hub_models.reports.png import encode_png
from hub_models.xray.phantom import draw_phantom


@contextmanager
def with_exports(exports: Path | None) -> Iterator[dict[str, str]]:
    """Copy checkpoints beside the ONNX files of `exports`/ROLE, while this is open: role -> folder of the copy.

    Raises:
        WrongUse: there are no such files.
        CheckpointError: a checkpoint cannot be had.
    """
    files_of_role = {role: sorted((exports / role).glob("*.onnx")) for role in ROLES} if exports else {}
    if exports and not any(files_of_role.values()):
        raise WrongUse(f"There is no ROLE/*.onnx in {exports}; the roles are {', '.join(ROLES)}.")
    with tempfile.TemporaryDirectory(prefix="xray-benchmark-") as work:
        copies = {role: Path(work, role) for role, files in files_of_role.items() if files}
        for role, copy in copies.items():
            shutil.copytree(resolve(role).folder, copy)
            for file in files_of_role[role]:
                shutil.copy(file, copy)
        yield {role: str(copy) for role, copy in copies.items()}


def draw_files(count: int, side: int) -> list[bytes]:
    """Draw different X-rays of side x side pixels as PNG files, with up to three opacities."""
    return [encode_png(draw_phantom(seed, size=side, opacities=seed % 4).image) for seed in range(1, count + 1)]


def draw_as(kind: str, side: int, seed: int = 3) -> bytes:
    """Draw an X-ray of side x side pixels as the bytes of a file: "PNG", "JPEG" or "DICOM" (16 bits)."""
    picture = draw_phantom(seed, size=side, opacities=2).image
    if kind == "PNG":
        return encode_png(picture)
    stream = BytesIO()
    if kind == "JPEG":
        Image.fromarray(picture).save(stream, "JPEG", quality=92)
    else:
        _dicom(picture.astype(np.uint16) * 16).save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _dicom(cells: np.ndarray) -> Dataset:
    """Make a DICOM radiograph of uint16 (H, W), of which 12 bits are stored."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = uid.DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.Modality, dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "DX", "MONOCHROME2", 1
    dataset.Rows, dataset.Columns = cells.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = cells.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    return dataset


def write_files(folder: Path, files: list[bytes], count: int) -> None:
    """Write a new folder of `count` files; where there are fewer different ones, they repeat."""
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:04}.png").write_bytes(files[number % len(files)])
