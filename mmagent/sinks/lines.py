"""Plain lines, for a pipe or a log: no colour, no control characters, one line for each thing said.

    you: How far is it from Oslo to Bergen?
    agent: About four hundred and —[interrupted]
    warning: The microphone was silent. Is it muted?

The conversation goes to `out`, notes go to `err`. It is in the order of speech, though its words may come late.
"""

from __future__ import annotations

import sys
from typing import TextIO

from mmagent.core.events import (
    AgentStateChanged,
    Announcement,
    BargeIn,
    Closed,
    Error,
    MetricsCollected,
    SessionReconnected,
    SessionReconnecting,
    Usage,
    Warning,
)
from mmagent.sinks.printable import latency, printable, shorten, usage
from mmagent.sinks.transcript import Line, Transcript

INTERRUPTED = " —[interrupted]"
INAUDIBLE = "[inaudible]"


class Lines:
    """Writes the conversation to `out` and notes to `err`; both stay open.

    Args:
        out: For what was said. None: `sys.stdout`.
        err: For warnings, errors and what `verbose` adds. None: `sys.stderr`.
        only_answers: Just the agent's words, without its name: the answers of a text pipeline, one line each.
        quiet: Of the notes, errors only.
        verbose: Also the states, tool calls, latency and usage.

    Raises:
        OSError: from `handle` and `close`, when a stream cannot be written.
    """

    def __init__(
        self,
        out: TextIO | None = None,
        err: TextIO | None = None,
        *,
        only_answers: bool = False,
        quiet: bool = False,
        verbose: bool = False,
    ) -> None:
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._only_answers = only_answers
        self._quiet = quiet
        self._verbose = verbose and not quiet
        self._transcript = Transcript()
        self._closed = False

    def handle(self, now: int, event: Announcement) -> None:
        """An announcement: the lines that it makes whole, and its note."""
        if self._closed:
            return
        for line in self._transcript.take(now, event):
            self._say(line)
        if isinstance(event, Closed):
            self._say_what_is_left()
        if note := self._note(event):
            _write(self._err, note)

    def close(self) -> None:
        """Print what still waits for its turn."""
        if not self._closed:
            self._closed = True
            self._say_what_is_left()

    def _say_what_is_left(self) -> None:
        for line in self._transcript.close():
            self._say(line)

    def _say(self, line: Line) -> None:
        text = printable(line.text).strip()
        if line.speaker == "tool":
            if self._verbose:
                _write(self._err, f"tool: {shorten(text, 500)}")
        elif self._only_answers:
            if line.speaker == "agent" and text:
                _write(self._out, text)
        elif line.speaker == "you":
            _write(self._out, f"you: {text or INAUDIBLE}")
        elif text or line.interrupted:
            _write(self._out, f"agent: {text}{INTERRUPTED if line.interrupted else ''}")

    def _note(self, event: Announcement) -> str:
        match event:
            case Error(message=message, hint=hint):
                return f"error: {message} {hint}"
            case Warning(message=message, hint=hint) if not self._quiet:
                return f"warning: {message} {hint}"
            case _:
                return "" if self._quiet else self._remark(event)

    def _remark(self, event: Announcement) -> str:
        match event:
            case SessionReconnecting(reason=reason, attempt=attempt):
                return f"warning: The link was lost ({reason}). Trying again, attempt {attempt}."
            case SessionReconnected(away_ms=away):
                return f"note: The link is back after {away / 1000:.1f} s."
            case Closed(reason=reason) if reason not in ("", "done", "failed"):
                return f"ended: {reason}"
            case _:
                return self._detail(event) if self._verbose else ""

    @staticmethod
    def _detail(event: Announcement) -> str:
        match event:
            case AgentStateChanged(state=state):
                return f"state: {state}"
            case MetricsCollected():
                return f"latency: {latency(event)}"
            case Usage():
                return f"usage: {usage(event)}"
            case BargeIn(silence_ms=silence):
                return f"barge-in: silent after {silence} ms"
            case _:
                return ""


def _write(stream: TextIO, line: str) -> None:
    """One line, at once. What the stream's encoding lacks is spelled out, not an error."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(printable(line).strip().encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()
