from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

import mmagent.core.events as e
from mmagent.core.events import Announcement
from mmagent.sinks.transcript import PATIENCE, Line, Transcript
from tests.sinks.conversation import announcements


def said(lines: list[Line]) -> list[str]:
    return [f"{line.speaker}: {line.text}" for line in lines]


def user(item_id: str, text: str) -> e.UserSpeechCommitted:
    return e.UserSpeechCommitted(item_id, text, "user", False)


def agent(item_id: str, text: str) -> e.AgentSpeechCommitted:
    return e.AgentSpeechCommitted(item_id, text, "assistant", False)


def test_an_answer_waits_for_the_question() -> None:
    transcript = Transcript()
    transcript.take(0, e.UserStartedSpeaking("u", 0))
    assert transcript.take(10, agent("a", "Yes.")) == []
    assert said(transcript.take(20, user("u", "Is it?"))) == ["you: Is it?", "agent: Yes."]
    assert transcript.open == []


def test_but_not_for_ever() -> None:
    transcript = Transcript()
    transcript.take(0, e.UserStartedSpeaking("u", 0))
    transcript.take(10, agent("a", "Yes."))
    tick = e.AgentStateChanged("listening", "speaking")
    assert transcript.take(10 + PATIENCE - 1, tick) == []
    assert said(transcript.take(10 + PATIENCE, tick)) == ["agent: Yes."]
    assert transcript.open == []
    assert said(transcript.take(11 + PATIENCE, user("u", "Is it?"))) == ["you: Is it?"]


def test_patience_counts_from_the_last_news() -> None:
    transcript = Transcript()
    transcript.take(0, e.AgentTranscript("a", "", "A long story."))
    transcript.take(1, user("u", "Uh-huh."))
    assert transcript.take(PATIENCE, e.AgentTranscript("a", "A ", "long story.")) == []
    assert transcript.take(PATIENCE + 1, e.AgentTranscript("a", "A long ", "story.")) == []
    assert said(transcript.take(PATIENCE + 2, agent("a", "A long story."))) == ["agent: A long story.", "you: Uh-huh."]


def test_the_unheard_rest_of_a_cut_answer() -> None:
    transcript = Transcript()
    transcript.take(0, e.AgentTranscript("a", " One two ", "three four."))
    (line,) = transcript.take(1, e.AgentSpeechInterrupted("a", "One two three", "assistant", True))
    assert (line.text, line.unheard, line.interrupted) == ("One two three", " four.", True)


def test_a_cut_answer_that_was_respelled_keeps_what_it_had_ready() -> None:
    transcript = Transcript()
    transcript.take(0, e.AgentTranscript("a", "1 2 ", "3 4."))
    (line,) = transcript.take(1, e.AgentSpeechInterrupted("a", "One two", "assistant", True))
    assert (line.text, line.unheard) == ("One two", "3 4.")


def test_a_whole_answer_has_no_rest() -> None:
    transcript = Transcript()
    transcript.take(0, e.AgentTranscript("a", "One ", "two."))
    (line,) = transcript.take(1, agent("a", "One two."))
    assert (line.text, line.unheard, line.interrupted) == ("One two.", "", False)


def test_what_comes_after_an_item_is_whole_changes_nothing() -> None:
    transcript = Transcript()
    transcript.take(0, user("u", "Yes."))
    assert transcript.take(1, e.UserTranscript("u", "No.")) == []
    assert transcript.take(2, user("u", "No.")) == []
    assert transcript.open == []
    assert transcript.gone("u")


def test_close_keeps_what_was_said_so_far() -> None:
    transcript = Transcript()
    transcript.take(0, e.UserStartedSpeaking("u0", 0))
    transcript.take(1, e.UserTranscript("u1", "And the"))
    transcript.take(2, e.AgentTranscript("a", "It is ", "far."))
    left = transcript.close()
    assert said(left) == ["you: And the", "agent: It is "]
    assert [line.interrupted for line in left] == [False, True]


@given(st.permutations(announcements()), st.integers(0, 1_000_000))
def test_every_committed_item_comes_out_once(mixed: list[tuple[int, Announcement]], step: int) -> None:
    transcript = Transcript()
    lines: list[Line] = []
    for at, (_, event) in enumerate(mixed):
        lines += transcript.take(at * step, event)
    lines += transcript.close()
    done = [line.item_id for line in lines if line.done]
    assert sorted(done) == ["a1", "a2", "c1", "u1", "u2"]
