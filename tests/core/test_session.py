"""Conversations, written as playbooks: what happens, and what the session does about it (design, sections 4 and 7)."""

# A conversation reads line by line.
# fmt: off

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from mmagent.core import commands, events, pcm
from mmagent.core.events import (
    Flushed,
    InputEnded,
    Interrupt,
    LinkDown,
    LinkUp,
    MicAudio,
    MicDropped,
    Played,
    PushToTalk,
    Received,
    Stop,
    Trouble,
    Typed,
)
from mmagent.core.settings import SessionSettings, TurnDetection
from tests.core.playbook import Playbook
from tests.core.sessions import Talk, chaos, check, check_ledger, run, some_settings, talks

MS = pcm.ms_to_samples(1)
BY_HAND = TurnDetection(type="none")


def ready(**settings: Any) -> Playbook:
    """A session that listens; a second of microphone has been sent."""
    book = Playbook(**settings)
    book >> LinkUp() >> book.server.open() << "send session.update\nstate listening"
    return book >> 1000 >> MicAudio(bytes(2 * pcm.RATE))


def thinking(**settings: Any) -> Playbook:
    """The user has asked something, the engine has not begun to answer."""
    book = ready(**settings)
    book >> 1000 >> book.server.starts(300) << "user_started_speaking item_1\nstate user_speaking"
    return book >> 2000 >> book.server.stops(900) << "user_stopped_speaking item_1\nstate thinking"


def speaking(*, done: bool = False, **settings: Any) -> Playbook:
    """100 of 1000 ms of an answer have been heard (item_2); `done`: all of it is made."""
    book = thinking(**settings)
    s = book.server
    book >> 2100 >> s.hears("What is it?") << "user_speech_committed item_1 'What is it?'"
    book >> s.begins().says("Hello there ", 500).says("my friend.", 500)
    if done:
        book >> s.ends()
    book >> 2200 >> Played(100 * MS) << "agent_started_speaking item_2\nstate speaking"
    return book


def announced(book: Playbook, kind: type[Any]) -> list[Any]:
    told = (command.event for _, command in book.commands if isinstance(command, commands.Announce))
    return [event for event in told if isinstance(event, kind)]


# --- an ordinary turn ---------------------------------------------------------------------------------------------


def test_a_spoken_turn() -> None:
    book = speaking()
    s = book.server
    book >> 2600 >> s.ends() << ""
    book >> 3200 >> Played(1000 * MS) << """
        agent_speech_committed item_2 'Hello there my friend.'
        agent_stopped_speaking item_2
        state listening"""
    assert book
    committed = announced(book, events.AgentSpeechCommitted)[0]
    assert (committed.started_at, committed.ended_at, committed.interrupted) == (2_200_000, 3_200_000, False)
    user = announced(book, events.UserSpeechCommitted)[0]
    assert (user.started_at, user.ended_at) == (300_000, 400_000)  # 900 ms less the silence that ended the turn
    assert [item.text for item in book.session.history.items()] == ["What is it?", "Hello there my friend."]
    assert "listening" in repr(book.session)
    assert "2 items" in repr(book.session)


def test_the_wait_is_split_by_cause() -> None:
    book = thinking()
    s = book.server
    book >> 2100 >> s.begins().says("Well", 0) >> 2250 >> s.says("", 500) >> 2300 >> Played(MS)
    book << "agent_started_speaking item_2\nstate speaking"
    assert book
    told = announced(book, events.MetricsCollected)
    assert told == [events.MetricsCollected("item_000002", 1900, 1600, 100, 150, 50)]


@pytest.mark.parametrize("heard_first", [True, False])
def test_the_agent_stops_speaking_when_all_is_made_and_heard(heard_first: bool) -> None:
    book = speaking()
    if heard_first:
        book >> 3200 >> Played(1000 * MS) << "" >> 3300 >> book.server.ends()
    else:
        book >> 2300 >> book.server.ends() << "" >> 3200 >> Played(1000 * MS)
    book << """
        agent_speech_committed item_2 'Hello there my friend.'
        agent_stopped_speaking item_2
        state listening"""
    assert book


def test_a_pause_in_the_making_is_no_end() -> None:
    book = speaking()
    s = book.server
    book >> 3200 >> Played(1000 * MS) << ""
    book >> 3500 >> s.says(" And more.", 100).ends() >> 3600 >> Played(1100 * MS) << """
        agent_speech_committed item_2 'Hello there my friend. And more.'
        agent_stopped_speaking item_2
        state listening"""
    assert book


