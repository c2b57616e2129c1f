import logging
import random
import traceback
import warnings

import numpy as np
import pytest

from hub_models.checkpoints.resolve import EMBEDDED
from hub_models.models.unet import Segmenter
from hub_models.xray.dicom import DicomRefused, view_position
from hub_models.xray.images import PERCENTILES, ImageRefused, read_image, read_xray, stretch_contrast
from hub_models.xray.phantom import draw_phantom
from tests.support.bad_files import DICOMS, PATIENT, dicom, encoded, fine, noise, table, uid, xray

RAMP = np.add.outer(np.arange(0, 3000, 50), np.arange(0, 1000, 10)).astype(np.uint16)  # (60, 100), 0..3940


# The same picture in every coat


def test_16_bit_png_and_dicom_are_the_8_bit_png_within_rounding():
    grain = np.random.default_rng(0).integers(0, 257, xray().shape)
    deep = (xray().astype(np.int64) * 256 + grain).astype(np.uint16)
    coarse = read_image(encoded(np.round(deep / 257).astype(np.uint8)))
    as_png = read_image(encoded(deep))
    as_dicom = read_image(dicom(65535 - deep, PhotometricInterpretation="MONOCHROME1"))
    np.testing.assert_allclose(as_dicom, as_png, atol=1e-6)
    assert np.abs(as_dicom - coarse).max() < 1.5 / 255
    assert abs((as_dicom - coarse).mean()) < 0.1 / 255
    assert len(np.unique(as_dicom)) > 10_000  # and 16 bits stay finer than 8


def coats(coarse: np.ndarray, seed: int) -> dict[str, bytes]:
    """A picture, uint8 (H, W), as files that hold more greys of it: 16 bits, or the 12 of a detector."""
    grain = np.random.default_rng(seed).integers(-128, 129, coarse.shape)
    deep = (coarse.astype(np.int64) * 257 + grain).clip(0, 65535).astype(np.uint16)
    stored = np.round(deep / 65535 * 4095).astype(np.uint16)
    twelve, inverted = {"BitsStored": 12, "HighBit": 11}, {"PhotometricInterpretation": "MONOCHROME1"}
    low, high = np.percentile(stored * 0.5 - 1000, PERCENTILES)
    window = {"WindowCenter": round((low + high) / 2, 2), "WindowWidth": round(high - low, 2)}
    packed = encoded(4095 - stored, "JPEG2000", no_jp2=True)
    return {
        "PNG": encoded(deep),
        "MONOCHROME1": dicom(65535 - deep, **inverted),
        "MONOCHROME2, window": dicom(stored, RescaleSlope=0.5, RescaleIntercept=-1000, **twelve, **window),
        "JPEG 2000": dicom(packed, uid.JPEG2000Lossless, BitsAllocated=16, BitsStored=16, HighBit=15, **inverted),
    }


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


def test_the_embedded_unet_outlines_the_same_on_a_phantom_in_every_coat():
    segmenter = Segmenter.from_pretrained(EMBEDDED / "unet")
    for seed in range(3):
        picture = draw_phantom(seed, size=256, opacities=4).image
        plain = segmenter(read_image(encoded(picture)))
        assert plain.infection.sum() > 1000
        for name, data in coats(picture, seed).items():
            masks = segmenter(read_image(data))
            assert overlap(masks.lungs, plain.lungs) >= 0.98, (seed, name)
            assert overlap(masks.infection, plain.infection) >= 0.98, (seed, name)


def test_where_the_lowest_value_is_white_the_picture_is_inverted():
    one = read_image(dicom(RAMP, PhotometricInterpretation="MONOCHROME1"))
    two = read_image(dicom(RAMP, PhotometricInterpretation="MONOCHROME2"))
    np.testing.assert_allclose(one, 1 - two, atol=1e-6)
    assert one[0, 0] == 1


def test_signed_values_keep_their_order():
    np.testing.assert_allclose(read_image(dicom(RAMP.astype(np.int16) - 2000)), read_image(RAMP), atol=1e-6)


