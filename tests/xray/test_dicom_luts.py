"""Modality, values of interest and presentation of a DICOM radiograph, against formulas and against DCMTK."""

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from hub_models.xray.images import ImageRefused, read_image, stretch_contrast
from tests.support.bad_files import dicom, streams, uid, xray

RAMP = np.add.outer(np.arange(0, 2000, 40), np.arange(0, 2000, 25)).astype(np.uint16)  # (50, 80), 0..3935
SIGNED = RAMP.astype(np.int16) - 1900
TWELVE = {"BitsStored": 12, "HighBit": 11}
CURVE = np.round(np.arange(4096) ** 1.5 / 4).astype(int)  # 0..65512


def table(entries: int, first: int, bits: int, data: list[int] | bytes, vr: str = "US") -> list[Dataset]:
    item = Dataset()
    item.add_new("LUTDescriptor", vr, [entries, first, bits])
    item.add_new("LUTData", "OW" if isinstance(data, bytes) else "US", data)
    return [item]


def shown(pixels: np.ndarray, syntax: str = uid.ExplicitVRLittleEndian, **elements) -> np.ndarray:
    return read_image(dicom(pixels, syntax, **TWELVE, **elements))


# Windows


@pytest.mark.parametrize("slope", [-1, -7, -0.25, 3])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
def test_a_window_rises_with_the_rescaled_values_whatever_the_slope(function, photometric, slope):
    center, width, intercept = 2100 * slope + 30, 1800 * abs(slope), 30
    values = RAMP.astype(float) * slope + intercept
    ramp = {
        "LINEAR": np.clip((values - center + 0.5) / (width - 1) + 0.5, 0, 1),
        "LINEAR_EXACT": np.clip((values - center) / width + 0.5, 0, 1),
        "SIGMOID": 1 / (1 + np.exp(-4 * (values - center) / width)),
    }[function]
    expected = stretch_contrast(1 - ramp if photometric == "MONOCHROME1" else ramp)
    window = {"WindowCenter": center, "WindowWidth": width, "VOILUTFunction": function}
    rescaling = {"RescaleSlope": slope, "RescaleIntercept": intercept}
    image = shown(RAMP, PhotometricInterpretation=photometric, **rescaling, **window)
    np.testing.assert_allclose(image, expected, atol=1e-5)


def test_a_negative_slope_without_a_window_turns_the_picture():
    image = shown(RAMP, RescaleSlope=-3, RescaleIntercept=50)
    np.testing.assert_allclose(image, 1 - read_image(RAMP), atol=1e-6)


def test_a_window_of_width_1_is_black_and_white():
    image = shown(RAMP, WindowCenter=1500, WindowWidth=1)
    assert np.array_equal(image, (RAMP > 1499.5).astype(np.float32))


def test_a_function_that_the_standard_does_not_know_is_linear():
    window = {"WindowCenter": 2000, "WindowWidth": 1500}
    assert np.array_equal(shown(RAMP, **window, VOILUTFunction="CUBIC"), shown(RAMP, **window))


@pytest.mark.parametrize(
    "window",
    [
        {"WindowCenter": 100, "WindowWidth": -20},
        {"WindowCenter": 100, "WindowWidth": 0.5},
        {"WindowCenter": 100, "WindowWidth": 0, "VOILUTFunction": "LINEAR_EXACT"},
    ],
)
def test_a_window_without_width_is_refused(window):
    with pytest.raises(ImageRefused, match="with a look-up table or a window that cannot be applied"):
        shown(RAMP, **window)


def test_a_narrow_window_is_read_where_its_function_allows_it():
    narrow = {"WindowCenter": 1200, "WindowWidth": 0.5, "VOILUTFunction": "LINEAR_EXACT"}
    assert np.array_equal(shown(RAMP, **narrow), np.clip((RAMP - 1200.0) / 0.5 + 0.5, 0, 1).astype(np.float32))


# What is empty says nothing


@pytest.mark.parametrize(
    "elements",
    [
        {"RescaleSlope": "", "RescaleIntercept": ""},
        {"RescaleSlope": 5, "RescaleIntercept": ""},
        {"RescaleSlope": "", "RescaleIntercept": 300},
        {"RescaleSlope": 5},
        {"RescaleSlope": 0, "RescaleIntercept": 300},
        {"VOILUTFunction": ""},
        {"VOILUTSequence": []},
        {"VOILUTSequence": [Dataset()]},
        {"ModalityLUTSequence": [Dataset()]},
        {"PresentationLUTShape": ""},
    ],
    ids=str,
)
def test_an_empty_element_and_half_a_rescaling_change_nothing(elements):
    window = {"WindowCenter": 1800, "WindowWidth": 2500}
    assert np.array_equal(shown(RAMP, **window, **elements), shown(RAMP, **window))


