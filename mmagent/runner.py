"""The only place that owns tasks: one inbox, one loop.

The edges (transport, engine) put events into the inbox. The loop takes one event at a time, stamps it with the time,
lets the session decide, and performs the commands at once. Nothing else touches the session, so nothing needs a lock.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol, assert_never

from mmagent.clock import Clock
from mmagent.core import commands, events, pcm
from mmagent.core.commands import Command
from mmagent.core.events import Event
from mmagent.core.session import Session, drive
from mmagent.engines import Engine
from mmagent.errors import ConfigError, ConnectError, EngineError, MmagentError
from mmagent.sinks import Sink
from mmagent.transports import Transport

MIC_LIMIT = pcm.RATE // 2
"""Microphone samples that may wait: "older than half a second is dropped and counted, never sent in a burst"."""

CLOSING_SECONDS = 3.0
"""How long an edge may take to close before it is cancelled."""

JITTER = 1.25
"""Waits before a link is tried again are up to so many times as long as the session says."""

logger = logging.getLogger("mmagent")

Watch = Callable[[int, Event | Command], None]
"""Is shown every event handled and every command performed, with its time: a recording."""


class Tools(Protocol):
    """Whoever can call the functions that the model may call."""

    def start(self, calls: Iterable[commands.ToolCall], emit: Callable[[Event], None]) -> None:
        """Begin to run the calls; `emit` is given exactly one `ToolFinished` for each. Never blocks."""
        ...

    async def close(self) -> None:
        """Cancel what still runs."""
        ...


class Inbox:
    """Events in order. Microphone audio is bounded: the oldest gives way, and `MicDropped` tells how much."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()
        self._mic = 0
        self._dropped = 0
        self._closed = False
        self._came = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    def close(self) -> None:
        """Take no more events: the session is over."""
        self._closed = True
        self._events.clear()
        self._empty.set()

    def put(self, event: Event) -> None:
        """Add an event behind the others."""
        if self._closed:
            return
        self._events.append(event)
        if isinstance(event, events.MicAudio):
            self._mic += pcm.samples(event.pcm)
            while self._mic > MIC_LIMIT:
                self._drop_oldest_audio()
        self._came.set()
        self._empty.clear()

    def take(self) -> Event | None:
        """The next event, or None. Who takes the last one must deal with it before anyone else runs."""
        if self._dropped:
            dropped, self._dropped = self._dropped, 0
            return events.MicDropped(dropped)
        if not self._events:
            return None
        event = self._events.popleft()
        if isinstance(event, events.MicAudio):
            self._mic -= pcm.samples(event.pcm)
        if not self._events:
            self._came.clear()
            self._empty.set()
        return event

    @property
    def empty(self) -> bool:
        """Whether every event was taken."""
        return not self._events

    async def wait(self, seconds: float | None) -> None:
        """Until there is an event, or so many seconds have gone by."""
        if self._events or (seconds is not None and seconds <= 0):
            return
        try:
            async with asyncio.timeout(seconds):
                await self._came.wait()
        except TimeoutError:
            return

    async def wait_empty(self) -> None:
        """Until every event has been taken."""
        await self._empty.wait()

    def _drop_oldest_audio(self) -> None:
        for index, event in enumerate(self._events):
            if isinstance(event, events.MicAudio):
                count = pcm.samples(event.pcm)
                self._mic -= count
                self._dropped += count
                del self._events[index]
                return


