"""Who watches.

    console   the live view of a terminal (Rich)
    lines     plain lines for a pipe or a log
    jsonl     one JSON object an event

A sink that fails is dropped with a warning and the session goes on. Every member passes `tests/sinks/conformance.py`.
"""

from __future__ import annotations

from typing import Protocol

from mmagent.core.events import Announcement


class Sink(Protocol):
    """One who watches a session."""

    def handle(self, now: int, event: Announcement) -> None:
        """An announcement, and when it was made (microseconds since the session began). Never blocks for long."""
        ...

    def close(self) -> None:
        """The session is over: write what is left, leave the terminal whole."""
        ...