@pytest.mark.parametrize("window", [{"WindowCenter": "", "WindowWidth": ""}, {"WindowCenter": 900}, {"WindowWidth": 9}])
def test_half_a_window_is_none(window):
    assert np.array_equal(shown(RAMP, **window), read_image(RAMP))


# Tables


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
@pytest.mark.parametrize("sequence", ["ModalityLUTSequence", "VOILUTSequence"])
@pytest.mark.parametrize("count", [4096, 4095])
def test_a_table_of_8_bits_an_entry_is_unpacked(count, sequence, syntax):
    narrow = (CURVE >> 8).astype(np.uint8)
    data = narrow[:count].tobytes() + b"\0" * (count % 2)
    image = shown(RAMP, syntax, **{sequence: table(count, 0, 8, data)})
    np.testing.assert_allclose(image, read_image(narrow[RAMP].astype(np.uint16)), atol=1e-6)


def test_a_table_of_8_bits_an_entry_may_be_written_as_numbers():
    words = (CURVE >> 8).astype(np.uint8).view("<u2").tolist()
    image = shown(RAMP, VOILUTSequence=table(4096, 0, 8, words))
    np.testing.assert_allclose(image, read_image((CURVE >> 8)[RAMP].astype(np.uint16)), atol=1e-6)


def test_a_table_of_a_big_endian_file_is_swapped():
    data = CURVE.astype(">u2").tobytes()
    image = read_image(
        dicom(RAMP.astype(">u2"), uid.ExplicitVRBigEndian, **TWELVE, VOILUTSequence=table(4096, 0, 16, data))
    )
    np.testing.assert_allclose(image, read_image(CURVE[RAMP]), atol=1e-6)


@pytest.mark.parametrize("first", [-1900, 65536 - 1900])
@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
def test_a_table_for_signed_values_may_call_its_first_value_unsigned(syntax, first):
    vr = "SS" if first < 0 else "US"
    image = shown(SIGNED, syntax, VOILUTSequence=table(4096, first, 16, CURVE.tolist(), vr))
    np.testing.assert_allclose(image, read_image(CURVE[RAMP]), atol=1e-6)


def test_a_table_after_a_negative_intercept_begins_below_zero():
    rescaling = {"RescaleSlope": 1, "RescaleIntercept": -700}
    image = shown(RAMP, VOILUTSequence=table(4096, 65536 - 700, 16, CURVE.tolist()), **rescaling)
    np.testing.assert_allclose(image, read_image(CURVE[RAMP]), atol=1e-6)


def test_outside_a_table_its_ends_are_shown():
    image = shown(RAMP, VOILUTSequence=table(1000, 1200, 16, CURVE[1200:2200].tolist()))
    np.testing.assert_allclose(image, read_image(CURVE[RAMP.clip(1200, 2199)]), atol=1e-6)


def test_a_table_of_modality_comes_before_the_window_and_instead_of_the_rescaling():
    rescaling = {"RescaleSlope": -2, "RescaleIntercept": 9}
    window = {"WindowCenter": 20000, "WindowWidth": 30001}
    image = shown(RAMP, ModalityLUTSequence=table(4096, 0, 16, CURVE.tolist()), **rescaling, **window)
    expected = np.clip((CURVE[RAMP] - 20000 + 0.5) / 30000 + 0.5, 0, 1)
    np.testing.assert_allclose(image, stretch_contrast(expected), atol=1e-6)


def test_a_table_comes_before_a_window():
    curved = {"VOILUTSequence": table(4096, 0, 16, CURVE.tolist())}
    assert np.array_equal(shown(RAMP, **curved, WindowCenter=9, WindowWidth=3), shown(RAMP, **curved))


@pytest.mark.parametrize("data", [[1, 2, 3], b"\1\0\2\0"])
def test_a_short_table_is_refused(data):
    with pytest.raises(ImageRefused, match="with a look-up table or a window that cannot be applied"):
        shown(RAMP, VOILUTSequence=table(4096, 0, 16, data))


# Presentation


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_the_shape_of_the_presentation_outweighs_the_photometric_interpretation(photometric):
    image = {
        shape: shown(RAMP, PhotometricInterpretation=photometric, PresentationLUTShape=shape)
        for shape in ("IDENTITY", "INVERSE")
    }
    np.testing.assert_allclose(image["IDENTITY"], read_image(RAMP), atol=1e-6)
    np.testing.assert_allclose(image["INVERSE"], 1 - read_image(RAMP), atol=1e-6)


