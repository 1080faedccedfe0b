"""Samples, bytes, milliseconds, level.

Inside mmagent audio is mono, 16 bit, little endian, 24 kHz: 2 bytes a sample, 24 samples a millisecond.
Samples are counted in integers, and every conversion rounds down, so that nobody claims to have heard what was not
played.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RATE = 24_000
"""Samples in a second."""

SAMPLE_BYTES = 2
"""Bytes in a sample."""

BLOCK = 480
"""Samples in a block of 20 ms: what a transport hands over and what goes up in one message."""

SILENT_DBFS = -96.0
"""The level of digital silence: the floor of 16 bits."""


@dataclass(frozen=True)
class Encoding:
    """How sound is written on a wire: `audio/pcm` (16 bits, little endian), or G.711, a byte a sample at 8 kHz:
    `audio/pcmu` and `audio/pcma`. `rate` in samples a second.
    """

    kind: str = "audio/pcm"
    rate: int = RATE

    @property
    def sample_bytes(self) -> int:
        """Bytes in a sample."""
        return SAMPLE_BYTES if self.kind == "audio/pcm" else 1

    def samples(self, size: int) -> int:
        """So many bytes as samples at 24 kHz, rounded down."""
        return size * RATE // (self.rate * self.sample_bytes)


def samples(pcm: bytes) -> int:
    """The number of whole samples in `pcm`."""
    return len(pcm) // SAMPLE_BYTES


def silence(count: int) -> bytes:
    """`count` samples of digital silence."""
    return bytes(count * SAMPLE_BYTES)


def ms_to_samples(ms: float, rate: int = RATE) -> int:
    """Milliseconds -> samples, rounded down."""
    return int(ms * rate // 1000)


def samples_to_ms(count: int, rate: int = RATE) -> int:
    """Samples -> whole milliseconds, rounded down."""
    return count * 1000 // rate


def samples_to_us(count: int, rate: int = RATE) -> int:
    """Samples -> whole microseconds, rounded down."""
    return count * 1_000_000 // rate


def us_to_samples(us: int, rate: int = RATE) -> int:
    """Microseconds -> whole samples, rounded down."""
    return us * rate // 1_000_000


def as_array(pcm: bytes) -> NDArray[np.int16]:
    """A read-only view of `pcm` as int16; a trailing half sample is left out."""
    return np.frombuffer(pcm, dtype="<i2", count=samples(pcm))


def level(pcm: bytes) -> float:
    """The RMS level in dBFS (0 is a full-scale square wave), `SILENT_DBFS` at the least."""
    if samples(pcm) == 0:
        return SILENT_DBFS
    x = as_array(pcm).astype(np.float64)
    rms = math.sqrt(float(np.mean(x * x)))
    return max(SILENT_DBFS, 20 * math.log10(rms / 32768)) if rms > 0 else SILENT_DBFS
