"""A small language for conversations: what happens (`>>`), and what the session is to do about it (`<<`).

    book = Playbook()
    s = book.server                        # a real server end, scripted: nobody writes JSON
    book >> LinkUp() >> s.open() << "send session.update"
    book >> 1200 >> s.starts(300) << '''
        user_started_speaking item_1
        state user_speaking'''
    assert book

After `>>` stands an event, a time in ms, or something that the server says. What the session sends reaches the server
at once, and so does what the server answers by itself (unless `hold`). What is `HIDDEN` is not compared. A book that
nobody asserts is an error.
"""

from __future__ import annotations

import difflib
import json
import re
from typing import Any

from mmagent.core import commands, events, pcm
from mmagent.core.commands import Command
from mmagent.core.events import Event
from mmagent.core.happenings import UsageCount
from mmagent.core.protocol import Protocol, Role
from mmagent.core.session import Session, drive
from mmagent.core.settings import SessionSettings

HIDDEN = ("send input_audio_buffer.append", "play", "usage", "metrics", "agent_transcript", "note", "barge_in")
"""What a book does not compare: what lines begin with."""


class Script:
    """The server's end, in short sentences; it remembers the turn and the answer that they are about."""

    def __init__(self) -> None:
        self.link = Protocol(Role.SERVER)
        self.turn = self.response = self.item = ""
        self.spoken = True

    def open(self) -> Script:
        self.link.open("sess_1", "test")
        return self

    def starts(self, ms: int) -> Script:
        self.turn = self.link.speech_started(ms)
        return self

    def stops(self, ms: int) -> Script:
        self.link.speech_stopped(self.turn, ms)
        self.link.committed(self.turn)
        return self

    def hears(self, text: str, item: str = "") -> Script:
        self.link.transcribed(item or self.turn, text, 1.0)
        return self

    def begins(self) -> Script:
        self.response = self.link.begin_response()
        return self

    def says(self, text: str, ms: int, *, new: bool = False, spoken: bool = True) -> Script:
        if new or not self.item:
            self.spoken = spoken
            self.item = self.link.begin_item(self.response, spoken=spoken)
        self.link.words(self.response, self.item, text, spoken=self.spoken)
        if ms:
            self.link.sound(self.response, self.item, pcm.silence(pcm.ms_to_samples(ms)))
        return self

    def calls(self, *names: str, arguments: str = "{}") -> Script:
        """Function calls, each with the id `call_NAME`."""
        for name in names:
            item = self.link.begin_call(self.response, name, f"call_{name}")
            self.link.call_arguments(self.response, item, arguments)
            self.link.end_call(self.response, item)
        return self

    def closes(self, *, whole: bool = True) -> Script:
        self.link.end_item(self.response, self.item, spoken=self.spoken, whole=whole)
        self.item = ""
        return self

    def ends(self, status: str = "completed", reason: str = "") -> Script:
        if self.item:
            self.closes(whole=status == "completed")
        count = UsageCount(text_in=10, audio_in=10, text_out=5, audio_out=20)
        self.link.end_response(self.response, status, reason, count)
        return self

    def answers(self, text: str, ms: int) -> Script:
        return self.begins().says(text, ms).ends()


class Playbook:
    """One session with a scripted server."""

    def __init__(self, *, hold: bool = False, hidden: tuple[str, ...] = HIDDEN, **settings: Any) -> None:
        self.session = Session(SessionSettings(**settings))
        self.server = Script()
        self.hold = hold
        self.now = 0
        self.events: list[tuple[int, Event]] = []
        self.commands: list[tuple[int, Command]] = []
        self.tape: list[tuple[int, Event | Command]] = []  # both, as a recorder is shown them
        self._hidden = hidden
        self._wanted: list[str] = []
        self._done: list[str] = []
        self._asserted = True

    def __rshift__(self, happens: Event | Script | float) -> Playbook:
        self._asserted = False
        if isinstance(happens, int | float):
            self.now = int(happens * 1000)
            name = "..."
        else:
            name = "server" if isinstance(happens, Script) else events.name_of(happens)
        heading = f">> {self.now / 1000:g} {name}"
        self._wanted.append(heading)
        self._done.append(heading)
        if isinstance(happens, Script):
            self._deliver()
        else:
            self._drive(None if isinstance(happens, int | float) else happens)
        return self

    def __lshift__(self, expected: str) -> Playbook:
        self._asserted = False
        self._wanted += [line.strip() for line in expected.splitlines() if line.strip()]
        return self

    def __bool__(self) -> bool:
        self._asserted = True
        if self._wanted != self._done:
            raise AssertionError("\n" + "\n".join(difflib.ndiff(self._wanted, self._done)))
        return True

    def __del__(self) -> None:
        if not self._asserted:
            raise AssertionError("a playbook that nobody asserted")

    def _drive(self, event: Event | None) -> None:
        if event is not None:
            self.events.append((self.now, event))
            self.tape.append((self.now, event))
        for at, command in drive(self.session, event, self.now):
            self.commands.append((at, command))
            self.tape.append((at, command))
            if not (text := line(command)).startswith(self._hidden):
                self._done.append(text)
            if isinstance(command, commands.Send):
                self.server.link.receive(command.message)
        if not self.hold:
            self._deliver()

    def _deliver(self) -> None:
        for message in self.server.link.take():
            self._drive(events.Received(message))


def line(command: Command) -> str:  # noqa: PLR0911 - a table: one arm a command
    """A command in one short line."""
    match command:
        case commands.Send(message=message):
            tree = json.loads(message)
            item, response = tree.get("item") or {}, tree.get("response") or {}
            told = [item.get("id"), response.get("instructions"), tree.get("item_id"), tree.get("audio_end_ms")]
            return _short("send", tree["type"], *told)
        case commands.Play(pcm=sound):
            return f"play {pcm.samples(sound)}"
        case commands.StopPlaying():
            return "stop_playing"
        case commands.RunTools(calls=calls):
            return _short("run_tools", *(call.call_id for call in calls))
        case commands.Reconnect(after=after):
            return f"reconnect {after // 1000}"
        case commands.Note(text=text):
            return f"note {text}"
        case commands.End(reason=reason, error=error, kind=kind):
            return _short("end", reason or None, f"({kind}: {error})" if error else None)
        case commands.Announce(event=event):
            return _announcement(event)


def _announcement(event: events.Announcement) -> str:
    name = events.name_of(event)
    match event:
        case events.AgentStateChanged(state=state):
            return f"state {state}"
        case events.AgentSpeechInterrupted():
            return _short(name, event.item_id, repr(event.text), f"{event.heard_ms}/{event.received_ms}")
        case events.SpeechCommitted():
            return _short(name, event.item_id, repr(event.text))
        case events.Error() | events.Warning():
            return _short(name, event.message)
        case _:
            return _short(name, getattr(event, "item_id", None), getattr(event, "reason", None))


def _short(*words: object) -> str:
    """The words there are; `item_000001` is `item_1`."""
    return re.sub(r"_0+(?=\d)", "_", " ".join(str(word) for word in words if word not in (None, "")))
