"""One inbox, one loop: mmagent/runner.py, with edges made here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from mmagent.core import commands, events, pcm
from mmagent.core.events import Announcement, Event
from mmagent.core.happenings import UsageCount
from mmagent.core.protocol import Protocol, Role
from mmagent.core.session import Session
from mmagent.core.settings import SessionSettings
from mmagent.errors import AudioFileError, ConnectError, EngineError, MissingModel
from mmagent.runner import MIC_LIMIT, Inbox, Runner
from mmagent.transports import Emit, Settled

pytestmark = pytest.mark.asyncio

BLOCK = pcm.silence(pcm.BLOCK)
BLOCKS_THAT_FIT = MIC_LIMIT // pcm.BLOCK


class HandClock:
    """A clock that goes on when a test says so, or by `step` whenever it is looked at."""

    def __init__(self, step: int = 0) -> None:
        self.us = 0
        self._step = step

    def now(self) -> int:
        self.us += self._step
        return self.us


class Talker:
    """A transport that does what `work` says; it keeps what it is told."""

    def __init__(self, work: Callable[[Emit, Settled], Awaitable[None]] | None = None) -> None:
        self._work = work
        self._closed = asyncio.Event()
        self.told: list[Announcement] = []
        self.played = bytearray()
        self.flushes = 0
        self.ended = False
        self._emit: Emit

    async def run(self, emit: Emit, settled: Settled) -> None:
        self._emit = emit
        try:
            if self._work is not None:
                await self._work(emit, settled)
            await self._closed.wait()
        finally:
            self.ended = True

    def play(self, pcm: bytes) -> None:
        self.played += pcm

    def flush(self) -> None:
        self.flushes += 1
        self._emit(events.Flushed(0))

    def notice(self, event: Announcement) -> None:
        self.told.append(event)

    def close(self) -> None:
        self._closed.set()


class Server:
    """An engine: the server's role, which answers every request in writing."""

    def __init__(self) -> None:
        self._protocol = Protocol(Role.SERVER)
        self._closed = asyncio.Event()
        self._emit: Emit
        self.sent: list[dict[str, Any]] = []
        self.ended = False

    async def run(self, emit: Emit) -> None:
        self._emit = emit
        try:
            emit(events.LinkUp())
            self._protocol.open("sess_1", "fake")
            self.tell()
            await self._closed.wait()
        finally:
            self.ended = True

    def tell(self) -> None:
        for message in self._protocol.take():
            self._emit(events.Received(message))

    def send(self, message: bytes) -> None:
        self.sent.append(json.loads(message))
        for _ in self._protocol.receive(message):
            pass
        if self.sent[-1]["type"] == "response.create":
            response = self._protocol.begin_response()
            item = self._protocol.begin_item(response, spoken=False)
            self._protocol.words(response, item, "Yes.", spoken=False)
            self._protocol.end_item(response, item, spoken=False, whole=True)
            self._protocol.end_response(response, "completed", "", UsageCount())
        self.tell()

    async def settled(self) -> None:
        return

    def close(self) -> None:
        self._closed.set()


class Sink:
    """Keeps what it is shown, and fails where it shall."""

    def __init__(self, fails: Exception | None = None) -> None:
        self._fails = fails
        self.shown: list[Announcement] = []
        self.closed = 0

    def handle(self, _now: int, event: Announcement) -> None:
        self.shown.append(event)
        if self._fails is not None:
            raise self._fails

    def close(self) -> None:
        self.closed += 1


async def ask(emit: Emit, settled: Settled) -> None:
    """One typed question, and no more."""
    emit(events.Typed("Is it so?"))
    emit(events.InputEnded())


async def run(
    transport: Any, engine: Any = None, sinks: tuple[Sink, ...] = (), clock: Any = None, **options: Any
) -> commands.End:
    runner = Runner(Session(SessionSettings(**options)), transport, engine or Server(), sinks, clock=clock)
    async with asyncio.timeout(20):
        return await runner.run()


# --- the inbox ------------------------------------------------------------------------------------------------------


