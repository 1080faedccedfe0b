"""A session over a real websocket whose server dies again and again in the middle of an answer."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.server import ServerConnection, serve

from mmagent.agent import MultimodalAgent
from mmagent.core import events, pcm
from mmagent.core import happenings as h
from mmagent.core.events import Announcement
from mmagent.core.protocol import Protocol, Role
from mmagent.core.settings import SessionSettings
from mmagent.engines.remote import Address, RemoteEngine
from mmagent.transports import Emit, Settled

KILLS = 100


class Server:
    """Answers one wish a connection, and dies in the middle of the first `KILLS` answers."""

    def __init__(self) -> None:
        self.connections = 0
        self.restored: list[list[str]] = []

    async def serve(self, link: ServerConnection) -> None:
        self.connections += 1
        number = self.connections
        protocol = Protocol(Role.SERVER, ids=f"_{number}")
        protocol.open(f"sess_{number}", "test")
        await self.tell(link, protocol)
        async for message in link:
            for happening in protocol.receive(message.encode() if isinstance(message, str) else message):
                if isinstance(happening, h.ReplyAsked):
                    talk = protocol.conversation
                    self.restored.append([talk.entries[item].text for item in talk.order])
                    response = protocol.begin_response()
                    item = protocol.begin_item(response, spoken=True)
                    protocol.words(response, item, f"answer {number} ", spoken=True)
                    protocol.sound(response, item, pcm.silence(2400))
                    await self.tell(link, protocol)
                    if number <= KILLS:
                        link.transport.abort()
                        return
                    protocol.end_item(response, item, spoken=True, whole=True)
                    protocol.end_response(response, "completed", "", h.UsageCount())
            await self.tell(link, protocol)

    @staticmethod
    async def tell(link: ServerConnection, protocol: Protocol) -> None:
        for message in protocol.take():
            await link.send(message, text=True)


class Ears:
    """A transport on which everything is heard in the moment in which it is given."""

    def __init__(self) -> None:
        self._heard = 0
        self._closed = asyncio.Event()

    async def run(self, emit: Emit, settled: Settled) -> None:
        self._emit = emit
        await self._closed.wait()

    def play(self, pcm: bytes) -> None:
        self._heard += len(pcm) // 2
        self._emit(events.Played(self._heard))

    def flush(self) -> None:
        self._emit(events.Flushed(self._heard))

    def notice(self, event: Announcement) -> None:
        pass

    def close(self) -> None:
        self._closed.set()


@pytest.mark.asyncio
async def test_a_hundred_kills_in_a_row() -> None:
    """Each is recovered from, no word is said twice, no item is lost."""
    server = Server()
    async with serve(server.serve, "127.0.0.1", 0) as listening:
        port = next(iter(listening.sockets)).getsockname()[1]
        address = Address(f"ws://127.0.0.1:{port}/v1/realtime")
        agent = MultimodalAgent(engine=RemoteEngine(address), settings=SessionSettings())
        said: list[str] = []
        away: list[int] = []

        @agent.on("session_reconnected")
        def back(event: events.SessionReconnected) -> None:
            away.append(event.away_ms)
            agent.type(f"question {len(away) + 1}")

        @agent.on("agent_speech_interrupted")
        def cut(event: events.AgentSpeechInterrupted) -> None:
            said.append(event.text)

        @agent.on("agent_speech_committed")
        def done(event: events.AgentSpeechCommitted) -> None:
            said.append(event.text)
            agent.stop("done")

        agent.type("question 1")
        end = await agent.run(Ears())
    assert end.reason == "done"
    assert server.connections == KILLS + 1
    assert len(away) == KILLS
    assert said == [f"answer {number}" for number in range(1, KILLS + 2)]
    whole = [text for number in range(1, KILLS + 1) for text in (f"question {number}", f"answer {number}")]
    assert server.restored[-1] == [*whole, f"question {KILLS + 1}"]
