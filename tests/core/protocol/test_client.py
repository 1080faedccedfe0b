"""The client's role: what it says, and what it makes of a server's messages, tolerant ones above all."""

from __future__ import annotations

from typing import Any

import pytest

from mmagent.core import happenings as h
from mmagent.core import wire
from mmagent.core.protocol import Protocol, Role
from mmagent.core.settings import SessionSettings


def client() -> Protocol:
    return Protocol(Role.CLIENT)


def told(link: Protocol, *messages: wire.ServerMessage) -> list[h.Happening]:
    """What the client makes of these."""
    return [happening for message in messages for happening in link.receive(wire.encode(message))]


def said(link: Protocol) -> list[Any]:
    return [wire.decode_client(message) for message in link.take()]


def created(response_id: str) -> wire.ServerMessage:
    return wire.ResponseCreated(response=wire.Response(status="in_progress", id=response_id))


def done(response_id: str, status: str = "completed", **more: Any) -> wire.ServerMessage:
    return wire.ResponseDone(response=wire.Response(status=status, id=response_id, **more))


def added(item_id: str, response_id: str = "r1", **more: Any) -> wire.ServerMessage:
    item = wire.Item(type="message", id=item_id, role="assistant", **more)
    return wire.ResponseOutputItemAdded(response_id=response_id, item=item)


def sound(item_id: str, data: bytes, response_id: str = "r1") -> wire.ServerMessage:
    return wire.ResponseOutputAudioDelta(response_id=response_id, item_id=item_id, delta=data)


def refused(event_id: str | None, code: str, text: str = "no") -> wire.ServerMessage:
    return wire.Error(error=wire.ErrorDetail(type="invalid_request_error", code=code, message=text, event_id=event_id))


# --- the gate ------------------------------------------------------------------------------------------------------


def test_answers_go_through_one_gate() -> None:
    link = client()
    link.reply()
    link.reply("Say it.")
    assert [type(m) for m in said(link)] == [wire.ResponseCreate]
    told(link, created("r1"))
    assert link.response == "r1"
    assert said(link) == []
    told(link, done("r1"))
    assert [m.response.instructions for m in said(link)] == ["Say it."]
    assert link.busy
    told(link, created("r2"), done("r2"))
    assert not link.busy


def test_a_refused_wish_is_asked_again_when_the_other_answer_is_done() -> None:
    link = client()
    link.reply()
    told(link, created("vad"))  # the server's own: ours will be refused
    faults = told(link, refused("evt_000001", "conversation_already_has_active_response"))
    assert [f.quiet for f in faults if isinstance(f, h.Fault)] == [True]
    said(link)
    told(link, done("vad"))
    assert [type(m) for m in said(link)] == [wire.ResponseCreate]


def test_a_peer_that_does_not_say_which_message_it_refuses() -> None:
    link = client()
    link.reply()
    said(link)
    told(link, refused(None, "conversation_already_has_active_response"), done("theirs"))
    assert [type(m) for m in said(link)] == [wire.ResponseCreate]


def test_a_wish_that_fails_otherwise_is_over() -> None:
    link = client()
    link.reply()
    link.reply("next")
    said(link)
    told(link, refused("evt_000001", "invalid_value"))
    assert [m.response.instructions for m in said(link)] == ["next"]


def test_a_wish_that_was_taken_back_is_not_asked_again() -> None:
    link = client()
    link.reply()
    link.cancel()
    said(link)
    told(link, created("vad"), refused("evt_000001", "conversation_already_has_active_response"), done("vad"))
    assert said(link) == []
    assert not link.busy


def test_the_end_of_an_answer_given_up_does_not_end_the_next() -> None:
    link = client()
    told(link, created("r1"))
    link.give_up()
    link.reply()
    said(link)
    assert [type(x) for x in told(link, done("r1"))] == [h.ResponseEnded]
    assert link.busy
    assert told(link, done("r1")) == []  # said twice


def test_nothing_more_is_expected_after_giving_up() -> None:
    link = client()
    link.reply()
    link.reply()
    link.give_up()
    assert not link.busy


# --- cancelling ----------------------------------------------------------------------------------------------------


