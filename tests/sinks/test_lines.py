from __future__ import annotations

import io
from collections.abc import Callable

from syrupy.assertion import SnapshotAssertion

import mmagent.core.events as e
from mmagent.sinks import Sink
from mmagent.sinks.lines import Lines
from tests.sinks.conformance import SinkConformance
from tests.sinks.conversation import announcements


class TestConformance(SinkConformance):
    def make(self) -> tuple[Sink, Callable[[], str]]:
        out, err = io.StringIO(), io.StringIO()
        return Lines(out, err, verbose=True), lambda: out.getvalue() + err.getvalue()


class Played:
    """The script through a sink: what it wrote."""

    def __init__(self, *, only_answers: bool = False, quiet: bool = False, verbose: bool = False) -> None:
        out, err = io.StringIO(), io.StringIO()
        sink = Lines(out, err, only_answers=only_answers, quiet=quiet, verbose=verbose)
        for now, event in announcements():
            sink.handle(now, event)
        sink.close()
        self.out, self.err = out.getvalue(), err.getvalue()


def test_the_conversation(snapshot: SnapshotAssertion) -> None:
    played = Played()
    assert played.out == (
        "you: How far is it from Oslo to Bergen?\n"
        "agent: It is about four hundred —[interrupted]\n"
        "you: No, by train, please.\n"
        "agent: The train takes six and a half hours.\n"
    )
    assert played.err == snapshot


def test_verbose(snapshot: SnapshotAssertion) -> None:
    assert Played(verbose=True).err == snapshot


def test_quiet() -> None:
    played = Played(quiet=True, verbose=True)
    assert played.err == "error: The engine refused one request: rate limit reached. Wait a minute.\n"
    assert played.out == Played().out


def test_only_answers() -> None:
    assert Played(only_answers=True).out == "It is about four hundred\nThe train takes six and a half hours.\n"


def test_an_answer_of_several_lines_is_one_line() -> None:
    out = io.StringIO()
    sink = Lines(out, io.StringIO(), only_answers=True)
    sink.handle(0, e.AgentSpeechCommitted("a", "One.\n\n* Two.\n", "assistant", False))
    assert out.getvalue() == "One. * Two.\n"


def test_what_could_not_be_understood_is_said() -> None:
    out = io.StringIO()
    sink = Lines(out, io.StringIO())
    sink.handle(0, e.UserSpeechCommitted("u", "", "user", False))
    sink.handle(0, e.AgentSpeechInterrupted("a", "", "assistant", True))
    assert out.getvalue() == "you: [inaudible]\nagent: —[interrupted]\n"


def test_what_the_encoding_lacks_is_spelled_out() -> None:
    raw = io.BytesIO()
    sink = Lines(io.TextIOWrapper(raw, encoding="ascii", newline="\n"), io.StringIO())
    sink.handle(0, e.UserSpeechCommitted("u", "Grüße", "user", False))
    assert raw.getvalue() == b"you: Gr\\xfc\\xdfe\n"


def test_close_prints_what_waits() -> None:
    out = io.StringIO()
    sink = Lines(out, io.StringIO())
    sink.handle(0, e.UserStartedSpeaking("u", 0))
    sink.handle(1, e.AgentSpeechCommitted("a", "Yes.", "assistant", False))
    assert out.getvalue() == ""
    sink.close()
    assert out.getvalue() == "agent: Yes.\n"