class Runner:
    """Runs one session between one transport and one engine."""

    def __init__(
        self,
        session: Session,
        transport: Transport,
        engine: Engine,
        sinks: Iterable[Sink] = (),
        *,
        tools: Tools | None = None,
        clock: Clock | None = None,
        watch: Watch | None = None,
    ) -> None:
        self.inbox = Inbox()
        self._session = session
        self._transport = transport
        self._engine = engine
        self._sinks = list(sinks)
        self._tools = tools
        self._clock = clock or Clock()
        self._watch = watch
        self._failure: MmagentError | None = None
        self._end: commands.End | None = None
        self._ordered = asyncio.Event()
        self._wait_before_link = 0.0

    async def run(self) -> commands.End:
        """Run until the session ends; how it ended.

        Raises:
            MmagentError: An edge failed, or the engine refused to go on.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                transport = tasks.create_task(self._edge(self._transport.run(self.inbox.put, self._settled)))
                engine = tasks.create_task(self._edge(self._run_engine()))
                end = await self._loop()
                self.inbox.close()
                self._transport.close()
                self._engine.close()
                self._ordered.set()
                if self._tools is not None:
                    await self._tools.close()
                _, slow = await asyncio.wait((transport, engine), timeout=CLOSING_SECONDS)
                for task in slow:
                    task.cancel()
        finally:
            for sink in self._sinks:
                sink.close()
        if self._failure is not None:
            raise self._failure
        if end.error:
            raise (ConnectError if end.kind == "connection" else EngineError)(end.error, end.hint)
        return end

    async def _loop(self) -> commands.End:
        while self._end is None:
            due = self._session.deadline()
            await self.inbox.wait(None if due is None else (due - self._clock.now()) / 1e6)
            # No `await` beyond this point: one event is dealt with before anything else happens.
            event = self.inbox.take()
            now = self._clock.now()
            if event is not None and self._watch is not None:
                self._watch(now, event)
            for at, command in drive(self._session, event, now):
                self._perform(at, command)
        return self._end

    def _perform(self, now: int, command: Command) -> None:
        match command:
            case commands.Send(message=message):
                self._engine.send(message)
            case commands.Play(pcm=sound):
                self._transport.play(sound)
            case commands.StopPlaying():
                self._transport.flush()
            case commands.RunTools(calls=calls):
                self._run_tools(calls)
            case commands.Announce(event=event):
                self._transport.notice(event)
                self._tell(now, event)
            case commands.Reconnect(after=after):
                self._order_link(after)
            case commands.Note(level=level, text=text):
                logger.log(logging.DEBUG if level == "debug" else logging.INFO, text)
            case commands.End():
                self._end = command
            case _:
                assert_never(command)
        if self._watch is not None:
            self._watch(now, command)

    def _run_tools(self, calls: tuple[commands.ToolCall, ...]) -> None:
        if self._tools is not None:
            self._tools.start(calls, self.inbox.put)
            return
        for call in calls:  # a server may have functions of its own
            text = f"Error: there is no function {call.name!r} here."
            self.inbox.put(events.ToolFinished(call.call_id, text, is_error=True))

    def _tell(self, now: int, event: events.Announcement) -> None:
        for sink in tuple(self._sinks):
            try:
                sink.handle(now, event)
            except BrokenPipeError:
                self._drop(sink)
                self.inbox.put(events.Stop("Nobody reads the output any more."))
            except Exception as error:  # noqa: BLE001 - "a sink that fails is dropped and the session goes on"
                self._drop(sink)
                name = type(sink).__name__
                self.inbox.put(events.Trouble(f"{name} failed and was dropped: {type(error).__name__}: {error}."))

    def _drop(self, sink: Sink) -> None:
        self._sinks.remove(sink)

    async def _settled(self) -> None:
        """Every event was taken and the engine has digested what came of them."""
        while True:
            await self.inbox.wait_empty()
            await self._engine.settled()
            if self.inbox.empty or self._end is not None:
                return

    async def _edge(self, run: Awaitable[None]) -> None:
        """An edge that fails ends the session; the other edges still close whole."""
        try:
            await run
        except MmagentError as error:
            if self._end is not None:
                return  # the session was over already, and not for this reason
            self._failure = self._failure or error
            self.inbox.put(events.Stop("failed"))

    async def _run_engine(self) -> None:
        """One link after another, each when the session orders it. Only the first may fail the session by itself."""
        first = True
        while self._end is None:
            self._ordered.clear()
            try:
                await self._run_link()
            except MmagentError as error:
                if first:
                    raise
                self.inbox.put(events.LinkDown(error.message, error.hint, fatal=isinstance(error, ConfigError)))
            first = False
            await self._ordered.wait()
            if self._over():
                return
            # A server that comes back is not to be met by all its clients in the same moment.
            await asyncio.sleep(self._wait_before_link * random.uniform(1.0, JITTER))

    def _over(self) -> bool:
        return self._end is not None

    async def _run_link(self) -> None:
        """Run the engine until it returns, or until another link is ordered in its place."""
        told = False

        def emit(event: Event) -> None:
            nonlocal told
            told = told or isinstance(event, events.LinkDown)
            self.inbox.put(event)

        link = asyncio.ensure_future(self._engine.run(emit))  # noqa: TID251 - awaited or cancelled right here
        ordered = asyncio.ensure_future(self._ordered.wait())  # noqa: TID251 - likewise
        try:
            await asyncio.wait((link, ordered), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ordered.cancel()
            if not link.done():
                if self._end is None:
                    link.cancel()
                await asyncio.wait((link,))
        if not link.cancelled():
            link.result()
            if not told:
                emit(events.LinkDown("The engine closed the session."))

    def _order_link(self, after: int) -> None:
        self._wait_before_link = after / 1e6
        self._ordered.set()
