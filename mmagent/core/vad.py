"""Speech probabilities -> speech started, paused, resumed, stopped, counted in samples.

A model gives one probability of speech for each window of audio (Silero: 512 samples at 16 kHz, 32 ms). This module
turns them into decisions; it knows no model. The engine, `replay --what-if` and `tune-vad` run this same class.

The settings mean what they mean in OpenAI's `server_vad`: "activation threshold for VAD (0.0 to 1.0)"; prefix padding
is "the amount of audio to include before the VAD detected speech", silence duration "the duration of silence to detect
speech stop". The rules, in order:

1. A window is *loud* at `threshold` or above, *low* under `max(threshold - 0.15, 0.01)`, and *between* otherwise. A
   window between goes on with what was: speech stays speech, a pause stays a pause. (Silero's own rule, in its
   `VADIterator` and `get_speech_timestamps`. There a window between cannot end a turn; here it can, when the silence
   has lasted long enough.)
2. Speech starts when a run that began loud and was never low has lasted `min_speech_ms`. A click of one window starts
   nothing.
3. `Started.start` is the first sample of that run less the prefix padding, but never before sample 0, the end of the
   speech before it, or the last `reset`: no sample belongs to two turns.
4. Silence is counted from the end of the last speech window. At `pause_ms` it is told, once, as `Paused`: time that an
   engine can use. One loud window ends the pause: `Resumed` if `Paused` was told, else nothing.
5. At `silence_duration_ms` of silence the speech has `Stopped`; its end is the end of the last speech window. When one
   window brings both, only `Stopped` is told.
6. Durations are compared at the ends of windows, so each rounds up to whole windows: 500 ms of silence are 16 windows,
   512 ms.

    state         window           and then                     next     told
    QUIET         loud             run >= min_speech            SPEECH   Started
    QUIET         loud             run < min_speech             ONSET
    ONSET         loud, between    run >= min_speech            SPEECH   Started
    ONSET         low                                           QUIET
    SPEECH        loud, between                                 SPEECH
    GAP           loud                                          SPEECH
    PAUSED        loud                                          SPEECH   Resumed
    SPEECH        low              silence >= silence_duration  QUIET    Stopped
    GAP, PAUSED   between, low     silence >= silence_duration  QUIET    Stopped
    SPEECH        low              silence >= pause             PAUSED   Paused
    GAP           between, low     silence >= pause             PAUSED   Paused
    SPEECH        low              neither                      GAP

Of two rows that fit the upper one holds; what the table leaves out changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto

import msgspec
import numpy as np
from numpy.typing import NDArray

from mmagent.core import pcm

RATE = 16_000
"""Samples in a second, as the model counts them."""

WINDOW = 512
"""Samples in a window: 32 ms."""

HYSTERESIS = 0.15
"""How far under the threshold speech goes on (Silero: `neg_threshold = threshold - 0.15`)."""

LOWEST = 0.01
"""Speech never goes on under this (Silero: `max(threshold - 0.15, 0.01)`), so that a low threshold still ends turns."""


class VadSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When speech starts and stops. `threshold` is a probability, the rest are milliseconds.

    `pause_ms` of silence tell `Paused`; `min_speech_ms` must be speech before it counts (64: two windows of Silero).
    """

    threshold: float = 0.5
    prefix_padding_ms: int = 300
    silence_duration_ms: int = 500
    min_speech_ms: int = 64
    pause_ms: int = 100

    @property
    def low(self) -> float:
        """Under this a window is silence, whatever came before."""
        return max(self.threshold - HYSTERESIS, LOWEST)


class _Transition(msgspec.Struct, frozen=True, tag=str.lower):
    """Something was decided. `at` is the end, in samples, of the window that decided it."""

    at: int


class Started(_Transition, frozen=True):
    """Speech began. The turn's first sample is `start`, prefix padding included."""

    start: int


class Paused(_Transition, frozen=True):
    """Silence has lasted `pause_ms`; speech may go on."""


class Resumed(_Transition, frozen=True):
    """Speech went on after `Paused`."""


class Stopped(_Transition, frozen=True):
    """Speech is over: `silence_duration_ms` of silence since sample `end`."""

    end: int


Transition = Started | Paused | Resumed | Stopped
"""What `SpeechDetector.feed` tells."""


class State(Enum):
    """Where a `SpeechDetector` is, see the table above."""

    QUIET = auto()
    ONSET = auto()
    SPEECH = auto()
    GAP = auto()
    PAUSED = auto()


