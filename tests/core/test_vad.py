from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmagent.core.vad import (
    RATE,
    WINDOW,
    Paused,
    Resumed,
    Segment,
    SpeechDetector,
    Started,
    State,
    Stopped,
    Transition,
    VadSettings,
    segments,
    to_24k,
    to_ms,
)

MS = RATE // 1000
SPEECH, SILENCE = 0.9, 0.02

probabilities = st.lists(
    st.tuples(st.sampled_from([0.0, 0.02, 0.3, 0.4, 0.5, 0.6, 0.97]), st.integers(1, 25)), max_size=20
).map(lambda runs: [p for p, count in runs for _ in range(count)])
settings = st.builds(
    VadSettings,
    threshold=st.sampled_from([0.0, 0.005, 0.1, 0.3, 0.5, 0.6, 0.9, 1.0]),
    prefix_padding_ms=st.integers(0, 1500),
    silence_duration_ms=st.integers(0, 900),
    min_speech_ms=st.integers(0, 300),
    pause_ms=st.integers(0, 1000),
)


def windows(*parts: tuple[float, int]) -> list[float]:
    """(probability, milliseconds) parts -> one probability a window."""
    return [p for p, ms in parts for _ in range(round(ms / 32))]


def run(values: list[float], chosen: VadSettings | None = None) -> list[Transition]:
    detector = SpeechDetector(chosen or VadSettings())
    return [told for value in values for told in detector.feed(value)]


# --- the rules, one by one ----------------------------------------------------------------------------------------


def test_a_turn_in_numbers() -> None:
    told = run(windows((SILENCE, 640), (SPEECH, 960), (SILENCE, 960)))
    onset, end = 640 * MS, 1600 * MS
    assert told == [
        Started(start=onset - 300 * MS, at=onset + 2 * WINDOW),
        Paused(at=end + 4 * WINDOW),  # 100 ms: the fourth window of 32
        Stopped(end=end, at=end + 16 * WINDOW),  # 500 ms: the sixteenth
    ]


def test_a_click_of_one_window_starts_nothing() -> None:
    assert run(windows((SILENCE, 320), (SPEECH, 32), (SILENCE, 960))) == []


def test_a_click_starts_speech_where_no_minimum_is_set() -> None:
    told = run(windows((SILENCE, 320), (SPEECH, 32), (SILENCE, 960)), VadSettings(min_speech_ms=0))
    assert [type(t) for t in told] == [Started, Paused, Stopped]


def test_a_run_that_never_was_loud_starts_nothing() -> None:
    assert run(windows((0.49, 3200))) == []


def test_a_run_goes_on_between_the_thresholds() -> None:
    assert run([0.9, 0.4])[0] == Started(start=0, at=2 * WINDOW)
    assert run([0.9, 0.34, 0.9]) == []


def test_speech_goes_on_down_to_015_under_the_threshold() -> None:
    assert [type(t) for t in run(windows((SPEECH, 320), (0.36, 3200)))] == [Started]
    assert [type(t) for t in run(windows((SPEECH, 320), (0.34, 3200)))] == [Started, Paused, Stopped]


def test_a_low_threshold_still_ends_turns() -> None:
    told = run(windows((SPEECH, 320), (0.009, 3200)), VadSettings(threshold=0.1))
    assert [type(t) for t in told] == [Started, Paused, Stopped]


def test_a_pause_needs_a_loud_window_to_end() -> None:
    hesitation = windows((SPEECH, 320), (SILENCE, 200), (0.4, 800))
    assert [type(t) for t in run(hesitation)] == [Started, Paused, Stopped]


def test_speech_after_paused_is_told_as_resumed_and_a_shorter_gap_is_not() -> None:
    told = run(windows((SPEECH, 320), (SILENCE, 64), (SPEECH, 320), (SILENCE, 256), (SPEECH, 32)))
    assert [type(t) for t in told] == [Started, Paused, Resumed]
    assert told[2].at == (320 + 64 + 320 + 256 + 32) * MS


