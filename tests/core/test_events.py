from __future__ import annotations

import re
import typing
from typing import Any

import msgspec
import pytest

from mmagent.core import events
from mmagent.core.events import (
    AgentSpeechCommitted,
    AgentSpeechInterrupted,
    Announcement,
    Event,
    UserSpeechCommitted,
    name_of,
    snake,
)

TOLD = typing.get_args(Event)
ANNOUNCED = typing.get_args(Announcement)
COMMITTED = [UserSpeechCommitted, AgentSpeechCommitted, AgentSpeechInterrupted]

SEED = {
    "user_started_speaking",
    "user_stopped_speaking",
    "agent_started_speaking",
    "agent_stopped_speaking",
    "user_speech_committed",
    "agent_speech_committed",
    "agent_speech_interrupted",
}
REFERENCE = {"function_calls_collected", "function_calls_finished", "metrics_collected"}
NEW = {
    "agent_state_changed",
    "user_transcript",
    "agent_transcript",
    "session_reconnecting",
    "session_reconnected",
    "error",
    "warning",
    "usage",
}


def tag_of(cls: Any) -> str:
    return str(cls.__struct_config__.tag)


def committed(cls: type[events.SpeechCommitted]) -> events.SpeechCommitted:
    return cls(item_id="item_1", text="Hello there.", role="user", interrupted=False, started_at=5, ended_at=9)


def test_the_names_of_the_seed_the_reference_and_the_design_are_announced() -> None:
    assert {tag_of(cls) for cls in ANNOUNCED} >= SEED | REFERENCE | NEW


@pytest.mark.parametrize("cls", TOLD + ANNOUNCED, ids=lambda cls: cls.__name__)
def test_a_name_is_its_class_in_snake_case(cls: Any) -> None:
    name = tag_of(cls)
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", name)
    assert name.title().replace("_", "") == cls.__name__
    assert cls.__doc__


def test_no_two_have_the_same_name() -> None:
    names = [tag_of(cls) for cls in TOLD + ANNOUNCED]
    assert len(names) == len(set(names))


def test_every_event_of_the_module_is_in_one_of_the_unions() -> None:
    defined = {
        cls
        for cls in vars(events).values()
        if isinstance(cls, type) and issubclass(cls, events._Event) and not cls.__subclasses__()
    }
    assert defined == set(TOLD + ANNOUNCED)


def test_snake() -> None:
    assert [snake(name) for name in ("MicAudio", "Stop", "AgentSpeechInterrupted")] == [
        "mic_audio",
        "stop",
        "agent_speech_interrupted",
    ]


@pytest.mark.parametrize("cls", COMMITTED)
def test_a_committed_event_works_as_its_text_and_carries_what_the_design_says(
    cls: type[events.SpeechCommitted],
) -> None:
    event = committed(cls)
    assert str(event) == f"{event}" == event.content == event.text == "Hello there."
    assert (event.role, event.item_id, event.interrupted) == ("user", "item_1", False)
    assert (event.started_at, event.ended_at) == (5, 9)


@pytest.mark.parametrize("cls", COMMITTED)
def test_a_json_line_begins_with_the_name(cls: type[events.SpeechCommitted]) -> None:
    event = committed(cls)
    line = msgspec.json.decode(msgspec.json.encode(event))
    assert next(iter(line.items())) == ("event", name_of(event))
    assert line["text"] == "Hello there."
    assert "content" not in line


@pytest.mark.parametrize("cls", COMMITTED)
def test_what_happened_cannot_be_changed(cls: type[events.SpeechCommitted]) -> None:
    with pytest.raises(AttributeError):
        committed(cls).text = "Something else."  # type: ignore[misc]
