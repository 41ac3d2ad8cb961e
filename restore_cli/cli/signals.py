"""Immediate reaction to signals: slow work runs in another thread while this one waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, Self, TypeVar

_POLL_SECONDS = 0.2  # how often signals are checked
T = TypeVar("T")


class Worker:
    """A thread that does slow work while this one waits and reacts to signals.

    Libraries compute, write and wait for minutes without checking for signals. After an interrupt
    the thread is abandoned, and the process ends anyway.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._job: Future[Any] = Future()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(wait=False)

    def call(self, function: Callable[..., T], *args: Any) -> T:
        """Call the function in the thread; returns or raises what it does."""
        self._job = self._pool.submit(function, *args)
        self.wait()
        value: T = self._job.result()
        return value

    def each(self, items: Iterator[T]) -> Iterator[T]:
        """Yield the same items, computed in the thread; none may be None."""
        while (item := self.call(next, items, None)) is not None:
            yield item

    def wait(self) -> None:
        """Wait until the last call has returned or failed."""
        # A signal may reach the other thread, which does not wake this one: poll.
        while not wait([self._job], _POLL_SECONDS).done:
            pass


def call(function: Callable[..., T], *args: Any) -> T:
    """Call a slow function in a thread of its own; returns or raises what it does."""
    with Worker() as worker:
        return worker.call(function, *args)