def test_several_items_in_an_answer_are_one_speech() -> None:
    book = speaking()
    s = book.server
    book >> s.closes().says("Second.", 200, new=True).ends()
    book >> 3300 >> Played(1100 * MS) << "agent_speech_committed item_2 'Hello there my friend.'"
    book >> 3400 >> Played(1200 * MS) << """
        agent_speech_committed item_3 'Second.'
        agent_stopped_speaking item_2
        state listening"""
    assert book


def test_a_partial_transcript_is_told() -> None:
    book = ready()
    s = book.server
    book >> s.starts(0) << "user_started_speaking item_1\nstate user_speaking"
    s.link.transcribing(s.turn, "What ")
    s.link.transcribing(s.turn, "is")
    book >> s << "user_transcript item_1\nuser_transcript item_1"
    assert book
    assert [event.text for event in announced(book, events.UserTranscript)] == ["What ", "What is"]


# --- the user's words come late, never, or fail --------------------------------------------------------------------


def test_a_late_transcript_does_not_hold_the_answer_up() -> None:
    book = thinking()
    s = book.server
    book >> s.answers("Yes.", 100) >> Played(50 * MS) << "agent_started_speaking item_2\nstate speaking"
    book >> Played(100 * MS) << """
        agent_speech_committed item_2 'Yes.'
        agent_stopped_speaking item_2
        state listening"""
    book >> 9000 >> s.hears("Really?") << "user_speech_committed item_1 'Really?'"
    assert book
    assert [item.role for item in book.session.history.items()] == ["user", "assistant"]


def test_a_transcript_that_failed_commits_what_is_known() -> None:
    book = thinking()
    s = book.server
    s.link.transcribing(s.turn, "Wha")
    book >> s << "user_transcript item_1"
    failed = b'{"type":"conversation.item.input_audio_transcription.failed","item_id":"item_000001","error":{}}'
    book >> Received(failed) << "user_speech_committed item_1 'Wha'"
    book >> s.hears("What?") << ""
    assert book


def test_a_transcript_that_never_comes_is_waited_for_and_then_committed_empty() -> None:
    book = thinking()
    s = book.server
    book >> s.begins().ends() << "state listening" >> 3000 >> InputEnded() << "" >> 7999 << ""
    book >> 8000 << "user_speech_committed item_1 ''\nstate closed\nclosed done\nend done"
    assert book


def test_words_of_somebody_else_are_not_the_users() -> None:
    book = speaking()
    book >> book.server.hears("nonsense", "item_000002") << ""
    assert book


# --- greeting, typing ----------------------------------------------------------------------------------------------


def test_the_greeting_comes_first_and_can_be_cut() -> None:
    book = Playbook(greet="Welcome!")
    s = book.server
    book >> LinkUp() >> s.open() << """
        send session.update
        state thinking
        send response.create Say to the user, word for word: Welcome!"""
    book >> s.answers("Welcome!", 400) >> Played(100 * MS) << "agent_started_speaking item_1\nstate speaking"
    book >> Interrupt() << "stop_playing"
    book >> Flushed(120 * MS) << """
        agent_speech_interrupted item_1 '' 120/400
        agent_stopped_speaking item_1
        state listening
        send conversation.item.truncate item_1 120"""
    assert book


def test_typed_text_is_said_when_the_engine_is_ready() -> None:
    book = Playbook()
    s = book.server
    book >> Typed("one") >> Typed("two") << ""
    book >> LinkUp() >> s.open() << """
        send session.update
        user_speech_committed msg_1 'one'
        user_speech_committed msg_2 'two'
        state thinking
        send conversation.item.create msg_1
        send conversation.item.create msg_2
        send response.create"""
    assert book
    typed = announced(book, events.UserSpeechCommitted)[0]
    assert (typed.started_at, typed.ended_at) == (None, None)


def test_typed_text_cuts_the_answer_and_waits_for_what_was_heard() -> None:
    book = speaking()
    s = book.server
    book >> Typed("wait") << "stop_playing\nsend response.cancel"
    book >> s.ends("cancelled", "client_cancelled") << ""
    book >> 2300 >> Flushed(600 * MS) << """
        agent_speech_interrupted item_2 'Hello there' 600/1000
        agent_stopped_speaking item_2
        user_speech_committed msg_1 'wait'
        state thinking
        send conversation.item.truncate item_2 600
        send conversation.item.create msg_1
        send response.create"""
    book >> s.answers("Yes?", 100) >> Played(700 * MS) << """
        agent_started_speaking item_3
        agent_speech_committed item_3 'Yes?'
        agent_stopped_speaking item_3
        state listening"""
    assert book


