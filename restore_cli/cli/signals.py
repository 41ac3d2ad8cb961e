"""Signals are answered at once: what takes long is done by another thread, while this one waits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from types import TracebackType
from typing import Any, Self, TypeVar

_GLANCE = 0.2  # seconds after which signals are looked at
T = TypeVar("T")


class Worker:
    """Another thread, which works while this one waits for it, or answers a signal.

    Libraries compute, write and wait for minutes without a look at signals. Who is interrupted
    leaves the thread to what it does; the process ends all the same.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1)
        self._job: Future[Any] = Future()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.shutdown(wait=False)

    def call(self, function: Callable[..., T], *words: Any) -> T:
        """What the function gives, or raises."""
        self._job = self._pool.submit(function, *words)
        self.wait()
        value: T = self._job.result()
        return value

    def each(self, items: Iterator[T]) -> Iterator[T]:
        """The same items, none of which is None."""
        while (item := self.call(next, items, None)) is not None:
            yield item

    def wait(self) -> None:
        """Wait until the last call has ended, in whatever way."""
        while not wait(
            [self._job], _GLANCE
        ).done:  # a signal may reach the other thread, which wakes nobody
            pass


def call(function: Callable[..., T], *words: Any) -> T:
    """What a function gives, or raises, that takes long: called by a thread of its own."""
    with Worker() as worker:
        return worker.call(function, *words)