async def test_the_inbox_keeps_the_order() -> None:
    inbox = Inbox()
    given: list[Event] = [events.LinkUp(), events.MicAudio(BLOCK), events.Typed("a"), events.MicAudio(BLOCK)]
    for event in given:
        inbox.put(event)
    assert [inbox.take() for _ in given] == given
    assert inbox.take() is None
    assert inbox.empty


async def test_microphone_audio_is_bounded_and_what_is_lost_is_counted() -> None:
    inbox = Inbox()
    numbered = [events.MicAudio(index.to_bytes(2, "little") * pcm.BLOCK) for index in range(BLOCKS_THAT_FIT + 10)]
    inbox.put(events.Typed("first"))
    for event in numbered[:20]:
        inbox.put(event)
    inbox.put(events.Typed("second"))
    for event in numbered[20:]:
        inbox.put(event)
    taken: list[Event] = []
    while (some := inbox.take()) is not None:
        taken.append(some)
    assert taken == [
        events.MicDropped(10 * pcm.BLOCK),
        events.Typed("first"),
        *numbered[10:20],
        events.Typed("second"),
        *numbered[20:],
    ]
    assert pcm.ms_to_samples(500) == MIC_LIMIT


async def test_other_events_are_never_dropped() -> None:
    inbox = Inbox()
    for index in range(5000):
        inbox.put(events.Played(index))
    assert [inbox.take() for _ in range(5000)] == [events.Played(index) for index in range(5000)]


async def test_waiting_ends_with_an_event_or_with_the_time() -> None:
    inbox = Inbox()
    await inbox.wait(0)
    await inbox.wait(-1)
    await inbox.wait(0.001)
    assert inbox.take() is None
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(inbox.wait(None))
        await asyncio.sleep(0)
        assert not waiting.done()
        inbox.put(events.LinkUp())


async def test_waiting_until_it_is_empty() -> None:
    inbox = Inbox()
    await inbox.wait_empty()
    inbox.put(events.LinkUp())
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        waiting = tasks.create_task(inbox.wait_empty())
        await asyncio.sleep(0)
        assert not waiting.done()
        inbox.take()


# --- a session ------------------------------------------------------------------------------------------------------


async def test_a_session_from_beginning_to_end() -> None:
    transport, engine, sink = Talker(ask), Server(), Sink()
    end = await run(transport, engine, (sink,))
    assert end == commands.End("done")
    assert transport.ended
    assert engine.ended
    assert sink.closed == 1
    said = [str(e) for e in sink.shown if isinstance(e, events.UserSpeechCommitted | events.AgentSpeechCommitted)]
    assert said == ["Is it so?", "Yes."]
    assert transport.told == sink.shown


async def test_what_a_watcher_sees_is_what_happened() -> None:
    seen: list[Any] = []
    transport = Talker(ask)
    runner = Runner(Session(SessionSettings()), transport, Server(), watch=lambda now, thing: seen.append((now, thing)))
    await runner.run()
    handled = [thing for _, thing in seen]
    assert handled.index(events.Typed("Is it so?")) < handled.index(events.InputEnded())
    assert [thing for thing in handled if isinstance(thing, commands.Announce)] == [
        commands.Announce(event) for event in transport.told
    ]
    assert [now for now, _ in seen] == sorted(now for now, _ in seen)
    assert isinstance(handled[-1], commands.End)


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), ValueError("It is broken")])
async def test_a_sink_that_fails_is_dropped_and_the_session_goes_on(failure: Exception) -> None:
    bad, good = Sink(failure), Sink()
    end = await run(Talker(ask), sinks=(bad, good))
    assert end.reason == "done"
    assert len(bad.shown) == 1
    warnings = [event for event in good.shown if isinstance(event, events.Warning)]
    assert len(warnings) == 1
    assert "Sink failed and was dropped" in warnings[0].message
    assert any(isinstance(event, events.AgentSpeechCommitted) for event in good.shown)


async def test_when_nobody_reads_any_more_the_session_ends() -> None:
    end = await run(Talker(), sinks=(Sink(BrokenPipeError()),))
    assert end.reason == "Nobody reads the output any more."
    assert not end.error


