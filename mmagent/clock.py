"""The only clock.

Everything else is told the time. `Clock.now()` counts integer microseconds since the session began; `today()` is the
date that a recording's header carries.
"""

from __future__ import annotations

import datetime
import time


class Clock:
    """Microseconds since it was made, never going back."""

    def __init__(self) -> None:
        self._start = time.monotonic_ns()

    def now(self) -> int:
        """Microseconds since the session began."""
        return (time.monotonic_ns() - self._start) // 1000


def stopwatch() -> float:
    """Seconds on a monotonic clock, for progress displays and benchmarks."""
    return time.perf_counter()


def today() -> str:
    """The date in UTC, as `2026-11-23`."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()
