"""The process of `restore`: its streams and signals are in order before anything slow is
imported.
"""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

from restore_cli.errors import ExitCode


def main() -> None:
    """Run the command line of this process; ends in SystemExit."""
    _listen()
    _follow()
    try:
        _open_streams()
        _silence_libraries()
        _load()(prog_name="restore")
    except KeyboardInterrupt:  # sooner than the command line could answer it
        print("error: Interrupted.", file=sys.stderr)
        _end(ExitCode.INTERRUPTED)
    except SystemExit as end:
        _end(end.code)


def _load() -> Callable[..., object]:
    try:
        from restore_cli.cli import app
    except MemoryError:
        sys.exit("error: Cannot start: memory is too short. Close other programs.")
    return app


def _listen() -> None:
    """Let a polite kill and a closed terminal be a Ctrl-C, unless they are to be ignored, as under
    nohup.
    """
    last = float("-inf")

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        nonlocal last
        before, last = last, time.monotonic()
        if last - before > 1:  # what ends a process may send two signals at once
            raise KeyboardInterrupt

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, interrupt)


def _follow() -> None:
    """Interrupt this process when standard input ends, if its parent holds it open for that
    purpose.
    """

    def wait() -> None:
        os.read(0, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    if os.environ.pop("RESTORE_FOLLOWS", ""):
        threading.Thread(target=wait, daemon=True).start()


def _open_streams() -> None:
    """Open those that are closed, lest a file gets their numbers; reading or printing results there
    fails.
    """
    for name, access, mode in (
        ("stdin", os.O_WRONLY, "r"),
        ("stdout", os.O_RDONLY, "w"),
        ("stderr", os.O_WRONLY, "w"),
    ):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, access), mode, encoding="utf-8"))


class _Notes(io.TextIOWrapper):
    """Standard error for us alone; a note that cannot be written there stops nothing."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def _silence_libraries() -> None:
    """Keep from the user what libraries log, warn of, and write to the number of standard error."""
    logging.getLogger().addHandler(logging.NullHandler())
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    told, number = sys.stderr, sys.stderr.fileno()
    ours = _Notes(os.fdopen(os.dup(number), "wb"), told.encoding, told.errors, line_buffering=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    sys.stderr = sys.__stderr__ = ours  # type: ignore[misc]


def _end(code: int | str | None) -> None:
    """Leave with a code, though a thread be in the middle of a photo, and standard output be
    full.
    """
    if code == ExitCode.INTERRUPTED and any(
        not thread.daemon for thread in threading.enumerate()[1:]
    ):
        from restore_cli.atomic import abandon

        abandon()
        os._exit(ExitCode.INTERRUPTED)  # Python would wait for the thread
    try:
        sys.stdout.flush()
    except OSError:  # Python would try again, and make the code 120
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


if __name__ == "__main__":
    main()
