from __future__ import annotations

import io
import re
import sys
import threading
from collections.abc import Callable

import pytest
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

import mmagent.core.events as e
from mmagent.sinks import Sink
from mmagent.sinks.console import LiveConsole
from tests.sinks.conformance import SinkConformance
from tests.sinks.conversation import announcements

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
LONG = " ".join(f"word{n}" for n in range(400))


def terminal(out: io.StringIO, width: int = 80, height: int = 24, *, no_color: bool = False) -> Console:
    """A terminal of known size, whatever the tests themselves run in."""
    console = Console(
        file=out, width=width, height=height, force_terminal=True, color_system="standard", legacy_windows=False
    )
    console.no_color = no_color
    return console


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


class Screen:
    """What a terminal shows after `written`: as much of ECMA-48 as the live view uses, and no more."""

    def __init__(self, written: str) -> None:
        self.rows = [""]
        self.row = self.column = 0
        for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|[\s\S]", re.sub(r"\x1b\[[0-9;]*m", "", written)):
            self._obey(token)

    def _obey(self, token: str) -> None:
        if token == "\n":
            self.row, self.column = self.row + 1, 0
            self.rows += [""] * (self.row + 1 - len(self.rows))
        elif token == "\r":
            self.column = 0
        elif token == "\x1b[2K":
            self.rows[self.row] = ""
        elif token == "\x1b[1A":
            self.row -= 1
        elif not token.startswith("\x1b"):
            row = self.rows[self.row].ljust(self.column)
            self.rows[self.row] = row[: self.column] + token + row[self.column + 1 :]
            self.column += 1
        else:
            assert token in (HIDE, SHOW), f"unknown to this screen: {token!r}"

    def __str__(self) -> str:
        return "\n".join(row.rstrip() for row in self.rows).rstrip()


def film(width: int, *, no_color: bool = False) -> str:
    """The script as one would see it: the whole screen after every announcement that brought words."""
    out = io.StringIO()
    view = LiveConsole(terminal(out, width, no_color=no_color), verbose=True, refreshes_per_second=0)
    frames: list[str] = []
    for now, event in announcements():
        view.handle(now, event)
        if isinstance(event, e.UserTranscript | e.AgentTranscript | e.SpeechCommitted | e.FunctionCallsCollected):
            frames.append(f"--- {now / 1_000_000:.1f} s {e.name_of(event)}\n{Screen(out.getvalue())}")
    view.close()
    return "\n".join([*frames, f"--- after\n{Screen(out.getvalue())}"])


class TestConformance(SinkConformance):
    def make(self) -> tuple[Sink, Callable[[], str]]:
        out = io.StringIO()
        return LiveConsole(terminal(out), verbose=True, refreshes_per_second=0), out.getvalue


class TestConformanceOfTheThread(SinkConformance):
    def make(self) -> tuple[Sink, Callable[[], str]]:
        out = io.StringIO()
        return LiveConsole(terminal(out), verbose=True), out.getvalue


def test_80_columns(snapshot: SnapshotAssertion) -> None:
    assert film(80) == snapshot


def test_50_columns(snapshot: SnapshotAssertion) -> None:
    assert film(50) == snapshot


def test_20_columns(snapshot: SnapshotAssertion) -> None:
    assert film(20).partition("--- after\n")[2] == snapshot


def test_no_color_has_the_same_words() -> None:
    assert film(80, no_color=True) == film(80)


@pytest.mark.parametrize("no_color", [False, True])
def test_styles(snapshot: SnapshotAssertion, monkeypatch: pytest.MonkeyPatch, no_color: bool) -> None:
    """Dim is not final or not heard; struck out was never heard; without colours too."""
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    view = LiveConsole(Console(file=io.StringIO()), refreshes_per_second=0)
    shots = []
    for now, event in announcements():
        view.handle(now, event)
        if isinstance(event, e.UserTranscript | e.AgentTranscript):
            out = io.StringIO()
            Console(file=out, width=80, force_terminal=True, color_system="standard").print(view.view())
            shots.append(out.getvalue())
    out = io.StringIO()
    view = LiveConsole(Console(file=out, width=80, force_terminal=True, color_system="standard"))
    for now, event in announcements():
        view.handle(now, event)
    view.close()
    shots.append(next(line for line in out.getvalue().splitlines() if "[and sixty" in line))
    shown = "\n".join(shots)
    assert bool(re.search(r"\x1b\[(\d;)*[34]\d", shown)) is not no_color
    assert shown.replace("\x1b", "ESC") == snapshot


def test_what_stays_is_what_a_plain_log_would_hold() -> None:
    """The live part leaves nothing behind, and nothing is printed twice."""
    shown, plain = io.StringIO(), io.StringIO()
    for view in (LiveConsole(terminal(shown)), LiveConsole(Console(file=plain, width=80, force_terminal=False))):
        for now, event in announcements():
            view.handle(now, event)
        view.close()
    assert str(Screen(shown.getvalue())) == "\n".join(row.rstrip() for row in plain.getvalue().splitlines())
    assert "\x1b" not in plain.getvalue()


def test_quiet_shows_the_conversation_and_errors_only() -> None:
    out = io.StringIO()
    view = LiveConsole(Console(file=out, width=80, force_terminal=False), quiet=True, verbose=True)
    for now, event in announcements():
        view.handle(now, event)
    view.close()
    assert [line.split()[0] for line in out.getvalue().splitlines()] == ["you", "agent", "error", "you", "agent"]


def test_a_long_answer_keeps_its_newest_words_and_the_status_in_sight() -> None:
    out = io.StringIO()
    view = LiveConsole(terminal(out, width=40, height=10), refreshes_per_second=0)
    view.handle(0, e.AgentTranscript("a", LONG, ""))
    rows = str(Screen(out.getvalue())).splitlines()
    assert len(rows) == 9
    assert "word399" in rows[-2]
    assert "connecting" in rows[-1]
    view.handle(1, e.AgentSpeechCommitted("a", LONG, "assistant", False))
    view.close()
    assert str(Screen(out.getvalue())).split() == ["agent", *LONG.split()]


def test_an_answer_that_the_end_of_the_session_cuts() -> None:
    out = io.StringIO()
    view = LiveConsole(Console(file=out, width=80, force_terminal=False))
    view.handle(0, e.AgentTranscript("a", "One two ", "three."))
    view.close()
    assert out.getvalue().strip() == "agent  One two—[three.]"


def test_text_replies_keep_their_lines() -> None:
    out = io.StringIO()
    view = LiveConsole(Console(file=out, width=80, force_terminal=False))
    view.handle(0, e.AgentSpeechCommitted("a", "Two:\n* one\n* two", "assistant", False))
    view.close()
    assert [line.rstrip() for line in out.getvalue().splitlines()] == [
        "  agent  Two:",
        "         * one",
        "         * two",
    ]


def test_latency_known_late_still_has_its_line() -> None:
    out = io.StringIO()
    view = LiveConsole(Console(file=out, width=80, force_terminal=False), verbose=True)
    view.handle(0, e.AgentSpeechCommitted("a", "Yes.", "assistant", False))
    view.handle(1, e.MetricsCollected("a", 640, 500, 80, 50, 10))
    view.close()
    assert "640 ms (waiting 500, thinking 80, voicing 50, playout 10)" in out.getvalue()


class Slow(io.StringIO):
    """A terminal that takes nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.writes = 0

    def write(self, text: str) -> int:
        self.go.wait()
        self.writes += 1
        return super().write(text)


def test_a_slow_terminal_does_not_hold_up_the_session() -> None:
    out = Slow()
    view = LiveConsole(terminal(out))
    for now, event in announcements():
        view.handle(now, event)  # would wait for ever if it wrote
    out.go.set()
    view.close()
    assert "The train takes six and a half hours." in str(Screen(out.getvalue()))


def test_repaints_are_few() -> None:
    out = Slow()
    out.go.set()
    view = LiveConsole(terminal(out), refreshes_per_second=0.001)
    for step in range(1000):
        view.handle(step, e.UserTranscript("u", f"word {step}"))
    view.close()
    assert out.writes < 12


class Broken(io.StringIO):
    """A terminal whose window was closed."""

    broken = False

    def write(self, text: str) -> int:
        if self.broken:
            raise OSError(5, "Input/output error")
        return super().write(text)


def test_a_terminal_that_went_away_is_told_once_and_close_is_quiet() -> None:
    out = Broken()
    view = LiveConsole(terminal(out), refreshes_per_second=0)
    stderr = sys.stderr
    view.handle(0, e.AgentStateChanged("listening", "connecting"))
    out.broken = True
    with pytest.raises(OSError, match="Input/output"):
        view.handle(1, e.UserTranscript("u", "hello"))
    view.close()
    assert sys.stderr is stderr


def test_the_painters_failure_reaches_the_session() -> None:
    out = Broken()
    out.broken = True
    view = LiveConsole(terminal(out))
    view.handle(0, e.AgentStateChanged("listening", "connecting"))
    assert view._painter is not None
    view._painter.join()
    with pytest.raises(OSError, match="Input/output"):
        view.handle(1, e.UserTranscript("u", "hello"))
    view.close()


@pytest.mark.parametrize("refreshes", [0, 12])
def test_the_terminal_is_whole_after_an_exception(refreshes: float) -> None:
    out = io.StringIO()
    stdout, stderr = sys.stdout, sys.stderr
    view = LiveConsole(terminal(out), refreshes_per_second=refreshes)

    def session() -> None:
        try:
            view.handle(0, e.UserTranscript("u", "hello"))
            raise RuntimeError("the session failed")
        finally:
            view.close()

    with pytest.raises(RuntimeError):
        session()
    written = out.getvalue()
    assert written.count(HIDE) == 1
    assert written.count(SHOW) == 1
    assert written.rindex(SHOW) > written.rindex("hello")
    assert str(Screen(written)).split() == ["you", "hello"]
    assert (sys.stdout, sys.stderr) == (stdout, stderr)


def test_the_terminal_is_not_touched_before_the_session_begins() -> None:
    out = io.StringIO()
    LiveConsole(terminal(out)).close()
    assert out.getvalue() == ""
