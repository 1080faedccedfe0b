"""Function calls in a whole session, against a server end: mmagent/core/session.py and calls.py."""

# A conversation reads line by line.
# fmt: off

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmagent.core import commands, events, pcm, wire
from mmagent.core import happenings as h
from mmagent.core.calls import NOT_RUN
from mmagent.core.events import Flushed, InputEnded, Interrupt, LinkUp, MicAudio, Played, Received, ToolFinished, Typed
from mmagent.core.settings import SAY, SessionSettings, ToolSpec, TurnDetection
from tests.core import sessions
from tests.core.playbook import Playbook, Script

MS = pcm.ms_to_samples(1)
WEATHER = ToolSpec("weather", "Tell the weather.", '{"type":"object","properties":{}}')


class Book(Playbook):
    """Sessions with a function, and what can be asked of them afterwards."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{"tools": (WEATHER,), **settings})
        self.happenings: list[h.Happening] = []
        receive = self.server.link.receive

        def learn(data: bytes) -> list[h.Happening]:
            told = receive(data)
            self.happenings += told
            return told

        self.server.link.receive = learn  # type: ignore[method-assign]

    def sent(self, kind: str) -> list[Any]:
        messages = [json.loads(c.message) for _, c in self.commands if isinstance(c, commands.Send)]
        return [message for message in messages if message["type"] == kind]

    @property
    def outputs(self) -> list[tuple[str, str]]:
        items = [message["item"] for message in self.sent("conversation.item.create")]
        return [(i["call_id"], i["output"]) for i in items if i["type"] == "function_call_output"]

    def announced(self, kind: type[Any]) -> list[Any]:
        told = (command.event for _, command in self.commands if isinstance(command, commands.Announce))
        return [event for event in told if isinstance(event, kind)]


def asked(**settings: Any) -> Book:
    """The user has asked something."""
    book = Book(**settings)
    book >> LinkUp() >> book.server.open() << "send session.update\nstate listening"
    book >> 1000 >> MicAudio(bytes(2 * pcm.RATE))
    book >> book.server.starts(300) << "user_started_speaking item_1\nstate user_speaking"
    book >> 2000 >> book.server.stops(900) << "user_stopped_speaking item_1\nstate thinking"
    return book


def calling(*names: str, arguments: str = "{}", **settings: Any) -> Book:
    """The answer to it calls functions."""
    book = asked(**settings)
    names = names or ("weather",)
    ids = " ".join(f"call_{name}" for name in names)
    book >> 2100 >> book.server.begins().calls(*names, arguments=arguments).ends()
    book << f"function_calls_collected\nrun_tools {ids}"
    return book


FOLLOW_UP = """
    function_calls_finished
    send conversation.item.create msg_1
    send response.create"""


def test_the_functions_are_sent_with_the_session() -> None:
    book = asked()
    assert book
    (session,) = (each for each in book.happenings if isinstance(each, h.SessionChanged))
    assert session.tools == (WEATHER,)
    assert session.tool_choice == "auto"


def test_a_call_and_the_answer_to_its_output() -> None:
    book = calling(arguments='{"city":"Oslo"}')
    s = book.server
    book >> 2500 >> ToolFinished("call_weather", "sunny") << FOLLOW_UP
    book >> 2600 >> s.answers("It is sunny.", 500)
    book >> 2700 >> Played(500 * MS) << """
        agent_started_speaking item_3
        agent_speech_committed item_3 'It is sunny.'
        agent_stopped_speaking item_3
        state listening"""
    assert book
    assert book.outputs == [("call_weather", "sunny")]
    (collected,) = book.announced(events.FunctionCallsCollected)
    assert collected.calls == ({"call_id": "call_weather", "name": "weather", "arguments": '{"city":"Oslo"}'},)
    talk = s.link.conversation
    assert [talk.entries[item].kind for item in talk.order][1:3] == ["function_call", "function_call_output"]
    assert book.session._protocol.conversation.snapshot() == talk.snapshot()


def test_two_calls_in_one_response_have_two_outputs_and_one_answer() -> None:
    book = calling("weather", "time")
    book >> 2500 >> ToolFinished("call_time", "noon") << ""
    book >> 2600 >> ToolFinished("call_weather", "sunny") << """
        function_calls_finished
        send conversation.item.create msg_1
        send conversation.item.create msg_2
        send response.create"""
    assert book
    assert book.outputs == [("call_weather", "sunny"), ("call_time", "noon")]


@pytest.mark.parametrize(("status", "told"), [
    ("cancelled", ""),
    ("incomplete", "error The answer ended early: whatever."),
    ("failed", "error The answer ended early: whatever."),
])
def test_a_call_in_an_answer_that_is_not_whole_is_not_run(status: str, told: str) -> None:
    book = asked()
    s = book.server
    book >> 2100 >> s.begins().calls("weather") << ""
    book >> 2200 >> s.ends(status, "whatever") << told << "state listening"
    assert book
    assert book.outputs == []


def test_a_call_that_was_whole_when_the_user_interrupted_is_told_that_it_was_not_run() -> None:
    book = asked(turn_detection=TurnDetection(interrupt_response=False))
    s = book.server
    book >> 2100 >> s.begins()
    book >> 2200 >> Interrupt() << "send response.cancel"
    book >> s.calls("weather").ends() << "state listening\nsend conversation.item.create msg_1"
    assert book
    assert book.outputs == [("call_weather", NOT_RUN)]
    assert book.announced(events.FunctionCallsCollected) == []


def test_speech_and_a_call_in_one_response() -> None:
    book = asked()
    s = book.server
    book >> 2100 >> s.begins().says("Let me see.", 1000).closes().calls("weather").ends()
    book << "function_calls_collected\nrun_tools call_weather"
    book >> 2200 >> Played(100 * MS) << "agent_started_speaking item_2\nstate speaking"
    book >> 2300 >> ToolFinished("call_weather", "sunny") << FOLLOW_UP  # while it still speaks
    assert book


def test_an_answer_that_is_cut_after_its_calls_were_collected_delivers_their_outputs() -> None:
    book = asked()
    s = book.server
    book >> 2100 >> s.begins().says("Let me see.", 1000).closes().calls("weather").ends()
    book << "function_calls_collected\nrun_tools call_weather"
    book >> 2200 >> Played(100 * MS) << "agent_started_speaking item_2\nstate speaking"
    book >> 2300 >> s.starts(2000) << "user_started_speaking item_4\nstop_playing"
    book >> 2310 >> Flushed(110 * MS) << """
        agent_speech_interrupted item_2 '' 110/1000
        agent_stopped_speaking item_2
        state user_speaking
        send conversation.item.truncate item_2 110"""
    book >> 2400 >> ToolFinished("call_weather", "sunny") << """
        function_calls_finished
        send conversation.item.create msg_1"""
    book >> 3000 >> s.stops(3000) << "user_stopped_speaking item_4\nstate thinking"
    # The answer to the user's turn has seen the output: no other is asked for.
    book >> 3100 >> s.begins() << "" >> 3200 >> s.says("Sunny, by the way.", 100).ends()
    book >> 3300 >> Played(210 * MS) << """
        agent_started_speaking item_5
        agent_speech_committed item_5 'Sunny, by the way.'
        agent_stopped_speaking item_5
        state listening"""
    assert book
    assert len(book.outputs) == 1
    assert book.sent("response.create") == []


def test_an_output_that_comes_while_another_answer_is_made_gets_an_answer_of_its_own() -> None:
    book = calling()
    s = book.server
    book >> 2300 >> s.starts(2000) << "user_started_speaking item_3\nstate user_speaking"
    book >> 2600 >> s.stops(2400) << "user_stopped_speaking item_3\nstate thinking"
    book >> 2700 >> s.begins() << ""
    book >> 2800 >> ToolFinished("call_weather", "sunny") << """
        function_calls_finished
        send conversation.item.create msg_1"""
    book >> 2900 >> s.ends() << "send response.create"
    assert book


def test_an_output_that_comes_while_the_user_speaks_for_nothing_is_answered_after_all() -> None:
    book = calling()
    book.session.settings = SessionSettings(turn_detection=TurnDetection(create_response=False))
    s = book.server
    book >> 2300 >> s.starts(2000) << "user_started_speaking item_3\nstate user_speaking"
    book >> 2400 >> ToolFinished("call_weather", "sunny") << """
        function_calls_finished
        send conversation.item.create msg_1"""
    book >> 2600 >> s.stops(2400) << """
        user_stopped_speaking item_3
        state thinking
        send response.create"""
    assert book


def test_silence_by_hand_while_a_function_runs() -> None:
    book = calling()
    book >> 2300 >> Interrupt() << "state listening"
    book >> 2400 >> ToolFinished("call_weather", "sunny") << """
        function_calls_finished
        send conversation.item.create msg_1"""
    assert book


def test_a_line_typed_while_a_function_runs() -> None:
    book = calling()
    s = book.server
    book >> 2300 >> Typed("Hurry!") << """
        user_speech_committed msg_1 'Hurry!'
        send conversation.item.create msg_1
        send response.create"""
    book >> 2400 >> ToolFinished("call_weather", "sunny") << """
        function_calls_finished
        send conversation.item.create msg_2"""
    book >> 2500 >> s.begins().ends() << "send response.create"  # the first had not seen the output
    assert book


def test_the_filler_is_said_after_two_seconds() -> None:
    book = calling(tool_filler="One moment.")
    s = book.server
    book >> 4099 << ""
    book >> 4101 << f"send response.create {SAY}One moment."
    assert book
    (wanted,) = (each for each in book.happenings if isinstance(each, h.ReplyAsked))
    assert (wanted.aside, wanted.tool_choice, wanted.instructions) == (True, "none", SAY + "One moment.")
    s.response = s.link.begin_response(aside=True)
    book >> 4200 >> s.says("One moment.", 500)
    book >> 4300 >> Played(100 * MS) << "agent_started_speaking item_3\nstate speaking"
    book >> 4400 >> ToolFinished("call_weather", "sunny") << """
        function_calls_finished
        send conversation.item.create msg_1"""
    book >> 4500 >> s.ends() << "send response.create"
    assert book


def test_no_filler_while_somebody_speaks_or_for_a_fast_function() -> None:
    book = calling(tool_filler="One moment.")
    book >> 2300 >> ToolFinished("call_weather", "sunny") << FOLLOW_UP >> 5000 << ""
    assert book
    book = calling(tool_filler="One moment.")
    book >> 4000 >> book.server.starts(3000) << "user_started_speaking item_3\nstate user_speaking" >> 5000 << ""
    assert book


def test_the_rounds_end() -> None:
    book = calling(max_tool_rounds=2)
    s = book.server
    book >> 2300 >> ToolFinished("call_weather", "sunny") << FOLLOW_UP
    book >> 2400 >> s.begins().calls("time").ends() << "function_calls_collected\nrun_tools call_time"
    book >> 2500 >> ToolFinished("call_time", "noon") << """
        function_calls_finished
        send conversation.item.create msg_2
        send response.create"""
    assert book
    first, second = (each for each in book.happenings if isinstance(each, h.ReplyAsked))
    assert (first.tool_choice, second.tool_choice) == (None, "none")


def test_a_refused_follow_up_is_not_asked_for_again() -> None:
    book = calling()
    book >> 2300 >> ToolFinished("call_weather", "sunny") << FOLLOW_UP
    (create,) = book.sent("response.create")
    book >> 2400
    book.server.link.refuse("rate_limit_exceeded", "Too much.", create["event_id"])
    book >> book.server << "error Too much.\nstate listening"
    assert book


def test_the_session_does_not_end_before_the_function_has_answered() -> None:
    book = calling()
    s = book.server
    book >> 2200 >> s.hears("Weather?") << "user_speech_committed item_1 'Weather?'"
    book >> 2300 >> InputEnded() << "" >> 30_000 << ""
    book >> 31_000 >> ToolFinished("call_weather", "sunny") << FOLLOW_UP
    book >> 31_100 >> s.begins().says("Sunny.", 0, spoken=False).ends() << """
        agent_speech_committed item_3 'Sunny.'
        state listening
        state closed
        closed done
        end done"""
    assert book


def test_an_end_in_the_middle_finishes_the_calls() -> None:
    book = calling()
    book >> 2300 >> events.Stop("enough") << """
        user_speech_committed item_1 ''
        function_calls_finished
        state closed
        closed enough
        end enough"""
    assert book


# --- how servers tell of calls --------------------------------------------------------------------------------------

CALL = wire.Item(type="function_call", id="f", call_id="c", name="weather", arguments="{}")
BEGUN = wire.Item(type="function_call", id="f", call_id="c", name="weather", arguments="")
ADDED = wire.ResponseOutputItemAdded(response_id="r", item=BEGUN)
ARGUMENTS = wire.ResponseFunctionCallArgumentsDone(response_id="r", item_id="f", call_id="c", arguments="{}")
ITEM_DONE = wire.ResponseOutputItemDone(response_id="r", item=CALL)


@given(st.lists(st.sampled_from([ADDED, ARGUMENTS, ITEM_DONE]), max_size=6), st.booleans(), st.integers(1, 2))
def test_a_call_that_is_told_in_many_ways_is_run_once(told: list[Any], whole: bool, times: int) -> None:
    session = Book().session
    ran: list[Any] = []

    def tell(message: wire.ServerMessage) -> None:
        out = session.step(Received(wire.encode(message)), 0)
        ran.extend(command for command in out if isinstance(command, commands.RunTools))

    created = wire.ResponseCreated(response=wire.Response(id="r", status="in_progress"))
    empty = wire.Session()
    for message in (wire.SessionCreated(session=empty), wire.SessionUpdated(session=empty), created, *told):
        tell(message)
    done = wire.Response(id="r", status="completed", output=[CALL] if whole else [])
    for _ in range(times):
        tell(wire.ResponseDone(response=done))
    known = whole or ITEM_DONE in told or any(
        message is ARGUMENTS and ADDED in told[:place] for place, message in enumerate(told)
    )
    assert ran == ([commands.RunTools((commands.ToolCall("c", "weather", "{}"),))] if known else [])


def test_the_wire_has_the_order_of_openai() -> None:
    server = Script()
    server.open()
    server.link.take()
    server.begins().calls("weather", arguments='{"a":1}').ends()
    messages = [json.loads(message) for message in server.link.take()]
    assert [message["type"] for message in messages] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    assert messages[1]["item"]["arguments"] == ""
    assert messages[4]["name"] == "weather"
    assert messages[-1]["response"]["output"] == [messages[-2]["item"]]


def test_the_messages_are_what_the_official_sdk_declares() -> None:
    realtime = pytest.importorskip("openai.types.realtime", reason="pip install 'mmagent[dev]'")
    from pydantic import TypeAdapter

    server = Script()
    server.open()
    server.begins().calls("weather").ends()
    adapter = TypeAdapter(realtime.RealtimeServerEvent)
    for message in server.link.take():
        if b"session" not in message[:20]:
            assert adapter.validate_json(message, strict=False).type
    book = calling(max_tool_rounds=1, tool_filler="Wait.")
    book >> 2500 >> ToolFinished("call_weather", "sunny") << FOLLOW_UP
    assert book
    client = TypeAdapter(realtime.RealtimeClientEvent)
    for _, command in book.commands:
        if isinstance(command, commands.Send):
            assert client.validate_json(command.message).type


# --- anything at all ------------------------------------------------------------------------------------------------

_ids = st.sampled_from(["resp_1", "resp_2", ""])
_calls = st.builds(
    wire.Item,
    type=st.just("function_call"),
    id=st.sampled_from(["item_1", "item_2", ""]),
    call_id=st.sampled_from(["c1", "c2", "c3", None]),
    name=st.sampled_from(["f", "g", None]),
    arguments=st.sampled_from(["{}", "", None]),
)
_outputs = st.builds(wire.Item, type=st.just("function_call_output"), id=st.sampled_from(["msg_000001", "msg_000002"]))
_happens = st.one_of(
    st.builds(wire.ResponseOutputItemDone, item=_calls, response_id=_ids),
    st.builds(wire.ConversationItemAdded, item=_outputs),
    st.builds(wire.ResponseDone, response=st.builds(
        wire.Response,
        id=_ids,
        status=st.sampled_from(["completed", "completed", "cancelled"]),
        output=st.lists(_calls, max_size=2),
    )),
).map(lambda message: Received(wire.encode(message))) | st.builds(
    ToolFinished, st.sampled_from(["c1", "c2", "c3"]), st.just("ok")
)


@given(
    sessions.some_settings,
    st.lists(st.tuples(sessions.gaps, st.one_of(sessions.received, _happens, _happens, sessions.local)), max_size=40),
    st.sampled_from(["", "One moment."]),
    st.integers(1, 3),
)
def test_whatever_happens_each_call_has_one_output_at_most_and_is_finished_once(
    settings: SessionSettings, happens: list[tuple[int, events.Event]], filler: str, rounds: int
) -> None:
    hello: list[Any] = [wire.SessionCreated(session=wire.Session()), wire.SessionUpdated(session=wire.Session())]
    script: list[tuple[int, events.Event]] = [(0, LinkUp()), *((0, Received(wire.encode(m))) for m in hello)]
    now = 0
    for gap, event in happens:
        now += gap
        script.append((now, event))
    settings = msgspec.structs.replace(settings, tool_filler=filler, max_tool_rounds=rounds)
    session, told = sessions.run(settings, [*script, (now, events.Stop("enough"))])
    sessions.check(session, told)
    announced = [command.event for _, command in told if isinstance(command, commands.Announce)]
    collected = [call["call_id"] for e in announced if isinstance(e, events.FunctionCallsCollected) for call in e.calls]
    finished = [each["call_id"] for e in announced if isinstance(e, events.FunctionCallsFinished) for each in e.results]
    assert len(set(collected)) == len(collected)
    assert Counter(collected) == Counter(finished)
    sent = [json.loads(command.message) for _, command in told if isinstance(command, commands.Send)]
    items = [message["item"] for message in sent if message["type"] == "conversation.item.create"]
    outputs = Counter(item["call_id"] for item in items if item["type"] == "function_call_output")
    assert all(count == 1 for count in outputs.values())
