from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmagent.core import happenings as h
from mmagent.core import pcm, wire
from mmagent.core.conversation import Entry
from mmagent.core.protocol import forms
from mmagent.core.settings import Modality, SessionSettings, ToolSpec, TurnDetection


def there_and_back(settings: SessionSettings) -> h.SessionChanged:
    """What a server makes of what a client makes of these settings."""
    update = wire.SessionUpdate(session=forms.session_of(settings))
    read = wire.decode_client(wire.encode(update))
    assert isinstance(read, wire.SessionUpdate), read
    return forms.session_changed(read.session)


detections = st.builds(
    TurnDetection,
    type=st.just("server_vad"),
    threshold=st.floats(0, 1),
    prefix_padding_ms=st.integers(0, 5000),
    silence_duration_ms=st.integers(0, 5000),
    create_response=st.booleans(),
    interrupt_response=st.booleans(),
    idle_timeout_ms=st.none() | st.integers(5000, 30_000),
)


@given(st.text(max_size=20), st.sampled_from(["alloy", "x"]), st.none() | st.integers(1, 4096), detections)
def test_settings_arrive_as_they_were_meant(
    instructions: str, voice: str, tokens: int | None, detection: TurnDetection
) -> None:
    settings = SessionSettings(
        instructions=instructions, voice=voice, max_output_tokens=tokens, turn_detection=detection, model="m"
    )
    changed = there_and_back(settings)
    assert (changed.instructions, changed.voice, changed.max_output_tokens) == (instructions, voice, tokens)
    assert changed.turn_detection == detection
    assert changed.transcribe
    assert changed.modalities == ("audio",)


def test_detection_off_is_said() -> None:
    """ "`turn_detection:null` must be serialised" (trap 1)."""
    settings = SessionSettings(turn_detection=TurnDetection(type="none"))
    assert there_and_back(settings).turn_detection is None
    assert b'"turn_detection":null' in wire.encode(wire.SessionUpdate(session=forms.session_of(settings)))


def test_semantic_vad_has_an_eagerness_and_no_numbers() -> None:
    detection = forms.detection_of(SessionSettings(turn_detection=TurnDetection(type="semantic_vad", eagerness="low")))
    assert detection is not None
    assert (detection.eagerness, detection.threshold) == ("low", msgspec.UNSET)


def test_without_interruptions_the_server_is_not_to_interrupt() -> None:
    changed = there_and_back(SessionSettings(interruptions=False))
    assert changed.turn_detection is not None
    assert changed.turn_detection.interrupt_response is False


def test_text_alone() -> None:
    assert there_and_back(SessionSettings(modalities=("text",))).modalities == ("text",)


def test_a_session_that_says_nothing() -> None:
    changed = forms.session_changed(wire.Session())
    assert (changed.instructions, changed.voice, changed.modalities) == ("", "", ("audio",))
    assert (changed.turn_detection, changed.transcribe) == (TurnDetection(), False)


def test_a_partial_update_keeps_the_rest() -> None:
    old = wire.TurnDetection(type="server_vad", threshold=0.3, silence_duration_ms=200)
    merged = forms.merge(old, wire.TurnDetection(type="server_vad", threshold=0.7))
    assert (merged.threshold, merged.silence_duration_ms) == (0.7, 200)
    other = wire.TurnDetection(type="semantic_vad")
    assert forms.merge(old, other) is other
    assert forms.merge(old, None) is None


def test_what_is_known_of_the_modalities() -> None:
    cases: list[tuple[list[str], tuple[Modality, ...]]] = [
        (["text"], ("text",)),
        (["text", "audio"], ("audio", "text")),
        (["smell"], ("audio",)),
    ]
    for names, expected in cases:
        assert forms.modalities(names) == expected


def test_what_an_answer_is_asked_for_with() -> None:
    plain = forms.reply_asked(None, "e1")
    assert (plain.instructions, plain.modalities, plain.max_output_tokens, plain.metadata) == (None, None, None, None)
    params = wire.ResponseParams(
        instructions="Go.", output_modalities=["text"], max_output_tokens=9, metadata={"a": "b"}
    )
    full = forms.reply_asked(params, "e1")
    assert (full.instructions, full.modalities, full.max_output_tokens) == ("Go.", ("text",), 9)
    assert (full.metadata, full.event_id) == ({"a": "b"}, "e1")
    assert forms.reply_asked(wire.ResponseParams(max_output_tokens="inf"), "").max_output_tokens is None


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        (Entry("a", role="user", status="completed", text="Hi", written=True), "input_text"),
        (Entry("a", role="user", status="completed", text="Hi"), "input_audio"),
        (Entry("a", role="assistant", status="completed", text="Hi"), "output_audio"),
        (Entry("a", role="assistant", status="incomplete", text="Hi", written=True), "output_text"),
    ],
)
def test_an_entry_as_the_wire_shows_it(entry: Entry, kind: str) -> None:
    item = forms.item_of(entry)
    assert item.content is not None
    assert [part.type for part in item.content] == [kind]
    assert forms.text_of(item) == "Hi"
    assert (item.role, item.status) == (entry.role, entry.status)


