"""What the local engine hears: microphone audio -> speech started, paused, resumed, stopped; the sound of each turn.

Positions are samples at 16 kHz of all audio that was appended, which is the clock of `audio_start_ms` ("Server VAD
time is *appended audio*, not wall clock", reference, trap 2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mmagent.core import pcm
from mmagent.core.settings import TurnDetection
from mmagent.core.vad import SpeechDetector, Transition, VadSettings
from mmagent.engines.local.vad import Detector
from mmagent.resampler import Resampler

RATE = 16_000

KEEP = 10 * RATE
"""Samples kept while nobody speaks: more than any prefix padding."""

LONGEST = 5 * 60 * RATE
"""A turn longer than this loses its beginning, so that memory stays bounded."""


PAUSE_MS = 32
"""Silence after which a draft is begun: one window. Waiting longer spares drafts in vain, and makes answers later."""


def vad_settings(detection: TurnDetection) -> VadSettings:
    """The wire's `server_vad` in the detector's terms; what it does not name keeps its default."""
    return VadSettings(
        threshold=detection.threshold,
        prefix_padding_ms=detection.prefix_padding_ms,
        silence_duration_ms=detection.silence_duration_ms,
        pause_ms=min(PAUSE_MS, detection.silence_duration_ms),
    )


class Ears:
    """One stream of microphone audio. `hear` computes and is called in a thread, never twice at once."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._resampler = Resampler(pcm.RATE, RATE)
        self._rest = np.zeros(0, np.int16)
        self._sound = np.zeros(0, np.int16)
        self._begin = 0
        self._kept_from: int | None = None
        self.speech = SpeechDetector(VadSettings(), RATE, detector.window)

    @property
    def position(self) -> int:
        """Samples heard so far."""
        return self.speech.position

    def hear(self, sound: bytes) -> list[Transition]:
        """More audio (24 kHz) -> what it decided."""
        fresh = np.concatenate([self._rest, self._resampler.push(sound)])
        window = self._detector.window
        whole = len(fresh) // window * window
        self._rest = fresh[whole:]
        told: list[Transition] = []
        for start in range(0, whole, window):
            told += self.speech.feed(self._detector.probability(fresh[start : start + window]))
        self._sound = np.concatenate([self._sound, fresh[:whole]])
        self._forget()
        return told

    def keep(self, start: int | None) -> None:
        """Keep the sound from `start` on (None: nothing in particular), until told otherwise."""
        self._kept_from = start

    def sound(self, start: int, end: int | None = None) -> NDArray[np.int16]:
        """The sound from `start` to `end` (now), as far as it is still here."""
        stop = self.position if end is None else end
        return self._sound[max(0, start - self._begin) : max(0, stop - self._begin)]

    def _forget(self) -> None:
        oldest = self.position - (KEEP if self._kept_from is None else LONGEST)
        if self._kept_from is not None:
            oldest = max(oldest, min(self._kept_from, self.position) - RATE // 10)
        drop = oldest - self._begin
        if drop > RATE:
            self._sound = self._sound[drop:]
            self._begin += drop
