"""Memory of a process that reads a data set from mapped files: pages that were read are given back.

`datasets` maps its files into memory. What was read of them stays there while nobody else needs the memory, and counts
as this process's: after an epoch, all of the data. Given back, a page that is needed again comes from the system's own
cache, or from the disk.
"""

import ctypes
import os
import re
import threading
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path

MAPS = Path("/proc/self/maps")
DATA = re.compile(r"([0-9a-f]+)-([0-9a-f]+) r--[ps] .* /.*\.arrow")
"""A line about a data set's file, mapped to be read only. Of a library's file, a page may have been changed before."""
DONT_NEED = 4  # MADV_DONTNEED
SECONDS = 0.25


def give_back_pages() -> None:
    """Give back what was read of mapped files, again and again while this process and its children live.

    Raises:
        ValueError: the system is not Linux.
    """
    if not MAPS.exists():
        raise ValueError("--streaming gives the pages of mapped files back, which needs Linux; leave it out.")
    _start()


@cache
def _start() -> None:
    _begin()
    os.register_at_fork(after_in_child=_begin)  # threads do not go along


def _begin() -> None:
    threading.Thread(target=_run, name="pages of mapped files", daemon=True).start()


def _run() -> None:
    while True:
        give_back()
        time.sleep(SECONDS)


def give_back() -> None:
    """Give back what was read of mapped files; it can be read again at any time, also meanwhile."""
    for start, end in _mapped():
        ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), DONT_NEED)


def _mapped() -> Iterator[tuple[int, int]]:
    for line in MAPS.read_text().splitlines():
        if match := DATA.fullmatch(line):
            yield int(match[1], 16), int(match[2], 16)
