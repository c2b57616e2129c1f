"""The X-rays in files, folders and zip archives, each of which is read when its turn comes."""

import io
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePath, PurePosixPath
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

from hub_models.reports.description import printable
from hub_models.xray.images import ImageRefused

MAX_FILE_BYTES = 200_000_000  # packed or not; 50 megapixels of 16 bits take 100 MB
MAX_ARCHIVE_FILES = 2_000
MAX_ARCHIVE_BYTES = 4_000_000_000  # once it is unpacked
MAX_CONTENTS_BYTES = 4_000_000  # of an archive's list of its files, which the standard library reads as a whole

_BROKEN = (BadZipFile, zlib.error, struct.error, OSError, EOFError, ValueError, RuntimeError)

NamedPath = tuple[str, Path]
"""The name of a file, folder or archive in the results, and its path."""


@dataclass(frozen=True)
class Item:
    """A file that may hold an X-ray, or a place without one. It can be pickled, and loaded from its copy at any time.

    Attributes:
        name: its name in the results; characters that cannot be printed are escaped.
        load: reads its bytes or raises ImageRefused; None if there is a problem.
        problem: why there is nothing to read, in one sentence; None if there is a file.
    """

    name: str
    load: Callable[[], bytes] | None = None
    problem: str | None = None


def find(
    paths: Iterable[NamedPath],
    results: Path | None = None,
    tables: Mapping[str, Callable[[str, Path], Iterator[Item]]] | None = None,
) -> Iterator[Item]:
    """Find the files in files, folders (with all below them) and zip archives, in order of name inside a folder.

    Names that begin with a dot, and what macOS adds to archives, are left out. An archive is refused as a whole if it
    is damaged, or holds more than `MAX_ARCHIVE_FILES` files or `MAX_ARCHIVE_BYTES`; nothing is unpacked to the disk.
    An item can be loaded until the iterator is advanced.

    Args:
        paths: files, folders and archives.
        results: a folder of results; where it lies below one of the folders, it is left out.
        tables: ending of a file that holds many X-rays in a table -> what finds them, from its name and path.
            None to take such a file for a picture.
    """
    # All folders are listed first: results that are then written into one of them are not read as X-rays.
    files = [file for name, path in paths for file in _list(name, path, results)]
    for name, path in files:
        printed = printable(name)
        if os.path.isdir(path):
            yield Item(printed, problem="The folder holds no files; name one with X-rays.")
        elif not os.path.isfile(path):
            yield Item(printed, problem="There is no such file or folder; check its name.")
        elif path.suffix.lower() == ".zip":
            yield from _unzip(printed, path)
        elif table := (tables or {}).get(path.suffix.lower()):
            yield from table(printed, path)
        else:
            yield Item(printed, partial(read_file, path.absolute()))


def _list(name: str, path: Path, results: Path | None) -> list[NamedPath]:
    """List the files below a folder, in order of name; of a file or an empty folder, the path itself."""
    below = [file.relative_to(path) for file in path.rglob("*") if file.is_file()] if os.path.isdir(path) else []
    visible = sorted(file for file in below if not _hidden(file.parts))
    if results is not None and path.resolve() in results.resolve().parents:
        inner = results.resolve().relative_to(path.resolve())
        visible = [file for file in visible if inner not in file.parents]
    return [(PurePath(name, file).as_posix(), path / file) for file in visible] or [(name, path)]


def _hidden(names: Sequence[str]) -> bool:
    return any(name == "__MACOSX" or (name.startswith(".") and name.strip(".")) for name in names)


def read_file(path: Path) -> bytes:
    """Read a file.

    Raises:
        ImageRefused: it cannot be opened, or is too large.
    """
    try:
        check_bytes(path.stat().st_size)
        return path.read_bytes()
    except OSError as error:
        raise ImageRefused(f"The file cannot be opened ({error.strerror}); give a readable image file.") from error


def check_bytes(size: int) -> None:
    """Raise ImageRefused for a file of more than `MAX_FILE_BYTES`."""
    if size > MAX_FILE_BYTES:
        limit = f"at most {MAX_FILE_BYTES / 1e6:.0f} MB are read"
        raise ImageRefused(f"The file has {size / 1e6:.0f} MB; {limit}, so make it smaller.")


def _unzip(name: str, path: Path) -> Iterator[Item]:
    try:
        archive = _open_zip(path)
    except _BROKEN as error:
        yield Item(name, problem=f"The archive is damaged or no zip ({error}); pack it again.")
        return
    with archive, archive.fp:
        members = {member: member.filename.replace("\\", "/") for member in archive.infolist() if not member.is_dir()}
        members = {member: inner for member, inner in members.items() if not _hidden(PurePosixPath(inner).parts)}
        if problem := _problem(members):
            yield Item(name, problem=problem)
            return
        for member, inner in members.items():
            yield Item(f"{name}/{printable(inner)}", partial(_unpack, archive, member))


class _ZipStream(io.BufferedReader):
    """A zip archive of which, while it is opened, at most `MAX_CONTENTS_BYTES` are read at once."""

    opened = False

    def read(self, size: int | None = -1) -> bytes:
        left = os.fstat(self.fileno()).st_size - self.tell()
        if not self.opened and (left if size is None or size < 0 else size) > MAX_CONTENTS_BYTES:
            raise BadZipFile("its list of files is too long")
        return super().read(size)


class _Archive(ZipFile):
    """A zip archive whose copy, in another process, is opened from its path."""

    path: Path

    def __reduce__(self) -> tuple:
        """Return what opens the copy."""
        return _open_zip, (self.path.absolute(),)


def _open_zip(path: Path) -> ZipFile:
    """Open an archive; closing it leaves its stream, `fp`, open."""
    stream = _ZipStream(io.FileIO(path))
    try:
        archive = _Archive(stream)
        archive.path = path
    except _BROKEN:
        stream.close()
        raise
    stream.opened = True
    return archive


def _problem(members: Sequence[ZipInfo]) -> str | None:
    total = sum(member.file_size for member in members)
    if not members:
        return "The archive holds no files; name one with X-rays."
    if len(members) > MAX_ARCHIVE_FILES:
        return (
            f"The archive holds {len(members):,} files; at most {MAX_ARCHIVE_FILES:,} are read, so make several of it."
        )
    if total > MAX_ARCHIVE_BYTES:
        limit = f"at most {MAX_ARCHIVE_BYTES / 1e9:.0f} GB are"
        return f"The archive would be {total / 1e9:.1f} GB unpacked; {limit}, so make several of it."
    return None


def _unpack(archive: ZipFile, member: ZipInfo) -> bytes:
    check_bytes(member.file_size)
    if member.flag_bits & 1:
        raise ImageRefused("The file in the archive is encrypted; pack it without a password.")
    # The standard library unpacks all other kinds without a limit, whatever size they claim.
    if member.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
        raise ImageRefused("The file in the archive is packed in a rare way; pack it with the usual one, deflate.")
    try:
        with archive.open(member) as stream:
            return stream.read(member.file_size)  # without a limit, it unpacks everything first
    except _BROKEN as error:
        raise ImageRefused(f"The file in the archive is damaged ({error}); pack it again.") from error