def test_bits_that_are_not_stored_do_not_count():
    """Some archives keep drawings in the bits above the picture's."""
    drawn = RAMP | (np.arange(100) % 7 == 0).astype(np.uint16) << 12
    assert np.array_equal(read_image(dicom(drawn, BitsStored=12, HighBit=11)), read_image(RAMP))


@pytest.mark.parametrize("compressed", [False, True])
def test_a_dicom_file_may_be_bytes_or_a_file_of_any_name(compressed, tmp_path):
    data = dicom(encoded(xray(), "JPEG2000", no_jp2=True), uid.JPEG2000) if compressed else dicom(xray())
    path = tmp_path / "xray.png"
    path.write_bytes(data)
    for source in (data, path, str(path)):
        assert np.array_equal(read_image(source), read_image(xray()))


# What a viewer would show


def test_a_window_is_applied_as_the_standard_says():
    """PS3.3 C.11.2.1.2: linear between centre - 0.5 - (width - 1) / 2 and the same above it, flat outside."""
    shown = np.clip((RAMP - 1999.5) / 999 + 0.5, 0, 1)
    assert 0.3 < (shown == 0).mean() < 0.7
    np.testing.assert_allclose(read_image(dicom(RAMP, WindowCenter=2000, WindowWidth=1000)), shown, atol=1e-6)


def test_a_sigmoid_window_is_applied_as_the_standard_says():
    """PS3.3 C.11.2.1.3.1."""
    image = read_image(dicom(RAMP, WindowCenter=2000, WindowWidth=1000, VOILUTFunction="SIGMOID"))
    np.testing.assert_allclose(image, stretch_contrast(1 / (1 + np.exp(-4 * (RAMP - 2000.0) / 1000))), atol=1e-5)


def test_values_are_rescaled_before_the_window():
    rescaled = dicom(RAMP, RescaleSlope=0.5, RescaleIntercept=-1000, WindowCenter=0, WindowWidth=501)
    expected = np.clip((RAMP * 0.5 - 1000 + 0.5) / 500 + 0.5, 0, 1)
    np.testing.assert_allclose(read_image(rescaled), expected, atol=1e-6)


def test_of_several_windows_the_first_is_applied():
    several = dicom(RAMP, WindowCenter=[2000, 300], WindowWidth=[1000, 50])
    assert np.array_equal(read_image(several), read_image(dicom(RAMP, WindowCenter=2000, WindowWidth=1000)))


@pytest.mark.parametrize("syntax", [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian])
@pytest.mark.parametrize("sequence", ["ModalityLUTSequence", "VOILUTSequence"])
def test_tables_are_looked_up(sequence, syntax):
    squares = [round(value**2 / 300) for value in range(4000)]
    looked_up = dicom(RAMP, syntax, **{sequence: table(4000, 16, squares)})
    np.testing.assert_allclose(read_image(looked_up), read_image(np.array(squares)[RAMP]), atol=1e-6)