def test_an_answer_that_is_being_made_has_no_content_yet() -> None:
    assert forms.item_of(Entry("a", role="assistant", text="Hi")).content == []
    assert forms.text_of(wire.Item(type="message")) == ""


@pytest.mark.parametrize(
    ("status", "details", "why", "code"),
    [
        ("completed", None, "", ""),
        ("cancelled", wire.StatusDetails(reason="turn_detected"), "", ""),
        ("failed", "overloaded", "The answer ended early: overloaded.", ""),
        ("failed", None, "The answer ended early: failed.", ""),
        ("failed", wire.StatusDetails(error=wire.StatusError(type="t", message="No.")), "The answer failed: No.", "t"),
        ("failed", wire.StatusDetails(error=wire.StatusError(code="c")), "The answer failed: c", "c"),
        ("failed", wire.StatusDetails(error=wire.StatusError()), "The answer ended early: failed.", ""),
        ("incomplete", wire.StatusDetails(reason="content_filter"), "The answer ended early: it was filtered.", ""),
        ("incomplete", wire.StatusDetails(reason="mood"), "The answer ended early: mood.", ""),
    ],
)
def test_why_an_answer_is_not_whole(status: str, details: Any, why: str, code: str) -> None:
    assert forms.why(wire.Response(status=status, status_details=details)) == (why, code)


def test_counts() -> None:
    usage = forms.usage_of(h.UsageCount(text_in=1, audio_in=2, text_out=3, audio_out=4))
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (3, 7, 10)
    plain = forms.builtins(usage)
    assert plain is not None
    assert plain["output_token_details"] == {"text_tokens": 3, "audio_tokens": 4}
    assert forms.builtins(None) is None
    assert forms.builtins(msgspec.UNSET) is None


@pytest.mark.parametrize(
    ("raw", "event_id"),
    [(b'{"event_id":"e1"}', "e1"), (b'{"event_id":7}', ""), (b"{}", ""), (b"[]", ""), (b"no", ""), (b"[" * 9999, "")],
)
def test_the_event_id_of_anything(raw: bytes, event_id: str) -> None:
    assert forms.event_id_in(raw) == event_id


def test_functions_arrive_as_they_were_described() -> None:
    spec = ToolSpec("weather", "How it is outside.", '{"type":"object"}')
    changed = there_and_back(SessionSettings(tools=(spec,)))
    assert (changed.tools, changed.tool_choice) == ((spec,), "auto")
    assert there_and_back(SessionSettings()).tools == ()
    assert forms.tools_of(None) is None
    assert forms.tools_of([wire.Tool(type="mcp"), wire.Tool(type="function")]) == ()


@pytest.mark.parametrize(
    ("said", "meant"),
    [("required", "required"), (None, None), ({"type": "function", "name": "f"}, "f"), ({"type": "function"}, "auto"),
     ({"type": "mcp"}, None)],
)  # fmt: skip
def test_which_function_is_to_be_called(said: Any, meant: str | None) -> None:
    assert forms.choice_of(said) == meant


@pytest.mark.parametrize(
    "entry",
    [
        Entry("a", kind="function_call", status="completed", text='{"x":1}', call_id="c", name="f"),
        Entry("a", kind="function_call_output", status="completed", text="sunny", call_id="c"),
    ],
)
def test_calls_and_outputs_as_the_wire_shows_them(entry: Entry) -> None:
    item = forms.item_of(entry)
    assert (item.type, item.call_id, item.name or "") == (entry.kind, "c", entry.name)
    assert forms.text_of(item) == entry.text


def test_how_sound_is_written() -> None:
    assert forms.encoding(None) == forms.encoding(wire.Format()) == pcm.Encoding()
    assert forms.encoding(wire.Format(type="audio/pcm", rate=16_000)) == pcm.Encoding(rate=16_000)
    assert forms.encoding(wire.Format(type="audio/pcmu")) == pcm.Encoding("audio/pcmu", 8000)


def test_what_an_answer_is_to_be_about() -> None:
    part = wire.ContentPart(type="input_text", text="Hi")
    items = [wire.Item(type="item_reference", id="a"), wire.Item(type="message", role="user", content=[part])]
    asked = forms.reply_asked(wire.ResponseParams(conversation="none", input=items), "")
    assert (asked.aside, asked.about) == (True, (h.Line("a"), h.Line("", "user", "Hi")))


def test_a_transcription_session_gives_no_answers() -> None:
    heard = wire.AudioInput(turn_detection=wire.TurnDetection(type="server_vad", threshold=0.4))
    changed = forms.session_changed(wire.Session(type="transcription", audio=wire.AudioConfig(input=heard)))
    assert (changed.answers, changed.transcribe) == (False, True)
    assert changed.turn_detection is not None
    assert (changed.turn_detection.create_response, changed.turn_detection.threshold) == (False, 0.4)
