"""Reuses freed memory while a network runs, instead of returning it to the system each time."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

# Options of mallopt, from malloc.h of the GNU C library.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8
_REUSE = {_MMAP_THRESHOLD: 2**30, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 2**26}
# The largest values that the library picks itself; setting an option disables that permanently.
_USUAL = {_MMAP_THRESHOLD: 2**25, _TRIM_THRESHOLD: 2**26, _TOP_PAD: 2**17}

_lock = threading.Lock()
_users = 0


@contextmanager
def reuse() -> Iterator[None]:
    """Reuse freed memory inside the context, and return it to the system at the end.

    The GNU C library maps large blocks, such as a layer's output, and unmaps them when they are
    freed. The system then clears new blocks page by page, which takes as long as the convolutions
    on a fast CPU. Allocate entire images outside the context, so that their memory is not held.
    Other C libraries are not changed.
    """
    global _users
    with _lock:
        _users += 1
        _set(_REUSE)
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if not _users:
                _set(_USUAL)
                release()


def share_heap() -> None:
    """Let all threads use the heap of the main one, if they start after this call.

    The GNU C library gives each thread an own heap, which cannot hold blocks above 64 MB. They are
    mapped each time, and `reuse` has no effect: a photo of 12 megapixels took 12.1 s in a thread
    instead of 8.6 s.
    """
    _set({_ARENA_MAX: 1})


def release() -> None:
    """Return free memory to the system."""
    if library := _library():
        library.malloc_trim(0)


def _set(options: dict[int, int]) -> None:
    if library := _library():
        for option, value in options.items():
            library.mallopt(option, value)


@cache
def _library() -> ctypes.CDLL | None:
    """Return the C library if it is GNU's, else None."""
    try:
        library = ctypes.CDLL(None)
        for name in ("gnu_get_libc_version", "mallopt", "malloc_trim"):
            getattr(library, name)
    except (AttributeError, OSError, TypeError):
        return None
    return library