def test_a_dip_of_400_ms_is_one_turn_at_500_and_two_at_200() -> None:
    dip = windows((SILENCE, 320), (SPEECH, 800), (SILENCE, 400), (SPEECH, 800), (SILENCE, 1000))
    assert len(segments(np.array(dip), VadSettings(silence_duration_ms=500))) == 1
    assert len(segments(np.array(dip), VadSettings(silence_duration_ms=200))) == 2


def test_prefix_padding_never_reaches_into_the_turn_before_or_before_the_beginning() -> None:
    chosen = VadSettings(silence_duration_ms=200, prefix_padding_ms=1000)
    first, second = segments(np.array(windows((SPEECH, 320), (SILENCE, 320), (SPEECH, 320), (SILENCE, 320))), chosen)
    assert first.start == 0
    assert second.start == first.end == 320 * MS


def test_when_one_window_brings_both_only_stopped_is_told() -> None:
    told = run(windows((SPEECH, 320), (SILENCE, 960)), VadSettings(pause_ms=500, silence_duration_ms=500))
    assert [type(t) for t in told] == [Started, Stopped]


def test_a_duration_of_whole_windows_is_not_rounded_up() -> None:
    told = run(windows((SPEECH, 320), (SILENCE, 960)), VadSettings(pause_ms=96, silence_duration_ms=512))
    assert told[1:] == [Paused(at=(320 + 96) * MS), Stopped(end=320 * MS, at=(320 + 512) * MS)]


def test_not_a_number_is_silence() -> None:
    assert [type(t) for t in run([SPEECH] * 4 + [float("nan")] * 20)] == [Started, Paused, Stopped]


# --- changes while it runs ----------------------------------------------------------------------------------------


def test_update_keeps_the_speech_under_way() -> None:
    detector = SpeechDetector(VadSettings())
    for p in windows((SPEECH, 320), (SILENCE, 256)):
        detector.feed(p)
    detector.update(VadSettings(silence_duration_ms=200))
    assert detector.speaking
    assert detector.feed(SILENCE) == [Stopped(end=320 * MS, at=(320 + 256 + 32) * MS)]


def test_reset_forgets_speech_untold_and_bars_what_came_before() -> None:
    detector = SpeechDetector(VadSettings())
    for p in windows((SPEECH, 640)):
        detector.feed(p)
    detector.reset()
    assert not detector.speaking
    assert detector.position == 640 * MS
    assert [t for p in windows((SILENCE, 960)) for t in detector.feed(p)] == []
    detector.reset()
    told = [t for p in windows((SPEECH, 64)) for t in detector.feed(p)]
    assert told == [Started(start=1600 * MS, at=1664 * MS)]


def test_silence_is_counted_from_the_last_speech_window() -> None:
    detector = SpeechDetector(VadSettings())
    assert detector.silence == 0
    for p in windows((SPEECH, 320), (SILENCE, 64)):
        detector.feed(p)
    assert (detector.state, detector.silence) == (State.GAP, 2 * WINDOW)
    for p in windows((SILENCE, 640)):
        detector.feed(p)
    assert (detector.state, detector.silence) == (State.QUIET, 0)


def test_another_rate_and_window() -> None:
    detector = SpeechDetector(VadSettings(min_speech_ms=0), rate=8000, window=256)
    assert detector.feed(SPEECH) == [Started(start=0, at=256)]
    assert [t for _ in range(16) for t in detector.feed(0.0)][-1] == Stopped(end=256, at=256 * 17)


# --- what always holds --------------------------------------------------------------------------------------------


@given(probabilities, settings)
def test_started_and_stopped_alternate_and_paused_and_resumed_lie_between(
    values: list[float], chosen: VadSettings
) -> None:
    speaking = paused = False
    for told in run(values, chosen):
        match told:
            case Started():
                assert not speaking
                speaking = True
            case Paused():
                assert speaking
                assert not paused
                paused = True
            case Resumed():
                assert paused
                paused = False
            case Stopped():
                assert speaking
                speaking = paused = False