def test_what_still_comes_of_a_cancelled_answer_is_dropped() -> None:
    link = client()
    told(link, created("r1"), added("a"))
    link.cancel()
    link.cancel()
    assert [type(m) for m in said(link)] == [wire.ResponseCancel]
    assert told(link, sound("a", b"1234")) == []
    assert told(link, added("b")) == []
    assert [(type(m), m.item_id) for m in said(link)] == [(wire.ConversationItemDelete, "b")]
    assert [type(x) for x in told(link, done("r1", "cancelled"))] == [h.ResponseEnded]


def test_an_answer_asked_for_is_cancelled_before_it_begins() -> None:
    link = client()
    link.reply()
    link.cancel()
    link.cancel()
    assert [type(m) for m in said(link)] == [wire.ResponseCreate, wire.ResponseCancel]
    told(link, created("r1"))
    assert told(link, sound("a", b"12")) == []
    told(link, done("r1", "cancelled"), created("r2"))
    assert len(told(link, sound("b", b"12", "r2"))) == 1


def test_a_server_that_cancels_by_itself_is_not_asked_to() -> None:
    link = client()
    told(link, created("r1"))
    link.cancel(server_cancels=True)
    assert said(link) == []
    assert told(link, sound("a", b"12")) == []


def test_an_answer_that_is_expected_and_unwanted_is_cancelled_when_it_begins() -> None:
    link = client()
    link.cancel(expected=True)
    assert said(link) == []
    told(link, created("r1"))
    assert [type(m) for m in said(link)] == [wire.ResponseCancel]
    assert told(link, sound("a", b"12")) == []


def test_an_unwanted_answer_that_never_began_is_forgotten_when_there_is_something_new() -> None:
    for something in ("ask", "speech"):
        link = client()
        link.cancel(expected=True)
        if something == "ask":
            link.reply()
        else:
            told(link, wire.InputAudioBufferSpeechStarted(item_id="u", audio_start_ms=0))
        said(link)
        told(link, created("r1"))
        assert said(link) == []
        assert len(told(link, sound("a", b"12"))) == 1


# --- truncating, deleting ------------------------------------------------------------------------------------------


def cut(link: Protocol, ms: int = 800) -> None:
    told(link, created("r1"), added("a"), sound("a", bytes(48_000)))
    link.truncate("a", 0, ms)


def test_one_truncate_an_item() -> None:
    link = client()
    cut(link)
    link.truncate("a", 0, 500)
    link.truncate("unknown", 0, 500)
    assert [(m.item_id, m.audio_end_ms) for m in said(link)] == [("a", 800)]
    assert told(link, sound("a", b"12")) == []


def test_already_shorter_is_tried_once_more() -> None:
    link = client()
    cut(link)
    said(link)
    text = "Audio content of 700ms is already shorter than 800ms"
    assert told(link, refused("evt_000001", "invalid_value", text)) == [h.Fault("invalid_value", text, quiet=True)]
    assert [m.audio_end_ms for m in said(link)] == [699]
    told(link, refused("evt_000002", "invalid_value", "Audio content of 600ms is already shorter than 699ms"))
    assert said(link) == []


@pytest.mark.parametrize(
    "text", ["Audio content of 1ms is already shorter than 800ms", "Nonsense.", "Audio content of"]
)
def test_nothing_is_tried_again_where_it_is_of_no_use(text: str) -> None:
    link = client()
    cut(link)
    said(link)
    told(link, refused("evt_000001", "invalid_value", text))
    assert said(link) == []


def test_a_number_of_thousands_of_digits_breaks_nothing() -> None:
    link = client()
    cut(link)
    text = f"Audio content of {'9' * 5000}ms is already shorter than 800ms"
    assert isinstance(told(link, refused("evt_000001", "invalid_value", text))[0], h.Fault)


def test_only_what_is_known_is_deleted() -> None:
    link = client()
    told(link, created("r1"), added("a"))
    link.delete("a")
    link.delete("a")
    link.delete("b")
    assert [m.item_id for m in said(link)] == ["a"]
    assert told(link, sound("a", b"12"), added("a")) == []


