"""Writing files whole or not at all."""

from __future__ import annotations

import secrets
import stat
from pathlib import Path


def write_whole(target: Path, data: bytes) -> None:
    """Put a file in the place of the target, which keeps its permissions; an older one stays if that fails.

    The bytes go to a temporary file beside it first. Raises OSError.
    """
    target = target.resolve()  # a link keeps pointing at the file it names
    mode = target.stat().st_mode if target.exists() else None
    if mode is not None and not stat.S_ISREG(mode):  # /dev/null and pipes are written to, never replaced
        target.write_bytes(data)
        return
    temporary = target.with_name(f".restore-{secrets.token_hex(8)}.part")
    try:
        with temporary.open("xb") as stream:  # unlike mkstemp, open lets the umask decide on permissions
            stream.write(data)
        if mode is not None:
            temporary.chmod(stat.S_IMODE(mode))
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