async def test_a_transport_that_fails_ends_the_session() -> None:
    async def fail(_emit: Emit, _settled: Settled) -> None:
        raise AudioFileError("The disk is full.")

    transport, engine, sink = Talker(fail), Server(), Sink()
    with pytest.raises(AudioFileError, match=r"The disk is full\."):
        await run(transport, engine, (sink,))
    assert engine.ended
    assert sink.closed == 1
    assert isinstance(sink.shown[-1], events.Closed)


async def test_an_engine_that_cannot_begin_ends_the_session() -> None:
    class Missing(Server):
        async def run(self, emit: Emit) -> None:
            raise MissingModel("There is no model.", "Get one.")

    transport, sink = Talker(), Sink()
    with pytest.raises(MissingModel):
        await run(transport, Missing(), (sink,))
    assert transport.ended
    assert sink.closed == 1


async def test_of_two_failures_the_first_is_told() -> None:
    class Missing(Server):
        async def run(self, emit: Emit) -> None:
            raise MissingModel("There is no model.")

    class Stubborn(Talker):
        async def run(self, emit: Emit, settled: Settled) -> None:
            await super().run(emit, settled)
            raise AudioFileError("It cannot be closed.")

    with pytest.raises(MissingModel):
        await run(Stubborn(), Missing())


async def test_an_exception_that_nobody_foresaw_closes_everything_too() -> None:
    async def fail(_emit: Emit, _settled: Settled) -> None:
        raise ZeroDivisionError

    engine, sink = Server(), Sink()
    with pytest.raises(ExceptionGroup) as raised:
        await run(Talker(fail), engine, (sink,))
    assert raised.group_contains(ZeroDivisionError)
    assert engine.ended
    assert sink.closed == 1


async def test_an_engine_that_leaves_is_a_lost_connection() -> None:
    class Leaving(Server):
        async def run(self, emit: Emit) -> None:
            emit(events.LinkUp())

    with pytest.raises(ConnectError, match="The engine closed the session"):
        await run(Talker(), Leaving())


async def test_an_engine_that_refuses_to_go_on_has_failed() -> None:
    class Refusing(Server):
        def send(self, message: bytes) -> None:
            self._protocol.refuse("invalid_api_key", "The key is wrong.", kind="invalid_request_error")
            self.tell()

    with pytest.raises((EngineError, ConnectError), match="key"):
        await run(Talker(), Refusing())


async def test_deadlines_fire_though_nothing_happens() -> None:
    """A server that never says `session.updated` is believed after five seconds, which nobody waits for here."""

    class Mute(Server):
        def send(self, message: bytes) -> None:
            self.sent.append(json.loads(message))

    clock = HandClock(step=400_000)
    stopped: list[int] = []

    class Waiting(Talker):
        def notice(self, event: Announcement) -> None:
            super().notice(event)
            if isinstance(event, events.AgentStateChanged) and event.state == "listening":
                stopped.append(clock.us)
                self._emit(events.Stop("enough"))

    class Impatient(Inbox):
        async def wait(self, seconds: float | None) -> None:
            await super().wait(None if seconds is None else 0)  # time goes by itself
            await asyncio.sleep(0)

    transport = Waiting()
    runner = Runner(Session(SessionSettings()), transport, Mute(), clock=clock)  # type: ignore[arg-type]
    runner.inbox = Impatient()
    async with asyncio.timeout(20):
        end = await runner.run()
    assert end.reason == "enough"
    assert 5_000_000 <= stopped[0] <= 6_500_000


async def test_settled_means_that_session_and_engine_are_through() -> None:
    order: list[str] = []

    class Slow(Server):
        async def settled(self) -> None:
            for _ in range(5):
                await asyncio.sleep(0)
            order.append("engine")

    async def work(emit: Emit, settled: Settled) -> None:
        emit(events.Typed("One."))
        await settled()
        order.append(f"transport after {len(engine.sent)} messages")
        emit(events.InputEnded())

    engine = Slow()
    await run(Talker(work), engine)
    assert order[0] == "engine"
    assert order[-1].startswith("transport after")


async def test_an_edge_that_does_not_close_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmagent.runner.CLOSING_SECONDS", 0.01)

    class Stubborn(Talker):
        def close(self) -> None:
            return

    transport = Stubborn(ask)
    end = await run(transport)
    assert end.reason == "done"
    assert transport.ended
