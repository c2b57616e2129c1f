"""Bad files as people drop them on a page, and good ones of odd kinds: name -> function that writes it into a folder.

The good ones all show `xray()`. Nothing here is a real X-ray or a real person's name.
"""

import gzip
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path

import imagecodecs
import numpy as np
from PIL import Image
from PIL.TiffImagePlugin import PHOTOMETRIC_INTERPRETATION
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate

from hub_models.xray.phantom import draw_phantom

Writer = Callable[[Path], Path]
PATIENT = "Mustermann^Erika"
"""In the header of every DICOM file made here; no message and no log line may hold it."""
ITEMS = (
    b"\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff",
    b"\xfe\xff\x00\xe0\0\0\0\0",
    b"\xfe\xff\xdd\xe0\0\0\0\0",
    b"\xfe\xff\x00\xe0\xff\xff\xff\xff",
)
"""Of a DICOM sequence: its beginning, an empty item, its end, the beginning of an item."""
ADAM7 = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))


@cache
def xray() -> np.ndarray:
    """The picture that all good files show, uint8 (256, 256)."""
    return draw_phantom(1, size=256).image


def fine() -> np.ndarray:
    """`xray()` in 16 bits, uint16 (256, 256)."""
    return xray().astype(np.uint16) * 257


def encoded(picture: Image.Image | np.ndarray, file_format: str = "PNG", **options) -> bytes:
    """The bytes of a picture's file as Pillow writes it."""
    stream = BytesIO()
    picture = Image.fromarray(picture) if isinstance(picture, np.ndarray) else picture
    picture.save(stream, file_format, **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG, with its checksum."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, data: bytes, depth: int = 8, colour: int = 0, interlaced: int = 0) -> bytes:
    """A PNG of which Pillow would not write the like; `data` are its filtered rows, compressed."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def rows(pixels: np.ndarray) -> bytes:
    """The rows of a PNG before compression, none of them filtered."""
    return b"".join(b"\0" + row.tobytes() for row in pixels)


def interlaced_png() -> bytes:
    passes = b"".join(rows(xray()[top::down, left::across]) for top, left, down, across in ADAM7)
    return png(256, 256, zlib.compress(passes), interlaced=1)


def deep_png() -> bytes:
    """A PNG of 16 bits in each of three colours."""
    return png(256, 256, zlib.compress(rows(np.repeat(fine()[:, :, None], 3, axis=2).astype(">u2"))), 16, 2)


def flat_png(side: int) -> bytes:
    """A square PNG of zeros: a file of a thousandth of its pixels."""
    packer, row = zlib.compressobj(9), bytes(side + 1)
    return png(side, side, b"".join(packer.compress(row) for _ in range(side)) + packer.flush())


def changed(data: bytes, at: int, new: bytes) -> bytes:
    """The same bytes but for some."""
    return data[:at] + new + data[at + len(new) :]


def packed_text(count: int) -> bytes:
    """A PNG with a text of so many letters, a thousandth of that when compressed."""
    plain = encoded(xray())
    return plain[:33] + chunk(b"zTXt", b"Comment\0\0" + zlib.compress(b"a" * count, 9)) + plain[33:]


def sized_jpeg(width: int, height: int) -> bytes:
    """A JPEG whose header gives another size than its pixels have."""
    return resized(encoded(xray(), "JPEG"), width, height)


def resized(jpeg: bytes, width: int, height: int) -> bytes:
    """The same JPEG of 8 or 12 bits, or JPEG-LS, with another size in its header."""
    start = max(jpeg.find(b"\xff" + marker) for marker in (b"\xc0\0", b"\xc1\0", b"\xf7\0"))
    return changed(jpeg, start + 5, struct.pack(">HH", height, width))


def long_gif(frames: int) -> bytes:
    """A GIF of so many frames of one pixel each."""
    plain = encoded(xray(), "GIF")
    return plain[:-1] + (b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02D\x01\0") * frames + b";"


def not_finite(value: float) -> bytes:
    """A TIFF of floats, some of which are no numbers."""
    return encoded(np.where(xray() > 200, np.float32(value), xray().astype(np.float32)), "TIFF")


def several(file_format: str, **options) -> bytes:
    """Two frames, or pages."""
    second = Image.fromarray(xray()[::-1].copy())
    return encoded(xray(), file_format, save_all=True, append_images=[second], **options)


def tiff(tags: dict[int, int | None], following: int = 0) -> bytes:
    """A TIFF of `xray()` with some tags set to other numbers or left out, and the place of a further directory."""
    usual = {256: 256, 257: 256, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 256, 279: 65536}
    entries = sorted((tag, value) for tag, value in (usual | tags).items() if value is not None)
    directory = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    ends = struct.pack("<H", len(entries)), struct.pack("<I", following)
    return b"II*\0" + struct.pack("<I", 65544) + xray().tobytes() + ends[0] + directory + ends[1]


def tiff_of(data: bytes, tags: dict[int, list[int]], width: int = 256, height: int = 256) -> bytes:
    """A TIFF of these pixels in one strip, with some tags set to other numbers."""
    usual = {256: [width], 257: [height], 258: [16], 259: [1], 262: [1], 273: [8], 277: [1], 278: [height]}
    entries = sorted((usual | {279: [len(data)]} | tags).items())
    start = 8 + len(data)
    place, directory, beyond = start + 2 + 12 * len(entries) + 4, b"", b""
    for tag, numbers in entries:
        value = struct.pack(f"<{len(numbers)}I", *numbers)
        if len(numbers) > 1:
            value, beyond = struct.pack("<I", place + len(beyond)), beyond + value
        directory += struct.pack("<HHI", tag, 4, len(numbers)) + value
    return b"II*\0" + struct.pack("<I", start) + data + struct.pack("<H", len(entries)) + directory + bytes(4) + beyond


def dicom(pixels: np.ndarray | bytes, syntax: str = uid.ExplicitVRLittleEndian, **elements) -> bytes:
    """A DICOM file of a chest X-ray from an array, or of `xray()` compressed; an element that is None is left out."""
    stored = xray() if isinstance(pixels, bytes) else pixels
    dataset, bits = Dataset(), 8 * stored.dtype.itemsize
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = uid.DigitalXRayImageStorageForPresentation
    dataset.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    dataset.PatientName, dataset.Modality, dataset.PhotometricInterpretation = PATIENT, "DX", "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.SamplesPerPixel, dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 1, bits, bits, bits - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    dataset.PixelData = encapsulate([pixels]) if isinstance(pixels, bytes) else pixels.tobytes()
    dataset["PixelData"].VR = "OW" if bits == 16 else "OB"
    dataset["PixelData"].is_undefined_length = isinstance(pixels, bytes)
    for keyword, value in elements.items():
        if value is None:
            delattr(dataset, keyword)
        else:
            setattr(dataset, keyword, value)
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def deep_dicom(frame: bytes, syntax: str, **elements) -> bytes:
    """A DICOM file of `fine()` compressed: 16 bits a pixel."""
    return dicom(frame, syntax, **{"BitsAllocated": 16, "BitsStored": 16, "HighBit": 15, **elements})


def deflated_bomb() -> bytes:
    """A deflated DICOM file of 180 megabytes of zeros."""
    data = dicom(xray(), uid.DeflatedExplicitVRLittleEndian)
    start = len(dicom(xray())) - len(dicom(xray())[132:])
    start += 12 + struct.unpack_from("<I", data, start + 8)[0]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = zlib.decompress(data[start:], -zlib.MAX_WBITS)[: -xray().size]
    return data[:start] + packer.compress(head) + packer.compress(bytes(180_000_000)) + packer.flush()


def two_jpegs() -> bytes:
    """A DICOM file of two frames that does not say how many there are."""
    frames = [encoded(xray(), "JPEG"), encoded(xray()[::-1].copy(), "JPEG")]
    return dicom(frames[0], uid.JPEGBaseline8Bit, PixelData=encapsulate(frames))


def dicomdir() -> bytes:
    return dicom(xray(), PixelData=None).replace(
        b"1.2.840.10008.5.1.4.1.1.1.1\0", b"1.2.840.10008.1.3.10\0\0\0\0\0\0\0\0"
    )


def table(entries: int, depth: int, data: list[int]) -> list[Dataset]:
    """A look-up table of a DICOM file, for stored values from 0."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [entries, 0, depth])
    item.add_new("LUTData", "US", data)
    return [item]


def laced(blob: bytes) -> bytes:
    """A DICOM file with something in front of its patient's name."""
    data = dicom(xray())
    at = data.index(b"\x10\0\x10\0PN")
    return data[:at] + blob + data[at:]


def zipped(content: bytes) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xray.png", content)
    return stream.getvalue()


@cache
def streams() -> dict[str, bytes]:
    """`fine()`, in 16 or 12 bits, as codestreams of the kinds that Pillow does not write."""
    twelve = fine() >> 4
    return {
        "JPEG 2000": imagecodecs.jpeg2k_encode(fine(), codecformat="j2k", reversible=True),
        "high-throughput JPEG 2000": imagecodecs.htj2k_encode(fine(), reversible=True),
        "JPEG-LS": imagecodecs.jpegls_encode(fine()),
        "lossless JPEG": imagecodecs.jpeg8_encode(fine(), lossless=True, predictor=5, bitspersample=16),
        "JPEG of 12 bits": imagecodecs.jpeg8_encode(twelve, level=98, bitspersample=12),
    }


def scans() -> bytes:
    """A progressive JPEG whose last scan is repeated 5,000 times."""
    data = encoded(xray(), "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * 5_000 + data[-2:]


def deep_tiff() -> bytes:
    """A TIFF of 16 bits in each of three colours."""
    pixels = np.repeat(fine()[:, :, None], 3, axis=2).tobytes()
    return tiff_of(pixels, {258: [16] * 3, 262: [2], 277: [3]})


def rle(cells: np.ndarray) -> bytes:
    """PS3.5 annex G: the bytes of the cells as planes, the high one first, each packed without looking for runs."""
    planes = cells.astype(f">u{cells.dtype.itemsize}").view(np.uint8).reshape(cells.size, -1).T
    parts = [[plane[at : at + 128].tobytes() for at in range(0, cells.size, 128)] for plane in planes]
    packed = [b"".join(bytes([len(part) - 1]) + part for part in plane) for plane in parts]
    packed = [plane + b"\0" * (len(plane) % 2) for plane in packed]
    places = np.cumsum([64, *map(len, packed)])[:-1]
    return struct.pack("<16I", len(packed), *places, *[0] * (15 - len(packed))) + b"".join(packed)


def rle_bomb() -> bytes:
    """A segment of a megabyte that unpacks to 64."""
    return struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * 500_000


def noise(count: int) -> bytes:
    """Bytes without any meaning, the same ones each time."""
    return np.random.default_rng(0).bytes(count)


def file(name: str, make: Callable[[], bytes]) -> Writer:
    """What writes these bytes under this name, which may lead through folders."""

    def write(folder: Path) -> Path:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(make())
        return path

    return write


def folder_in_place(folder: Path) -> Path:
    path = folder / "xray.png"
    path.mkdir()
    return path


def gigabyte(folder: Path) -> Path:
    """A DICOM file that goes on and on; it takes no room on the disk."""
    path = file("large.dcm", lambda: dicom(xray()))(folder)
    with path.open("r+b") as stream:
        stream.truncate(10**9)
    return path


PICTURES: dict[str, Writer] = {
    "PNG cut": file("cut.png", lambda: encoded(xray())[:9000]),
    "PNG cut in its header": file("cut.png", lambda: encoded(xray())[:20]),
    "PNG without pixels": file("none.png", lambda: png(256, 256, b"")),
    "PNG of no width": file("none.png", lambda: png(0, 256, zlib.compress(b""))),
    "PNG with a broken checksum": file("crc.png", lambda: changed(encoded(xray()), 29, b"\1\2\3\4")),
    "PNG with a broken zlib stream": file("zlib.png", lambda: png(256, 256, noise(5000))),
    "PNG of an unknown depth": file("depth.png", lambda: png(256, 256, zlib.compress(rows(xray())), depth=9)),
    "PNG with a text of 5 megabytes": file("text.png", lambda: packed_text(5_000_000)),
    "PNG of 900 megapixels": file("huge.png", lambda: png(30_000, 30_000, zlib.compress(bytes(30_000)))),
    "PNG of 51 megapixels": file("large.png", lambda: png(10_000, 5_100, zlib.compress(bytes(10_000)))),
    "PNG that unpacks to a thousand times its size": file("flat.png", lambda: flat_png(4_000)),
    "animated PNG": file("moving.png", lambda: several("PNG")),
    "1 x 1": file("dot.png", lambda: encoded(np.zeros((1, 1), np.uint8))),
    "1 x 5000": file("line.png", lambda: encoded(np.zeros((5000, 1), np.uint8))),
    "all black": file("black.png", lambda: encoded(np.zeros((256, 256), np.uint8))),
    "all white": file("white.jpg", lambda: encoded(np.full((256, 256), 255, np.uint8), "JPEG")),
    "all transparent": file("clear.png", lambda: encoded(Image.new("RGBA", (256, 256), (200, 10, 30, 0)))),
    "JPEG cut": file("cut.jpg", lambda: encoded(xray(), "JPEG")[:4000]),
    "JPEG of two bytes": file("two.jpg", lambda: b"\xff\xd8"),
    "JPEG of noise after its beginning": file("noise.jpg", lambda: encoded(xray(), "JPEG")[:20] + noise(5000)),
    "JPEG of 4 gigapixels": file("huge.jpg", lambda: sized_jpeg(65_500, 65_500)),
    "JPEG of no height": file("none.jpg", lambda: sized_jpeg(256, 0)),
    "JPEG 2000 cut": file("cut.jp2", lambda: encoded(fine(), "JPEG2000")[:9000]),
    "JPEG 2000 of noise after its beginning": file("noise.j2k", lambda: streams()["JPEG 2000"][:60] + noise(5000)),
    "JPEG 2000 of 4 gigapixels": file("huge.j2k", lambda: changed(streams()["JPEG 2000"], 8, b"\0\0\xff\xff" * 2)),
    "JPEG 2000 larger than its tiles": file(
        "larger.j2k", lambda: changed(streams()["JPEG 2000"], 8, b"\0\0\x1b\x58" * 2)[:-2]
    ),
    "JPEG-LS cut": file("cut.jls", lambda: streams()["JPEG-LS"][:9000]),
    "JPEG-LS of 4 gigapixels": file("huge.jls", lambda: resized(streams()["JPEG-LS"], 65_500, 65_500)),
    "lossless JPEG cut": file("cut.jpg", lambda: streams()["lossless JPEG"][:9000]),
    "lossless JPEG of noise after its beginning": file(
        "noise.jpg", lambda: streams()["lossless JPEG"][:200] + noise(999)
    ),
    "JPEG of 12 bits cut": file("cut.jpg", lambda: streams()["JPEG of 12 bits"][:9000]),
    "JPEG of 12 bits and 4 gigapixels": file("huge.jpg", lambda: resized(streams()["JPEG of 12 bits"], 65_500, 65_500)),
    "JPEG of 5,000 scans": file("scans.jpg", scans),
    "hierarchical JPEG": file("pyramid.jpg", lambda: encoded(xray(), "JPEG").replace(b"\xff\xc0", b"\xff\xc5")),
    "PNG of 16 bits in three colours, cut": file("cut.png", lambda: deep_png()[:9000]),
    "TIFF of three colours of 16 bits, cut": file("cut.tif", lambda: deep_tiff()[:30_000]),
    "GIF cut": file("cut.gif", lambda: encoded(xray(), "GIF")[:5000]),
    "GIF without a frame": file("none.gif", lambda: encoded(xray(), "GIF")[:781] + b";"),
    "GIF of 4 gigapixels": file("huge.gif", lambda: changed(encoded(xray(), "GIF"), 6, b"\xff" * 4)),
    "GIF of two frames": file("moving.gif", lambda: several("GIF")),
    "GIF of 100,000 frames": file("long.gif", lambda: long_gif(100_000)),
    "WebP cut": file("cut.webp", lambda: encoded(xray(), "WEBP")[:2000]),
    "WebP of 268 megapixels": file("huge.webp", lambda: changed(encoded(xray(), "WEBP"), 26, b"\xff\x3f\xff\x3f")),
    "animated WebP": file("moving.webp", lambda: several("WEBP")),
    "BMP cut": file("cut.bmp", lambda: encoded(xray(), "BMP")[:5000]),
    "BMP of a negative width": file("negative.bmp", lambda: changed(encoded(xray(), "BMP"), 18, b"\0\xff\xff\xff")),
    "BMP of a negative height": file("upward.bmp", lambda: changed(encoded(xray(), "BMP"), 22, b"\0\0\0\x80")),
    "BMP of 2 billion rows": file("huge.bmp", lambda: changed(encoded(xray(), "BMP"), 22, b"\xff\xff\xff\x7f")),
    "BMP of a billion colours": file("colours.bmp", lambda: changed(encoded(xray(), "BMP"), 46, b"\0\0\0\x40")),
    "TIFF cut": file("cut.tif", lambda: encoded(xray(), "TIFF", compression="tiff_lzw")[:5000]),
    "TIFF of NaN": file("nan.tif", lambda: not_finite(np.nan)),
    "TIFF of infinity": file("infinite.tif", lambda: not_finite(np.inf)),
    "TIFF of two pages": file("pages.tif", lambda: several("TIFF")),
    "TIFF whose first page is its next": file("loop.tif", lambda: tiff({273: 2**31}, following=65544)),
    "TIFF whose next page is nowhere": file("nowhere.tif", lambda: tiff({}, following=2**31)),
    "TIFF with pixels behind its end": file("offset.tif", lambda: tiff({273: 2**31})),
    "TIFF of 10 gigapixels": file("huge.tif", lambda: tiff({256: 100_000, 257: 100_000})),
    "TIFF of huge tiles": file(
        "tiles.tif", lambda: tiff({322: 2**30, 323: 2**30, 324: 8, 325: 65536, 273: None, 278: None, 279: None})
    ),
    "TIFF of an unknown compression": file("how.tif", lambda: tiff({259: 9999})),
    "TIFF in LAB": file("lab.tif", lambda: encoded(Image.new("LAB", (256, 256)), "TIFF")),
}

DICOMS: dict[str, Writer] = {
    "DICOM of 128 zeros and its mark": file("mark.dcm", lambda: bytes(128) + b"DICM"),
    "DICOM of noise": file("noise.dcm", lambda: bytes(128) + b"DICM" + noise(5000)),
    "DICOM without its mark, of noise": file("mark.dcm", lambda: dicom(xray())[132:160] + noise(5000)),
    "DICOM without its mark, cut": file("cut.dcm", lambda: dicom(xray())[132:400]),
    "DICOM without pixels": file("none.dcm", lambda: dicom(xray(), PixelData=None)),
    "DICOM of no pixel bytes": file("none.dcm", lambda: dicom(xray(), PixelData=b"")),
    "DICOM without a number of rows": file("rows.dcm", lambda: dicom(xray(), Rows=None)),
    "DICOM with a number of rows in three bytes": file(
        "rows.dcm", lambda: dicom(xray()).replace(b"\x28\0\x10\0US\2\0", b"\x28\0\x10\0US\3\0\0")
    ),
    "DICOM cut in its header": file("cut.dcm", lambda: dicom(xray())[:300]),
    "DICOM cut in its pixels": file("cut.dcm", lambda: dicom(xray())[:30_000]),
    "DICOM with half the pixels": file("half.dcm", lambda: dicom(xray(), Rows=512)),
    "DICOM with twice the pixels": file("twice.dcm", lambda: dicom(xray(), Rows=128)),
    "DICOM of 4 gigapixels": file("huge.dcm", lambda: dicom(xray(), Rows=65_535, Columns=65_535)),
    "DICOM of no rows": file("flat.dcm", lambda: dicom(xray(), Rows=0)),
    "DICOM all of one grey": file("grey.dcm", lambda: dicom(np.full((256, 256), 900, np.uint16))),
    "DICOM of 32 bits": file("deep.dcm", lambda: dicom(xray().astype(np.uint32))),
    "DICOM of two frames": file("frames.dcm", lambda: dicom(np.stack([xray(), xray()]), NumberOfFrames=2)),
    "DICOM of a billion frames": file("frames.dcm", lambda: dicom(xray(), NumberOfFrames=10**9)),
    "ultrasound in colour": file(
        "us.dcm", lambda: dicom(xray(), Modality="US", PhotometricInterpretation="RGB", SamplesPerPixel=3)
    ),
    "DICOM in colour": file("rgb.dcm", lambda: dicom(xray(), PhotometricInterpretation="RGB", SamplesPerPixel=3)),
    "DICOM with a palette": file("palette.dcm", lambda: dicom(xray(), PhotometricInterpretation="PALETTE COLOR")),
    "CT slice": file("ct.dcm", lambda: dicom(fine().astype(np.int16), Modality="CT")),
    "MR slice": file("mr.dcm", lambda: dicom(fine(), Modality="MR")),
    "report in DICOM": file("sr.dcm", lambda: dicom(xray(), Modality="SR", PixelData=None)),
    "DICOM of a made-up modality": file("modality.dcm", lambda: dicom(xray(), Modality="MUSTERMANN")),
    "DICOM in JPEG-LS": file("ls.dcm", lambda: dicom(noise(5000), uid.JPEGLSLossless)),
    "DICOM in lossless JPEG": file("lossless.dcm", lambda: dicom(noise(5000), uid.JPEGLosslessSV1)),
    "DICOM in RLE": file("rle.dcm", lambda: dicom(noise(5000), uid.RLELossless)),
    "DICOM in MPEG": file("mpeg.dcm", lambda: dicom(noise(5000), uid.MPEG2MPML)),
    "DICOM in a made-up syntax": file("syntax.dcm", lambda: dicom(xray()).replace(b"10008.1.2.1\0", b"10008.9.9.9\0")),
    "DICOM that inflates to 9 megabytes": file(
        "deflated.dcm", lambda: dicom(np.zeros((3000, 3000), np.uint8), uid.DeflatedExplicitVRLittleEndian)
    ),
    "DICOM that inflates to 180 megabytes": file("deflated.dcm", deflated_bomb),
    "deflated DICOM cut": file("cut.dcm", lambda: dicom(xray(), uid.DeflatedExplicitVRLittleEndian)[:9000]),
    "DICOM of a gigabyte": gigabyte,
    "DICOM in RLE that unpacks to 64 megabytes": file("bomb.dcm", lambda: dicom(rle_bomb(), uid.RLELossless)),
    "DICOM in RLE cut": file("cut.dcm", lambda: dicom(rle(xray())[:9000], uid.RLELossless)),
    "DICOM in RLE with a segment outside": file(
        "out.dcm", lambda: dicom(changed(rle(xray()), 4, struct.pack("<I", 10**9)), uid.RLELossless)
    ),
    "DICOM of a cut lossless JPEG": file(
        "cut.dcm", lambda: deep_dicom(streams()["lossless JPEG"][:9000], uid.JPEGLossless)
    ),
    "DICOM of a cut JPEG of 12 bits": file(
        "cut.dcm", lambda: deep_dicom(streams()["JPEG of 12 bits"][:9000], uid.JPEGExtended12Bit)
    ),
    "DICOM of a cut JPEG-LS": file("cut.dcm", lambda: deep_dicom(streams()["JPEG-LS"][:9000], uid.JPEGLSLossless)),
    "DICOM of a cut JPEG 2000": file("cut.dcm", lambda: deep_dicom(streams()["JPEG 2000"][:9000], uid.JPEG2000)),
    "DICOM of a cut high-throughput JPEG 2000": file(
        "cut.dcm", lambda: deep_dicom(streams()["high-throughput JPEG 2000"][:9000], uid.HTJ2K)
    ),
    "DICOM of a lossless JPEG of 4 gigapixels": file(
        "huge.dcm", lambda: deep_dicom(sized_jpeg(65_500, 65_500).replace(b"\xff\xc0", b"\xff\xc3"), uid.JPEGLossless)
    ),
    "DICOM of a lossless JPEG of more bits": file(
        "more.dcm", lambda: dicom(streams()["lossless JPEG"], uid.JPEGLossless)
    ),
    "DICOM of two JPEGs": file("two.dcm", two_jpegs),
    "DICOM that stores more bits than there are": file("bits.dcm", lambda: dicom(fine(), BitsStored=17, HighBit=16)),
    "DICOM all of padding": file(
        "padding.dcm", lambda: dicom(fine(), PixelPaddingValue=0, PixelPaddingRangeLimit=65535)
    ),
    "DICOMDIR": file("DICOMDIR", dicomdir),
    "document in DICOM": file("doc.dcm", lambda: dicom(xray(), Modality="DOC", PixelData=None)),
    "mammogram": file("mg.dcm", lambda: dicom(fine(), Modality="MG")),
    "DICOM of a larger JPEG": file(
        "larger.dcm", lambda: dicom(encoded(np.zeros((8000, 8000), np.uint8), "JPEG"), uid.JPEGBaseline8Bit)
    ),
    "DICOM of a JPEG of 4 gigapixels": file(
        "bomb.dcm", lambda: dicom(sized_jpeg(65_500, 65_500), uid.JPEGBaseline8Bit, Rows=256)
    ),
    "DICOM of a cut JPEG": file("cut.dcm", lambda: dicom(encoded(xray(), "JPEG")[:4000], uid.JPEGBaseline8Bit)),
    "DICOM of a colour JPEG": file(
        "rgb.dcm", lambda: dicom(encoded(Image.fromarray(xray()).convert("RGB"), "JPEG"), uid.JPEGBaseline8Bit)
    ),
    "DICOM of noise as JPEG 2000": file("noise.dcm", lambda: dicom(noise(5000), uid.JPEG2000Lossless)),
    "DICOM with a window of no width": file("window.dcm", lambda: dicom(xray(), WindowCenter=9, WindowWidth=0)),
    "DICOM with a window elsewhere": file("window.dcm", lambda: dicom(xray(), WindowCenter=9000, WindowWidth=10)),
    "DICOM with a short table": file("short.dcm", lambda: dicom(xray(), VOILUTSequence=table(256, 16, [1, 2, 3]))),
    "DICOM with an infinite slope": file(
        "slope.dcm", lambda: dicom(xray(), RescaleSlope="1e300", RescaleIntercept="0")
    ),
    "DICOM with 200,000 empty items": file("items.dcm", lambda: laced(ITEMS[0] + ITEMS[1] * 200_000 + ITEMS[2])),
    "DICOM with a million elements": file("elements.dcm", lambda: laced(b"\x08\0\x80\0LO\0\0" * 10**6)),
    "DICOM with 5,000 nested sequences": file("nested.dcm", lambda: laced((ITEMS[0] + ITEMS[3]) * 5_000)),
}

OTHERS: dict[str, Writer] = {
    "empty": file("empty.png", lambda: b""),
    "one byte": file("one.png", lambda: b"\x89"),
    "text": file("notes.png", lambda: b"finding,patient\n" * 50),
    "noise": file("noise.png", lambda: noise(5000)),
    "HTML": file("page.html", lambda: b"<!DOCTYPE html><script>alert(1)</script>"),
    "SVG": file("drawing.svg", lambda: b"<svg xmlns='http://www.w3.org/2000/svg' width='256' height='256'/>"),
    "SVG of entities": file("laughs.svg", lambda: b"<!DOCTYPE a [<!ENTITY b '&c;&c;'>]><svg>&b;</svg>"),
    "JSON": file("data.json", lambda: b'{"xray": [[0, 1], [2, 3]]}'),
    "PDF": file("report.pdf", lambda: b"%PDF-1.7\n" + encoded(xray(), "JPEG")),
    "PostScript": file("drawing.eps", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 256 256\nshowpage\n"),
    "MP4": file("film.mp4", lambda: b"\0\0\0\x20ftypisom\0\0\2\0isomiso2avc1mp41" + noise(5000)),
    "HEIC": file("phone.heic", lambda: b"\0\0\0\x24ftypheic\0\0\0\0mif1heic" + noise(5000)),
    "sound": file("sound.wav", lambda: b"RIFF\0\0\0\0WAVEfmt " + noise(5000)),
    "program": file("program", lambda: b"\x7fELF\2\1\1" + noise(5000)),
    "pickle": file("array.pkl", lambda: pickle.dumps(xray())),
    "array": file("array.npy", lambda: b"\x93NUMPY\1\0" + noise(5000)),
    "gzip": file("xray.nii.gz", lambda: gzip.compress(xray().tobytes())),
    "zip": file("xrays.zip", lambda: zipped(encoded(xray()))),
    "zip as PNG": file("xray.png", lambda: zipped(encoded(xray()))),
    "zip bomb": file("bomb.zip", lambda: zipped(bytes(10_000_000))),
    "icon": file("icon.ico", lambda: encoded(xray(), "ICO")),
    "PCX": file("old.pcx", lambda: encoded(xray(), "PCX")),
    "folder": folder_in_place,
    "missing": lambda folder: folder / "gone.png",
}

NAMES: dict[str, Writer] = {
    f"name with {what}": file(name, lambda: b"no picture")
    for what, name in {
        "quotes": 'it\'s "mine".png',
        "letters of many scripts": "Röntgen 胸部X線 صدر 🫁.png",
        "dots that lead upwards": "a/../b/../xray.png",
        "dots and no ending": "...",
        "200 letters": "x" * 200,
        "line breaks and colours": "one\ntwo\r\x1b[31mred\t.png",
        "tags": "<img src=x onerror=alert(1)>.png",
        "letters that turn the line round": "xray\u202egnp.exe",
        "braces and a percent sign": "{name} %s {0}.png",
    }.items()
} | {
    "name of 5,000 letters": lambda folder: folder / ("x" * 5_000),
    "name with a zero": lambda folder: folder / "x\0.png",
    "missing name with line breaks": lambda folder: folder / "one\ntwo.png",
}

BAD = PICTURES | DICOMS | OTHERS | NAMES


def rotated_jpeg() -> bytes:
    """A quarter turn to the left, and an EXIF entry that says how to turn it back."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(np.rot90(xray()).copy(), "JPEG", quality=95, exif=exif)


def palette() -> Image.Image:
    """A picture of numbers that mean other greys than themselves."""
    picture = Image.fromarray(255 - xray())
    picture.putpalette([255 - level for level in range(256) for _ in "rgb"])
    return picture


GOOD: dict[str, Writer] = {
    "PNG": file("xray.png", lambda: encoded(xray())),
    "PNG called DICOM": file("xray.dcm", lambda: encoded(xray())),
    "PNG of 16 bits": file("fine.png", lambda: encoded(fine())),
    "PNG of 16 bits in three colours": file("deep.png", deep_png),
    "PNG with a palette": file("palette.png", lambda: encoded(palette())),
    "PNG with opacity": file("opaque.png", lambda: encoded(Image.fromarray(xray()).convert("LA"))),
    "PNG with colours and opacity": file("rgba.png", lambda: encoded(Image.fromarray(xray()).convert("RGBA"))),
    "interlaced PNG": file("interlaced.png", interlaced_png),
    "JPEG": file("xray.jpg", lambda: encoded(xray(), "JPEG", quality=95)),
    "progressive JPEG": file("progressive.jpg", lambda: encoded(xray(), "JPEG", quality=95, progressive=True)),
    "JPEG lying on its side": file("rotated.jpg", rotated_jpeg),
    "JPEG in CMYK": file("cmyk.jpg", lambda: encoded(Image.fromarray(xray()).convert("CMYK"), "JPEG", quality=95)),
    "JPEG with a preview": file("phone.jpg", lambda: several("MPO", quality=95)),
    "WebP": file("xray.webp", lambda: encoded(xray(), "WEBP", quality=95)),
    "WebP without loss": file("lossless.webp", lambda: encoded(xray(), "WEBP", lossless=True)),
    "GIF": file("xray.gif", lambda: encoded(xray(), "GIF")),
    "BMP": file("xray.bmp", lambda: encoded(xray(), "BMP")),
    "TIFF": file("xray.tif", lambda: encoded(xray(), "TIFF")),
    "TIFF by hand": file("hand.tif", lambda: tiff({})),
    "TIFF of 16 bits": file("fine.tif", lambda: encoded(fine(), "TIFF")),
    "big-endian TIFF": file("big.tif", lambda: encoded(fine().astype(">u2"), "TIFF")),
    "TIFF of floats": file("floats.tif", lambda: encoded(xray().astype(np.float32) / 7, "TIFF")),
    "TIFF in CMYK": file("cmyk.tif", lambda: encoded(Image.fromarray(xray()).convert("CMYK"), "TIFF")),
    "TIFF in LZW": file("lzw.tif", lambda: encoded(xray(), "TIFF", compression="tiff_lzw")),
    "TIFF in JPEG": file("jpeg.tif", lambda: encoded(xray(), "TIFF", compression="jpeg", quality=95)),
    "TIFF whose zero is white": file(
        "white.tif", lambda: encoded(65535 - fine(), "TIFF", tiffinfo={PHOTOMETRIC_INTERPRETATION: 0})
    ),
    "DICOM": file("xray.dcm", lambda: dicom(xray())),
    "DICOM without an ending": file("IM000001", lambda: dicom(xray())),
    "DICOM of 16 bits": file("fine.dcm", lambda: dicom(fine())),
    "DICOM of 12 bits": file("12.dcm", lambda: dicom(xray().astype(np.uint16) * 16, BitsStored=12, HighBit=11)),
    "DICOM of signed numbers": file("signed.dcm", lambda: dicom((fine() ^ 0x8000).view(np.int16))),
    "DICOM whose zero is white": file("1.dcm", lambda: dicom(255 - xray(), PhotometricInterpretation="MONOCHROME1")),
    "DICOM in implicit VR": file("implicit.dcm", lambda: dicom(fine(), uid.ImplicitVRLittleEndian)),
    "big-endian DICOM": file("big.dcm", lambda: dicom(fine().astype(">u2"), uid.ExplicitVRBigEndian)),
    "DICOM in JPEG": file("jpeg.dcm", lambda: dicom(encoded(xray(), "JPEG", quality=95), uid.JPEGBaseline8Bit)),
    "DICOM in JPEG 2000": file(
        "2000.dcm", lambda: dicom(encoded(xray(), "JPEG2000", no_jp2=True), uid.JPEG2000Lossless)
    ),
    "DICOM without its mark": file("mark.dcm", lambda: dicom(xray())[132:]),
    "DICOM in RLE": file("rle.dcm", lambda: dicom(rle(xray()), uid.RLELossless)),
    "deflated DICOM": file("deflated.dcm", lambda: dicom(fine(), uid.DeflatedExplicitVRLittleEndian)),
    "DICOM in lossless JPEG": file("sv.dcm", lambda: deep_dicom(streams()["lossless JPEG"], uid.JPEGLossless)),
    "DICOM in JPEG of 12 bits": file(
        "12.dcm", lambda: deep_dicom(streams()["JPEG of 12 bits"], uid.JPEGExtended12Bit, BitsStored=12, HighBit=11)
    ),
    "DICOM in JPEG-LS": file("ls.dcm", lambda: deep_dicom(streams()["JPEG-LS"], uid.JPEGLSLossless)),
    "DICOM in JPEG 2000 of 16 bits": file("2000.dcm", lambda: deep_dicom(streams()["JPEG 2000"], uid.JPEG2000)),
    "DICOM in high-throughput JPEG 2000": file(
        "ht.dcm", lambda: deep_dicom(streams()["high-throughput JPEG 2000"], uid.HTJ2KLossless)
    ),
    "JPEG 2000": file("xray.jp2", lambda: encoded(xray(), "JPEG2000")),
    "JPEG 2000 in colour": file("colour.jp2", lambda: encoded(Image.fromarray(xray()).convert("RGB"), "JPEG2000")),
    "JPEG 2000 without boxes": file("xray.j2k", lambda: streams()["JPEG 2000"]),
    "high-throughput JPEG 2000": file("xray.jph", lambda: streams()["high-throughput JPEG 2000"]),
    "JPEG-LS": file("xray.jls", lambda: streams()["JPEG-LS"]),
    "lossless JPEG": file("lossless.jpg", lambda: streams()["lossless JPEG"]),
    "JPEG of 12 bits": file("12.jpg", lambda: streams()["JPEG of 12 bits"]),
    "TIFF of three colours of 16 bits": file("deep.tif", deep_tiff),
    "DICOM without a modality": file("none.dcm", lambda: dicom(xray(), Modality=None)),
    "film in DICOM": file("film.dcm", lambda: dicom(xray(), Modality="RG")),
}
