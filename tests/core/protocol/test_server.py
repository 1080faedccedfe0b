"""The server's role: what it takes from a client, what it refuses, and what it says."""

from __future__ import annotations

from typing import Any

import pytest

from mmagent.core import happenings as h
from mmagent.core import pcm, wire
from mmagent.core.protocol import Protocol, Role

COUNT = h.UsageCount(text_in=1, audio_in=2, text_out=3, audio_out=4)


def server() -> Protocol:
    link = Protocol(Role.SERVER)
    link.open("sess_1", "test")
    link.take()
    return link


def asked(link: Protocol, *messages: wire.ClientMessage) -> list[h.Happening]:
    return [happening for message in messages for happening in link.receive(wire.encode(message))]


def said(link: Protocol) -> list[Any]:
    return [wire.decode_server(message) for message in link.take()]


def kinds(link: Protocol) -> list[str]:
    return [str(type(message).__struct_config__.tag) for message in said(link)]


def error(link: Protocol) -> tuple[str, str, str]:
    (message,) = said(link)
    assert isinstance(message, wire.Error)
    return message.error.code or "", message.error.message, message.error.event_id or ""


def spoken(link: Protocol, ms: int = 1000) -> tuple[str, str]:
    """An answer with so much sound; (response, item)."""
    response = link.begin_response()
    item = link.begin_item(response, spoken=True)
    link.words(response, item, "Hello there.", spoken=True)
    link.sound(response, item, pcm.silence(pcm.ms_to_samples(ms)))
    link.take()
    return response, item


def text_item(text: str, item_id: str | None = None) -> wire.Item:
    return wire.Item(type="message", id=item_id, role="user", content=[wire.ContentPart(type="input_text", text=text)])


# --- taking --------------------------------------------------------------------------------------------------------


def test_hello_comes_first() -> None:
    link = Protocol(Role.SERVER)
    link.open("sess_1", "test")
    (hello,) = said(link)
    assert isinstance(hello, wire.SessionCreated)
    assert hello.session.id == "sess_1"


def test_an_update_is_merged_and_told_back() -> None:
    link = server()
    update = wire.SessionUpdate(session=wire.Session(type="realtime", instructions="Be brief."))
    (changed,) = asked(link, update)
    assert isinstance(changed, h.SessionChanged)
    assert changed.instructions == "Be brief."
    assert changed.turn_detection is not None  # what was not said is as it was
    detection_off = wire.Session(type="realtime", audio=wire.AudioConfig(input=wire.AudioInput(turn_detection=None)))
    (changed,) = asked(link, wire.SessionUpdate(session=detection_off))
    assert isinstance(changed, h.SessionChanged)
    assert (changed.instructions, changed.turn_detection) == ("Be brief.", None)
    assert kinds(link) == ["session.updated", "session.updated"]


def test_a_commit_needs_a_tenth_of_a_second() -> None:
    link = server()
    asked(link, wire.InputAudioBufferAppend(audio=bytes(4798)))
    assert asked(link, wire.InputAudioBufferCommit(event_id="e1")) == []
    code, text, event_id = error(link)
    assert (code, event_id) == ("input_audio_buffer_commit_empty", "e1")
    assert "99.00ms" in text
    asked(link, wire.InputAudioBufferAppend(audio=bytes(2)))
    assert [type(x) for x in asked(link, wire.InputAudioBufferCommit())] == [h.CommitAsked]


def test_cleared_audio_does_not_count() -> None:
    link = server()
    asked(link, wire.InputAudioBufferAppend(audio=bytes(9600)))
    assert asked(link, wire.InputAudioBufferClear()) == [h.ClearAsked()]
    assert kinds(link) == ["input_audio_buffer.cleared"]
    assert asked(link, wire.InputAudioBufferCommit()) == []


def test_items_are_put_where_they_are_wanted() -> None:
    link = server()
    put = [
        wire.ConversationItemCreate(item=text_item("one", "a")),
        wire.ConversationItemCreate(item=text_item("two", "b"), previous_item_id="root"),
        wire.ConversationItemCreate(item=text_item("three"), previous_item_id="b"),
    ]
    happened = asked(link, *put)
    assert all(isinstance(x, h.ItemPut) for x in happened)
    assert link.conversation.order == ["b", "item_000001", "a"]
    messages = said(link)
    assert [type(m) for m in messages] == [wire.ConversationItemAdded, wire.ConversationItemDone] * 3
    assert [m.previous_item_id for m in messages[::2]] == [None, None, "b"]
    assert {m.item.status for m in messages} == {"completed"}


