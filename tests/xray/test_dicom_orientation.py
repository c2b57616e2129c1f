"""Which way a DICOM radiograph hangs, and the reasons of its header why it is not a frontal chest X-ray for reading."""

import re

import numpy as np
import pytest

from hub_models.xray.images import Xray, read_image, read_xray
from tests.support.bad_files import PATIENT, dicom, encoded, fine, uid, xray

PICTURE = xray()[:200, :160].copy()  # no flip or turn leaves it as it is
UPRIGHT = read_image(PICTURE)
STORED = {  # patient orientation -> how an upright picture is stored, and what is said of turning it back
    ("L", "F"): (PICTURE, None),
    ("R", "F"): (PICTURE[:, ::-1], "was mirrored before"),
    ("L", "H"): (PICTURE[::-1], "was mirrored upside down before"),
    ("R", "H"): (PICTURE[::-1, ::-1], "was turned by a half before"),
    ("F", "L"): (PICTURE.T, "was mirrored and turned by a quarter before"),
    ("H", "R"): (PICTURE.T[::-1, ::-1], "was mirrored and turned by a quarter before"),
    ("H", "L"): (PICTURE.T[:, ::-1], "was turned by a quarter before"),
    ("F", "R"): (PICTURE.T[::-1], "was turned by a quarter before"),
}
WORDS = {"L": "left", "R": "right", "F": "feet", "H": "head"}


@pytest.mark.parametrize("orientation", STORED, ids="".join)
def test_a_frontal_picture_is_hung_with_the_left_on_the_right_and_the_feet_below(orientation):
    stored, told = STORED[orientation]
    data = dicom(np.ascontiguousarray(stored), PatientOrientation=list(orientation), ViewPosition="PA")
    found = read_xray(data)
    assert np.array_equal(found.image, UPRIGHT)
    assert found.image.flags.c_contiguous
    assert found.reasons == ()
    if told is None:
        assert found.turned is None
        assert found.notes == ()
    else:
        across, down = (WORDS[letter] for letter in orientation)
        ends = f"its rows run to the patient's {across} and its columns to the patient's {down}."
        assert told in found.turned
        assert found.turned.endswith(ends)
        assert found.notes == (found.turned,)


@pytest.mark.parametrize(
    ("orientation", "usual"), [(["RP", "FA"], ["R", "F"]), (["RAH", "FLP"], ["R", "F"]), (["LA", "F"], ["L", "F"])]
)
def test_of_an_oblique_direction_the_first_letter_counts(orientation, usual):
    one, other = (read_xray(dicom(PICTURE, PatientOrientation=value)) for value in (orientation, usual))
    assert np.array_equal(one.image, other.image)
    assert one.turned == other.turned
    assert one.reasons == ()


@pytest.mark.parametrize(
    "orientation",
    [None, "", [], "L", ["L", ""], ["L", "R"], ["F", "H"], ["L", "L"], ["X", "F"], ["L", "F", "P"], ["LEFT", "FEET"]],
    ids=str,
)
def test_an_orientation_that_says_nothing_changes_nothing(orientation):
    elements = {} if orientation is None else {"PatientOrientation": orientation}
    found = read_xray(dicom(PICTURE, **elements))
    assert np.array_equal(found.image, UPRIGHT)
    assert found.notes == ()


def test_padding_is_turned_with_its_picture():
    stored = fine().copy()
    stored[:, :20] = 65535
    found = read_xray(dicom(stored, PatientOrientation=["H", "R"], PixelPaddingValue=65535))
    assert found.image[-20:].max() == 0
    assert found.image[:-20].max() == 1


def test_what_the_machine_did_to_the_field_of_view_is_not_done_again():
    done = {"FieldOfViewRotation": 90, "FieldOfViewHorizontalFlip": "YES"}
    found = read_xray(dicom(PICTURE, PatientOrientation=["L", "F"], **done))
    assert np.array_equal(found.image, UPRIGHT)
    assert found.notes == ()


# Reasons


