#!/usr/bin/env bash
# pydicom's apply_windowing turns a picture into its negative if the rescale slope is negative.
#
# PS3.3 C.11.2.1.2 defines a window as a ramp that rises with the output of the rescaling, from the smallest to the
# largest grey, whatever line led there. Agfa's CR units write slopes of -10. pydicom takes its largest and smallest
# grey from the slope's two ends without ordering them, so that a negative slope exchanges black and white. No error,
# no warning. DCMTK's dcm2pnm and the standard's formula give the rising ramp.
#
# Output seen:
#   pydicom 3.0.2, numpy 2.4.6
#   values after rescaling  [4095 3072 2048 1024    0]
#   the standard's greys    [1.   0.75 0.5  0.25 0.  ]
#   pydicom, slope -1       [0.   0.25 0.5  0.75 1.  ]
#   pydicom, slope +1       [1.   0.75 0.5  0.25 0.  ]
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels import apply_rescale, apply_windowing


def header(slope, intercept):
    dataset = Dataset()
    dataset.PhotometricInterpretation, dataset.PixelRepresentation = "MONOCHROME2", 0
    dataset.BitsStored, dataset.RescaleSlope, dataset.RescaleIntercept = 12, slope, intercept
    dataset.WindowCenter, dataset.WindowWidth = 2048, 4096
    return dataset


def unit(greys):
    return ((greys - greys.min()) / np.ptp(greys)).round(2)


stored = np.array([0, 1023, 2047, 3071, 4095], np.uint16)
falling, rising = header(-1, 4095), header(1, 0)
values = apply_rescale(stored, falling)
standard = np.clip((values - 2047.5) / 4095 + 0.5, 0, 1).round(2)
fallen = unit(apply_windowing(values, falling))
risen = unit(apply_windowing(values, rising))  # the same values, said to come from a rising line
print(f"pydicom {pydicom.__version__}, numpy {np.__version__}")
print("values after rescaling ", values.astype(int))
print("the standard's greys   ", standard)
print("pydicom, slope -1      ", fallen)
print("pydicom, slope +1      ", risen)
assert np.array_equal(risen, standard), "a rising slope is no longer right"
assert np.array_equal(fallen, 1 - standard), "a negative slope no longer inverts the picture"
PYTHON
