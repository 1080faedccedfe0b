"""What every transport keeps, and a tiny session to keep it with.

`converse` runs a transport against a `Session` that hears loudness, answers with a tone and announces what a real one
announces. While it runs, every promise of `Transport` is checked; a broken one is an AssertionError.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from mmagent.core import pcm
from mmagent.core.events import (
    AgentSpeechCommitted,
    AgentSpeechInterrupted,
    AgentStartedSpeaking,
    AgentStateChanged,
    AgentStoppedSpeaking,
    Announcement,
    Event,
    Flushed,
    InputEnded,
    MicAudio,
    Played,
    State,
    Stop,
    Typed,
    UserStartedSpeaking,
    UserStoppedSpeaking,
)
from mmagent.transports import Transport

E = TypeVar("E")


class VirtualTime:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self.us = 0

    def now(self) -> int:
        return self.us

    async def sleep(self, seconds: float) -> None:
        self.us += round(seconds * 1e6)
        for _ in range(20):  # whatever is due now happens now
            await asyncio.sleep(0)


def tone(samples: int, level: int = 8000) -> bytes:
    """A square wave without a single zero, so that silence is told from sound."""
    return np.resize(np.array([level] * 24 + [-level] * 24, "<i2"), samples).tobytes()


class Session:
    """Hears loudness, answers each turn with `answer` samples in `pieces`, and stops when it is talked over."""

    def __init__(
        self,
        *,
        answer: int = 24_000,
        pieces: int = 5,
        silence_ms: int = 500,
        close_at_end: bool = True,
        deaf: bool = False,
    ) -> None:
        self.answer, self.pieces, self.deaf, self.close_at_end = answer, pieces, deaf, close_at_end
        self.hangover = pcm.ms_to_samples(silence_ms) // pcm.BLOCK
        self.log: list[Event | Announcement] = []
        self.events: list[Event] = []
        self.given = self.played = self.flushed_at = 0
        self.heard = bytearray()
        self.state: State = "connecting"
        self.turns = 0
        self._inbox: asyncio.Queue[Event] = asyncio.Queue()
        self._flushing = False
        self._quiet = 0
        self._end = 0  # the count at which the answer is over; 0: it is still made
        self._making: asyncio.Task[None] | None = None
        self.transport: Transport

    def all(self, kind: type[E]) -> list[E]:
        return [event for event in self.log if isinstance(event, kind)]

    def emit(self, event: Event) -> None:
        """Check the promises, then remember."""
        match event:
            case MicAudio(sound):
                assert pcm.samples(sound) == pcm.BLOCK, "20 ms at a time"
                self.heard += sound
            case Played(count):
                assert self.played < count <= self.given, "counts go up, and never beyond what was given"
                self.played = count
            case Flushed(count):
                assert self._flushing, "nobody asked for it"
                assert self.played <= count <= self.given
                self._flushing, self.played, self.given = False, count, count  # the rest is never heard
            case InputEnded():
                assert not self.all(InputEnded), "it ends once"
            case _:
                pass
        self.log.append(event)
        self.events.append(event)
        self._inbox.put_nowait(event)

    async def settled(self) -> None:
        await self._inbox.join()

    async def run(self) -> None:
        """The session's loop, until it is cancelled."""
        self.become("listening")
        while True:
            self.step(await self._inbox.get())
            self._inbox.task_done()

    def announce(self, event: Announcement) -> None:
        self.log.append(event)
        self.transport.notice(event)

    def become(self, state: State) -> None:
        if state != self.state:
            previous, self.state = self.state, state
            self.announce(AgentStateChanged(state, previous))

    def step(self, event: Event) -> None:
        match event:
            case MicAudio(sound) if not self.deaf:
                self.hear(pcm.level(sound) > -40)
            case Typed():
                self.interrupt()
                self.think()
            case Played(count):
                if self.state == "thinking":
                    self.announce(AgentStartedSpeaking("a"))
                    self.become("speaking")
                self.finish_if_over(count)
            case Stop() | InputEnded() if self.close_at_end:
                self.transport.close()
            case _:
                pass

    def hear(self, loud: bool) -> None:
        self._quiet = 0 if loud else self._quiet + 1
        if loud and self.state != "user_speaking":
            self.announce(UserStartedSpeaking("u", 0))
            self.interrupt()
            self.become("user_speaking")
        elif self.state == "user_speaking" and self._quiet >= self.hangover:
            self.announce(UserStoppedSpeaking("u", 0))
            self.think()

    def interrupt(self) -> None:
        if self._making is not None:
            self._making.cancel()
        if self.state not in ("thinking", "speaking"):
            return
        self._flushing = True
        self.transport.flush()
        assert not self._flushing, "silence is at once"
        if self.state == "speaking":
            self.announce(AgentSpeechInterrupted("a", "…", "assistant", True))
            self.announce(AgentStoppedSpeaking("a"))

    def think(self) -> None:
        self.turns += 1
        self._end = 0
        self.become("thinking")
        self._making = asyncio.get_running_loop().create_task(self.make())

    async def make(self) -> None:
        for _ in range(self.pieces):
            for _ in range(3):
                await asyncio.sleep(0)
            piece = self.answer // self.pieces
            self.given += piece
            self.transport.play(tone(piece))
        self._end = self.given
        self.finish_if_over(self.played)

    def finish_if_over(self, count: int) -> None:
        if self._end and count == self._end and self.state in ("thinking", "speaking"):
            self.announce(AgentSpeechCommitted("a", "…", "assistant", False))
            self.announce(AgentStoppedSpeaking("a"))
            self.become("listening")


async def converse(transport: Transport, session: Session) -> Session:
    """Run to the end; hang never."""
    session.transport = transport
    async with asyncio.timeout(60):
        loop = asyncio.get_running_loop().create_task(session.run())
        try:
            await transport.run(session.emit, session.settled)
        finally:
            loop.cancel()
            if session._making is not None:
                session._making.cancel()
    return session


async def check(make: Callable[[], Transport]) -> None:
    """What holds for each transport. `make` makes one whose user speaks at least once."""
    # A whole conversation, checked at each event.
    session = await converse(make(), Session())
    assert session.turns >= 1
    assert session.played == session.given > 0, "each answer is heard to its end"
    assert len(session.all(InputEnded)) == 1

    # Flush: one Flushed, and nothing of the old queue is played after it.
    session = await converse(make(), _Cutter())
    assert Counter(type(event) for event in session.events)[Flushed] == session.flushed_at > 0
    assert session.played <= session.given

    # Close before anything has begun, and in the middle.
    for moment in ("listening", "thinking", "speaking"):
        await converse(make(), _Closer(moment))


class _Cutter(Session):
    """Cuts each answer when some of it was heard."""

    def step(self, event: Event) -> None:
        if isinstance(event, Played) and self.state == "speaking" and self._end and event.samples > self.given // 2:
            self.flushed_at += 1
            self.interrupt()
            self.become("listening")
            return
        super().step(event)


class _Closer(Session):
    def __init__(self, moment: str) -> None:
        super().__init__()
        self._moment = moment

    def become(self, state: State) -> None:
        super().become(state)
        if state == self._moment:
            self.transport.close()


def runs(sound: bytes) -> Sequence[tuple[int, int]]:
    """Where there is sound in `sound`: (first, end) in samples of each stretch without a zero."""
    loud = np.concatenate(([0], (pcm.as_array(sound) != 0).astype(np.int8), [0]))
    edges = np.flatnonzero(np.diff(loud))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
