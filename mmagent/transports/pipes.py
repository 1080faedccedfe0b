"""Reads and writes that may block for ever, each in a thread of its own that may be left behind.

Not asyncio's pipes: they set the pipe to non-blocking for every process that shares it (the shell, too), and refuse
plain files. Not the executor's threads: asyncio waits for those at the end, and a read of a silent pipe has none.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Feed(Generic[T]):
    """What a blocking iterator gives, read up to `ahead` items ahead."""

    def __init__(self, items: Iterator[T], ahead: int) -> None:
        self._items = items
        self._ahead = ahead
        self._ready: deque[T] = deque()
        self._room = threading.Condition()
        self._finished = self._closed = False
        self._error: Exception | None = None

    def start(self, woken: Callable[[], None]) -> None:
        """Begin to read. `woken` is called on this event loop whenever there is something new, or the end."""
        loop = asyncio.get_running_loop()

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended; nobody is left to tell
                loop.call_soon_threadsafe(woken)

        threading.Thread(target=self._run, args=(wake,), name="mmagent-feed", daemon=True).start()

    def take(self) -> T | None:
        """The next item, None where there is none yet. Raises what the iterator raised, in its place."""
        with self._room:
            if self._ready:
                self._room.notify()
                return self._ready.popleft()
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        return None

    @property
    def ended(self) -> bool:
        """Whether `take` will never give anything again."""
        return self._finished and not self._ready and self._error is None

    def close(self) -> None:
        """Read no more. The thread ends at its next item."""
        with self._room:
            self._closed = True
            self._room.notify()

    def _run(self, wake: Callable[[], None]) -> None:
        try:
            for item in self._items:
                with self._room:
                    self._room.wait_for(lambda: len(self._ready) < self._ahead or self._closed)
                    if self._closed:
                        return
                    self._ready.append(item)
                wake()
        except Exception as error:  # noqa: BLE001 - `take` raises it where it can be dealt with
            self._error = error
        finally:
            self._finished = True
            wake()


class Drain:
    """Blocking writes, one at a time."""

    def __init__(self, write: Callable[[bytes], None]) -> None:
        self._write = write
        self._queue: queue.SimpleQueue[tuple[bytes, asyncio.Future[None]] | None] = queue.SimpleQueue()
        self._pending: asyncio.Future[None] | None = None
        self._closed = False
        self.stuck = False
        """Whether `close` left a write that had not ended."""
        self._thread: threading.Thread | None = None

    async def write(self, data: bytes) -> None:
        """Write, and wait until it is written, or until `close`. Raises what the write raised."""
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, args=(loop,), name="mmagent-drain", daemon=True)
            self._thread.start()
        self._pending = loop.create_future()
        self._queue.put((data, self._pending))
        await self._pending

    def close(self) -> None:
        """Wait for no write any more."""
        self._closed = True
        self._queue.put(None)
        if self._pending is not None and not self._pending.done():
            self.stuck = True
            self._pending.set_result(None)

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        while (item := self._queue.get()) is not None:
            data, done = item
            error: Exception | None = None
            try:
                self._write(data)
            except Exception as problem:  # noqa: BLE001 - the waiting `write` raises it
                error = problem
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(_settle, done, error)


def _settle(done: asyncio.Future[None], error: Exception | None) -> None:
    if done.done():
        return
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
