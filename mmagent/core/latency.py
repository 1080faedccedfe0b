"""Events -> spans: how long the user waited, and why.

One turn's marks, all in microseconds since the session began:

    voiced      the last voiced sample of the user's turn reached the microphone
    stopped     the engine said that the turn was over
    worded      the first text of the answer came
    sounded     the first audio of the answer came
    audible     its first sample was heard
"""

from __future__ import annotations

from bisect import bisect_left

import msgspec

from mmagent.core import pcm
from mmagent.core.events import MetricsCollected

REMEMBERED = 6000
"""Blocks whose time is remembered: two minutes. What is older counts as old as the oldest of them."""


class MicClock:
    """When a sample of the microphone was captured: remembers by when how much had been sent."""

    def __init__(self) -> None:
        self._sent = 0
        self._ends: list[int] = []
        self._times: list[int] = []

    def sent(self, samples: int, now: int) -> None:
        """So many more samples were captured up to `now`."""
        self._sent += samples
        self._ends.append(self._sent)
        self._times.append(now)
        if len(self._ends) > 2 * REMEMBERED:
            del self._ends[:REMEMBERED], self._times[:REMEMBERED]

    @property
    def sent_samples(self) -> int:
        """Samples captured and sent so far."""
        return self._sent

    @property
    def sent_ms(self) -> int:
        """Milliseconds captured and sent so far."""
        return pcm.samples_to_ms(self._sent)

    def captured_at(self, audio_ms: int) -> int:
        """When the sample at `audio_ms` of the sent audio was captured; never in the future, never before the start."""
        if not self._ends:
            return 0
        sample = pcm.ms_to_samples(audio_ms)
        block = min(bisect_left(self._ends, sample), len(self._ends) - 1)
        behind = max(0, self._ends[block] - sample)
        return max(0, self._times[block] - pcm.samples_to_us(behind))


class TurnMarks(msgspec.Struct):
    """The marks of one turn; None where not reached."""

    voiced: int | None = None
    stopped: int | None = None
    worded: int | None = None
    sounded: int | None = None
    audible: int | None = None

    def metrics(self, item_id: str) -> MetricsCollected:
        """The spans between the marks, in ms, for the answer `item_id`."""
        return MetricsCollected(
            item_id=item_id,
            total_ms=_span(self.voiced, self.audible),
            waiting_ms=_span(self.voiced, self.stopped),
            thinking_ms=_span(self.stopped, self.worded),
            voicing_ms=_span(self.worded, self.sounded),
            playout_ms=_span(self.sounded, self.audible),
        )


def _span(start: int | None, end: int | None) -> int | None:
    return None if start is None or end is None else max(0, end - start) // 1000