def test_items_that_cannot_be_put() -> None:
    link = server()
    asked(link, wire.ConversationItemCreate(item=text_item("one", "a")))
    said(link)
    assert asked(link, wire.ConversationItemCreate(item=text_item("one", "a"), event_id="e1")) == []
    assert error(link)[::2] == ("item_create_duplicate_item_id", "e1")
    lost = wire.ConversationItemCreate(item=text_item("one", "b"), previous_item_id="nobody", event_id="e2")
    assert asked(link, lost) == []
    assert error(link)[::2] == ("item_create_invalid_previous_item_id", "e2")


def test_items_are_shown_and_deleted() -> None:
    link = server()
    asked(link, wire.ConversationItemCreate(item=text_item("one", "a")))
    said(link)
    asked(link, wire.ConversationItemRetrieve(item_id="a"))
    (shown,) = said(link)
    assert shown.item.content[0].text == "one"
    assert asked(link, wire.ConversationItemDelete(item_id="a")) == [h.ItemDeleted("a")]
    assert kinds(link) == ["conversation.item.deleted"]
    asked(link, wire.ConversationItemDelete(item_id="a", event_id="e1"))
    assert error(link)[0] == "item_delete_invalid_item_id"
    asked(link, wire.ConversationItemRetrieve(item_id="a", event_id="e1"))
    assert error(link)[0] == "item_retrieve_invalid_item_id"
    asked(link, wire.ConversationItemCreate(item=text_item("again", "a")))
    assert link.conversation.order == ["a"]


def test_one_answer_at_a_time() -> None:
    link = server()
    assert [type(x) for x in asked(link, wire.ResponseCreate())] == [h.ReplyAsked]
    link.begin_response()
    link.take()
    assert asked(link, wire.ResponseCreate(event_id="e1")) == []
    code, text, event_id = error(link)
    assert (code, event_id) == ("conversation_already_has_active_response", "e1")
    assert "resp_000001" in text


def test_only_an_answer_that_is_being_made_can_be_cancelled() -> None:
    link = server()
    assert asked(link, wire.ResponseCancel(event_id="e1")) == []
    assert error(link) == ("response_cancel_not_active", "Cancellation failed: no active response found", "e1")
    link.begin_response()
    assert [type(x) for x in asked(link, wire.ResponseCancel())] == [h.CancelAsked]


@pytest.mark.parametrize(
    ("item", "ms", "code", "text"),
    [
        (
            "nobody",
            5,
            "item_truncate_invalid_item_id",
            "Error truncating item: the item with id 'nobody' does not exist.",
        ),
        ("user", 5, "unsupported_content_type", "Only model output audio messages can be truncated"),
        ("empty", 0, "unsupported_content_type", "Only model output audio messages can be truncated"),
        ("item_000001", 1001, "invalid_value", "Audio content of 1000ms is already shorter than 1001ms"),
        ("item_000001", -1, "invalid_value", "Invalid value: -1. It must be 0 or more."),
    ],
)
def test_truncations_that_fail(item: str, ms: int, code: str, text: str) -> None:
    link = server()
    response, _ = spoken(link)
    asked(link, wire.ConversationItemCreate(item=text_item("one", "user")))
    if item == "empty":
        item = link.begin_item(response, spoken=True)
    link.take()
    cut = wire.ConversationItemTruncate(item_id=item, content_index=0, audio_end_ms=ms, event_id="e1")
    before = link.conversation.snapshot()
    assert asked(link, cut) == []
    assert error(link) == (code, text, "e1")
    assert link.conversation.snapshot() == before


def test_a_truncation() -> None:
    link = server()
    response, item = spoken(link)
    cut = wire.ConversationItemTruncate(item_id=item, content_index=0, audio_end_ms=400)
    assert asked(link, cut) == [h.ItemCut(item, 400)]
    (message,) = said(link)
    assert (message.item_id, message.content_index, message.audio_end_ms) == (item, 0, 400)
    link.words(response, item, "More.", spoken=True)
    link.sound(response, item, b"12")
    assert said(link) == []
    assert asked(link, wire.ConversationItemTruncate(item_id=item, content_index=0, audio_end_ms=500)) == []
    assert error(link)[1] == "Audio content of 400ms is already shorter than 500ms"


