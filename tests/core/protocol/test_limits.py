"""What a server of ours takes of a client, and how a session changes: mmagent/core/protocol/limits.py."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from mmagent.core import wire
from mmagent.core.protocol import forms, limits
from mmagent.core.settings import SessionSettings

FIRST = forms.session_of(SessionSettings(model="ours", instructions="first"))


def session(**fields: Any) -> wire.Session:
    return msgspec.convert({"type": "realtime", **fields}, wire.Session)


def message(*content: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(content)}


def heard(**fields: Any) -> dict[str, Any]:
    return {"audio": {"input": fields}}


def spoken(**fields: Any) -> dict[str, Any]:
    return {"audio": {"output": fields}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, None),
        ({"audio": None}, None),
        (heard(turn_detection=None), None),
        (heard(turn_detection={"type": "semantic_vad"}), "session.audio.input.turn_detection.type"),
        (heard(format={"type": "audio/pcm", "rate": 16000}), None),
        (heard(format={"rate": 16000}), None),
        (heard(format={"type": "audio/pcm", "rate": 8000}), "session.audio.input.format.rate"),
        (spoken(format={"type": "audio/pcm", "rate": 48000}), "session.audio.output.format.rate"),
        (spoken(format={"type": "audio/pcmu", "rate": 8000}), None),
        (spoken(format={"type": "audio/pcma", "rate": 16000}), "session.audio.output.format.rate"),
        ({"output_modalities": ["text"]}, None),
        ({"output_modalities": ["audio", "text"]}, "session.output_modalities"),
        ({"output_modalities": []}, "session.output_modalities"),
        ({"type": "transcription"}, None),
        ({"type": "transcription", "tools": []}, "session.tools"),
        ({"type": "transcription", **spoken(voice="x")}, "session.audio.output"),
    ],
)
def test_what_a_session_may_be(fields: dict[str, Any], param: str | None) -> None:
    refusal = limits.of_session(session(**fields))
    assert (refusal.param if refusal else None) == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"conversation": "none"}, None),
        ({"conversation": "both"}, "response.conversation"),
        ({"input": [{"type": "item_reference", "id": "known"}]}, None),
        ({"input": [{"type": "item_reference", "id": "other"}]}, "response.input[0].id"),
        ({"input": [message({"type": "input_image", "image_url": "x"})]}, "response.input[0].content[0].type"),
        ({"output_modalities": ["text", "audio"]}, "response.output_modalities"),
        (spoken(format={"type": "audio/pcm", "rate": 1}), "response.audio.output.format.rate"),
        ({"metadata": {str(n): "x" for n in range(16)}}, None),
        ({"metadata": {str(n): "x" for n in range(17)}}, "response.metadata"),
        ({"metadata": {"n" * 64: "x" * 512}}, None),
        ({"metadata": {"n" * 65: "x"}}, f"response.metadata.{'n' * 64}"),
        ({"metadata": {"n": "x" * 513}}, "response.metadata.n"),
        ({"metadata": {"n": 1}}, "response.metadata.n"),
    ],
)
def test_what_an_answer_may_be(fields: dict[str, Any], param: str | None) -> None:
    refusal = limits.of_response(msgspec.convert(fields, wire.ResponseParams), {"known"})
    assert (refusal.param if refusal else None) == param
    assert limits.of_response(None, {}) is None


@pytest.mark.parametrize(
    ("item", "param"),
    [
        (message({"type": "input_text", "text": "x"}), None),
        (message({"type": "input_text", "text": "x"}, {"type": "input_image"}), "item.content[1].type"),
        (message({"type": "output_text", "text": "x"}, role="assistant"), None),
        (message({"type": "output_audio"}, role="assistant"), "item.content[0].type"),
        (message({"type": "input_audio", "audio": ""}), "item.content[0].audio"),
        (message({"type": "input_audio", "transcript": "x"}), None),
        ({"type": "function_call_output", "call_id": "c", "output": "x"}, None),
    ],
)
def test_what_an_item_may_be(item: dict[str, Any], param: str | None) -> None:
    refusal = limits.of_item(msgspec.convert(item, wire.Item), "item")
    assert (refusal.param if refusal else None) == param


def test_what_is_not_said_stays() -> None:
    now = limits.updated(FIRST, session(model="theirs", instructions="new"), FIRST)
    assert (now.model, now.instructions, now.audio) == ("ours", "new", limits.updated(now, session(), FIRST).audio)


def test_turn_detection_is_whole() -> None:
    off = limits.updated(FIRST, session(**heard(turn_detection=None)), FIRST)
    on = limits.updated(off, session(**heard(turn_detection={"type": "server_vad", "threshold": None})), FIRST)
    assert msgspec.to_builtins(off)["audio"]["input"]["turn_detection"] is None
    assert msgspec.to_builtins(on)["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "create_response": True,
        "interrupt_response": True,
        "idle_timeout_ms": None,
    }


def test_g711_has_no_rate() -> None:
    now = limits.updated(FIRST, session(**spoken(format={"type": "audio/pcmu", "rate": 8000})), FIRST)
    assert msgspec.to_builtins(now)["audio"]["output"]["format"] == {"type": "audio/pcmu"}
    back = limits.updated(now, session(**spoken(format={"type": "audio/pcm"})), FIRST)
    assert msgspec.to_builtins(back)["audio"]["output"]["format"] == {"type": "audio/pcm", "rate": 24000}


def test_a_transcription_has_only_its_own_fields_and_may_become_a_talk_again() -> None:
    changed = limits.updated(FIRST, session(instructions="new"), FIRST)
    only = limits.updated(changed, session(type="transcription", **heard(format={"type": "audio/pcma"})), FIRST)
    assert set(msgspec.to_builtins(only)) == {"type", "audio", "object"}
    assert set(msgspec.to_builtins(only)["audio"]) == {"input"}
    again = limits.updated(only, session(), FIRST)
    assert (again.type, again.instructions) == ("realtime", "first")
    assert msgspec.to_builtins(again)["audio"]["input"]["format"] == {"type": "audio/pcma"}
