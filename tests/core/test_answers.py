"""The agent's side alone: a history, a client's end and a list of commands. Whole conversations: `test_session`."""

from __future__ import annotations

from mmagent.core import commands, events, pcm
from mmagent.core.answers import Answers
from mmagent.core.commands import Command
from mmagent.core.history import History
from mmagent.core.protocol import Protocol, Role
from tests.core.playbook import line

MS = pcm.ms_to_samples(1)


class Stage:
    """Answers, and what came of them."""

    def __init__(self) -> None:
        self.out: list[Command] = []
        self.history = History()
        self.link = Protocol(Role.CLIENT)
        self.answers = Answers(self.history, self.link, self.out)

    def say(self, item: str, text: str, ms: int, *, response: str = "r", part: int = 0, now: int = 0) -> None:
        self.link.conversation.entry(item, response)
        self.answers.words(item, response, text, now, spoken=True)
        self.answers.sound(item, response, part, pcm.silence(ms * MS), now)

    def done(self) -> list[str]:
        """What was asked for since, the engine's share included."""
        sent: list[Command] = [commands.Send(message) for message in self.link.take()]
        lines = [line(command) for command in (*self.out, *sent)]
        self.out.clear()
        return [text for text in lines if not text.startswith(("agent_transcript", "metrics"))]


def test_an_answer_is_played_heard_and_committed() -> None:
    stage = Stage()
    stage.say("a", "Hello.", 100)
    assert stage.done() == ["play 2400"]
    assert stage.answers.something_to_hear
    stage.answers.played(50 * MS, 5)
    assert stage.done() == ["agent_started_speaking a"]
    assert stage.answers.audible
    stage.answers.item_ended("a", 6)
    stage.answers.item_ended("a", 6)
    stage.answers.played(100 * MS, 7)
    assert stage.done() == ["agent_speech_committed a 'Hello.'"]
    stage.answers.stop_speaking_if_done("r")
    assert stage.done() == []
    stage.answers.stop_speaking_if_done(None)
    assert stage.done() == ["agent_stopped_speaking a"]
    assert not stage.answers.something_to_hear


def test_an_item_of_two_parts_is_heard_when_both_are() -> None:
    stage = Stage()
    stage.say("a", "One. ", 100)
    stage.say("a", "Two.", 100, part=1)
    stage.answers.item_ended("a", 0)
    stage.answers.played(100 * MS, 1)
    assert "agent_speech_committed a 'One. Two.'" not in stage.done()
    stage.answers.played(150 * MS, 2)
    stage.answers.stop(3)
    stage.done()
    stage.answers.flushed(160 * MS, 4)
    assert stage.done() == [
        "agent_speech_interrupted a 'One. Two.' 160/200",
        "agent_stopped_speaking a",
        "barge_in a",
        "send conversation.item.truncate a 60",
    ]


def test_sound_that_is_heard_to_its_end_before_the_item_ends() -> None:
    stage = Stage()
    stage.say("a", "Hello.", 100)
    stage.answers.played(100 * MS, 1)
    stage.done()
    stage.answers.response_ended("r", 2)
    assert stage.done() == ["agent_speech_committed a 'Hello.'"]


def test_a_peer_that_names_no_answers() -> None:
    stage = Stage()
    stage.say("a", "Hello.", 100, response="")
    stage.answers.played(100 * MS, 1)
    stage.answers.response_ended("r", 2)
    stage.answers.stop_speaking_if_done(None)
    assert stage.done()[-2:] == ["agent_speech_committed a 'Hello.'", "agent_stopped_speaking a"]


def test_items_of_other_answers_and_sides_go_on() -> None:
    stage = Stage()
    stage.say("a", "Hello.", 100)
    stage.history.ensure("u", "user")
    stage.answers.response_ended("other", 1)
    stage.answers.item_ended("u", 1)
    stage.answers.item_ended("nobody", 1)
    stage.answers.sound("u", "r", 0, b"12", 1)
    stage.answers.text("u", "nonsense")
    stage.answers.words("u", "r", "nonsense", 1, spoken=True)
    assert stage.done() == ["play 2400"]
    assert stage.history.items()[1].words.text == ""


def test_late_sound_of_a_cut_item_is_dropped() -> None:
    stage = Stage()
    stage.say("a", "Hello.", 100)
    stage.answers.stop(0)
    assert stage.done() == ["play 2400", "stop_playing"]
    assert "stop_playing" not in stage.done()
    stage.say("a", " More.", 100)
    stage.answers.item_ended("a", 0)
    assert stage.done() == []
    stage.answers.flushed(0, 1)
    assert stage.done() == ["agent_speech_interrupted a '' 0/100", "send conversation.item.delete a"]
    assert not stage.answers.stopping


def test_a_flush_that_nobody_asked_for_means_nothing() -> None:
    stage = Stage()
    stage.say("a", "Hello.", 100)
    stage.done()
    stage.answers.flushed(10**9, 1)
    assert stage.done() == []
    assert stage.answers.playout.waiting == 100 * MS


def test_an_answer_without_sound_is_cut_at_once() -> None:
    stage = Stage()
    stage.link.conversation.entry("a", "r")
    stage.answers.words("a", "r", "Hel", 0, spoken=True)
    stage.answers.stop(1)
    assert stage.done() == ["agent_speech_interrupted a '' 0/0", "send conversation.item.delete a"]