def test_an_answer_in_writing() -> None:
    book = Playbook(modalities=("text",))
    s = book.server
    book >> LinkUp() >> s.open() << "send session.update\nstate listening"
    book >> Typed("hi") << """
        user_speech_committed msg_1 'hi'
        state thinking
        send conversation.item.create msg_1
        send response.create"""
    book >> s.begins().says("Good ", 0, spoken=False).says("day.", 0) << ""
    book >> s.ends() << "agent_speech_committed item_1 'Good day.'\nstate listening"
    assert book
    assert [(t.heard, t.unheard) for t in announced(book, events.AgentTranscript)] == [("Good ", ""), ("Good day.", "")]


def test_an_answer_in_writing_is_cut_without_a_truncation() -> None:
    book = Playbook(modalities=("text",))
    s = book.server
    book >> LinkUp() >> s.open() << "send session.update\nstate listening"
    book >> Typed("hi") << """
        user_speech_committed msg_1 'hi'
        state thinking
        send conversation.item.create msg_1
        send response.create"""
    book >> s.begins().says("Good ", 0, spoken=False) >> Interrupt() << """
        agent_speech_interrupted item_1 'Good' 0/0
        send response.cancel"""
    book >> s.says("day.", 0).ends("cancelled") << "state listening"
    assert book


# --- barge-in --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("heard", "text", "sent"),
    [
        (0, "", "send conversation.item.delete item_2"),
        (1, "", "send conversation.item.delete item_2"),
        (24, "", "send conversation.item.truncate item_2 1"),
        (400 * MS, "Hello", "send conversation.item.truncate item_2 400"),
        (600 * MS + 23, "Hello there", "send conversation.item.truncate item_2 600"),
        (999 * MS, "Hello there my friend.", "send conversation.item.truncate item_2 999"),
        (1000 * MS - 1, "Hello there my friend.", "send conversation.item.truncate item_2 999"),
    ],
)
def test_barge_in_after_all_was_made(heard: int, text: str, sent: str) -> None:
    book = thinking()
    s = book.server
    book >> s.answers("Hello there my friend.", 1000) << ""
    if heard:
        started = "agent_started_speaking item_2"
        book >> Played(min(heard, 24)) << f"{started}\nstate speaking"
    else:
        book << ""
    book >> 2500 >> s.starts(2000) << "user_started_speaking item_3\nstop_playing"
    if not heard:
        book << "state user_speaking"
    book >> 2600 >> Flushed(heard) << f"agent_speech_interrupted item_2 {text!r} {heard // MS}/1000"
    if heard:
        book << "agent_stopped_speaking item_2\nstate user_speaking"
    book << sent
    assert book
    if heard:
        assert announced(book, events.BargeIn) == [events.BargeIn("item_000002", 100)]


def test_barge_in_while_it_is_being_made() -> None:
    """With `interrupt_response` the server stops by itself: nobody asks it to. What comes late is dropped."""
    book = speaking()
    s = book.server
    book >> s.starts(2000) << "user_started_speaking item_3\nstop_playing"
    plays = [c for _, c in book.commands if isinstance(c, commands.Play)]
    book >> s.says(" And more.", 100) << ""
    assert [c for _, c in book.commands if isinstance(c, commands.Play)] == plays
    book >> s.ends("cancelled", "turn_detected") >> Flushed(300 * MS) << """
        agent_speech_interrupted item_2 'Hello' 300/1000
        agent_stopped_speaking item_2
        state user_speaking
        send conversation.item.truncate item_2 300"""
    assert book


def test_barge_in_on_what_was_heard_so_far() -> None:
    """All that came was heard, but more was to come: what the server has made since is cut off."""
    book = speaking()
    s = book.server
    book >> Played(1000 * MS) >> s.starts(2000) << "user_started_speaking item_3\nstop_playing"
    book >> Flushed(1000 * MS) << """
        agent_speech_interrupted item_2 'Hello there my friend.' 1000/1000
        agent_stopped_speaking item_2
        state user_speaking
        send conversation.item.truncate item_2 1000"""
    assert book