@pytest.mark.parametrize(
    ("data", "code", "event_id"),
    [
        (b'{"type":"what.is.this","event_id":"e1"}', "invalid_value", "e1"),
        (b'{"type":"what.is.this","event_id":5}', "invalid_value", ""),
        (b'{"type":"output_audio_buffer.clear","event_id":"e1"}', "invalid_event", "e1"),
        (b'{"type":"conversation.item.delete","event_id":"e1"}', "missing_required_parameter", "e1"),
        (b"nonsense", "invalid_event", ""),
    ],
)
def test_what_is_no_message(data: bytes, code: str, event_id: str) -> None:
    link = server()
    assert link.receive(data) == []
    assert error(link)[::2] == (code, event_id)


# --- saying --------------------------------------------------------------------------------------------------------


def test_a_turn_of_the_user() -> None:
    link = server()
    item = link.speech_started(300)
    assert repr(link.conversation).endswith(f"speech {item}>")
    link.speech_stopped(item, 900)
    assert link.committed(item) == item
    assert link.conversation.speech is None
    link.transcribing(item, "What ")
    link.transcribed(item, "What is it?", 0.6)
    names = ["speech_started", "speech_stopped", "committed"]
    transcription = "conversation.item.input_audio_transcription"
    assert kinds(link) == [
        *(f"input_audio_buffer.{name}" for name in names),
        "conversation.item.added",
        "conversation.item.done",
        f"{transcription}.delta",
        f"{transcription}.completed",
    ]
    assert link.conversation.entries[item].text == "What is it?"


def test_a_silence_that_becomes_a_turn() -> None:
    link = server()
    link.timed_out(1000, 7000)
    assert kinds(link)[:2] == ["input_audio_buffer.timeout_triggered", "input_audio_buffer.committed"]
    assert len(link.conversation.order) == 1


def test_words_of_an_item_that_is_gone_are_told_all_the_same() -> None:
    link = server()
    link.transcribed("gone", "words", 1.0)
    assert link.conversation.entries == {}


@pytest.mark.parametrize("voice", [True, False])
def test_an_answer_in_openais_order(voice: bool) -> None:
    link = server()
    response = link.begin_response({"topic": "x"})
    item = link.begin_item(response, spoken=voice)
    link.words(response, item, "Hello ", spoken=voice)
    if voice:
        link.sound(response, item, bytes(960))
    link.end_item(response, item, spoken=voice, whole=True)
    link.end_item(response, item, spoken=voice, whole=True)  # once
    link.end_response(response, "completed", "", COUNT)
    link.end_response(response, "completed", "", COUNT)  # once
    middle = (
        ["response.output_audio_transcript.delta", "response.output_audio.delta", "response.output_audio.done"]
        if voice
        else ["response.output_text.delta"]
    )
    last = "response.output_audio_transcript.done" if voice else "response.output_text.done"
    messages = said(link)
    assert [str(type(m).__struct_config__.tag) for m in messages] == [
        "response.created",
        "response.output_item.added",
        "conversation.item.added",
        "response.content_part.added",
        *middle,
        last,
        "response.content_part.done",
        "conversation.item.done",
        "response.output_item.done",
        "response.done",
    ]
    ended = messages[-1].response
    assert (ended.status, ended.usage.input_tokens, ended.usage.output_tokens) == ("completed", 3, 7)
    assert [output.id for output in ended.output] == [item]
    assert all(m.event_id for m in messages)


def test_an_answer_that_is_cut_short_says_why() -> None:
    link = server()
    response, item = spoken(link)
    link.end_item(response, item, spoken=True, whole=False)
    link.end_response(response, "cancelled", "turn_detected", COUNT)
    ended = said(link)[-1].response
    assert (ended.status, ended.status_details.reason) == ("cancelled", "turn_detected")
    assert ended.output[0].status == "incomplete"


def test_nothing_is_said_of_an_item_that_was_deleted() -> None:
    link = server()
    response, item = spoken(link)
    asked(link, wire.ConversationItemDelete(item_id=item))
    link.take()
    link.words(response, item, "More.", spoken=True)
    link.sound(response, item, b"12")
    link.end_item(response, item, spoken=True, whole=True)
    assert said(link) == []
