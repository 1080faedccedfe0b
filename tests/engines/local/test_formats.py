"""Sound as clients write it: mmagent/engines/local/formats.py."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mmagent.core import pcm
from mmagent.core.pcm import Encoding
from mmagent.engines.local.formats import Decoder, Encoder, a_law, mu_law

MU, A, LOW, OURS = Encoding("audio/pcmu", 8000), Encoding("audio/pcma", 8000), Encoding(rate=16_000), Encoding()


def tone(rate: int = pcm.RATE, seconds: float = 0.5, hz: float = 440) -> NDArray[np.int16]:
    return (12_000 * np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate)).astype(np.int16)


def ratio_db(sound: bytes, wanted: NDArray[np.int16]) -> float:
    """How far the noise lies below the tone, away from the ends."""
    got = np.frombuffer(sound, "<i2").astype(float)
    middle = slice(len(wanted) // 4, 3 * len(wanted) // 4)
    noise = got[middle] - wanted[middle]
    return float(10 * np.log10((wanted[middle].astype(float) ** 2).mean() / max((noise**2).mean(), 1e-9)))


@pytest.mark.parametrize(
    ("table", "byte", "sample"),
    # G.711's decoder outputs, tables 2a/2b and 1a/1b, scaled to 16 bits: largest, smallest, and some between.
    [
        (mu_law, 0x00, -32124),
        (mu_law, 0x80, 32124),
        (mu_law, 0x7F, 0),
        (mu_law, 0xFF, 0),
        (mu_law, 0xFE, 8),
        (mu_law, 0x8F, 16764),
        (mu_law, 0xEF, 132),
        (a_law, 0x2A, -32256),
        (a_law, 0xAA, 32256),
        (a_law, 0x55, -8),
        (a_law, 0xD5, 8),
        (a_law, 0xD4, 24),
        (a_law, 0x85, 4224),
    ],
)
def test_the_tables_are_g711s(table: object, byte: int, sample: int) -> None:
    assert callable(table)
    assert table()[byte] == sample


@pytest.mark.parametrize("encoding", [MU, A])
def test_each_byte_of_g711_comes_back(encoding: Encoding) -> None:
    table = mu_law() if encoding is MU else a_law()
    written = Encoder(encoding)._written(table)
    assert np.array_equal(table[np.frombuffer(written, np.uint8)], table)


@pytest.mark.parametrize("encoding", [MU, A])
def test_g711_takes_the_nearest_value(encoding: Encoding) -> None:
    table = (mu_law() if encoding is MU else a_law()).astype(int)
    samples = np.arange(-32768, 32768, 7, dtype=np.int16)
    chosen = table[np.frombuffer(Encoder(encoding)._written(samples), np.uint8)]
    best = np.abs(samples[:, None].astype(int) - table[None, :]).min(axis=1)
    assert np.array_equal(np.abs(chosen - samples), best)


@pytest.mark.parametrize(("encoding", "least_db"), [(OURS, 100), (LOW, 60), (MU, 33), (A, 33)])
@pytest.mark.parametrize("step", [960, 1, 333])
def test_there_and_back(encoding: Encoding, least_db: float, step: int) -> None:
    """A tone survives both ways, in pieces of any size, at its own place in time."""
    wanted = tone(seconds=0.05) if step == 1 else tone()
    encoder, decoder = Encoder(encoding), Decoder(encoding)
    sound = wanted.tobytes()
    steps = [sound[i : i + 2 * step] for i in range(0, len(sound), 2 * step)]
    written = b"".join(encoder.push(piece) for piece in steps) + encoder.finish()
    assert len(written) == round(len(wanted) * encoding.rate / pcm.RATE) * encoding.sample_bytes
    came = b"".join(decoder.push(written[i : i + step]) for i in range(0, len(written), step))
    padded = np.zeros(len(wanted), np.int16)
    got = np.frombuffer(came, "<i2")
    assert len(wanted) - 200 <= len(got) <= len(wanted) + 3  # what the filter holds back
    padded[: min(len(got), len(wanted))] = got[: len(wanted)]
    assert ratio_db(padded.tobytes(), wanted) >= least_db


def test_half_samples_wait_for_their_other_half() -> None:
    decoder = Decoder(OURS)
    assert [decoder.push(bytes([b])) for b in (1, 2, 3)] == [b"", b"\x01\x02", b""]
    assert decoder.push(b"\x04\x05\x06\x07") == b"\x03\x04\x05\x06"


@pytest.mark.parametrize(("encoding", "size"), [(OURS, 48_000), (LOW, 32_000), (MU, 8000), (A, 8000)])
def test_a_second_is_a_second(encoding: Encoding, size: int) -> None:
    assert encoding.samples(size) == pcm.RATE
    assert encoding.samples(1) <= pcm.RATE // encoding.rate
