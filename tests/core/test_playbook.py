from __future__ import annotations

import gc
import re

import pytest

from mmagent.core import commands, events
from mmagent.core.events import LinkUp, Played, Stop
from tests.core.playbook import Playbook, line


def test_a_conversation_as_it_should_be() -> None:
    book = Playbook()
    book >> LinkUp() << "" >> Stop("enough") << "state closed\nclosed enough\nend enough"
    assert book
    assert book.events == [(0, LinkUp()), (0, Stop("enough"))]


def test_a_mismatch_shows_the_whole_conversation() -> None:
    book = Playbook()
    book >> LinkUp() >> 500 >> Stop("enough") << "state closed\nclosed too early\nend enough"
    with pytest.raises(AssertionError, match=r"(?s)>> 0 link_up.*>> 500 stop.*- closed too early.*\+ closed enough"):
        assert book


def test_a_missing_and_a_needless_line_are_mismatches() -> None:
    book = Playbook()
    book >> LinkUp() << "state listening"
    with pytest.raises(AssertionError, match="- state listening"):
        assert book
    book = Playbook()
    book >> Stop("enough") << "state closed"
    with pytest.raises(AssertionError, match=re.escape("+ end enough")):
        assert book


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_book_that_nobody_asserts_is_an_error() -> None:
    book = Playbook()
    book >> LinkUp()
    with pytest.raises(AssertionError, match="nobody asserted"):
        book.__del__()
    assert book
    del book
    gc.collect()


def test_the_server_answers_at_once_or_is_held() -> None:
    book = Playbook()
    book >> LinkUp() >> book.server.open() << "send session.update\nstate listening"
    assert book
    held = Playbook(hold=True)
    held >> LinkUp() >> held.server.open() << "send session.update"
    assert held
    held >> held.server << "state listening"
    assert held


def test_time_passes_and_deadlines_fire() -> None:
    book = Playbook(hold=True)
    book >> LinkUp() >> book.server.open() << "send session.update" >> 4999 << "" >> 5000 << "state listening"
    assert book
    assert book.commands[-1][0] == 5_000_000


def test_hidden_lines_are_not_compared() -> None:
    book = Playbook(hidden=("state", "closed"))
    book >> Stop("enough") << "end enough"
    assert book


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (commands.Play(bytes(960)), "play 480"),
        (commands.StopPlaying(), "stop_playing"),
        (commands.Note("debug", "x"), "note x"),
        (commands.End("over", "it broke", "", "engine"), "end over (engine: it broke)"),
        (commands.Send(b'{"type":"x","item_id":"item_000012","audio_end_ms":7}'), "send x item_12 7"),
        (commands.Announce(events.AgentSpeechInterrupted("a", "Hi", "assistant", True, 0, 0, 5, 9)),
         "agent_speech_interrupted a 'Hi' 5/9"),
        (commands.Announce(events.Warning("careful")), "warning careful"),
        (commands.Announce(events.UserStartedSpeaking("item_000001", 300)), "user_started_speaking item_1"),
    ],
)  # fmt: skip
def test_lines(command: commands.Command, text: str) -> None:
    assert line(command) == text


def test_wild_events_are_written_down_too() -> None:
    book = Playbook()
    book >> Played(-5) << ""
    assert book
