"""How samples are stored in sound files, and what they are worth. A-law and mu-law: ITU-T G.711."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mmagent.core import pcm

Encoding = Literal["int", "float", "alaw", "mulaw"]


@dataclass(frozen=True)
class Format:
    """How a source's samples are stored: `rate` in Hz, `bits` of one sample."""

    encoding: Encoding = "int"
    rate: int = pcm.RATE
    bits: int = 16
    channels: int = 1
    big_endian: bool = False

    @property
    def frame(self) -> int:
        """Bytes of one sample of every channel."""
        return self.bits // 8 * self.channels


def decode(data: bytes, form: Format) -> NDArray[np.float32]:
    """Whole frames as stored -> mono samples, full scale at 1.0: the mean of the channels."""
    end = ">" if form.big_endian else "<"
    if form.encoding == "float":
        finite = np.nan_to_num(np.frombuffer(data, f"{end}f{form.bits // 8}"), nan=0.0)
        wave = np.clip(finite, -1e6, 1e6).astype(np.float32)
    elif form.encoding in ("alaw", "mulaw"):
        wave = _g711(form.encoding == "alaw")[np.frombuffer(data, np.uint8)]
    elif form.bits == 8:
        wave = (np.frombuffer(data, np.uint8).astype(np.float32) - 128) / 128
    elif form.bits == 24:
        wide = np.zeros((len(data) // 3, 4), np.uint8)  # three bytes at the upper end of four
        place = slice(0, 3) if form.big_endian else slice(1, 4)
        wide[:, place] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        wave = wide.view(f"{end}i4")[:, 0].astype(np.float32) / np.float32(2**31)
    else:
        wave = np.frombuffer(data, f"{end}i{form.bits // 8}").astype(np.float32) / np.float32(2 ** (form.bits - 1))
    return np.asarray(wave.reshape(-1, form.channels).mean(axis=1), np.float32) if form.channels > 1 else wave


def _g711(alaw: bool) -> NDArray[np.float32]:
    """ITU-T G.711: the 256 values of a code, full scale at 1.0."""
    code = np.arange(256) ^ (0x55 if alaw else 0xFF)
    segment, step = (code >> 4) & 7, code & 15
    if alaw:
        size = np.where(segment == 0, 2 * step + 1, (2 * step + 33) << np.maximum(segment - 1, 0)) * 8
        sign = np.where(code & 0x80, 1, -1)
    else:
        size = ((2 * step + 33) << segment) * 4 - 132
        sign = np.where(code & 0x80, -1, 1)
    return np.asarray(sign * size / 32768, np.float32)