def test_what_the_server_cut_or_deleted_is_over_too() -> None:
    link = client()
    told(link, added("a"), sound("a", bytes(960)), wire.ConversationItemTruncated(item_id="a", audio_end_ms=10))
    assert link.conversation.entries["a"].samples == 240
    told(link, wire.ConversationItemDeleted(item_id="a"))
    assert link.conversation.order == []


# --- speaking ------------------------------------------------------------------------------------------------------


def test_what_a_client_says() -> None:
    link = client()
    assert link.configure(SessionSettings(temperature=0.7)) == ["temperature"]
    link.append(b"1234")
    link.commit()
    link.clear()
    item = link.add_text("Hello")
    kinds = [wire.SessionUpdate, wire.InputAudioBufferAppend, wire.InputAudioBufferCommit, wire.InputAudioBufferClear]
    messages = said(link)
    assert [type(m) for m in messages] == [*kinds, wire.ConversationItemCreate]
    assert messages[-1].item.id == item
    assert link.conversation.entries[item].text == "Hello"


def test_an_id_that_the_server_took_is_not_ours() -> None:
    link = client()
    told(link, added("msg_000001"))
    assert link.add_text("Hello") == "msg_000002"


def test_the_server_says_where_our_item_stands() -> None:
    link = client()
    mine = link.add_text("Hello")
    told(link, added("a"))
    item = wire.Item(type="message", id=mine, role="user")
    told(link, wire.ConversationItemAdded(item=item, previous_item_id="a"))
    assert link.conversation.order == ["a", mine]


# --- hearing -------------------------------------------------------------------------------------------------------


def test_half_a_sample_waits_for_its_other_half() -> None:
    link = client()
    first, second = told(link, sound("a", b"123"), sound("a", b"45678"))
    assert isinstance(first, h.AnswerSound)
    assert isinstance(second, h.AnswerSound)
    assert (first.pcm, second.pcm) == (b"12", b"345678")
    assert told(link, sound("b", b"1")) == []
    assert link.conversation.entries["a"].samples == 4


def test_an_answer_whose_beginning_was_never_told() -> None:
    """ "Create item and response state lazily on first delta" (tolerance rule 4)."""
    link = client()
    words = wire.ResponseOutputAudioTranscriptDelta(item_id="a", delta="Hi")
    assert [type(x) for x in told(link, words, sound("a", b"12", ""))] == [h.AnswerWords, h.AnswerSound]
    assert [type(x) for x in told(link, done(""))] == [h.ResponseEnded]
    assert told(link, sound("a", b"12", "")) == []
    assert len(told(link, sound("b", b"12", ""))) == 1  # a peer without ids is heard further


@pytest.mark.parametrize("spoken", [True, False])
def test_text_that_comes_in_one_piece(spoken: bool) -> None:
    link = client()
    message: wire.ServerMessage = (
        wire.ResponseOutputAudioTranscriptDone(item_id="a", transcript="All of it.")
        if spoken
        else wire.ResponseOutputTextDone(item_id="a", text="All of it.")
    )
    assert told(link, message) == [h.AnswerWords("", "a", "All of it.", spoken), h.AnswerText("a", "All of it.")]
    assert told(link, message) == [h.AnswerText("a", "All of it.")]
    link.conversation.gone.add("a")
    assert told(link, message) == []


def test_an_answer_counts_as_begun_whatever_status_its_item_has() -> None:
    link = client()
    assert told(link, created("r1"), added("a", status="completed"))[-1] == h.AnswerBegan("r1", "a")
    assert len(told(link, sound("a", b"12"))) == 1


def test_items_of_others_are_noted() -> None:
    link = client()
    user = wire.Item(type="message", id="u", role="user", status="completed")
    nameless = wire.Item(type="message", role="user")
    assert told(link, wire.ConversationItemAdded(item=user), wire.ConversationItemAdded(item=nameless)) == []
    assert told(link, wire.ConversationItemDone(item=user), wire.ConversationItemDone(item=nameless)) == []
    assert link.conversation.order == ["u"]


