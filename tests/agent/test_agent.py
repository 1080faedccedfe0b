"""`MultimodalAgent`: mmagent/agent/agent.py, with a typed user and the local engine on faked models."""

from __future__ import annotations

import asyncio

import pytest

from mmagent.agent import MultimodalAgent
from mmagent.core import events
from mmagent.core.events import Announcement
from mmagent.core.settings import SessionSettings
from mmagent.engines.local.engine import LocalEngine
from mmagent.engines.local.parts import PartNames
from mmagent.transports import Emit, Settled
from tests.engines.local.fakes import FakeParts

pytestmark = pytest.mark.asyncio


class Nobody:
    """A user who says nothing by himself, and hears without sound."""

    def __init__(self) -> None:
        self._closed = asyncio.Event()

    async def run(self, emit: Emit, settled: Settled) -> None:
        await self._closed.wait()

    def play(self, pcm: bytes) -> None:
        return

    def flush(self) -> None:
        return

    def notice(self, event: Announcement) -> None:
        return

    def close(self) -> None:
        self._closed.set()


def make(**settings: object) -> MultimodalAgent:
    engine = LocalEngine(PartNames(), parts=FakeParts.make())
    return MultimodalAgent(engine=engine, settings=SessionSettings(modalities=("text",), **settings))  # type: ignore[arg-type]


async def test_a_conversation_in_a_program() -> None:
    agent, said = make(), list[str]()

    @agent.on("agent_speech_committed")
    def heard(message: events.AgentSpeechCommitted) -> None:
        said.append(f"{message.role}: {message.content}")
        agent.stop("enough")

    agent.type("Hello")  # before it runs: kept until it does
    async with asyncio.timeout(20):
        end = await agent.run(Nobody())
    assert end.reason == "enough"
    assert said == ["assistant: You said Hello."]


async def test_an_agent_runs_once() -> None:
    agent = make()
    agent.stop()
    async with asyncio.timeout(20):
        await agent.run(Nobody())
    with pytest.raises(RuntimeError, match="another one"):
        await agent.run(Nobody())


async def test_slow_handlers_are_waited_for() -> None:
    agent, done = make(), list[str]()

    @agent.on("closed")
    async def late() -> None:
        for _ in range(10):
            await asyncio.sleep(0)
        done.append("late")

    agent.stop()
    async with asyncio.timeout(20):
        await agent.run(Nobody())
    assert done == ["late"]


async def test_once_and_off() -> None:
    agent, seen = make(), list[str]()
    agent.once("agent_state_changed", lambda event: seen.append(event.state))
    agent.on("closed", seen.append)
    agent.off("closed", seen.append)
    agent.stop()
    async with asyncio.timeout(20):
        await agent.run(Nobody())
    assert seen == ["closed"]


async def test_greets_first() -> None:
    agent, said = make(greet="Good morning."), list[str]()

    @agent.on("agent_speech_committed")
    def heard(message: events.AgentSpeechCommitted) -> None:
        said.append(str(message))
        agent.stop()

    async with asyncio.timeout(20):
        await agent.run(Nobody())
    assert said == ["Good morning."]


async def test_interrupt_takes_the_word() -> None:
    parts = FakeParts.make()
    parts.thinker.gate.clear()
    agent = MultimodalAgent(
        engine=LocalEngine(PartNames(), parts=parts), settings=SessionSettings(modalities=("text",))
    )
    states: list[str] = []

    @agent.on("agent_state_changed")
    def changed(event: events.AgentStateChanged) -> None:
        states.append(event.state)
        if event.state == "thinking":
            agent.interrupt()
        elif states[-2:] == ["thinking", "listening"]:
            agent.stop()

    agent.type("Hello")
    async with asyncio.timeout(20):
        await agent.run(Nobody())
    assert states == ["thinking", "listening", "closed"] or states == ["listening", "thinking", "listening", "closed"]
