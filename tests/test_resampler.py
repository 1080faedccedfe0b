"""Sample rates: length, time, alias, delay, and that pushes make no difference."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mmagent.resampler import Resampler, resample

PAIRS = [
    (24_000, 16_000),
    (16_000, 24_000),
    (8_000, 24_000),
    (11_025, 24_000),
    (44_100, 24_000),
    (48_000, 24_000),
    (96_000, 24_000),
    (192_000, 24_000),
    (24_000, 48_000),
    (44_101, 24_000),  # an odd ratio: positions are rounded
]


def chirp(rate: int, top: float, seconds: float = 1.0) -> NDArray[np.float64]:
    """From 50 Hz to `top`, the same in time at each rate."""
    t = np.arange(round(rate * seconds)) / rate
    wave: NDArray[np.float64] = 12000 * np.sin(2 * np.pi * (50 * t + (top - 50) / (2 * seconds) * t * t))
    return wave


def int16(wave: NDArray[np.float64]) -> NDArray[np.int16]:
    return np.rint(wave).astype(np.int16)


@pytest.mark.parametrize(("src", "dst"), PAIRS)
def test_a_chirp_keeps_its_time_and_its_shape(src: int, dst: int) -> None:
    top = 0.4 * min(src, dst)
    out = resample(int16(chirp(src, top)), src, dst).astype(float)
    want = chirp(dst, top)
    assert len(out) == len(want)
    lags = range(-20, 21)
    inner = want[100:-100]
    match = [float(np.dot(out[100 + lag : len(out) - 100 + lag], inner)) for lag in lags]
    assert lags[int(np.argmax(match))] == 0
    error = out[200:-200] - want[200:-200]
    assert np.sqrt(np.mean(error**2)) < 12000 / 2**0.5 * 10 ** (-60 / 20)


@pytest.mark.parametrize(("src", "dst"), [pair for pair in PAIRS if pair[0] > pair[1]])
def test_what_the_lower_rate_cannot_carry_is_75_db_down(src: int, dst: int) -> None:
    for frequency in np.linspace(dst / 2 * 1.01, src / 2 * 0.99, 7):
        wave = int16(16000 * np.sin(2 * np.pi * frequency * np.arange(src) / src))
        out = resample(wave, src, dst)[1000:-1000].astype(float)
        assert np.sqrt(np.mean(out**2)) < 16000 / 2**0.5 * 10 ** (-75 / 20), frequency


@pytest.mark.parametrize("pitch", [1_000, 4_000, 6_000, 7_000])
def test_what_both_rates_can_carry_stays_as_loud(pitch: int) -> None:
    wave = int16(16000 * np.sin(2 * np.pi * pitch * np.arange(24_000) / 24_000))
    out = resample(wave, 24_000, 16_000)[1000:-1000].astype(float)
    assert 20 * np.log10(np.sqrt(2 * np.mean(out**2)) / 16000) == pytest.approx(0, abs=0.1)


def test_pushes_of_20_ms_are_held_back_no_longer_than_the_documented_delay() -> None:
    resampler = Resampler(24_000, 16_000)
    assert resampler.delay == 76  # 3.2 ms: the figure in the module's docstring
    wave, made = int16(chirp(24_000, 5_000)), 0
    for start in range(0, len(wave), 480):
        made += len(resampler.push(wave[start : start + 480]))
        assert 0 <= (start + 480) * 2 / 3 - made <= resampler.delay * 2 / 3 + 1


@settings(max_examples=60, deadline=None)
@given(
    pair=st.sampled_from(PAIRS),
    cuts=st.lists(st.integers(0, 900), max_size=12),
    seed=st.integers(0, 2**32 - 1),
)
def test_how_it_is_pushed_makes_no_difference(pair: tuple[int, int], cuts: list[int], seed: int) -> None:
    total = sum(cuts)
    wave = np.random.default_rng(seed).integers(-32768, 32768, total).astype(np.int16)
    resampler, parts, at = Resampler(*pair), [], 0
    for cut in cuts:
        parts.append(resampler.push(wave[at : at + cut]))
        at += cut
    streamed = np.concatenate([*parts, resampler.finish()])
    assert abs(len(streamed) - total * pair[1] / pair[0]) <= 0.5
    np.testing.assert_array_equal(streamed, resample(wave.tobytes(), *pair))
    assert len(resampler.push(wave)) + len(resampler.finish()) == len(streamed)  # as new


def test_equal_rates_pass_through() -> None:
    wave = np.array([1, -32768, 32767], np.int16)
    resampler = Resampler(24_000, 24_000)
    assert resampler.delay == 0
    np.testing.assert_array_equal(resampler.push(wave.tobytes()), wave)
    assert len(resampler.finish()) == 0


def test_full_scale_is_clipped_and_does_not_wrap() -> None:
    square = np.resize(np.repeat(np.array([32767, -32768], np.int16), 40), 8000)
    out = resample(square, 8_000, 24_000).astype(int)
    middle = out[1000:-1000].reshape(-1)
    assert middle.max() == 32767
    assert middle.min() == -32768
    assert np.abs(np.diff(middle)).max() < 50_000  # a wrap would jump by 65535


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="above zero"):
        Resampler(0, 24_000)