def test_an_item_ends_once_and_has_its_last_word() -> None:
    link = client()
    part = wire.ContentPart(type="output_audio", transcript="All of it.")
    whole = wire.Item(type="message", id="a", role="assistant", status="incomplete", content=[part])
    message = wire.ResponseOutputItemDone(item=whole, response_id="r1")
    assert told(link, created("r1"), added("a"), message)[-1] == h.AnswerEnded("a")
    assert told(link, message) == []
    entry = link.conversation.entries["a"]
    assert (entry.status, entry.text) == ("incomplete", "All of it.")


def test_the_users_speech() -> None:
    link = client()
    started = wire.InputAudioBufferSpeechStarted(item_id="u", audio_start_ms=300)
    assert told(link, started) == [h.SpeechBegan("u", 300)]
    assert repr(link.conversation).endswith("speech u>")
    assert told(link, wire.InputAudioBufferSpeechStopped(item_id="u", audio_end_ms=900)) == [h.SpeechEnded("u", 900)]
    assert told(link, wire.InputAudioBufferCommitted(item_id="u")) == [h.TurnTaken("u")]
    assert link.conversation.speech is None
    told(link, started, wire.InputAudioBufferCleared())
    assert link.conversation.speech is None


def test_the_users_words() -> None:
    link = client()
    delta = wire.ConversationItemInputAudioTranscriptionDelta(item_id="u", delta="What ")
    assert told(link, delta, delta)[-1] == h.UserWords("u", "What What ", final=False)
    updated = wire.ConversationItemInputAudioTranscriptionUpdated(item_id="u", transcript="What is ")
    assert told(link, updated) == [h.UserWords("u", "What is ", final=False)]
    told(link, wire.ConversationItemAdded(item=wire.Item(type="message", id="u", role="user", status="completed")))
    usage = wire.TranscriptionUsage(type="duration", seconds=2.0)
    completed = wire.ConversationItemInputAudioTranscriptionCompleted(
        item_id="u", transcript=" What is it? ", usage=usage
    )
    final = h.UserWords("u", "What is it?", final=True, usage={"type": "duration", "seconds": 2.0})
    assert told(link, completed) == [final]
    assert link.conversation.entries["u"].text == " What is it? "


def test_words_that_could_not_be_written_down() -> None:
    link = client()
    told(link, wire.ConversationItemInputAudioTranscriptionDelta(item_id="u", delta="Wha"))
    error = wire.ErrorDetail(type="server_error", message="no")
    failed = wire.ConversationItemInputAudioTranscriptionFailed(item_id="u", error=error)
    assert told(link, failed) == [h.UserWords("u", "Wha", final=True, failed=True)]


def test_the_session_begins() -> None:
    link = client()
    assert told(link, wire.SessionCreated(session=wire.Session(expires_at=7))) == [h.SessionBegan(7)]
    assert told(link, wire.SessionCreated(session=wire.Session())) == [h.SessionBegan(None)]
    assert told(link, wire.SessionUpdated(session=wire.Session())) == [h.SessionReady()]


def test_faults() -> None:
    link = client()
    (quiet,) = told(link, refused(None, "response_cancel_not_active"))
    (fatal,) = told(link, refused(None, "invalid_api_key"))
    (other,) = told(link, refused(None, "rate_limit_exceeded"))
    assert [(f.quiet, f.fatal, bool(f.hint)) for f in (quiet, fatal, other) if isinstance(f, h.Fault)] == [
        (True, False, False),
        (False, True, True),
        (False, False, True),
    ]
    by_type = wire.Error(error=wire.ErrorDetail(type="insufficient_quota", message="no"))
    assert [x.fatal for x in told(link, by_type) if isinstance(x, h.Fault)] == [True]


def test_an_answer_that_failed_for_good() -> None:
    details = wire.StatusDetails(error=wire.StatusError(code="insufficient_quota", message="No money."))
    fault, ended = told(client(), done("r1", "failed", status_details=details))
    assert isinstance(fault, h.Fault)
    assert isinstance(ended, h.ResponseEnded)
    assert (fault.fatal, ended.why) == (True, "The answer failed: No money.")


def test_what_is_not_understood_is_left_alone() -> None:
    assert client().receive(b'{"type":"ping","timestamp":1}') == []
    assert client().receive(b"nonsense") == []