class SpeechDetector:
    """The table above as a class: one probability in, what it decided out. All counts are samples of `rate`."""

    def __init__(self, settings: VadSettings, rate: int = RATE, window: int = WINDOW) -> None:
        self.rate = rate
        self.window = window
        self.state = State.QUIET
        self.position = 0
        """The end of the last window fed."""
        self._onset = 0  # the first sample of the run that may be speech
        self._last_speech = 0  # the end of the last speech window
        self._floor = 0  # no turn may start before this
        self.update(settings)

    def update(self, settings: VadSettings) -> None:
        """Take other settings from the next window on; speech under way goes on."""
        self.settings = settings
        self._threshold = settings.threshold
        self._low = settings.low
        self._prefix = pcm.ms_to_samples(settings.prefix_padding_ms, self.rate)
        self._min_speech = pcm.ms_to_samples(settings.min_speech_ms, self.rate)
        self._pause = pcm.ms_to_samples(settings.pause_ms, self.rate)
        self._silence = pcm.ms_to_samples(settings.silence_duration_ms, self.rate)

    @property
    def speaking(self) -> bool:
        """Whether `Started` was told and `Stopped` was not."""
        return self.state not in (State.QUIET, State.ONSET)

    @property
    def silence(self) -> int:
        """Samples of silence since the last speech window of the speech under way; 0 when there is none."""
        return self.position - self._last_speech if self.speaking else 0

    def reset(self) -> None:
        """Forget the speech under way, untold; the count of samples goes on, and no turn will start before it.

        For `input_audio_buffer.clear`, and for a commit by hand: what was buffered is gone.
        """
        self.state = State.QUIET
        self._floor = self.position

    def feed(self, probability: float) -> list[Transition]:
        """One window's probability of speech -> what it decided: nothing or one transition."""
        self.position += self.window
        if self.state is State.QUIET or self.state is State.ONSET:
            return self._wait(probability)
        if probability >= (self._low if self.state is State.SPEECH else self._threshold):
            return self._speak()
        return self._pause_or_stop()

    def feed_run(self, probability: float, count: int) -> list[Transition]:
        """The same as `feed(probability)`, `count` times; the windows that cannot change anything cost nothing."""
        told: list[Transition] = []
        while count > 0:
            if self.state is State.QUIET and not probability >= self._threshold:
                self.position += count * self.window
                break
            if self.state is State.SPEECH and probability >= self._low:
                self.position += count * self.window
                self._last_speech = self.position
                break
            told += self.feed(probability)
            count -= 1
        return told

    def _wait(self, probability: float) -> list[Transition]:
        """Nobody speaks yet."""
        if self.state is State.QUIET:
            if not probability >= self._threshold:
                return []
            self._onset = self.position - self.window
        elif not probability >= self._low:
            self.state = State.QUIET
            return []
        if self.position - self._onset < self._min_speech:
            self.state = State.ONSET
            return []
        self.state = State.SPEECH
        self._last_speech = self.position
        return [Started(start=max(self._onset - self._prefix, self._floor), at=self.position)]

    def _speak(self) -> list[Transition]:
        """A window of speech under way."""
        told: list[Transition] = [Resumed(at=self.position)] if self.state is State.PAUSED else []
        self.state = State.SPEECH
        self._last_speech = self.position
        return told

    def _pause_or_stop(self) -> list[Transition]:
        """A window of silence in speech under way."""
        silence = self.position - self._last_speech
        if silence >= self._silence:
            self.state = State.QUIET
            self._floor = self._last_speech
            return [Stopped(end=self._last_speech, at=self.position)]
        if self.state is State.PAUSED:
            return []
        if silence >= self._pause:
            self.state = State.PAUSED
            return [Paused(at=self.position)]
        self.state = State.GAP
        return []


# --- offline, for tune-vad and replay ---------------------------------------------------------------------------


class Segment(msgspec.Struct, frozen=True):
    """One stretch of speech, in samples: `Started` and its `Stopped`.

    `started_at` and `stopped_at` are when each was known. Speech still under way when the probabilities ended has
    `stopped_at` None, and `end` is the end of its last speech window.
    """

    start: int
    end: int
    started_at: int
    stopped_at: int | None


def segments(
    probabilities: NDArray[np.floating], settings: VadSettings, rate: int = RATE, window: int = WINDOW
) -> list[Segment]:
    """The speech in a whole recording, by the same class that decides live. One probability a window, in order."""
    detector = SpeechDetector(settings, rate, window)
    found: list[Segment] = []
    begun: Started | None = None
    for value, count in _runs(probabilities, settings):
        for told in detector.feed_run(value, count):
            if isinstance(told, Started):
                begun = told
            elif isinstance(told, Stopped) and begun is not None:
                found.append(Segment(begun.start, told.end, begun.at, told.at))
                begun = None
    if begun is not None:
        found.append(Segment(begun.start, detector.position - detector.silence, begun.at, None))
    return found


def _runs(probabilities: NDArray[np.floating], settings: VadSettings) -> Iterator[tuple[float, int]]:
    """Neighbours that are all loud, all low or all between, as (one of them, how many)."""
    # In the width in which they are compared one by one: a float32 against a Python float would round the threshold.
    values = np.asarray(probabilities, dtype=np.float64)
    if values.size == 0:
        return
    kind = (values >= settings.threshold).astype(np.int8) + (values >= settings.low)
    edges = np.concatenate(([0], np.flatnonzero(np.diff(kind)) + 1, [values.size]))
    yield from zip(values[edges[:-1]].tolist(), np.diff(edges).tolist(), strict=True)


def to_ms(count: int, rate: int = RATE) -> int:
    """Samples of the detector -> milliseconds, the wire's `audio_start_ms` and `audio_end_ms`; rounded down."""
    return pcm.samples_to_ms(count, rate)


def to_24k(count: int, rate: int = RATE) -> int:
    """Samples of the detector -> samples of mmagent's own audio (24 kHz), rounded down."""
    return count * pcm.RATE // rate
