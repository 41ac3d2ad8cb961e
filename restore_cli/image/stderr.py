"""What C libraries write to standard error, which is the only way they have to report damage."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator

_LOCK = threading.Lock()  # held while the process's standard error goes elsewhere


@contextlib.contextmanager
def captured_stderr(pattern: bytes) -> Iterator[list[bytes]]:
    """Collect the lines that C libraries write to standard error and that match the pattern.

    The list is filled when the context ends; all other text is then written to standard error.
    """
    said: list[bytes] = []
    with _LOCK, contextlib.ExitStack() as last:
        try:
            caught = last.enter_context(tempfile.TemporaryFile())
            own = os.dup(2)
        except OSError:  # there is no place for it, or nobody listens: let them write
            yield said
            return
        os.dup2(caught.fileno(), 2)
        try:
            yield said
        finally:
            os.dup2(own, 2)
            os.close(own)
            caught.seek(0)
            text = caught.read()
            said += re.findall(pattern, text)
            if rest := re.sub(pattern, b"", text):
                with contextlib.suppress(OSError):
                    os.write(2, rest)