def test_a_second_stop_for_what_has_no_sound_needs_no_transport() -> None:
    stage = Stage()
    stage.say("a", "Hello.", 100)
    stage.answers.stop(0)
    stage.link.conversation.entry("b", "s")
    stage.answers.words("b", "s", "Next", 0, spoken=True)
    stage.done()
    stage.answers.stop(1)
    assert stage.done() == ["agent_speech_interrupted b '' 0/0", "send conversation.item.delete b"]


def test_all_stops_that_are_overdue_are_settled_together() -> None:
    stage = Stage()
    stage.say("a", "Hello.", 100)
    stage.answers.played(50 * MS, 0)
    stage.answers.stop(0)
    stage.say("b", "Next.", 100, response="s")
    stage.answers.stop(1)
    stage.done()
    stage.answers.overdue(2000)
    assert stage.done() == [
        "agent_speech_interrupted a '' 50/100",
        "agent_stopped_speaking a",
        "barge_in a",
        "agent_speech_interrupted b '' 0/100",
        "send conversation.item.truncate a 50",
        "send conversation.item.delete b",
    ]


def test_the_end_of_the_session_settles_what_is_open_without_a_word_to_the_engine() -> None:
    stage = Stage()
    stage.say("a", "Hello there.", 100)
    stage.answers.played(50 * MS, 0)
    stage.answers.stop(0)
    stage.done()
    stage.answers.close(1)
    assert stage.done() == ["agent_speech_interrupted a '' 50/100", "agent_stopped_speaking a"]
    assert stage.link.take() == []


def test_the_transcript_tells_what_was_heard_and_only_when_that_changed() -> None:
    stage = Stage()
    stage.say("a", "Hello ", 100)
    stage.say("a", "there.", 100)
    stage.answers.item_ended("a", 0)
    for ms in range(10, 210, 10):
        stage.answers.played(ms * MS, ms)
    told = [c.event for c in stage.out if isinstance(c, commands.Announce)]
    shown = [(t.heard, t.unheard) for t in told if isinstance(t, events.AgentTranscript)]
    assert shown == [("", "Hello there."), ("Hello ", "there."), ("Hello there.", "")]


def test_a_part_that_was_just_begun_does_not_undo_the_one_before() -> None:
    stage = Stage()
    stage.say("a", "One. ", 100)
    stage.say("a", "Two.", 100, part=1)
    stage.answers.played(100 * MS + 3, 1)
    stage.answers.stop(2)
    stage.answers.flushed(100 * MS + 3, 3)
    assert stage.done()[-1] == "send conversation.item.truncate a 0"


def test_an_answer_in_writing_is_read_as_it_comes() -> None:
    stage = Stage()
    stage.answers.began("a", "r")
    stage.answers.words("a", "r", "Good ", 0, spoken=False)
    stage.answers.words("a", "r", "dya.", 0, spoken=False)
    stage.answers.text("a", "Good day.")
    stage.answers.item_ended("a", 5)
    told = [c.event for c in stage.out if isinstance(c, commands.Announce)]
    assert [t.heard for t in told if isinstance(t, events.AgentTranscript)] == ["Good ", "Good dya."]
    assert stage.done() == ["agent_speech_committed a 'Good day.'"]


def test_an_answer_in_writing_is_neither_truncated_nor_deleted() -> None:
    stage = Stage()
    stage.link.conversation.entry("a", "r")
    stage.answers.words("a", "r", "Good ", 0, spoken=False)
    stage.answers.stop(1)
    assert stage.done() == ["agent_speech_interrupted a 'Good' 0/0"]


def test_an_item_that_ends_without_sound_or_writing_was_never_said() -> None:
    stage = Stage()
    stage.link.conversation.entry("a", "r")
    stage.answers.began("a", "r")
    stage.answers.item_ended("a", 1)
    assert stage.done() == ["agent_speech_interrupted a '' 0/0", "send conversation.item.delete a"]


def test_the_next_answer_is_a_speech_of_its_own_and_is_measured_once() -> None:
    stage = Stage()
    stage.say("a", "One.", 100)
    stage.answers.item_ended("a", 0)
    stage.say("b", "Two.", 100)
    stage.answers.item_ended("b", 0)
    stage.say("c", "Three.", 100, response="s")
    stage.answers.played(300 * MS, 1)
    assert (
        sum(isinstance(c, commands.Announce) and isinstance(c.event, events.MetricsCollected) for c in stage.out) == 1
    )
    assert stage.done()[3:] == [
        "agent_started_speaking a",
        "agent_speech_committed a 'One.'",
        "agent_speech_committed b 'Two.'",
        "agent_stopped_speaking a",
        "agent_started_speaking c",
    ]


def test_sound_of_an_item_that_is_settled_moves_nothing() -> None:
    stage = Stage()
    stage.say("a", "One.", 100)
    stage.history.settle(stage.history.items()[0], "committed", "", 0)
    stage.done()
    stage.answers.played(50 * MS, 1)
    stage.answers.stop(2)
    stage.answers.flushed(60 * MS, 3)
    assert stage.done() == ["stop_playing"]
