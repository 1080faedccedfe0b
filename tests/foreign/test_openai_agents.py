"""OpenAI's Agents SDK against our server: mmagent/engines/local/server.py.

It validates every event with pydantic and tells an error for each that fails: the best judge there is.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from agents import Tool, function_tool
from agents.realtime import RealtimeAgent, RealtimeModelSendRawMessage, RealtimeRunner, RealtimeSession

from mmagent.core.settings import SAY
from tests import realtime_oracle
from tests.serving import PATIENCE, Served, seconds
from tests.speech import words

pytestmark = pytest.mark.asyncio

STORY = "Once there was a fox. It lived in a wood. One day it met a crow. The crow had a piece of cheese. " * 3


class Caller:
    """A session, and all that it told."""

    def __init__(self, session: RealtimeSession) -> None:
        self.session = session
        self.events: list[Any] = []
        self._came = asyncio.Event()

    async def listen(self) -> None:
        async for event in self.session:
            if event.type == "raw_model_event" and event.data.type == "raw_server_event":
                realtime_oracle.from_server(json.dumps(event.data.data))
            self.events.append(event)
            self._came.set()

    async def until(self, kind: str, count: int = 1) -> Any:
        """The `count`th event of the SDK, or of the server, of this type."""
        async with asyncio.timeout(PATIENCE * 3):
            while len(found := self.of(kind)) < count:
                self._came.clear()
                await self._came.wait()
        return found[count - 1]

    def of(self, kind: str) -> list[Any]:
        found = [event for event in self.events if event.type == kind]
        for event in self.events:
            if event.type == "raw_model_event" and event.data.type == "raw_server_event":
                found += [event.data.data] if event.data.data["type"] == kind else []
        return found

    async def raw(self, kind: str, **fields: Any) -> None:
        await self.session.model.send_event(
            RealtimeModelSendRawMessage(message={"type": kind, "other_data": dict(fields)})
        )

    def faults(self) -> list[Any]:
        """Errors of any origin: the server's, and events that the SDK does not understand."""
        return [event for event in self.events if event.type == "error"]


@asynccontextmanager
async def calling(served: Served, tools: Sequence[Tool] = (), **settings: Any) -> AsyncIterator[Caller]:
    """An agent in a session with our server. (Its own default is semantic_vad, which we have not.)"""
    agent = RealtimeAgent(name="Parrot", instructions="Answer in one short sentence.", tools=list(tools))
    given: Any = {"turn_detection": {"type": "server_vad", "interrupt_response": True}, **settings}
    runner = RealtimeRunner(agent)
    session = await runner.run(model_config={"api_key": "sk-local", "url": served.url, "initial_model_settings": given})
    async with session, asyncio.TaskGroup() as tasks:
        caller = Caller(session)
        listening = tasks.create_task(caller.listen())
        await caller.until("session.updated", 2)  # its settings, and its tracing
        yield caller
        listening.cancel()


async def test_a_turn_in_writing(served: Served) -> None:
    async with calling(served, modalities=["text"]) as caller:
        await caller.session.send_message("What is the capital of France?")
        done = await caller.until("response.done")
        await caller.until("agent_end")
    assert "paris" in words(done["response"]["output"][0]["content"][0]["text"])
    assert caller.of("session.updated")[-1]["session"]["instructions"] == "Answer in one short sentence."
    assert not caller.faults()


async def test_a_spoken_turn(served: Served, question: bytes) -> None:
    async with calling(served) as caller:
        for start in range(0, len(question), 4800):
            await caller.session.send_audio(question[start : start + 4800])
        await caller.until("audio_end")
        done = await caller.until("response.done")
        said = await caller.until("conversation.item.input_audio_transcription.completed")
        await caller.raw("conversation.item.retrieve", item_id=said["item_id"])
        kept = await caller.until("conversation.item.retrieved")
    assert words(said["transcript"]) == words("What is the capital of France?")
    assert "paris" in words(done["response"]["output"][0]["content"][0]["transcript"])
    assert kept["item"]["content"][0]["transcript"] == said["transcript"]
    assert seconds(b"".join(event.audio.data for event in caller.of("audio"))) > 0.5
    assert not caller.faults()


async def test_barge_in_with_truncate(served: Served, question: bytes) -> None:
    async with calling(served) as caller:
        await caller.raw("response.create", response={"instructions": SAY + STORY})
        await caller.until("audio")
        for start in range(0, len(question), 4800):
            await caller.session.send_audio(question[start : start + 4800])
        await caller.until("audio_interrupted")
        truncated = await caller.until("conversation.item.truncated")
        cut = (await caller.until("response.done"))["response"]
        again = (await caller.until("response.done", 2))["response"]
    assert truncated["item_id"] == cut["output"][0]["id"]
    assert (cut["status"], cut["status_details"]["reason"]) == ("cancelled", "turn_detected")
    assert "paris" in words(again["output"][0]["content"][0]["transcript"])
    assert not caller.faults()


async def test_the_cancel_race(served: Served) -> None:
    async with calling(served, modalities=["text"]) as caller:
        await caller.raw("response.cancel")
        await caller.until("error")
        await caller.session.send_message("Say hello.")
        done = await caller.until("response.done")
    assert [fault.error.code for fault in caller.faults()] == ["response_cancel_not_active"]
    assert done["response"]["status"] == "completed"


@function_tool
def weather(city: str) -> str:
    """The weather of a city."""
    return f"sunny in {city}"


async def test_a_tool_call(calling_served: Served) -> None:
    async with calling(calling_served, [weather]) as caller:
        await caller.session.send_message("What is the weather in Paris?")
        ended = await caller.until("tool_end")
        done = await caller.until("response.done", 2)
    assert (ended.tool.name, ended.output) == ("weather", "sunny in Paris")
    assert done["response"]["output"][0]["content"][0]["transcript"] == "It is sunny in Paris."
    assert not caller.faults()
