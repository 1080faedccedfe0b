"""What every engine must do. A member's test file subclasses `EngineConformance` and says how to make one.

`Client` is the other end: it keeps every message that comes, in order, and waits for those that a test needs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from mmagent.core import pcm
from mmagent.core.events import Event, LinkDown, LinkUp, Received
from mmagent.core.protocol import Protocol, Role
from mmagent.core.settings import SessionSettings
from mmagent.engines import Engine

PATIENCE = 20.0
"""Seconds until a message that does not come is missed; never waited for when it comes."""

Message = dict[str, Any]


class Client:
    """A session's end of an engine, without a session. `events` and `messages` are all that came."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.protocol = Protocol(Role.CLIENT)
        self.events: list[Event] = []
        self.messages: list[Message] = []
        self.responding = False
        self._came = asyncio.Event()

    def emit(self, event: Event) -> None:
        """What the engine calls."""
        self.events.append(event)
        if isinstance(event, Received):
            message = json.loads(event.message)
            self.messages.append(message)
            for _ in self.protocol.receive(event.message):
                pass
            if self.responding:
                self.flush()
        self._came.set()

    def flush(self) -> None:
        """Send what the protocol has to say."""
        for message in self.protocol.take():
            self.engine.send(message)

    def send(self, message: Message) -> None:
        """Send a message as it is."""
        self.engine.send(json.dumps(message).encode())

    async def speak(self, sound: bytes) -> None:
        """Send sound in blocks of 20 ms, each listened to before the next: time as it is for a fast run."""
        step = pcm.BLOCK * pcm.SAMPLE_BYTES
        for start in range(0, len(sound), step):
            self.protocol.append(sound[start : start + step])
            self.flush()
            await self.engine.settled()

    async def until(self, kind: str, count: int = 1) -> Message:
        """The `count`th message of this type, come or to come."""
        async with asyncio.timeout(PATIENCE):
            while len(found := self.of(kind)) < count:
                self._came.clear()
                await self._came.wait()
        return found[count - 1]

    def of(self, kind: str) -> list[Message]:
        """All messages of this type so far."""
        return [message for message in self.messages if message["type"] == kind]

    @property
    def kinds(self) -> list[str]:
        """The types of all messages so far."""
        return [message["type"] for message in self.messages]

    def text(self, response_id: str) -> str:
        """All words of an answer so far."""
        kinds = ("response.output_audio_transcript.delta", "response.output_text.delta")
        return "".join(m["delta"] for m in self.messages if m["type"] in kinds and m["response_id"] == response_id)


@asynccontextmanager
async def connected(engine: Engine, settings: SessionSettings | None = None) -> AsyncIterator[Client]:
    """Run the engine for the length of the block, its settings sent and taken."""
    client = Client(engine)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(engine.run(client.emit))
        try:
            await client.until("session.created")
            client.protocol.configure(settings or SessionSettings())
            client.flush()
            await client.until("session.updated")
            client.responding = True
            yield client
        finally:
            engine.close()
            async with asyncio.timeout(PATIENCE):
                await running


class EngineConformance:
    """Subclass it, and give `make`: an engine that is not running yet."""

    @pytest.fixture
    def make(self) -> Callable[[], Engine]:
        raise NotImplementedError

    @pytest.mark.asyncio
    async def test_the_link_is_up_before_anything_is_said(self, make: Callable[[], Engine]) -> None:
        async with connected(make()) as client:
            assert isinstance(client.events[0], LinkUp)
            assert client.kinds[0] == "session.created"
            assert client.kinds.count("session.created") == 1

    @pytest.mark.asyncio
    async def test_says_nothing_more_once_it_is_closed(self, make: Callable[[], Engine]) -> None:
        async with connected(make()) as client:
            client.protocol.add_text("Hello.")
            client.protocol.reply()
            client.flush()
        count = len(client.events)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(client.events) == count
        assert not any(isinstance(event, LinkDown) for event in client.events)

    @pytest.mark.asyncio
    async def test_closes_twice(self, make: Callable[[], Engine]) -> None:
        engine = make()
        async with connected(engine):
            engine.close()
            engine.close()

    @pytest.mark.asyncio
    async def test_close_before_run_is_no_session(self, make: Callable[[], Engine]) -> None:
        engine = make()
        engine.close()
        async with asyncio.timeout(PATIENCE):
            await engine.run(lambda _event: None)

    @pytest.mark.asyncio
    async def test_answers_what_was_typed(self, make: Callable[[], Engine]) -> None:
        async with connected(make()) as client:
            client.protocol.add_text("Hello.")
            client.protocol.reply()
            client.flush()
            done = await client.until("response.done")
            assert done["response"]["status"] == "completed"
            assert client.text(done["response"]["id"]).strip()

    @pytest.mark.asyncio
    async def test_refuses_what_is_no_message_and_goes_on(self, make: Callable[[], Engine]) -> None:
        async with connected(make()) as client:
            client.engine.send(b"{")
            client.send({"type": "nonsense", "event_id": "mine"})
            await client.until("error", 2)
            assert client.of("error")[1]["error"]["event_id"] == "mine"
            client.protocol.configure(SessionSettings(instructions="Be brief."))
            client.flush()
            assert (await client.until("session.updated", 2))["session"]["instructions"] == "Be brief."

    @pytest.mark.asyncio
    async def test_settles_when_all_sound_was_heard(self, make: Callable[[], Engine]) -> None:
        async with connected(make()) as client:
            await client.engine.settled()
            await client.speak(pcm.silence(pcm.RATE))
