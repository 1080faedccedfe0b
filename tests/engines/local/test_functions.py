"""Function calls of the local engine with a chat endpoint: mmagent/engines/local/functions.py, over loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from mmagent.agent import MultimodalAgent
from mmagent.core.conversation import Entry
from mmagent.core.settings import SessionSettings, ToolSpec
from mmagent.engines.local.brain import ChatCall, ChatEndpoint, ChatMessage, Function
from mmagent.engines.local.engine import LocalEngine
from mmagent.engines.local.functions import CallingBrain, CallsInPieces, add_call, outputs_in, tools_in_request
from mmagent.engines.local.parts import PartNames
from tests.agent.test_agent import Nobody
from tests.engines.local.fakes import FakeBrain, FakeParts, echo
from tests.engines.local.test_brain import Fake, delta

WEATHER = ToolSpec("weather", "Tell the weather.", '{"type":"object"}')
PATIENCE = 20.0


def call(number: int, arguments: str = "{}") -> ChatCall:
    return ChatCall(f"call_{number}", Function("weather", arguments))


def call_entry(number: int) -> Entry:
    return Entry(f"item_{number}", "function_call", text="{}", call_id=f"call_{number}", name="weather")


def piece(**fields: Any) -> bytes:
    return b"data: " + msgspec.json.encode({"choices": [{"delta": {"tool_calls": [fields]}}]}) + b"\n\n"


# --- what is asked ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("choice", ["auto", "none", "required"])
def test_what_a_request_says_of_functions(choice: str) -> None:
    said = msgspec.json.decode(msgspec.json.encode(tools_in_request([WEATHER], choice)))
    function = {"name": "weather", "description": "Tell the weather.", "parameters": {"type": "object"}}
    assert said == {"tools": [{"type": "function", "function": function}], "tool_choice": choice}


def test_a_function_that_must_be_called() -> None:
    said = tools_in_request([WEATHER], "weather")
    assert said["tool_choice"] == {"type": "function", "function": {"name": "weather"}}


def test_only_an_endpoint_can_call() -> None:
    assert isinstance(ChatEndpoint("http://127.0.0.1:9/v1"), CallingBrain)
    assert not isinstance(FakeBrain(echo), CallingBrain)


# --- what is streamed ---------------------------------------------------------------------------------------------


def test_calls_in_pieces() -> None:
    calls = CallsInPieces()
    calls.add([{"index": 0, "id": "call_1", "function": {"name": "weather", "arguments": ""}}])
    calls.add([{"index": 1, "id": "call_2", "function": {"name": "weather", "arguments": "{}"}}])
    calls.add([{"index": 0, "function": {"arguments": '{"a"'}}, {"index": 0, "function": {"arguments": ":1}"}}])
    assert calls.whole() == [call(1, '{"a":1}'), call(2)]


@pytest.mark.parametrize("odd", [None, {}, "x", [1], [{}], [{"function": None}], [{"index": 0, "function": {}}]])
def test_what_is_no_call(odd: object) -> None:
    calls = CallsInPieces()
    calls.add(odd)
    assert calls.whole() == []


def test_calls_that_come_whole_and_uncounted() -> None:
    calls = CallsInPieces()
    calls.add([{"id": "call_1", "function": {"name": "weather", "arguments": {"a": 1}}}])
    calls.add([{"id": "call_2", "function": {"name": "weather"}}])
    assert calls.whole() == [call(1, '{"a":1}'), ChatCall("call_2", Function("weather", ""))]


# --- what a conversation with calls looks like ----------------------------------------------------------------------


def test_calls_that_follow_each_other_share_a_message() -> None:
    messages = [ChatMessage("user", "Weather?")]
    add_call(messages, call_entry(1), "sunny")
    add_call(messages, call_entry(2), "wet")
    add_call(messages, call_entry(3), None)
    assert messages == [
        ChatMessage("user", "Weather?"),
        ChatMessage("assistant", "", (call(1), call(2))),
        ChatMessage("tool", "sunny", tool_call_id="call_1"),
        ChatMessage("tool", "wet", tool_call_id="call_2"),
    ]
    messages.append(ChatMessage("user", "And?"))
    add_call(messages, call_entry(4), "")
    assert [message.role for message in messages[4:]] == ["user", "assistant", "tool"]


def test_outputs_by_call() -> None:
    output = Entry("o", "function_call_output", text="sunny", call_id="call_1")
    assert outputs_in({"item_1": call_entry(1), "o": output}) == {"call_1": "sunny"}


def test_a_plain_message_says_nothing_of_calls() -> None:
    assert msgspec.to_builtins(ChatMessage("user", "Hi")) == {"role": "user", "content": "Hi"}


# --- over loopback --------------------------------------------------------------------------------------------------


@pytest.fixture
def endpoint() -> Iterator[Fake]:
    fake = Fake()
    yield fake
    fake.close()


def test_the_endpoint_says_words_and_then_its_calls(endpoint: Fake) -> None:
    endpoint.body = (
        delta("One moment.")
        + piece(index=0, id="call_1", function={"name": "weather", "arguments": '{"a"'})
        + piece(index=0, function={"arguments": ":1}"})
        + b"data: [DONE]\n\n"
    )
    brain = ChatEndpoint(endpoint.url, model="tiny")
    said = brain.reply_or_call(
        [ChatMessage("user", "Hi")], [WEATHER], "auto", temperature=0.5, max_tokens=7, seed=5, stopped=lambda: False
    )
    assert list(said) == ["One moment.", call(1, '{"a":1}')]
    sent = msgspec.json.decode(endpoint.requests[0][2])
    assert sent["tools"][0]["function"]["name"] == "weather"
    assert (sent["tool_choice"], sent["max_tokens"]) == ("auto", 7)


class Scripted(ChatEndpoint):
    """An endpoint that changes what its server answers with each question."""

    def __init__(self, server: Fake, *bodies: bytes) -> None:
        super().__init__(server.url, model="tiny")
        self._server, self._bodies = server, list(bodies)

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        self._server.body = self._bodies.pop(0)
        return super()._ask(method, path, body)


@pytest.mark.asyncio
async def test_a_conversation_with_the_local_engine(endpoint: Fake) -> None:
    """Typed question, two calls, their outputs, the answer: client and server role, runner, functions, endpoint."""
    both = piece(index=0, id="call_1", function={"name": "weather", "arguments": '{"city":"Oslo"}'}) + piece(
        index=1, id="call_2", function={"name": "weather", "arguments": "{}"}
    )
    parts = FakeParts.make()
    parts.brain = Scripted(endpoint, both, delta("Sunny."))
    asked: list[str] = []

    def weather(city: str) -> dict[str, str]:
        """Tell the weather."""
        asked.append(city)
        return {"sky": "clear"}

    settings = SessionSettings(modalities=("text",), instructions="Be brief.")
    agent = MultimodalAgent(engine=LocalEngine(PartNames(), parts=parts), settings=settings, tools=[weather])
    said: list[str] = []

    @agent.on("agent_speech_committed")
    def heard(message: Any) -> None:
        said.append(message.text)
        agent.stop("enough")

    agent.type("Weather?")
    async with asyncio.timeout(PATIENCE):
        await agent.run(Nobody())
    assert asked == ["Oslo"]
    assert said == ["Sunny."]
    first, second = (msgspec.json.decode(body) for _, _, body in endpoint.requests)
    assert first["tools"] == second["tools"]
    assert [message["role"] for message in first["messages"]] == ["system", "user"]
    system, user, calls, sunny, refused = second["messages"]
    assert (system["content"], user["content"]) == ("Be brief.", "Weather?")
    assert [each["id"] for each in calls["tool_calls"]] == ["call_1", "call_2"]
    assert calls["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city":"Oslo"}'}
    assert sunny == {"role": "tool", "content": '{"sky":"clear"}', "tool_call_id": "call_1"}
    assert refused["tool_call_id"] == "call_2"
    assert refused["content"].startswith("Error: the arguments do not fit")