def test_speech_after_everything_was_heard_cuts_nothing() -> None:
    book = speaking(done=True)
    book >> Played(1000 * MS) << """
        agent_speech_committed item_2 'Hello there my friend.'
        agent_stopped_speaking item_2
        state listening"""
    book >> book.server.starts(2000) << "user_started_speaking item_3\nstate user_speaking"
    assert book


def test_an_answer_heard_to_its_end_while_the_transport_stops_is_committed() -> None:
    book = speaking(done=True)
    book >> book.server.starts(2000) << "user_started_speaking item_3\nstop_playing"
    book >> Flushed(1000 * MS) << """
        agent_speech_committed item_2 'Hello there my friend.'
        agent_stopped_speaking item_2
        state user_speaking"""
    assert book


def test_less_than_a_millisecond_unheard_is_nothing_to_tell() -> None:
    book = thinking()
    s = book.server
    book >> s.begins().says("Hi.", 0)
    s.link.sound(s.response, s.item, bytes(2 * (100 * MS + 5)))
    book >> s.ends() >> Played(100 * MS) << "agent_started_speaking item_2\nstate speaking"
    book >> Interrupt() << "stop_playing"
    book >> Flushed(100 * MS + 1) << """
        agent_speech_interrupted item_2 'Hi.' 100/100
        agent_stopped_speaking item_2
        state listening"""
    assert book


def test_barge_in_while_thinking() -> None:
    book = thinking()
    s = book.server
    book >> s.begins() << "" >> s.starts(2000) << "user_started_speaking item_2\nstate user_speaking"
    book >> s.says("Late", 100) << "send conversation.item.delete item_3"
    book >> s.ends("cancelled") << ""
    assert book
    assert len(book.session.history.items()) == 2


def test_barge_in_before_the_server_knows_of_what_was_asked() -> None:
    """The answer that we asked for begins after the speech that takes the word: the server would not stop it."""
    book = ready()
    s = book.server
    book.hold = True
    book >> Typed("hi") << """
        user_speech_committed msg_1 'hi'
        state thinking
        send conversation.item.create msg_1
        send response.create"""
    book >> s.starts(500) << "user_started_speaking item_1\nstate user_speaking\nsend response.cancel"
    book >> s.begins().says("Late", 100) << "send conversation.item.delete item_2" >> s.ends("cancelled") << ""
    book >> s.stops(2000) << "user_stopped_speaking item_1\nstate thinking"
    book >> s.begins().says("Now", 100) >> Played(MS) << "agent_started_speaking item_3\nstate speaking"
    assert book


def test_interrupt_before_the_expected_answer_begins() -> None:
    book = thinking()
    s = book.server
    book >> Interrupt() << "state listening"
    book >> s.begins() << "state thinking\nsend response.cancel"
    book >> s.says("Late", 100) << """
        send conversation.item.delete item_2"""
    book >> s.ends("cancelled") << "state listening"
    assert book


def test_interrupt_does_not_reach_into_the_next_turn() -> None:
    book = thinking()
    s = book.server
    book >> Interrupt() << "state listening"
    book >> s.starts(2000) << "user_started_speaking item_2\nstate user_speaking"
    book >> s.stops(3000) << "user_stopped_speaking item_2\nstate thinking"
    book >> s.begins().says("Yes", 100) >> Played(MS) << "agent_started_speaking item_3\nstate speaking"
    assert book


def test_the_user_speaks_again_before_the_transport_was_silent() -> None:
    book = speaking(done=True)
    s = book.server
    book >> s.starts(2000) << "user_started_speaking item_3\nstop_playing"
    book >> s.stops(2400) << "user_stopped_speaking item_3"
    book >> s.starts(2500) << "user_started_speaking item_4"
    book >> Flushed(300 * MS) << """
        agent_speech_interrupted item_2 'Hello' 300/1000
        agent_stopped_speaking item_2
        state user_speaking
        send conversation.item.truncate item_2 300"""
    assert book


def test_an_answer_that_came_during_the_stop_is_cut_by_the_second_barge_in() -> None:
    book = speaking(done=True)
    s = book.server
    book >> s.starts(2000) << "user_started_speaking item_3\nstop_playing"
    book >> s.stops(2400) << "user_stopped_speaking item_3" >> s.answers("The second one.", 500) << ""
    book >> s.starts(2500) << "user_started_speaking item_5\nstop_playing"
    book >> Flushed(300 * MS) << """
        agent_speech_interrupted item_2 'Hello' 300/1000
        agent_stopped_speaking item_2
        state user_speaking
        send conversation.item.truncate item_2 300"""
    book >> Flushed(300 * MS) << """
        agent_speech_interrupted item_4 '' 0/500
        send conversation.item.delete item_4"""
    assert book


