"""A recording is the list of events handled: it gives the same commands at the same microseconds, always."""

from __future__ import annotations

import os
from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmagent.core import commands, tape
from mmagent.core.commands import Command
from mmagent.core.events import Event, Stop
from mmagent.core.session import Session, drive
from mmagent.core.settings import SessionSettings
from tests.core.sessions import Talk, Timed, chaos, run, some_settings, talks
from tests.core.tapes import FOLDER, TAPES, lines, write


def replay(settings: SessionSettings, script: Iterable[tuple[int, Event]]) -> Timed:
    session = Session(settings)
    return [told for now, event in script for told in drive(session, event, now)]


def recorded(settings: SessionSettings, deeds: list[tuple[str, int]]) -> Talk:
    talk = Talk(settings)
    for deed in deeds:
        talk.do(*deed)
    talk.tell(Stop("enough"))
    return talk


@given(some_settings, talks)
def test_a_recorded_session_replays_exactly(settings: SessionSettings, deeds: list[tuple[str, int]]) -> None:
    talk = recorded(settings, deeds)
    assert replay(settings, talk.events) == talk.commands


@given(some_settings, chaos(), st.lists(st.floats(0, 1), max_size=30))
def test_the_lateness_of_the_loop_changes_nothing(
    settings: SessionSettings, script: list[tuple[int, Event]], looks: list[float]
) -> None:
    """However often it is asked in between whether something is due."""
    _, told = run(settings, script)
    times = sorted(int(look * script[-1][0]) for look in looks)
    session, late = Session(settings), []
    for now, event in script:
        while times and times[0] < now:
            late += list(drive(session, None, times.pop(0)))
        late += list(drive(session, event, now))
    assert late == told


@given(some_settings, talks)
def test_a_tape_replays_exactly_without_its_sound(settings: SessionSettings, deeds: list[tuple[str, int]]) -> None:
    talk = recorded(settings, deeds)
    read = tape.read([tape.encode_header("0", settings), *lines(talk.tape)])
    entries = list(read)
    assert read.unknown == []
    script = [(entry.t, entry.event) for entry in entries if isinstance(entry, tape.EventEntry)]
    assert lines(replay(settings, script)) == lines(talk.commands)


@pytest.mark.parametrize("name", TAPES)
def test_golden_tapes(name: str) -> None:
    if os.environ.get("MMAGENT_REWRITE_TAPES"):
        write(name)
    path = FOLDER / name / "session.jsonl"
    with path.open("rb") as file:
        read = tape.read(file)
        entries = list(read)
    assert read.unknown == []
    settings = msgspec.convert(read.header.settings, SessionSettings)
    told: list[tuple[int, Command]] = [(e.t, e.command) for e in entries if isinstance(e, tape.CommandEntry)]
    script = [(entry.t, entry.event) for entry in entries if isinstance(entry, tape.EventEntry)]
    assert lines(replay(settings, script)) == lines(told)
    assert isinstance(told[-1][1], commands.End)


@pytest.mark.parametrize("name", TAPES)
def test_golden_tapes_are_what_their_script_says(name: str) -> None:
    """The server's end has not changed its words since either. If it has to: write the tapes again."""
    settings, book = TAPES[name]()
    book._asserted = True
    wanted = tape.encode_header("0.1.0", settings) + b"".join(lines(book.tape))
    assert (FOLDER / name / "session.jsonl").read_bytes() == wanted
