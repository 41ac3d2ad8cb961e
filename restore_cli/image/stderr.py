"""Captures standard error of C libraries, which is the only way in which they report damage."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator

_LOCK = threading.Lock()  # held while standard error of the process is redirected


@contextlib.contextmanager
def captured_stderr(pattern: bytes) -> Iterator[list[bytes]]:
    """Collect the lines that C libraries write to standard error and that match the pattern.

    The list is filled when the context ends. All other text is then written to standard error.
    """
    reports: list[bytes] = []
    with _LOCK, contextlib.ExitStack() as last:
        try:
            caught = last.enter_context(tempfile.TemporaryFile())
            own = os.dup(2)
        except OSError:  # no temporary file, or standard error is closed: let them write
            yield reports
            return
        os.dup2(caught.fileno(), 2)
        try:
            yield reports
        finally:
            os.dup2(own, 2)
            os.close(own)
            caught.seek(0)
            text = caught.read()
            reports += re.findall(pattern, text)
            if rest := re.sub(pattern, b"", text):
                with contextlib.suppress(OSError):
                    os.write(2, rest)