@given(probabilities, settings)
def test_start_end_and_at_are_in_order_and_no_sample_is_in_two_turns(values: list[float], chosen: VadSettings) -> None:
    told = run(values, chosen)
    assert all(a.at < b.at for a, b in pairwise(told))
    found = segments(np.array(values), chosen)
    for one in found:
        assert 0 <= one.start <= one.end
        assert one.start < one.started_at <= one.end
        assert one.stopped_at is None or one.end < one.stopped_at <= len(values) * WINDOW
    assert all(a.end <= b.start for a, b in pairwise(found))


@given(probabilities, settings)
def test_never_ends_before_the_silence_has_lasted(values: list[float], chosen: VadSettings) -> None:
    for told in run(values, chosen):
        if isinstance(told, Stopped):
            silent = values[told.end // WINDOW : told.at // WINDOW]
            assert told.at - told.end >= chosen.silence_duration_ms * MS
            assert told.at - told.end < chosen.silence_duration_ms * MS + WINDOW or len(silent) == 1
            assert silent[0] < chosen.low
            assert all(p < chosen.threshold for p in silent[1:])


@given(probabilities, settings, st.data())
def test_the_same_probabilities_in_any_chunks_give_the_same_transitions(
    values: list[float], chosen: VadSettings, data: st.DataObject
) -> None:
    whole = run(values, chosen)
    assert run(values, chosen) == whole
    detector, rest, told = SpeechDetector(chosen), list(values), []
    while rest:
        same = next((i for i, p in enumerate(rest) if p != rest[0]), len(rest))
        count = data.draw(st.integers(1, same))
        told += detector.feed_run(rest[0], count)
        rest = rest[count:]
    assert told == whole
    assert detector.position == len(values) * WINDOW


@given(probabilities, settings)
def test_segments_are_the_transitions_of_the_live_class(values: list[float], chosen: VadSettings) -> None:
    told = run(values, chosen)
    started = [t for t in told if isinstance(t, Started)]
    stopped = [t for t in told if isinstance(t, Stopped)]
    found = segments(np.array(values, dtype=np.float64), chosen)
    assert [(s.start, s.started_at) for s in found] == [(t.start, t.at) for t in started]
    assert [(s.end, s.stopped_at) for s in found if s.stopped_at is not None] == [(t.end, t.at) for t in stopped]


@given(st.lists(st.floats(0, 1, width=32), max_size=60), settings)
def test_segments_of_a_float32_model_are_those_of_the_live_class(values: list[float], chosen: VadSettings) -> None:
    live = [t.at for t in run(values, chosen) if isinstance(t, Started)]
    assert [s.started_at for s in segments(np.array(values, dtype=np.float32), chosen)] == live


def test_a_float32_just_under_the_threshold_is_under_it() -> None:
    values = np.array([0.9] * 4 + [0.95] * 4, dtype=np.float32)  # 0.89999998 four times
    assert run(values.tolist(), VadSettings(threshold=0.9, prefix_padding_ms=0))[0] == Started(
        start=4 * WINDOW, at=6 * WINDOW
    )
    assert [s.start for s in segments(values, VadSettings(threshold=0.9, prefix_padding_ms=0))] == [4 * WINDOW]


# --- the rest -----------------------------------------------------------------------------------------------------


def test_speech_at_the_end_of_a_recording_is_a_segment_that_never_stopped() -> None:
    assert segments(np.array(windows((SPEECH, 320), (SILENCE, 96))), VadSettings()) == [
        Segment(start=0, end=320 * MS, started_at=64 * MS, stopped_at=None)
    ]
    assert segments(np.array([]), VadSettings()) == []


@pytest.mark.parametrize("told", [Started(start=1, at=2), Paused(at=3), Resumed(at=4), Stopped(end=5, at=6)])
def test_transitions_survive_json(told: Transition) -> None:
    assert msgspec.json.decode(msgspec.json.encode(told), type=Transition) == told


def test_conversions_round_down() -> None:
    assert to_ms(WINDOW) == 32
    assert to_ms(WINDOW - 1) == 31
    assert to_24k(WINDOW) == 768
    assert to_24k(1) == 1
    assert to_24k(80, rate=8000) == 240
