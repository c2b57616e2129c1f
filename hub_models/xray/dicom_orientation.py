"""Which way a DICOM radiograph hangs: a frontal chest shows the patient's left on the right, and the feet below.

Only PatientOrientation (PS3.3 C.7.6.1.1.1) says how the stored rows and columns lie in the patient. FieldOfViewRotation
and FieldOfViewHorizontalFlip (PS3.3 C.8.11.4) are left alone: they tell what the machine did to the detector's picture
before it stored it, not what a viewer has to do, and PatientOrientation is already about the stored picture.
"""

import re

from pydicom.dataset import Dataset

from hub_models.xray.placement import Placement

_DIRECTION = re.compile(r"[ARLPHF]{1,3}")
_AXES = {"L": "side", "R": "side", "F": "height", "H": "height", "A": "depth", "P": "depth"}
_PLACES = {"L": "left", "R": "right", "F": "feet", "H": "head", "A": "front", "P": "back"}


def directions(dataset: Dataset) -> tuple[str, str] | None:
    """Return the way that the rows and the columns run, each a letter of A, P, L, R, H and F; None if it is not told.

    Of an oblique direction only the first, principal letter counts.
    """
    value = dataset.get("PatientOrientation")
    if isinstance(value, str) or value is None or len(value) != 2:
        return None
    if not all(isinstance(one, str) and _DIRECTION.fullmatch(one) for one in value):
        return None
    across, down = value[0][0], value[1][0]
    return None if _AXES[across] == _AXES[down] else (across, down)


def is_frontal(across: str, down: str) -> bool:
    """Tell whether rows and columns run along the patient's width and height, as seen from the front or the back."""
    return {_AXES[across], _AXES[down]} == {"side", "height"}


def placement(across: str, down: str) -> Placement:
    """Return how a frontal view has to lie for its rows to run to the patient's left, its columns to the feet."""
    transposed = _AXES[across] == "height"
    if transposed:
        across, down = down, across
    return Placement(transposed, rows_reversed=down != "F", columns_reversed=across != "L")


def describe_turn(across: str, down: str) -> str | None:
    """Return a sentence that says how `placement` changes a frontal picture, None where it leaves it as it is."""
    if (across, down) == ("L", "F"):
        return None
    if _AXES[across] == "height":
        # A transposed picture is turned by a quarter, and mirrored too if both directions are the usual ones.
        done = (
            "mirrored and turned by a quarter" if (across, down) in (("F", "L"), ("H", "R")) else "turned by a quarter"
        )
    else:
        done = {("R", "F"): "mirrored", ("L", "H"): "mirrored upside down", ("R", "H"): "turned by a half"}[
            across, down
        ]
    return (
        f"The picture was {done} before it was read: its header says that its rows run to the patient's "
        f"{_PLACES[across]} and its columns to the patient's {_PLACES[down]}."
    )