def test_an_answer_that_comes_during_the_stop_is_not_lost() -> None:
    book = speaking(done=True)
    s = book.server
    book >> s.starts(2000) << "user_started_speaking item_3\nstop_playing"
    book >> s.stops(2400) << "user_stopped_speaking item_3" >> s.answers("The second one.", 500) << ""
    book >> Flushed(300 * MS) << """
        agent_speech_interrupted item_2 'Hello' 300/1000
        agent_stopped_speaking item_2
        state thinking
        send conversation.item.truncate item_2 300"""
    book >> Played(800 * MS) << """
        agent_started_speaking item_4
        agent_speech_committed item_4 'The second one.'
        agent_stopped_speaking item_4
        state listening"""
    assert book


def test_items_that_had_not_begun_are_deleted() -> None:
    book = speaking()
    s = book.server
    book >> s.closes().says("Second.", 200, new=True).closes().says("Third.", 200, new=True) << ""
    book >> s.starts(2000) << "user_started_speaking item_5\nstop_playing"
    book >> s.ends("cancelled") >> Flushed(600 * MS) << """
        agent_speech_interrupted item_2 'Hello there my' 600/1000
        agent_speech_interrupted item_3 '' 0/200
        agent_speech_interrupted item_4 '' 0/200
        agent_stopped_speaking item_2
        state user_speaking
        send conversation.item.truncate item_2 600
        send conversation.item.delete item_3
        send conversation.item.delete item_4"""
    assert book


def test_no_interruptions() -> None:
    book = speaking(interruptions=False)
    s = book.server
    assert s.link._session.audio.input.turn_detection.interrupt_response is False  # type: ignore[union-attr]
    book >> s.starts(2000) << "user_started_speaking item_3"
    book >> s.stops(2500) << "user_stopped_speaking item_3"  # no second answer while the first is made
    book >> s.ends() >> Played(1000 * MS) << """
        agent_speech_committed item_2 'Hello there my friend.'
        agent_stopped_speaking item_2
        state listening"""
    assert book


def test_no_interruptions_the_next_answer_is_a_speech_of_its_own() -> None:
    book = speaking(done=True, interruptions=False)
    s = book.server
    book >> s.starts(2000) << "user_started_speaking item_3"
    book >> s.stops(2500) << "user_stopped_speaking item_3" >> s.answers("Second.", 500) << ""
    book >> Played(1100 * MS) << """
        agent_speech_committed item_2 'Hello there my friend.'
        agent_stopped_speaking item_2
        agent_started_speaking item_4"""
    book >> Played(1500 * MS) << """
        agent_speech_committed item_4 'Second.'
        agent_stopped_speaking item_4
        state listening"""
    assert book
    assert len(announced(book, events.MetricsCollected)) == 2


def test_the_client_cancels_where_the_server_does_not() -> None:
    detection = TurnDetection(interrupt_response=False)
    book = speaking(turn_detection=detection)
    s = book.server
    book >> s.starts(2000) << "user_started_speaking item_3\nstop_playing\nsend response.cancel"
    book >> Interrupt() << ""  # once is enough
    assert book
    book >> Flushed(0) << """
        agent_speech_interrupted item_2 '' 100/1000
        agent_stopped_speaking item_2
        state user_speaking
        send conversation.item.truncate item_2 100"""
    assert book


def test_a_transport_that_never_answers_is_not_waited_for() -> None:
    book = speaking(done=True)
    s = book.server
    book >> s.starts(2000) << "user_started_speaking item_3\nstop_playing" >> 3199 << ""
    book >> 3200 << """
        agent_speech_interrupted item_2 '' 100/1000
        agent_stopped_speaking item_2
        state user_speaking
        send conversation.item.truncate item_2 100"""
    book >> s.stops(2500) << "user_stopped_speaking item_3\nstate thinking" >> s.answers("Second.", 500) << ""
    # At last: 150 ms had been heard. So the next answer begins there.
    book >> Flushed(150 * MS) << ""
    book >> Played(150 * MS) << ""
    book >> Played(650 * MS) << """
        agent_started_speaking item_4
        agent_speech_committed item_4 'Second.'
        agent_stopped_speaking item_4
        state listening"""
    assert book


