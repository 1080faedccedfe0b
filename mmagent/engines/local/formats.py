"""How clients write sound, to our 24 kHz and back: 16 kHz PCM, and G.711 of telephones.

G.711 (ITU-T, 1988) writes a sample as a sign, an exponent of three bits and four bits after the leading one: mu-law of
14 bits with a bias of 33, A-law of 13 bits. Here both are tables of the 256 bytes; the inverse takes the nearest value.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from mmagent.core import pcm
from mmagent.core.pcm import Encoding
from mmagent.resampler import Resampler


def mu_law() -> NDArray[np.int16]:
    """The sample of each mu-law byte."""
    code = ~np.arange(256) & 0xFF
    exponent, fraction = code >> 4 & 7, code & 0xF
    size = ((2 * fraction + 33) << exponent) - 33  # of 14 bits
    return np.where(code & 0x80, -size, size).astype(np.int16) * np.int16(4)


def a_law() -> NDArray[np.int16]:
    """The sample of each A-law byte."""
    code = np.arange(256) ^ 0x55
    exponent, fraction = code >> 4 & 7, code & 0xF
    size = np.where(exponent == 0, 2 * fraction + 1, (2 * fraction + 33) << np.maximum(exponent - 1, 0))  # of 13 bits
    return np.where(code & 0x80, size, -size).astype(np.int16) * np.int16(8)


@cache
def _table(kind: str) -> NDArray[np.int16]:
    return mu_law() if kind == "audio/pcmu" else a_law()


@cache
def _inverse(kind: str) -> NDArray[np.uint8]:
    """The byte of each 16-bit sample, as `index = sample + 32768`: that of the nearest value."""
    table = _table(kind).astype(np.int32)
    order = np.argsort(table, kind="stable")
    values = table[order]
    borders = (values[1:] + values[:-1]) / 2
    nearest = np.searchsorted(borders, np.arange(-32768, 32768), side="right")
    return order[nearest].astype(np.uint8)


class Decoder:
    """A stream of a client's sound as 24 kHz PCM. Half samples wait for their other half."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self._resampler = None if encoding.rate == pcm.RATE else Resampler(encoding.rate, pcm.RATE)
        self._odd = b""

    def push(self, sound: bytes) -> bytes:
        """The PCM of these bytes, as far as they complete it."""
        if self.encoding.sample_bytes == 1:
            samples = _table(self.encoding.kind)[np.frombuffer(sound, np.uint8)]
        else:
            sound = self._odd + sound
            whole = len(sound) - len(sound) % pcm.SAMPLE_BYTES
            self._odd = sound[whole:]
            if self._resampler is None:
                return sound[:whole]
            samples = pcm.as_array(sound[:whole])
        return samples.tobytes() if self._resampler is None else self._resampler.push(samples).tobytes()


class Encoder:
    """A stream of 24 kHz PCM as a client wants it."""

    def __init__(self, encoding: Encoding) -> None:
        self.encoding = encoding
        self._resampler = None if encoding.rate == pcm.RATE else Resampler(pcm.RATE, encoding.rate)

    def push(self, sound: bytes) -> bytes:
        """These samples, as far as they can be told without those that follow."""
        return sound if self._resampler is None else self._written(self._resampler.push(sound))

    def finish(self) -> bytes:
        """What is left: the sound ends here."""
        return b"" if self._resampler is None else self._written(self._resampler.finish())

    def _written(self, samples: NDArray[np.int16]) -> bytes:
        if self.encoding.kind == "audio/pcm":
            return samples.astype("<i2").tobytes()
        return _inverse(self.encoding.kind)[samples.astype(np.int32) + 32768].tobytes()
