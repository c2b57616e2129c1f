"""The X-rays that files, folders and zip archives hold, each to be read when its turn comes."""

import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from hub_models.reports.description import printable
from hub_models.xray.images import ImageRefused

MAX_BYTES = 200_000_000  # of a file, packed or not; 50 megapixels of 16 bits take 100 MB
MAX_MEMBERS = 2_000
MAX_TOTAL = 4_000_000_000  # bytes of an archive once it is unpacked

_BROKEN = (BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, RuntimeError)

Given = tuple[str, Path]
"""What a file, folder or archive is called in the results, and where it lies."""


@dataclass(frozen=True)
class Item:
    """A file that may hold an X-ray: `load` reads its bytes or raises ImageRefused; or the `problem`, if none is there.

    Of the name, what cannot be printed is escaped.
    """

    name: str
    load: Callable[[], bytes] | None = None
    problem: str | None = None


def find(given: Iterable[Given]) -> Iterator[Item]:
    """What files, folders (with all below them) and zip archives hold, in order of name inside a folder.

    Names that begin with a dot, and what macOS adds to archives, are left out. An archive is refused as a whole if it
    is damaged, or holds more than `MAX_MEMBERS` files or `MAX_TOTAL` bytes; nothing of it is unpacked to the disk.
    An item can be loaded until the next one is asked for.
    """
    # All folders are listed first: whoever writes the results into one of them is not given them to read.
    files = [file for name, path in given for file in _list(name, path)]
    for name, path in files:
        shown = printable(name)
        if os.path.isdir(path):
            yield Item(shown, problem="The folder holds no files; name one with X-rays.")
        elif not os.path.isfile(path):
            yield Item(shown, problem="There is no such file or folder; check its name.")
        elif path.suffix.lower() == ".zip":
            yield from _unzip(shown, path)
        else:
            yield Item(shown, partial(_read_file, path))


def _list(name: str, path: Path) -> list[Given]:
    """The files below a folder, by name; the file itself, or an empty folder, as it was given."""
    below = [file.relative_to(path) for file in path.rglob("*") if file.is_file()] if os.path.isdir(path) else []
    shown = sorted(file for file in below if not _hidden(file.parts))
    return [(PurePath(name, file).as_posix(), path / file) for file in shown] or [(name, path)]


def _hidden(parts: Sequence[str]) -> bool:
    return any(part == "__MACOSX" or (part.startswith(".") and part.strip(".")) for part in parts)


def _read_file(path: Path) -> bytes:
    try:
        _check_size(path.stat().st_size)
        return path.read_bytes()
    except OSError as error:
        raise ImageRefused(f"The file cannot be opened ({error.strerror}); give a readable image file.") from error


def _check_size(size: int) -> None:
    if size > MAX_BYTES:
        limit = f"at most {MAX_BYTES / 1e6:.0f} MB are read"
        raise ImageRefused(f"The file has {size / 1e6:.0f} MB; {limit}, so make it smaller.")


def _unzip(name: str, path: Path) -> Iterator[Item]:
    try:
        archive = ZipFile(path)
    except _BROKEN as error:
        yield Item(name, problem=f"The archive is damaged or no zip ({error}); pack it again.")
        return
    with archive:
        members = {member: member.filename.replace("\\", "/") for member in archive.infolist() if not member.is_dir()}
        members = {member: inner for member, inner in members.items() if not _hidden(PurePosixPath(inner).parts)}
        if problem := _problem(members):
            yield Item(name, problem=problem)
            return
        for member, inner in members.items():
            yield Item(f"{name}/{printable(inner)}", partial(_unpack, archive, member))


def _problem(members: Sequence[ZipInfo]) -> str | None:
    total = sum(member.file_size for member in members)
    if not members:
        return "The archive holds no files; name one with X-rays."
    if len(members) > MAX_MEMBERS:
        return f"The archive holds {len(members):,} files; at most {MAX_MEMBERS:,} are read, so make several of it."
    if total > MAX_TOTAL:
        limit = f"at most {MAX_TOTAL / 1e9:.0f} GB are"
        return f"The archive would be {total / 1e9:.1f} GB unpacked; {limit}, so make several of it."
    return None


def _unpack(archive: ZipFile, member: ZipInfo) -> bytes:
    _check_size(member.file_size)
    if member.flag_bits & 1:
        raise ImageRefused("The file in the archive is encrypted; pack it without a password.")
    # The others are unpacked without a limit by the standard library, whatever size they claim.
    if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise ImageRefused("The file in the archive is packed in a rare way; pack it with the usual one, deflate.")
    try:
        with archive.open(member) as stream:
            return stream.read(member.file_size)  # without a number, it unpacks all before it looks at the size
    except _BROKEN as error:
        raise ImageRefused(f"The file in the archive is damaged ({error}); pack it again.") from error