REASONS = {
    "another part": ({"BodyPartExamined": "KNEE"}, r"another body part than the chest \(KNEE\)"),
    "another part in words": ({"BodyPartExamined": "left shoulder"}, r"than the chest \(SHOULDER\)"),
    "a spine of the chest": ({"BodyPartExamined": "THORACIC SPINE"}, r"than the chest \(SPINE\)"),
    "another part in two words": ({"BodyPartExamined": "L SPINE"}, r"than the chest \((L?SPINE)\)"),
    "a side view": ({"ViewPosition": "RL"}, r"a view from the side \(RL\), not a frontal one"),
    "a side view in letters": ({"ViewPosition": "lateral"}, r"from the side \(LATERAL\)"),
    "lying on the side": ({"ViewPosition": "LLD"}, r"of a patient who lies on the side \(LLD\)"),
    "an oblique view": ({"ViewPosition": "RLO"}, r"at an angle \(RLO\)"),
    "a side view by its orientation": (
        {"PatientOrientation": ["P", "F"]},
        r"along the patient's depth \(patient orientation P/F\)",
    ),
    "a slice by its orientation": ({"PatientOrientation": ["L", "P"]}, r"\(patient orientation L/P\)"),
    "raw values": ({"PresentationIntentType": "FOR PROCESSING"}, "raw detector values for processing"),
    "a class of raw values": (
        {"SOPClassUID": uid.DigitalXRayImageStorageForProcessing},
        "raw detector values for processing",
    ),
    "one side": ({"ImageLaterality": "L"}, "shows the left side only, not both lungs"),
    "one side of a series": ({"Laterality": "R"}, "shows the right side only, not both lungs"),
    "an animal": ({"AnatomicalOrientationType": "QUADRUPED"}, "an animal on four legs"),
}


@pytest.mark.parametrize("name", REASONS)
def test_a_header_that_speaks_against_a_frontal_chest_is_quoted(name):
    elements, words = REASONS[name]
    found = read_xray(dicom(PICTURE, **elements))
    assert np.array_equal(found.image, UPRIGHT)
    (reason,) = found.reasons
    assert found.notes == (reason,)
    assert reason.startswith("The file says that ")
    assert reason.endswith(".")
    assert re.search(words, reason)


def test_several_reasons_are_all_given():
    found = read_xray(dicom(PICTURE, BodyPartExamined="SKULL", ViewPosition="LL", PatientOrientation=["A", "F"]))
    assert len(found.reasons) == 3


@pytest.mark.parametrize(
    "elements",
    [
        {},
        {"BodyPartExamined": "CHEST", "ViewPosition": "PA", "PresentationIntentType": "FOR PRESENTATION"},
        {"BodyPartExamined": "Thorax ap", "ViewPosition": "AP", "ImageLaterality": "U"},
        {"BodyPartExamined": "PORT CHEST", "ImageLaterality": "B"},
        {"BodyPartExamined": "LUNG", "Laterality": ""},
        {"BodyPartExamined": "THORACIC"},
        {"BodyPartExamined": "CHESTABDOMEN", "ViewPosition": ""},
        {"BodyPartExamined": "OTHER", "ViewPosition": "PA", "Laterality": "L"},  # of a series, beside a named view
        {"BodyPartExamined": ["CHEST", "ABDOMEN"]},
        {"AnatomicalOrientationType": "BIPED", "PatientOrientation": ["L", "F"]},
    ],
    ids=str,
)
def test_a_header_that_speaks_for_a_frontal_chest_or_says_nothing_gives_no_reason(elements):
    assert read_xray(dicom(PICTURE, **elements)).notes == ()


def test_a_word_that_is_not_of_the_standard_is_not_quoted():
    named = {"BodyPartExamined": f"{PATIENT} KNEE"[:16], "ViewPosition": PATIENT[:16], "ImageLaterality": "MUSTERMANN"}
    named["BodyPartExamined"] = "ERIKA KNEE"
    found = read_xray(dicom(PICTURE, **named))
    assert len(found.reasons) == 1
    assert "ERIKA" not in found.reasons[0].upper()


def test_a_picture_without_a_header_gives_no_reason():
    for source in (PICTURE, encoded(PICTURE)):
        found = read_xray(source)
        assert isinstance(found, Xray)
        assert np.array_equal(found.image, read_image(source))
        assert found.notes == ()
