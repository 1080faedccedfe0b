"""OpenAI's own Python client against our server: mmagent/engines/local/server.py.

It validates nothing that it receives, so each event is held to its own types here (see realtime_oracle.py).
"""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from openai import AsyncOpenAI
from openai.resources.realtime.realtime import AsyncRealtimeConnection

from mmagent.core.settings import SAY
from tests import realtime_oracle
from tests.serving import Served, seconds
from tests.speech import words

pytestmark = pytest.mark.asyncio

CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}

STORY = "Once there was a fox. It lived in a wood. One day it met a crow. The crow had a piece of cheese. " * 3


class Caller:
    """A connection, and all that came over it."""

    def __init__(self, link: AsyncRealtimeConnection) -> None:
        self.link = link
        self.events: list[Any] = []

    async def until(self, kind: str) -> Any:
        """The next event of this type; all on the way are kept."""
        while True:
            data = await self.link.recv_bytes()
            realtime_oracle.from_server(data)
            self.events.append(self.link.parse_event(data))
            if self.events[-1].type == kind:
                return self.events[-1]

    async def speak(self, sound: bytes) -> None:
        for start in range(0, len(sound), 4800):
            await self.link.input_audio_buffer.append(audio=base64.b64encode(sound[start : start + 4800]).decode())

    async def write(self, text: str) -> None:
        await self.link.conversation.item.create(
            item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
        )

    def of(self, kind: str) -> list[Any]:
        return [event for event in self.events if event.type == kind]

    def sound(self) -> bytes:
        return b"".join(base64.b64decode(event.delta) for event in self.of("response.output_audio.delta"))


@asynccontextmanager
async def calling(served: Served) -> AsyncIterator[Caller]:
    """As the documentation does it: only the address is ours."""
    client = AsyncOpenAI(api_key="sk-local", base_url=served.base.replace("ws", "http", 1))
    async with client, client.realtime.connect(model="gpt-realtime-2.1") as link:
        caller = Caller(link)
        await caller.until("session.created")
        yield caller


async def test_a_turn_in_writing(served: Served) -> None:
    async with calling(served) as caller:
        await caller.link.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        await caller.until("session.updated")
        await caller.write("What is the capital of France?")
        await caller.link.response.create()
        done = await caller.until("response.done")
    text = "".join(event.delta for event in caller.of("response.output_text.delta"))
    assert done.response.status == "completed"
    assert done.response.output[0].content[0].text == text
    assert "paris" in words(text)
    assert not caller.of("error")


async def test_a_spoken_turn(served: Served, question: bytes) -> None:
    async with calling(served) as caller:
        await caller.speak(question)
        done = await caller.until("response.done")
        said = caller.of("conversation.item.input_audio_transcription.completed")
        said = said or [await caller.until("conversation.item.input_audio_transcription.completed")]
    assert words(said[0].transcript) == words("What is the capital of France?")
    assert "paris" in words(done.response.output[0].content[0].transcript)
    assert seconds(caller.sound()) > 0.5
    assert done.response.usage.output_token_details.audio_tokens == int(seconds(caller.sound()) * 20)
    order = [e.type for e in caller.events if e.type.startswith("input_audio_buffer.")]
    assert order == [f"input_audio_buffer.{what}" for what in ("speech_started", "speech_stopped", "committed")]


async def test_barge_in_with_truncate(served: Served, question: bytes) -> None:
    async with calling(served) as caller:
        await caller.link.response.create(response={"instructions": SAY + STORY})
        first = await caller.until("response.output_audio.delta")
        await caller.speak(question)
        await caller.until("input_audio_buffer.speech_started")
        cut = await caller.until("response.done")
        heard_ms = int(seconds(caller.sound()) * 1000) // 2
        await caller.link.conversation.item.truncate(item_id=first.item_id, content_index=0, audio_end_ms=heard_ms)
        truncated = await caller.until("conversation.item.truncated")
        again = await caller.until("response.done")
    assert (cut.response.status, cut.response.status_details.reason) == ("cancelled", "turn_detected")
    assert (truncated.item_id, truncated.audio_end_ms) == (first.item_id, heard_ms)
    assert again.response.status == "completed"
    assert "paris" in words(again.response.output[0].content[0].transcript)
    assert not caller.of("error")


async def test_the_cancel_race(served: Served) -> None:
    async with calling(served) as caller:
        await caller.link.response.cancel(event_id="evt_mine")
        error = (await caller.until("error")).error
        await caller.link.response.create(response={"instructions": SAY + STORY, "metadata": {"topic": "fox"}})
        created = await caller.until("response.created")
        await caller.link.response.cancel()
        done = await caller.until("response.done")
    assert (error.code, error.event_id) == ("response_cancel_not_active", "evt_mine")
    assert error.message == "Cancellation failed: no active response found"
    assert created.response.metadata == done.response.metadata == {"topic": "fox"}
    assert (done.response.status, done.response.status_details.reason) == ("cancelled", "client_cancelled")


async def test_a_tool_call(calling_served: Served) -> None:
    async with calling(calling_served) as caller:
        weather: Any = {"type": "function", "name": "weather", "description": "The weather", "parameters": CITY}
        await caller.link.session.update(session={"type": "realtime", "tools": [weather], "tool_choice": "auto"})
        await caller.until("session.updated")
        await caller.write("What is the weather in Paris?")
        await caller.link.response.create()
        call = await caller.until("response.function_call_arguments.done")
        first = await caller.until("response.done")
        await caller.link.conversation.item.create(
            item={"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        )
        await caller.link.response.create()
        done = await caller.until("response.done")
    assert (call.name, call.arguments) == ("weather", '{"city": "Paris"}')
    assert first.response.output[0].type == "function_call"
    assert done.response.output[0].content[0].transcript == "It is sunny."
    assert not caller.of("error")
