#!/usr/bin/env bash
# imagecodecs writes 16-bit values into a "lossless" JPEG of 12 bits, and with predictors 5 to 7 they are lost.
#
# jpeg8_encode(..., lossless=True) takes any uint16 array and reads it back equal with predictors 1 to 4, so that a
# round trip looks right. But unless bitspersample=16 is given, the header says 12 bits a value: other decoders
# (DCMTK) cut the values to 12 bits, and with predictors 5, 6 and 7 most values come back wrong even to imagecodecs
# itself. No error, no warning. Give bitspersample=16.
#
# Output seen:
#   imagecodecs 2026.3.6, numpy 2.4.6
#   bitspersample not given: header says 12 bits; predictor 1: 0 of 65536 values differ; predictor 7: 30661 differ
#   bitspersample=16: header says 16 bits; predictor 1: 0 of 65536 values differ; predictor 7: 0 differ
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check imagecodecs==2026.3.6 numpy==2.4.6
"$folder/venv/bin/python" - <<'PYTHON'
import imagecodecs
import numpy as np

picture = (np.add.outer(np.arange(256) * 200, np.arange(256) * 57)).astype(np.uint16)


def trial(predictor, **options):
    """Return the bits that the header says, and how many values come back wrong."""
    stream = imagecodecs.jpeg8_encode(picture, lossless=True, predictor=predictor, **options)
    bits = stream[stream.index(b"\xff\xc3") + 4]
    return bits, int((imagecodecs.jpeg8_decode(stream) != picture).sum())


print(f"imagecodecs {imagecodecs.__version__}, numpy {np.__version__}")
found = {}
for name, options in (("bitspersample not given", {}), ("bitspersample=16", {"bitspersample": 16})):
    (bits, first), (_, last) = trial(1, **options), trial(7, **options)
    found[name] = bits, first, last
    print(
        f"{name}: header says {bits} bits; predictor 1: {first} of {picture.size} values differ; "
        f"predictor 7: {last} differ"
    )
bits, first, last = found["bitspersample not given"]
assert (bits, first) == (12, 0) and last > 1000, "16-bit values are no longer lost without a word"
assert found["bitspersample=16"] == (16, 0, 0)
PYTHON
