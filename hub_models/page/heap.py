"""The memory of this process that the system lends: asked for less often in vain, and given back sooner.

The C library of most Linux systems (glibc) keeps what was freed, in an arena for each thread that ever asked for
memory. A page has dozens of threads; its memory would be the sum of what each needed at its most. Elsewhere these
functions do nothing.
"""

import ctypes
import platform
from functools import cache

M_ARENA_MAX = -8  # mallopt(3)
ARENAS = 2


def use_few_arenas() -> None:
    """Let all threads share `ARENAS` arenas; for the start of a program."""
    if library := _glibc():
        library.mallopt(M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Return freed memory to the system; that of objects which refer to each other after `gc.collect` alone."""
    if library := _glibc():
        library.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