# The same file in another viewer


def in_dcmtk(data: bytes, folder: Path, *options: str) -> np.ndarray:
    """Return what dcm2pnm, or its relative for the file's compression, shows: int (H, W) in 0..65535."""
    source, target = folder / "xray.dcm", folder / "xray.pgm"
    source.write_bytes(data)
    for program in ("dcm2pnm", "dcmj2pnm", "dcml2pnm"):
        command = [program, "+opn", "16", *options, source, target]
        if subprocess.run(command, capture_output=True, check=False).returncode == 0:
            break
    lines = target.read_text().splitlines()
    words = " ".join(line for line in lines if not line.startswith("#")).split()
    return np.array(words[4:], dtype=int).reshape(int(words[2]), int(words[1]))


WINDOW, LUT = ("+Wi", "1"), ("+Wl", "1")
STORED = (xray().astype(np.uint16) << 4) + 5
INSTANCE = {"SOPClassUID": uid.DigitalXRayImageStorageForPresentation, "SOPInstanceUID": "1.2.3"}
VIEWED = {
    "no window": (STORED, {}, ()),
    "a window": (STORED, {"WindowCenter": 1700, "WindowWidth": 1900}, WINDOW),
    "a sigmoid": (STORED, {"WindowCenter": 1700, "WindowWidth": 900, "VOILUTFunction": "SIGMOID"}, WINDOW),
    "a window after a falling line": (
        STORED,
        {"RescaleSlope": -4, "RescaleIntercept": 11, "WindowCenter": -7000, "WindowWidth": 9000},
        WINDOW,
    ),
    "signed values": (STORED.astype(np.int16) - 2048, {"WindowCenter": -300, "WindowWidth": 2200}, WINDOW),
    "a slope without an intercept": (STORED, {"RescaleSlope": 3, "WindowCenter": 1700, "WindowWidth": 900}, WINDOW),
    "a table": (STORED, {"VOILUTSequence": table(4096, 0, 16, CURVE.tolist())}, LUT),
    "a longer table than it says": (STORED, {"VOILUTSequence": table(2000, 0, 16, CURVE.tolist())}, LUT),
    "a table of 8 bits": (STORED, {"VOILUTSequence": table(4096, 0, 8, (CURVE >> 8).astype("u1").tobytes())}, LUT),
    "two tables": (
        STORED,
        {
            "ModalityLUTSequence": table(4096, 0, 16, CURVE.tolist()),
            "VOILUTSequence": table(60000, 3000, 12, (np.arange(60000) // 15).astype("<u2").tobytes()),
        },
        LUT,
    ),
    "a contradictory shape": (STORED, {"PresentationLUTShape": "INVERSE"}, ()),
    "another contradictory shape": (
        STORED,
        {"PresentationLUTShape": "IDENTITY", "PhotometricInterpretation": "MONOCHROME1"},
        (),
    ),
    "high bits": (STORED << 3 | 5, {"HighBit": 14}, ()),
    "big-endian words": (STORED.astype(">u2"), {"syntax": uid.ExplicitVRBigEndian}, ()),
    "deflated": (STORED, {"syntax": uid.DeflatedExplicitVRLittleEndian}, ()),
}
COMPRESSED = {
    "lossless JPEG": (uid.JPEGLossless, 16),
    "JPEG of 12 bits": (uid.JPEGExtended12Bit, 12),
    "JPEG-LS": (uid.JPEGLSLossless, 16),
}


@pytest.mark.skipif(shutil.which("dcm2pnm") is None, reason="needs DCMTK's dcm2pnm")
@pytest.mark.parametrize("name", VIEWED)
def test_dcmtk_shows_the_same(name, tmp_path):
    pixels, elements, options = VIEWED[name]
    data = dicom(pixels, **{**TWELVE, **INSTANCE, **elements})
    viewed = stretch_contrast(in_dcmtk(data, tmp_path, *options).astype(float))
    assert np.abs(read_image(data) - viewed).max() < 0.002


@pytest.mark.skipif(shutil.which("dcml2pnm") is None, reason="needs DCMTK's dcmj2pnm and dcml2pnm")
@pytest.mark.parametrize("name", COMPRESSED)
def test_dcmtk_decodes_the_same(name, tmp_path):
    syntax, bits = COMPRESSED[name]
    depth = {"BitsAllocated": 16, "BitsStored": bits, "HighBit": bits - 1}
    data = dicom(streams()[name], syntax, **depth, **INSTANCE)
    viewed = stretch_contrast(in_dcmtk(data, tmp_path).astype(float))
    assert np.abs(read_image(data) - viewed).max() < 0.001
