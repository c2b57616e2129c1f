"""Reasons that a DICOM header itself gives why the picture is not a frontal chest X-ray for reading.

Values are repeated only where they are words of the standard, since people write names into any element.
"""

import re

from pydicom import uid
from pydicom.dataset import Dataset

from hub_models.xray.dicom_orientation import directions, is_frontal

_OTHER_VIEWS = {
    **dict.fromkeys(("LL", "RL", "LAT", "LATERAL", "LM", "ML", "LMO"), "from the side"),
    **dict.fromkeys(("LLD", "RLD"), "of a patient who lies on the side"),
    **dict.fromkeys(("LLO", "RLO", "LAO", "RAO", "LPO", "RPO", "OBL", "OBLIQUE"), "at an angle"),
    **dict.fromkeys(("AXIAL", "TANGENTIAL", "SUNRISE", "CC", "XCCL", "XCCM", "FB", "MLO"), "of another kind"),
}
_CHEST = re.compile(r"CHEST|TH?ORA(?:X|C(?!.*SPINE))|LUNG|CHST|CXR")
# Body parts of PS3.16 annex L and what machines write for them; parts of the chest that a chest X-ray is taken for are
# left out.
_OTHER_PARTS = (
    *("ABDOMEN", "ABDOMENPELVIS", "ANKLE", "ARM", "BLADDER", "BRAIN", "BREAST", "BUTTOCK", "CALCANEUS"),
    *("CALF", "CERVICAL", "CLAVICLE", "COCCYX", "COLON", "CSPINE", "CTSPINE", "DENTAL", "EAR", "ELBOW"),
    *("ESOPHAGUS", "EXTREMITY", "EYE", "FACE", "FEMUR", "FINGER", "FOOT", "FOREARM", "GALLBLADDER", "HAND"),
    *("HEAD", "HEADNECK", "HIP", "HUMERUS", "IAC", "ILIUM", "JAW", "KIDNEY", "KNEE", "KUB", "LARYNX", "LEG"),
    *("LSPINE", "LSSPINE", "LUMBAR", "LUMBOSACRAL", "MANDIBLE", "MASTOID", "MAXILLA", "MOUTH", "NASAL"),
    *("NECK", "NOSE", "ORBIT", "PATELLA", "PELVIS", "PHARYNX", "RADIUS", "RIB", "RIBS", "SACRUM", "SCAPULA"),
    *("SELLA", "SHOULDER", "SINUS", "SINUSES", "SKULL", "SPINE", "SSPINE", "STERNUM", "STOMACH", "TEETH"),
    *("THIGH", "THUMB", "TIBIA", "TLSPINE", "TMJ", "TOE", "TSPINE", "ULNA", "UPPERARM", "LOWERLEG", "UTERUS"),
    *("WRIST", "ZYGOMA"),
)
_SIDES = {"L": "left", "R": "right"}


def header_reasons(dataset: Dataset) -> tuple[str, ...]:
    """Return plain sentences why a header, as `open_dicom` returns it, tells of no frontal chest X-ray for reading."""
    reasons = (_of_purpose, _of_body_part, _of_view, _of_orientation, _of_side, _of_animal)
    return tuple(reason for find in reasons if (reason := find(dataset)))


def _of_purpose(dataset: Dataset) -> str | None:
    raw = dataset.get("SOPClassUID") == uid.DigitalXRayImageStorageForProcessing
    if _word(dataset, "PresentationIntentType") == "FOR PROCESSING" or (
        raw and "PresentationIntentType" not in dataset
    ):
        return "The file says that it holds raw detector values for processing, not a picture for reading."
    return None


def _of_body_part(dataset: Dataset) -> str | None:
    named = _word(dataset, "BodyPartExamined")
    if _CHEST.search(named):
        return None
    words = re.split(r"[^A-Z]+", named)
    part = next((word for word in (*words, "".join(words)) if word in _OTHER_PARTS), None)
    return part and f"The file says that it shows another body part than the chest ({part})."


def _of_view(dataset: Dataset) -> str | None:
    view = _word(dataset, "ViewPosition")
    return (
        f"The file says that it is a view {_OTHER_VIEWS[view]} ({view}), not a frontal one."
        if view in _OTHER_VIEWS
        else None
    )


def _of_orientation(dataset: Dataset) -> str | None:
    found = directions(dataset)
    if found is None or is_frontal(*found):
        return None
    return (
        "The file says that its picture lies along the patient's depth "
        f"(patient orientation {'/'.join(found)}), as no frontal view does."
    )


def _of_side(dataset: Dataset) -> str | None:
    """Answer for one side only: both lungs lie on a frontal chest X-ray.

    Laterality is about a whole series, in which a machine may mark anything; it counts only where no frontal view is
    named.
    """
    side = _word(dataset, "ImageLaterality")
    if not side and _word(dataset, "ViewPosition") not in ("PA", "AP"):
        side = _word(dataset, "Laterality")
    return f"The file says that it shows the {_SIDES[side]} side only, not both lungs." if side in _SIDES else None


def _of_animal(dataset: Dataset) -> str | None:
    animal = _word(dataset, "AnatomicalOrientationType") == "QUADRUPED"
    return "The file says that it shows an animal on four legs." if animal else None


def _word(dataset: Dataset, keyword: str) -> str:
    """Return an element's text in capitals, empty where it is missing or is not one text."""
    value = dataset.get(keyword)
    return value.strip().upper() if isinstance(value, str) else ""
