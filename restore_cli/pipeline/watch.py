"""Photos that arrive in folders or in a list while a batch is running."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from restore_cli import storage

_SETTLED_SECONDS = 2.0  # a file that did not change for so long is complete


def watch(
    search: Callable[[], Iterable[tuple[str, str]]], seconds: float
) -> Iterator[tuple[str, str] | None]:
    """Yield files when they are complete, and again after each change; never ends.

    Folders are searched again and again, because shared folders do not report changes.

    Args:
        search: finds all files, as `find_inputs` does.
        seconds: the time between two searches.

    Yields:
        What `search` found, and None when there is no other file at the moment.
    """
    seen: dict[str, tuple[str, float]] = {}  # state, and when it was first seen; 0 once yielded
    while True:
        storage.refresh()
        now, before, seen = time.monotonic(), seen, {}
        for path, relative in search():
            state = storage.state_of(path)
            seen[path] = old = before.get(path, ("", 0.0))
            if old[0] != state:
                seen[path] = state, now
            elif old[1] and now - old[1] >= _SETTLED_SECONDS:
                seen[path] = state, 0.0
                yield path, relative
        yield None
        time.sleep(seconds)


def arrive(lines: Iterable[str]) -> Iterator[str | None]:
    """Yield lines as they arrive, and None while there are none."""
    waiting: queue.Queue[str | None] = queue.Queue(1000)

    def read() -> None:
        for line in lines:
            waiting.put(line)
        waiting.put(None)

    threading.Thread(target=read, daemon=True).start()
    while True:
        try:
            line = waiting.get(timeout=0.05)
        except queue.Empty:
            yield None
            continue
        if line is None:
            return
        yield line
