from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmagent.core import pcm

counts = st.integers(0, 10**12)
rates = st.sampled_from([8000, 16_000, 24_000, 44_100, 48_000])


def test_a_second_in_every_unit() -> None:
    assert pcm.ms_to_samples(1000) == pcm.us_to_samples(1_000_000) == pcm.RATE == 24_000
    assert pcm.samples_to_ms(pcm.RATE) == 1000
    assert pcm.samples_to_us(pcm.RATE) == 1_000_000
    assert pcm.samples_to_ms(pcm.BLOCK) == 20
    assert pcm.samples(pcm.silence(pcm.RATE)) == pcm.RATE


def test_half_a_sample_does_not_count() -> None:
    assert pcm.samples(b"\x01\x02\x03") == 1
    assert pcm.as_array(b"\x01\x02\x03").tolist() == [0x0201]


@given(counts, rates)
def test_conversions_never_claim_more_than_there_is(count: int, rate: int) -> None:
    assert pcm.ms_to_samples(pcm.samples_to_ms(count, rate), rate) <= count
    assert pcm.us_to_samples(pcm.samples_to_us(count, rate), rate) <= count
    assert pcm.samples_to_ms(count, rate) * 1000 <= pcm.samples_to_us(count, rate)


@given(st.integers(0, 10**9), rates)
def test_whole_milliseconds_survive_where_they_are_whole_samples(ms: int, rate: int) -> None:
    if rate % 1000 == 0:
        assert pcm.samples_to_ms(pcm.ms_to_samples(ms, rate), rate) == ms


@given(counts, counts, rates)
def test_conversions_keep_order(a: int, b: int, rate: int) -> None:
    low, high = sorted((a, b))
    assert pcm.samples_to_ms(low, rate) <= pcm.samples_to_ms(high, rate)
    assert pcm.us_to_samples(low, rate) <= pcm.us_to_samples(high, rate)


@given(st.lists(st.integers(-32768, 32767)))
def test_an_array_is_the_little_endian_samples(values: list[int]) -> None:
    data = b"".join(v.to_bytes(2, "little", signed=True) for v in values)
    assert pcm.as_array(data).tolist() == values


def test_an_array_is_a_view_that_cannot_be_written() -> None:
    assert not pcm.as_array(pcm.silence(4)).flags.writeable


def test_levels_that_are_known() -> None:
    square = np.full(100, -32768, dtype="<i2").tobytes()
    sine = (32767 * np.sin(2 * np.pi * np.arange(2400) / 240)).astype("<i2").tobytes()
    assert pcm.level(square) == pytest.approx(0.0)
    assert pcm.level(sine) == pytest.approx(-3.01, abs=0.01)
    assert pcm.level((np.frombuffer(sine, "<i2") // 2).astype("<i2").tobytes()) == pytest.approx(-9.03, abs=0.01)


@pytest.mark.parametrize("quiet", [b"", b"\x01", pcm.silence(1), pcm.silence(480)])
def test_silence_has_the_floor_as_its_level(quiet: bytes) -> None:
    assert pcm.level(quiet) == pcm.SILENT_DBFS


@given(st.lists(st.integers(-32768, 32767), min_size=1))
def test_every_level_lies_between_the_floor_and_full_scale(values: list[int]) -> None:
    assert pcm.SILENT_DBFS <= pcm.level(np.array(values, dtype="<i2").tobytes()) <= 0.0
