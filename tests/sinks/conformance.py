"""What every sink must do. A member's test file subclasses `SinkConformance` and says how to make one."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import pytest

import mmagent.core.events as e
from mmagent.core.events import Announcement
from mmagent.sinks import Sink
from tests.sinks.conversation import announcements

HOSTILE = "a\x1b]0;owned\x07\x1b[2J\x9b2J\x08\x08[bold]b[/bold][/] \ud83d\u202e\r\n{c}\x00\x7f"
OWNED = ("\x1b]0;", "\x1b[2J", "\x9b", "\x08", "\x07", "\u202e", "\x00", "\x7f", "\ud83d")


def hostile() -> list[Announcement]:
    """Each announcement that carries text from outside, with the worst of it."""
    return [
        e.UserTranscript("u1", HOSTILE),
        e.UserSpeechCommitted("u1", HOSTILE, "user", False),
        e.AgentTranscript("a1", HOSTILE, HOSTILE),
        e.AgentSpeechInterrupted("a1", HOSTILE, "assistant", True),
        e.AgentSpeechCommitted("a2", HOSTILE, "assistant", False),
        e.FunctionCallsCollected(({"name": HOSTILE, "arguments": HOSTILE, "call_id": "c"},)),
        e.FunctionCallsFinished(({"name": HOSTILE, "output": HOSTILE, "call_id": "c"},)),
        e.SessionReconnecting(HOSTILE, 1),
        e.Warning(HOSTILE, HOSTILE),
        e.Error(HOSTILE, HOSTILE),
        e.Closed(HOSTILE),
    ]


class SinkConformance:
    """Subclass it, and give `make`: a new sink, and a function that reads all that it has written so far."""

    def make(self) -> tuple[Sink, Callable[[], str]]:
        raise NotImplementedError

    def test_the_script_has_every_announcement(self) -> None:
        """Else the tests below would say less than they seem to."""
        kinds = {type(event) for _, event in announcements()}
        missing = set(Announcement.__args__) - kinds
        assert not missing

    def test_takes_a_whole_conversation(self) -> None:
        sink, written = self.make()
        for now, event in announcements():
            sink.handle(now, event)
        sink.close()
        assert "It is about four hundred" in written()

    def test_takes_announcements_in_any_order_and_twice(self) -> None:
        for seed in range(20):
            sink, _ = self.make()
            mixed = [event for _, event in announcements()] * 2
            random.Random(seed).shuffle(mixed)
            for step, event in enumerate(mixed):
                sink.handle(step * 300_000, event)
            sink.close()

    def test_takes_announcements_of_nothing(self) -> None:
        """Empty texts, empty lists, no figures."""
        sink, _ = self.make()
        for kind in Announcement.__args__:
            fields = {field.name: empty(field.type) for field in msgspec.structs.fields(kind) if field.required}
            sink.handle(0, msgspec.convert({"event": kind.__struct_config__.tag} | fields, kind))
        sink.close()

    def test_close_without_a_word_and_twice(self) -> None:
        sink, _ = self.make()
        sink.close()
        sink.close()

    def test_nothing_is_written_after_close(self) -> None:
        sink, written = self.make()
        now, event = announcements()[0]
        sink.handle(now, event)
        sink.close()
        before = written()
        sink.handle(now, e.AgentSpeechCommitted("late", "too late", "assistant", False))
        sink.close()
        assert written() == before

    @pytest.mark.parametrize("event", hostile(), ids=lambda event: type(event).__name__)
    def test_text_from_outside_has_no_power(self, event: Announcement) -> None:
        sink, written = self.make()
        sink.handle(1, event)
        sink.close()
        assert not [bad for bad in OWNED if bad in written()]


def empty(annotation: object) -> object:
    """The emptiest value of a field's type."""
    spelled = str(annotation)
    if "None" in spelled:
        return None
    if "Literal" in spelled:
        return annotation.__args__[0]  # type: ignore[attr-defined]
    return {"<class 'str'>": "", "<class 'int'>": 0, "<class 'bool'>": False}.get(spelled, [])
