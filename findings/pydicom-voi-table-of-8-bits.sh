#!/usr/bin/env bash
# pydicom looks up the wrong entries of a VOI LUT of 8 bits a value, or fails, if it has more than 256 entries.
#
# PS3.3 C.11.2.1.1 allows tables of 8 bits a value for 12-bit pictures: 4096 entries, of a byte each (two to a word)
# or, as many machines write it, of a word each. pydicom counts the entries of such a table in 8 bits. With a word
# an entry, the values beyond the 256th come from the wrong place without an error or a warning; with two entries to
# a word, apply_voi_lut raises an error that does not name the table. DCMTK's dcm2pnm shows both right.
#
# Output seen:
#   pydicom 3.0.2, numpy 2.4.6
#   stored values             [   0  100  255 1000 2000 4095]
#   entries of the table      [  0   6  15  62 125 255]
#   a word an entry           [ 0  6 15 14 13 15]
#   two entries to a word     error: unpack_from requires a buffer of at least 8192 bytes for unpacking 8192 bytes at offset 0 (actual buffer size is 4096)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pydicom==3.0.2 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import struct

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_voi_lut

table = (np.arange(4096) // 16).astype(np.uint8)
stored = np.array([0, 100, 255, 1000, 2000, 4095], np.uint16)


def look_up(vr, data):
    item, dataset = Dataset(), Dataset()
    item.add_new("LUTDescriptor", "US", [4096, 0, 8])
    item.add_new("LUTData", vr, data)
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.set_original_encoding(False, True)
    item.set_original_encoding(False, True)
    dataset.VOILUTSequence, dataset.PixelRepresentation, dataset.BitsStored = [item], 0, 12
    return apply_voi_lut(stored, dataset)


print(f"pydicom {pydicom.__version__}, numpy {np.__version__}")
print("stored values            ", stored)
print("entries of the table     ", table[stored])
found = look_up("US", table.astype(int).tolist())
print("a word an entry          ", found)
try:
    failed = False
    print("two entries to a word    ", look_up("OW", table.tobytes()))
except struct.error as error:
    failed = True
    print("two entries to a word     error:", error)
assert np.array_equal(found[:3], table[stored[:3]]), "the first 256 entries are no longer right"
assert not np.array_equal(found, table[stored]), "the entries beyond the 256th are right now"
assert failed, "two entries to a word are read now"
PYTHON
