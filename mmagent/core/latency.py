"""Events -> spans: how long the user waited, and why.

One turn's marks, all in microseconds since the session began:

    voiced      the last voiced sample of the user's turn reached the microphone
    stopped     the engine said that the turn was over
    worded      the first text of the answer came
    sounded     the first audio of the answer came
    audible     its first sample was heard
"""

from __future__ import annotations

import msgspec

from mmagent.core import pcm
from mmagent.core.events import MetricsCollected


class MicClock:
    """When a sample of the microphone was captured, from how much was sent by when."""

    def __init__(self) -> None:
        self._sent = 0
        self._at = 0

    def sent(self, samples: int, now: int) -> None:
        """So many more samples were captured up to `now`."""
        self._sent += samples
        self._at = now

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
        behind = self._sent - pcm.ms_to_samples(audio_ms)
        return max(0, self._at - pcm.samples_to_us(max(0, behind)))


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
