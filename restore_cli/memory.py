"""Memory that is kept while a network runs, instead of being given back to the system and cleared
again.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

# Options of mallopt, from malloc.h of the GNU C library.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3
_KEPT = {_MMAP_THRESHOLD: 2**30, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 2**26}
# The largest that the library chooses by itself; setting an option turns that choice off for good.
_USUAL = {_MMAP_THRESHOLD: 2**25, _TRIM_THRESHOLD: 2**26, _TOP_PAD: 2**17}

_lock = threading.Lock()
_users = 0


@contextmanager
def kept() -> Iterator[None]:
    """While inside, freed memory is used again; at the end all of it goes back to the system.

    The GNU C library maps large blocks, such as a layer's output, and unmaps them when they are
    freed. Each time the system has to clear them page by page, which takes as long as the
    convolutions of a fast CPU. Make whole pictures outside of this, so that they are no part of
    what is kept. Other C libraries are left as they are.
    """
    global _users
    with _lock:
        _users += 1
        _set(_KEPT)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _set(_USUAL)
                release()


def release() -> None:
    """Give back what was kept and is free."""
    if library := _library():
        library.malloc_trim(0)


def _set(options: dict[int, int]) -> None:
    if library := _library():
        for option, value in options.items():
            library.mallopt(option, value)


@cache
def _library() -> ctypes.CDLL | None:
    """The C library, if it is GNU's."""
    try:
        library = ctypes.CDLL(None)
        for name in ("gnu_get_libc_version", "mallopt", "malloc_trim"):
            getattr(library, name)
    except (AttributeError, OSError, TypeError):
        return None
    return library
