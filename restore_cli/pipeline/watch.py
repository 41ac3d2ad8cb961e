"""Photos that arrive in folders or in a list while a batch is running."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from restore_cli import storage
from restore_cli.errors import RestoreError, UsageError
from restore_cli.pipeline.files import find_matching_file

_SETTLED_SECONDS = 2.0  # a file that did not change for so long is complete


def watch(
    search: Callable[[], Iterable[tuple[str, str]]], seconds: float, masks: Path | None = None
) -> Iterator[tuple[str, str] | None]:
    """Yield files when they are complete, and again after each change; never ends.

    Folders are searched again and again, because shared folders do not report changes. A search
    that fails is repeated, except for the first one.

    Args:
        search: finds all files, as `find_inputs` does.
        seconds: the time between two searches.
        masks: the mask, or a folder of masks; a file waits until its mask is complete, too.

    Yields:
        What `search` found, and None when there is no other file at the moment.
    """
    seen: dict[str, tuple[str, float]] = {}  # state, and when it was first seen; 0 once yielded
    for search_number in itertools.count():
        storage.refresh()
        try:
            found = list(search())
        except RestoreError:
            if not search_number:
                raise
            yield None  # a folder was renamed during the search, or a disk is away for a while
            time.sleep(seconds)
            continue
        now, before, seen = time.monotonic(), seen, {}
        for path, relative in found:
            state = storage.state_of(path)
            if masks:
                mask = storage.state_of(str(find_matching_file(masks, relative)))
                state = f"{state} {mask}" if mask else ""
            seen[path] = old = before.get(path, ("", 0.0))
            if old[0] != state:
                seen[path] = state, now
            elif state and old[1] and now - old[1] >= _SETTLED_SECONDS:
                seen[path] = state, 0.0
                yield path, relative
        yield None
        time.sleep(seconds)


def arrive(lines: Iterable[str]) -> Iterator[str | None]:
    """Yield lines as they arrive, and None while there are none; raises UsageError if it cannot."""
    waiting: queue.Queue[str | Exception | None] = queue.Queue(1000)

    def read() -> None:
        try:
            for line in lines:
                waiting.put(line)
            waiting.put(None)
        except (OSError, ValueError) as error:  # a closed pipe, a folder, or invalid UTF-16
            waiting.put(error)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = waiting.get(timeout=0.05)
        except queue.Empty:
            yield None
            continue
        if line is None:
            return
        if isinstance(line, Exception):
            reason = getattr(line, "strerror", None) or "it is not a text file"
            raise UsageError(f"Cannot read the list from standard input: {reason}.") from line
        yield line
