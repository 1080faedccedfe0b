"""Threads that may block for ever: what they hand over, and that nobody waits for them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from mmagent.transports.pipes import Drain, Feed

pytestmark = pytest.mark.asyncio


async def collect(feed: Feed[int]) -> list[int]:
    woken = asyncio.Event()
    feed.start(woken.set)
    got: list[int] = []
    while not feed.ended:
        woken.clear()
        while (item := feed.take()) is not None:
            got.append(item)
        if not feed.ended:
            await woken.wait()
    return got


async def test_everything_comes_in_order() -> None:
    assert await collect(Feed(iter(range(1, 200)), ahead=3)) == list(range(1, 200))


async def test_it_reads_no_further_ahead_than_it_may() -> None:
    read: list[int] = []
    third = threading.Event()

    def items() -> Iterator[int]:
        for i in range(10):
            read.append(i)
            if i == 2:
                third.set()
            yield i

    feed = Feed(items(), ahead=2)
    feed.start(lambda: None)
    third.wait()
    assert read == [0, 1, 2]  # two wait, one is in the thread's hand
    assert feed.take() == 0
    feed.close()


async def test_what_goes_wrong_comes_after_what_went_well() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    feed = Feed(items(), ahead=2)
    got: list[int] = []
    woken = asyncio.Event()
    feed.start(woken.set)

    async def take_all() -> None:
        while not feed.ended:
            woken.clear()
            if (item := feed.take()) is not None:
                got.append(item)
            else:
                await woken.wait()

    with pytest.raises(ValueError, match="broken"):
        await take_all()
    assert got == [1]
    assert feed.ended


async def test_a_write_is_awaited_and_its_error_raised() -> None:
    written: list[bytes] = []

    def write(data: bytes) -> None:
        if data == b"bad":
            raise OSError("full")
        written.append(data)

    drain = Drain(write)
    await drain.write(b"a")
    await drain.write(b"b")
    assert written == [b"a", b"b"]
    with pytest.raises(OSError, match="full"):
        await drain.write(b"bad")
    drain.close()
    assert not drain.stuck
    await drain.write(b"c")  # nobody is there any more
    assert written == [b"a", b"b"]


async def test_close_does_not_wait_for_a_write_that_never_ends() -> None:
    gate = threading.Event()

    def write(_: bytes) -> None:
        gate.wait()

    drain = Drain(write)
    writing = asyncio.get_running_loop().create_task(drain.write(b"a"))
    await asyncio.sleep(0)
    drain.close()
    await writing
    assert drain.stuck
    gate.set()