def test_a_table_of_8_bits_may_have_more_than_256_entries():
    squares = [value**2 * 255 // 4000**2 for value in range(4000)]
    looked_up = dicom(RAMP, VOILUTSequence=table(4000, 8, squares))
    np.testing.assert_allclose(read_image(looked_up), read_image(np.array(squares)[RAMP]), atol=1e-6)


# What is refused, and how that is said


REFUSALS = {
    "DICOM without pixels": "is a DICOM file without pixel data, or cut before them; copy or export it again",
    "DICOM of two frames": "holds several frames; save the one to look at as PNG",
    "DICOM with twice the pixels": "holds several frames",
    "DICOM of a billion frames": "holds several frames",
    "DICOM in colour": "is a DICOM file in colour, not in MONOCHROME1 or MONOCHROME2; save it as PNG",
    "DICOM with a palette": "is a DICOM file in colour",
    "CT slice": "is a DICOM file of modality CT, no projection X-ray; give one of CR, DX, DR, RG",
    "ultrasound in colour": "of modality US, no projection X-ray",
    "DICOM of a made-up modality": "of unknown modality, no projection X-ray",
    "report in DICOM": "is a DICOM Structured Report, which has no picture of its own; give one of CR, DX, DR, RG",
    "document in DICOM": "is a DICOM document, which has no picture of its own",
    "DICOMDIR": "is a DICOMDIR, the list of a disc's files, which has no picture; give one of those files",
    "mammogram": "is a DICOM file of modality MG, not a plain radiograph; give one of CR, DX, DR, RG",
    "DICOM in JPEG-LS": r"whose pixel data \(JPEG-LS Lossless Image Compression\) are truncated, damaged or of",
    "DICOM in RLE": r"whose pixel data \(RLE Lossless\) are truncated, damaged or of another size",
    "DICOM in RLE that unpacks to 64 megabytes": r"whose pixel data \(RLE Lossless\) are .* of another size",
    "DICOM in MPEG": r"is a DICOM file in MPEG2 Main Profile / Main Level, which cannot be read here; save it",
    "DICOM that inflates to 9 megabytes": "is a deflated DICOM file that unpacks to more than 2 megabytes; save the",
    "DICOM that inflates to 180 megabytes": "unpacks to more than 19 megabytes",
    "DICOM of two JPEGs": "holds several frames",
    "DICOM of a lossless JPEG of more bits": "of another size than its header says",
    "DICOM all of padding": "is blank",
    "DICOM in a made-up syntax": "in an unknown transfer syntax, which cannot be read here",
    "DICOM of 4 gigapixels": "is 65535 x 65535 pixels; at most 50 megapixels are read, so make it smaller",
    "DICOM cut in its pixels": r"whose pixel data \(Explicit VR Little Endian\) are truncated, damaged or of",
    "DICOM with half the pixels": "are truncated, damaged or of another size than its header says",
    "DICOM of a larger JPEG": r"whose pixel data \(JPEG Baseline \(Process 1\)\) are .* of another size",
    "DICOM of 32 bits": "with neither 8 nor 16 bits a pixel",
    "DICOM with a window of no width": "with a look-up table or a window that cannot be applied",
    "DICOM of a gigabyte": "of more than 128 megabytes",
    "DICOM with a million elements": "with an endless header",
    "DICOM without its mark, of noise": "is a DICOM file",
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refused_by_name(name, tmp_path):
    path = DICOMS[name](tmp_path)
    with pytest.raises(ImageRefused, match=f'^("{path.name}"|The image) .*{REFUSALS[name]}'):
        read_image(path)


@pytest.mark.parametrize(
    "syntax",
    [
        *(uid.JPEG2000MCLossless, uid.JPEG2000MC, uid.JPIPHTJ2KReferenced, uid.MPEG2MPML),
        *(uid.MPEG2MPHL, uid.MPEG4HP41, uid.HEVCMP51, uid.HEVCM10P51),
    ],
    ids=lambda syntax: syntax.keyword,
)
def test_a_compression_that_cannot_be_read_is_named_with_what_to_do(syntax):
    with pytest.raises(ImageRefused) as refusal:
        read_image(dicom(noise(5000), syntax))
    assert str(refusal.value) == (
        f"The image is a DICOM file in {syntax.name}, which cannot be read here; save it uncompressed, or as PNG."
    )


def cut_and_changed() -> list[bytes]:
    """400 DICOM files cut somewhere or with a few bytes changed, most of them in the header."""
    chance, files = random.Random(0), []
    whole = [
        dicom(fine()[::4, ::4].copy(), WindowCenter=30000, WindowWidth=60000, RescaleSlope=1, RescaleIntercept=0),
        dicom(xray()[::4, ::4].copy(), uid.ImplicitVRLittleEndian, VOILUTSequence=table(256, 8, list(range(256)))),
        dicom(encoded(xray(), "JPEG"), uid.JPEGBaseline8Bit, PatientOrientation=["R", "F"], BodyPartExamined="HIP"),
    ]
    for number in range(400):
        data = bytearray(whole[number % 3])
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(132, 1300)] = chance.choice([0, 1, 127, 255, chance.randrange(256)])
        files.append(bytes(data[: chance.randrange(132, 1300)] if number % 8 == 0 else data))
    return files


def told_everything() -> bytes:
    """A small DICOM file with all elements that steer how it is shown."""
    side = {"PatientOrientation": ["R", "F"], "ImageLaterality": "L", "BodyPartExamined": "HIP", "ViewPosition": "LL"}
    padding = {"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 3}
    greys = {"RescaleSlope": 2, "RescaleIntercept": 9, "WindowCenter": [99, 7], "WindowWidth": [300, 5]}
    greys |= {"VOILUTFunction": "SIGMOID", "PresentationLUTShape": "INVERSE"}
    return dicom(
        xray()[::4, ::4].astype(np.uint16), VOILUTSequence=table(600, 16, list(range(600))), **side, **padding, **greys
    )


@pytest.mark.parametrize("marked", [True, False])
def test_a_damaged_file_that_tells_everything_is_read_or_refused(marked):
    whole = told_everything() if marked else told_everything()[132:]
    chance, sentences = random.Random(int(marked)), []
    for _ in range(400):
        data = bytearray(whole)
        for _ in range(chance.randrange(1, 6)):
            data[chance.randrange(1600)] = chance.choice([0, 1, 127, 255, chance.randrange(256)])
        try:
            assert read_image(bytes(data)).min() == 0
        except ImageRefused as refusal:
            sentences.append(str(refusal))
    assert 50 < len(sentences) < 380
    assert not any(PATIENT in sentence for sentence in sentences)


def test_a_damaged_file_is_read_or_refused():
    refused = 0
    for data in cut_and_changed():
        try:
            assert read_image(data).min() == 0
        except ImageRefused:
            refused += 1
    assert 100 < refused < 380


# What nobody is told


def named_everywhere() -> bytes:
    """A DICOM file with the patient's name in fields that are read."""
    number, word = "1234567890123456", "ABCDEFGHIJKLMNOP"  # as long as the name
    window = {"WindowCenter": number, "WindowWidth": number, "VOILUTFunction": word}
    data = dicom(xray(), ViewPosition=word, RescaleIntercept=number, RescaleSlope=1, **window)
    return data.replace(number.encode(), PATIENT.encode()).replace(word.encode(), PATIENT.encode())


def test_no_header_value_is_shown_warned_of_or_logged(tmp_path, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    files = [name(tmp_path).read_bytes() for name in DICOMS.values() if name is not DICOMS["DICOM of a gigabyte"]]
    for data in [*files, *cut_and_changed(), named_everywhere()]:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            told = ""
            try:
                read_image(data)
            except ImageRefused:
                told = traceback.format_exc()
        assert PATIENT not in told
        assert not warned
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


def test_no_header_value_is_quoted_as_a_reason():
    name = PATIENT[:16].upper()
    data = dicom(
        xray(),
        BodyPartExamined=name,
        ViewPosition=name,
        ImageLaterality=name,
        PresentationIntentType=name,
        Laterality=name,
    )
    assert read_xray(data).notes == ()


def test_the_view_position_is_told_if_it_is_one(tmp_path):
    for view in ("PA", "AP", "LL", "LATERAL"):
        assert view_position(dicom(xray(), ViewPosition=view)) == view
    for data in (dicom(xray()), dicom(xray(), ViewPosition=PATIENT.upper()), encoded(xray()), b""):
        assert view_position(data) is None
    path = tmp_path / "xray"
    path.write_bytes(dicom(fine(), ViewPosition="PA"))
    assert view_position(path) == view_position(str(path)) == "PA"
    with pytest.raises(DicomRefused, match="modality CT"):
        view_position(dicom(fine(), Modality="CT"))


def test_a_damaged_header_does_not_tell_the_name_either():
    data = dicom(xray(), NumberOfFrames="123456789012").replace(b"123456789012", PATIENT[:12].encode())
    with pytest.raises(DicomRefused, match="damaged header") as refusal:
        view_position(data)
    assert PATIENT[:5] not in "".join(traceback.format_exception(refusal.value))
