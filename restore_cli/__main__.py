"""The process of `restore`: sets up streams and signals before slow imports."""

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

from restore_cli import memory
from restore_cli.errors import ExitCode


def main() -> None:
    """Run the command line of this process; always raises SystemExit."""
    memory.share_heap()
    _handle_signals()
    _end_with_parent()
    if os.environ.get("COLUMNS") == "0":  # some consoles do not know their width
        del os.environ["COLUMNS"]  # Rich would print nothing
    try:
        _open_streams()
        _silence_libraries()
        _load()(prog_name="restore")
    except KeyboardInterrupt:  # before the command line could handle it
        print("error: Interrupted.", file=sys.stderr)
        _end(ExitCode.INTERRUPTED)
    except SystemExit as end:
        _end(end.code)


def _load() -> Callable[..., object]:
    try:
        from restore_cli.cli import app
    except MemoryError:
        sys.exit("error: Cannot start: out of memory. Close other programs.")
    return app


def _handle_signals() -> None:
    """Treat SIGTERM and SIGHUP like Ctrl-C, unless they are ignored, as under nohup."""
    last = float("-inf")

    def interrupt(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        nonlocal last
        before, last = last, time.monotonic()
        if last - before > 1:  # ignore a second signal right after the first
            raise KeyboardInterrupt

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number and signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
            signal.signal(number, interrupt)


def _end_with_parent() -> None:
    """Interrupt this process when standard input closes, if RESTORE_FOLLOWS is set."""

    def wait() -> None:
        os.read(0, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    if os.environ.pop("RESTORE_FOLLOWS", ""):
        threading.Thread(target=wait, daemon=True).start()


def _open_streams() -> None:
    """Open closed standard streams, so that no file gets their numbers; using them fails."""
    for name, access, mode in (
        ("stdin", os.O_WRONLY, "r"),
        ("stdout", os.O_RDONLY, "w"),
        ("stderr", os.O_WRONLY, "w"),
    ):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, access), mode, encoding="utf-8"))


class _Notes(io.TextIOWrapper):
    """Standard error of this program alone; a write that fails is ignored."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


def _silence_libraries() -> None:
    """Hide what libraries log, warn about and write to file descriptor 2."""
    logging.getLogger().addHandler(logging.NullHandler())
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    old, number = sys.stderr, sys.stderr.fileno()
    ours = _Notes(os.fdopen(os.dup(number), "wb"), old.encoding, old.errors, line_buffering=True)
    os.dup2(os.open(os.devnull, os.O_WRONLY), number)
    sys.stderr = sys.__stderr__ = ours  # type: ignore[misc]


def _end(code: int | str | None) -> None:
    """Exit with a code, even while a thread works or when standard output is full."""
    if code == ExitCode.INTERRUPTED and any(
        not thread.daemon for thread in threading.enumerate()[1:]
    ):
        from restore_cli.atomic import abandon

        abandon()
        os._exit(ExitCode.INTERRUPTED)  # Python would wait for the thread
    try:
        sys.stdout.flush()
    except OSError:  # Python would flush again and exit with code 120
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


if __name__ == "__main__":
    main()
