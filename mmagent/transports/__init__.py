"""Where sound and words come from and go to.

    files   wav files and pipes, on a clock made of samples
    typed   lines typed at a prompt or piped in

A transport owns both directions, because one clock must govern both: what was played is counted where it is played.
Every member passes `tests/transports/conformance.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

from mmagent.core.events import Announcement, Event

Emit = Callable[[Event], None]
"""Tells the session an event. Never blocks."""

Settled = Callable[[], Awaitable[None]]
"""Waits until everything emitted so far has been dealt with by session and engine: the pace of an untimed run."""


class Transport(Protocol):
    """The user's side of a session.

    `run` is the only method that waits. The others return at once: the runner calls them between two events.
    """

    async def run(self, emit: Emit, settled: Settled) -> None:
        """Carry sound until `close`: emit `MicAudio` in blocks of 20 ms and `Played` as sound is heard.

        Emits `InputEnded` when the user will say nothing more. Raises an `MmagentError` where the device or file fails.
        """
        ...

    def play(self, pcm: bytes) -> None:
        """Queue sound behind what is queued."""
        ...

    def flush(self) -> None:
        """Go silent, drop the queue, emit `Flushed` with the total that was heard."""
        ...

    def notice(self, event: Announcement) -> None:
        """What the session announces, for those who must know (a file waits for its turn to end)."""
        ...

    def close(self) -> None:
        """Make `run` return soon, with what was written left whole."""
        ...