# --- answers that end badly ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "reason", "told"),
    [
        ("failed", "server_error", "The answer ended early: server_error."),
        ("incomplete", "max_output_tokens", "The answer ended early: the limit of --max-output-tokens was reached."),
        ("incomplete", "content_filter", "The answer ended early: it was filtered."),
    ],
)
def test_an_answer_that_ends_early_is_heard_as_far_as_it_goes(status: str, reason: str, told: str) -> None:
    book = speaking()
    book >> book.server.ends(status, reason) << f"error {told}"
    book >> Played(1000 * MS) << """
        agent_speech_committed item_2 'Hello there my friend.'
        agent_stopped_speaking item_2
        state listening"""
    assert book


def test_an_answer_without_sound_is_no_answer() -> None:
    book = thinking()
    s = book.server
    book >> s.begins().says("Hel", 0).ends("cancelled") << """
        agent_speech_interrupted item_2 '' 0/0
        send conversation.item.delete item_2
        state listening"""
    assert book


def test_an_engine_that_does_not_answer() -> None:
    book = thinking()
    book >> 61999 << "" >> 62000 << "warning The engine did not answer.\nstate listening"
    assert book


def test_an_engine_that_stops_in_the_middle() -> None:
    book = speaking()
    s = book.server
    book >> 100_000 >> s.says(" More.", 100) << "" >> Played(1100 * MS) << "" >> 279_999 << ""
    book >> 280_000 << """
        agent_speech_committed item_2 'Hello there my friend. More.'
        warning The engine did not answer.
        agent_stopped_speaking item_2
        state listening
        send response.cancel"""
    book >> s.says(" Too late.", 100).ends() << ""
    assert book


# --- the engine ------------------------------------------------------------------------------------------------------


def test_a_server_that_never_takes_the_settings_is_believed() -> None:
    book = Playbook(hold=True)
    book >> LinkUp() >> book.server.open() << "send session.update" >> MicAudio(bytes(960)) << ""
    book >> 5000 << "state listening" >> book.server << ""
    assert book


def test_what_a_dialect_cannot_say_is_said_once() -> None:
    book = Playbook(temperature=0.5)
    told = "warning This engine's dialect has no temperature: it is left out."
    book >> LinkUp() >> book.server.open() << f"{told}\nsend session.update\nstate listening"
    assert book


def test_a_harmless_fault_is_a_note() -> None:
    book = ready(max_cost=None)
    s = book.server
    s.link.refuse("response_cancel_not_active", "no active response found")
    book >> s << ""
    assert book
    assert (
        commands.Note("debug", "response_cancel_not_active: no active response found") in dict(book.commands).values()
    )


def test_a_fault_is_shown_and_the_session_goes_on() -> None:
    book = ready()
    book.server.link.refuse("rate_limit_exceeded", "Too fast.")
    book >> book.server << "error Too fast."
    assert book
    assert announced(book, events.Error)[0].hint == "Wait a moment and ask again."


def test_a_fatal_fault_ends_the_session() -> None:
    book = speaking()
    book.server.link.refuse("insufficient_quota", "No money.")
    book >> book.server << """
        error No money.
        agent_speech_interrupted item_2 '' 100/1000
        agent_stopped_speaking item_2
        state closed
        closed No money.
        end No money. (engine: No money.)"""
    assert book


def test_a_fatal_fault_inside_an_answer_says_no_more() -> None:
    book = thinking()
    book >> book.server.begins() << ""
    done = (
        b'{"type":"response.done","response":{"id":"resp_000001","status":"failed","status_details":'
        b'{"error":{"code":"insufficient_quota","message":"No money."}}}}'
    )
    book >> Received(done) << """
        error The answer failed: No money.
        user_speech_committed item_1 ''
        state closed
        closed The answer failed: No money.
        end The answer failed: No money. (engine: The answer failed: No money.)"""
    assert book


def test_the_link_breaks() -> None:
    book = ready()
    book >> LinkDown("The line is dead.", "Look at the cable.", fatal=True) << """
        state closed
        closed The line is dead.
        end The line is dead. (connection: The line is dead.)"""
    assert book
    assert isinstance(end := book.commands[-1][1], commands.End)
    assert end.hint == "Look at the cable."


