"""Sessions that outlive their link: playbooks of `mmagent.core.lifeline` in a session."""

from __future__ import annotations

import json
from typing import Any

from mmagent.core import commands, events, pcm
from mmagent.core.events import LinkDown, LinkUp, MicAudio, Played, Received, Typed
from mmagent.core.lifeline import GIVE_UP, ROTATE_AFTER
from tests.core.playbook import Playbook, Script
from tests.core.test_session import ready, speaking, thinking

GONE = LinkDown("The line is dead.")
MINUTE_MS = 60_000


def reopened(book: Playbook, number: int = 2) -> Script:
    """A new server, whose ids are its own."""
    book.server = Script()
    book.server.link = type(book.server.link)(book.server.link.role, ids=f"_{number}")
    return book.server


def sent(book: Playbook, kind: str) -> list[dict[str, Any]]:
    messages = [json.loads(c.message) for _, c in book.commands if isinstance(c, commands.Send)]
    return [m for m in messages if m["type"] == kind]


def test_a_link_that_is_lost_while_nobody_speaks() -> None:
    book = ready()
    (
        book
        >> 2000
        >> GONE
        << """
        session_reconnecting The line is dead.
        reconnect 0
        state reconnecting"""
    )
    (
        book
        >> 2100
        >> LinkUp()
        >> reopened(book).open()
        << """
        send session.update
        session_reconnected
        state listening"""
    )
    assert book
    assert commands.Announce(events.SessionReconnected(100)) in [command for _, command in book.commands]


def test_an_answer_that_was_expected_is_asked_for_again() -> None:
    book = thinking()
    (
        book
        >> 2100
        >> GONE
        << """
        user_speech_committed item_1 ''
        session_reconnecting The line is dead.
        reconnect 0
        state reconnecting"""
    )
    (
        book
        >> 2200
        >> LinkUp()
        >> reopened(book).open()
        << """
        send session.update
        session_reconnected
        state thinking
        send response.create"""
    )
    assert book


def test_words_that_are_known_are_restored_and_the_answer_asked_for() -> None:
    book = thinking()
    book >> book.server.hears("Who is there?") << "user_speech_committed item_1 'Who is there?'"
    book >> 2100 >> GONE << "session_reconnecting The line is dead.\nreconnect 0\nstate reconnecting"
    (
        book
        >> 2200
        >> LinkUp()
        >> reopened(book).open()
        << """
        send session.update
        session_reconnected
        state thinking
        send conversation.item.create item_1
        send response.create"""
    )
    assert book
    assert sent(book, "conversation.item.create")[-1]["item"] == {
        "type": "message",
        "id": "item_000001",
        "role": "user",
        "content": [{"type": "input_text", "text": "Who is there?"}],
    }


def test_an_answer_that_breaks_off_is_heard_as_far_as_it_came_and_not_said_again() -> None:
    book = speaking()
    given = sum(pcm.samples(c.pcm) for _, c in book.commands if isinstance(c, commands.Play))
    book >> 3100 >> GONE << "session_reconnecting The line is dead.\nreconnect 0\nstate reconnecting"
    book >> 3200 >> LinkUp() >> reopened(book).open()
    assert book.session.history.open_items("assistant")
    book >> 9000 >> Played(given)
    told = [c.event for _, c in book.commands if isinstance(c, commands.Announce)]
    (cut,) = [e for e in told if isinstance(e, events.AgentSpeechInterrupted)]
    assert cut.heard_ms == cut.received_ms == pcm.samples_to_ms(given)
    assert not [e for e in told if isinstance(e, events.AgentSpeechCommitted)]
    assert not sent(book, "response.create")
    assert not sent(book, "conversation.item.truncate")
    book._asserted = True


def test_what_the_microphone_gives_meanwhile_is_kept_for_two_seconds() -> None:
    book = ready()
    book >> 2000 >> GONE
    for number in range(150):  # three seconds
        book >> 2000 + 20 * number >> MicAudio(bytes([number + 1, 0]) * pcm.BLOCK)
    book >> 5000 >> LinkUp()
    before = len(sent(book, "input_audio_buffer.append"))
    book >> reopened(book).open()
    kept = sent(book, "input_audio_buffer.append")[before:]
    assert len(kept) == 100
    assert kept[-1]["audio"] != kept[0]["audio"]
    book._asserted = True


def test_waits_double_and_begin_anew_when_the_server_took_the_settings() -> None:
    book = ready()
    for number in range(10):
        book >> 2000 + number >> GONE
    waits = [c.after // 1000 for _, c in book.commands if isinstance(c, commands.Reconnect)]
    assert waits == [0, 100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]
    book >> 3000 >> LinkUp() >> GONE  # an upgrade alone changes nothing
    assert book.commands[-1][1] == commands.Reconnect(10_000_000)
    book >> 3100 >> LinkUp() >> reopened(book).open() >> GONE
    assert commands.Reconnect(0) in [c for _, c in book.commands[-4:]]
    book._asserted = True


def test_after_ten_minutes_it_gives_up() -> None:
    book = ready()
    book >> 2000 >> GONE >> (2000 + GIVE_UP / 1000 - 1)
    assert not isinstance(book.commands[-1][1], commands.End)
    book >> (2000 + GIVE_UP / 1000)
    end = book.commands[-1][1]
    assert isinstance(end, commands.End)
    assert end.kind == "connection"
    book._asserted = True


def test_a_fatal_refusal_ends_it_at_once() -> None:
    book = ready()
    book >> GONE >> LinkDown("The key was refused.", "Check it.", fatal=True)
    assert isinstance(book.commands[-1][1], commands.End)
    book._asserted = True


def test_typed_lines_wait_for_the_link() -> None:
    book = ready()
    book >> 2000 >> GONE >> Typed("Hello?")
    assert not sent(book, "conversation.item.create")
    book >> 2100 >> LinkUp() >> reopened(book).open()
    assert len(sent(book, "conversation.item.create")) == len(sent(book, "response.create")) == 1
    book._asserted = True


def test_before_the_hour_another_session_takes_over_between_two_turns() -> None:
    book = Playbook()
    book >> LinkUp() >> Received(b'{"type":"session.created","session":{"type":"realtime","expires_at":1756324625}}')
    book >> ROTATE_AFTER / 1000 - 1
    assert not [c for _, c in book.commands if isinstance(c, commands.Reconnect)]
    book >> ROTATE_AFTER / 1000 + 2000
    assert [c for _, c in book.commands if isinstance(c, commands.Reconnect)] == [commands.Reconnect(0)]
    book._asserted = True


def test_a_server_that_says_nothing_of_an_end_is_left_alone() -> None:
    book = ready()
    book >> 3 * ROTATE_AFTER / 1000
    assert not [c for _, c in book.commands if isinstance(c, commands.Reconnect)]
    book._asserted = True


def test_nobody_is_cut_off_by_the_rotation() -> None:
    book = speaking()
    book >> ROTATE_AFTER / 1000 + 5000
    assert not [c for _, c in book.commands if isinstance(c, commands.Reconnect)]
    book._asserted = True


def test_what_still_comes_over_the_old_link_is_nothing() -> None:
    book = speaking()
    old = book.server
    book >> 3100 >> GONE
    plays = sum(isinstance(c, commands.Play) for _, c in book.commands)
    old.says("more", 500)
    for message in old.link.take():
        book >> Received(message)
    assert sum(isinstance(c, commands.Play) for _, c in book.commands) == plays
    book._asserted = True
