import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hub_models.xray.images import ImageRefused, read_image
from tests.support.bad_files import BAD, GOOD, encoded, xray

ROOT = Path(__file__).parents[2]
READ_ALL = """
import json, re, sys, time
from pathlib import Path
from hub_models.xray.images import ImageRefused, read_image

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1000

good, bad = json.load(sys.stdin)
for path in good:
    read_image(path)
before, seconds = peak(), {}
for name, path in bad.items():
    start = time.process_time()
    try:
        read_image(path)
    except ImageRefused:
        seconds[name] = time.process_time() - start
print(json.dumps({"megabytes": peak() - before, "seconds": seconds}))
"""


@pytest.mark.parametrize("name", BAD)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # Pillow's word on a cut TIFF
def test_what_is_no_xray_is_refused_in_one_sentence(name, tmp_path):
    with pytest.raises(ImageRefused) as refusal:
        read_image(BAD[name](tmp_path))
    sentence = str(refusal.value)
    assert sentence.isprintable()  # no line breaks, no terminal colours
    assert sentence.endswith(".")
    assert 40 < len(sentence) < 300
    assert not any(word in sentence for word in ("Traceback", "Error", "errno", "site-packages", "0x", "None"))


def test_the_wardrobe_is_well_filled():
    assert len(BAD) > 100
    assert len(GOOD) > 30


@pytest.mark.skipif(sys.platform != "linux", reason="memory is measured as Linux tells it")
def test_bad_files_take_neither_long_nor_much_memory(tmp_path):
    places = {name: tmp_path / str(number) for number, name in enumerate(BAD)}
    for place in places.values():
        place.mkdir()
    bad = {name: str(BAD[name](place)) for name, place in places.items()}
    good = [str(GOOD[name](tmp_path)) for name in ("PNG", "JPEG", "WebP", "TIFF in LZW", "DICOM", "DICOM in JPEG 2000")]
    command = [sys.executable, "-c", READ_ALL]
    process = subprocess.run(
        command, cwd=ROOT, input=json.dumps([good, bad]), capture_output=True, text=True, check=True
    )
    measured = json.loads(process.stdout)
    assert measured["seconds"].keys() == BAD.keys()
    assert max(measured["seconds"].values()) < 2  # of the processor's time, so that a busy machine does not matter
    assert measured["megabytes"] < 150


@pytest.mark.parametrize("name", GOOD)
def test_a_good_file_of_an_odd_kind_shows_the_same_xray(name, tmp_path):
    image = read_image(GOOD[name](tmp_path))
    difference = np.abs(image - read_image(xray()))
    assert difference.max() < 0.1
    assert difference.mean() < 0.01


def test_a_picture_of_black_and_white_dots_has_the_greys_that_they_make():
    dots = read_image(encoded(Image.fromarray(xray()).convert("1")))
    areas = [picture.reshape(16, 16, 16, 16).mean(axis=(1, 3)) for picture in (dots, xray() / 255)]
    assert np.abs(areas[0] - areas[1]).max() < 0.03