def test_a_link_that_is_up_again_is_waited_for() -> None:
    book = ready()
    book >> LinkUp() << "state reconnecting" >> book.server.open() << "send session.update\nstate listening"
    assert book


def test_speech_that_begins_twice_or_ends_by_the_turn_alone() -> None:
    book = ready()
    s = book.server
    book >> s.starts(0) << "user_started_speaking item_1\nstate user_speaking"
    book >> s.starts(500) << "user_stopped_speaking item_1\nuser_started_speaking item_2"
    s.link.committed(s.turn)
    book >> s << "user_stopped_speaking item_2\nstate thinking"
    assert book


# --- push to talk ----------------------------------------------------------------------------------------------------


def test_push_to_talk() -> None:
    book = ready(turn_detection=BY_HAND)
    s = book.server
    assert s.link._session.audio.input.turn_detection is None  # type: ignore[union-attr]
    book >> 2000 >> PushToTalk(True) << """
        user_started_speaking
        state user_speaking
        send input_audio_buffer.clear"""
    book >> 2100 >> PushToTalk(True) << "" >> 2200 >> MicAudio(bytes(9600)) << ""
    book >> 2300 >> PushToTalk(False) << """
        user_stopped_speaking
        state thinking
        send input_audio_buffer.commit
        send response.create"""
    s.turn = s.link.committed()
    book >> s.answers("Yes.", 100) >> s.hears("Now?") << "user_speech_committed item_1 'Now?'" << ""
    book >> 3000 >> Played(50 * MS) << "agent_started_speaking item_2\nstate speaking"
    book >> PushToTalk(True) << """
        user_started_speaking
        stop_playing
        send input_audio_buffer.clear"""
    book >> Flushed(50 * MS) << """
        agent_speech_interrupted item_2 '' 50/100
        agent_stopped_speaking item_2
        state user_speaking
        send conversation.item.truncate item_2 50"""
    assert book
    user = announced(book, events.UserSpeechCommitted)[0]
    assert (user.started_at, user.ended_at) == (2_000_000, 2_300_000)


def test_the_engine_hears_nothing_while_the_key_is_up() -> None:
    book = ready(turn_detection=BY_HAND)
    assert not [c for _, c in book.commands if isinstance(c, commands.Send) and b"append" in c.message]
    assert book


def test_a_slip_of_the_hand_is_no_turn() -> None:
    book = ready(turn_detection=BY_HAND)
    book >> PushToTalk(True) << "user_started_speaking\nstate user_speaking\nsend input_audio_buffer.clear"
    book >> MicAudio(bytes(960)) >> PushToTalk(False) << """
        user_stopped_speaking
        state listening
        send input_audio_buffer.clear"""
    assert book


def test_the_key_means_nothing_while_the_engine_finds_turns() -> None:
    book = ready()
    book >> PushToTalk(True) >> PushToTalk(False) << ""
    assert book


# --- endings ---------------------------------------------------------------------------------------------------------

CLOSING = "state closed\nclosed done\nend done"


def test_the_input_ends_while_listening() -> None:
    book = ready()
    book >> InputEnded() << CLOSING
    assert book


def test_the_input_ends_before_the_engine_is_there() -> None:
    book = Playbook()
    book >> InputEnded() >> 600_000 << "" >> LinkUp() >> book.server.open() << "send session.update\nstate listening"
    book << CLOSING
    assert book


def test_the_input_ends_while_the_user_speaks() -> None:
    book = ready()
    book >> book.server.starts(500) << "user_started_speaking item_1\nstate user_speaking" >> InputEnded() << ""
    book >> 180_999 << "" >> 181_000 << "user_stopped_speaking item_1\nuser_speech_committed item_1 ''" << CLOSING
    assert book


def test_the_input_ends_while_thinking() -> None:
    book = thinking()
    s = book.server
    book >> InputEnded() << "" >> s.hears("Well?") << "user_speech_committed item_1 'Well?'"
    book >> s.answers("Yes.", 100) << ""
    book >> Played(100 * MS) << """
        agent_started_speaking item_2
        agent_speech_committed item_2 'Yes.'
        agent_stopped_speaking item_2
        state listening"""
    book << CLOSING
    assert book


def test_the_input_ends_while_the_agent_speaks() -> None:
    book = speaking(done=True)
    book >> InputEnded() << ""
    book >> Played(1000 * MS) << """
        agent_speech_committed item_2 'Hello there my friend.'
        agent_stopped_speaking item_2
        state listening"""
    book << CLOSING
    assert book


def test_the_input_ends_and_the_transport_plays_nothing() -> None:
    book = speaking(done=True)
    book >> InputEnded() << ""
    book >> 182_199 << ""
    book >> 182_200 << """
        agent_speech_interrupted item_2 '' 100/1000
        agent_stopped_speaking item_2"""
    book << CLOSING
    assert book


def test_the_input_ends_with_the_key_down() -> None:
    book = ready(turn_detection=BY_HAND)
    book >> PushToTalk(True) << "user_started_speaking\nstate user_speaking\nsend input_audio_buffer.clear"
    book >> MicAudio(bytes(9600)) >> InputEnded() << """
        user_stopped_speaking
        state thinking
        send input_audio_buffer.commit
        send response.create"""
    book >> book.server.begins().ends() << "state listening" << CLOSING
    assert book


def test_the_input_ends_while_reconnecting() -> None:
    book = ready()
    book >> LinkUp() << "state reconnecting" >> InputEnded() << "" >> book.server.open() << "send session.update"
    book << "state listening"
    book << CLOSING
    assert book


def test_minutes_are_limited() -> None:
    book = ready(max_minutes=0.5)
    book >> 29_999 << "" >> 30_000 << "state closed"
    reason = "The limit of 0.5 minutes is reached."
    book << f"closed {reason}\nend {reason}"
    assert book


def test_an_answer_may_be_heard_beyond_the_limit_for_a_while() -> None:
    book = speaking(max_minutes=0.04)
    book >> 32_399 << ""
    book >> 32_400 << """
        agent_speech_interrupted item_2 '' 100/1000
        agent_stopped_speaking item_2
        state closed"""
    reason = "The limit of 0.04 minutes is reached."
    book << f"closed {reason}\nend {reason}"
    assert book


def test_money_is_limited() -> None:
    book = thinking(max_cost=0.0001, model="gpt-realtime")
    s = book.server
    book >> s.hears("Hm?") << "user_speech_committed item_1 'Hm?'" >> s.answers("Yes.", 100) << ""
    book >> Played(100 * MS) << """
        agent_started_speaking item_2
        agent_speech_committed item_2 'Yes.'
        agent_stopped_speaking item_2
        state listening
        state closed
        closed The limit of 0.0001 USD is reached.
        end The limit of 0.0001 USD is reached."""
    assert book
    usage = announced(book, events.Usage)
    assert [u.output_tokens for u in usage] == [25]
    assert usage[0].cost_usd is not None


@pytest.mark.parametrize("book", [Playbook, ready, thinking, speaking])
def test_stop_ends_it_in_every_state(book: Any) -> None:
    book = book()
    book >> Stop("enough")
    book._asserted = True
    assert isinstance(book.commands[-1][1], commands.End)
    count = len(book.commands)
    for event in (Stop("again"), Typed("x"), MicAudio(bytes(960)), Played(10**6), LinkUp(), InputEnded()):
        assert book.session.step(event, book.now) == []
    assert book.session.deadline() is None
    assert len(book.commands) == count


def test_trouble_and_lost_audio_are_told() -> None:
    book = ready()
    book >> Trouble("A sink failed.", "Look.") << "warning A sink failed."
    book >> MicDropped(480) << "warning 20 ms of microphone audio came too late and were dropped."
    assert book


# --- whatever happens ------------------------------------------------------------------------------------------------


@given(some_settings, chaos())
def test_whatever_it_is_told_the_rules_hold(settings: SessionSettings, script: list[tuple[int, events.Event]]) -> None:
    check(*run(settings, script))


@given(some_settings, talks)
def test_however_a_conversation_goes_the_rules_hold(settings: SessionSettings, deeds: list[tuple[str, int]]) -> None:
    talk = Talk(settings)
    for deed in deeds:
        talk.do(*deed)
        check_ledger(talk.session)
    talk.tell(Stop("enough"))
    check(talk.session, talk.commands)


@given(some_settings, talks)
def test_when_the_input_has_ended_the_session_ends_by_itself(
    settings: SessionSettings, deeds: list[tuple[str, int]]
) -> None:
    talk = Talk(settings)
    for deed in deeds:
        talk.do(*deed)
    talk.tell(InputEnded())
    for _ in range(20):  # nothing happens any more: deadline after deadline
        talk.pass_time(200_000)
    check(talk.session, talk.commands)
