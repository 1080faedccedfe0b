"""What the local engine hears: mmagent/engines/local/ears.py, with a detector to which loud is speech."""

from __future__ import annotations

import numpy as np
import pytest

from mmagent.core import pcm
from mmagent.core.settings import TurnDetection
from mmagent.core.vad import Paused, Resumed, Started, Stopped, Transition
from mmagent.engines.local.ears import KEEP, LONGEST, RATE, Ears, vad_settings
from tests.engines.local.fakes import FakeDetector, loud, silence

WINDOW = 512


def ears(**detection: int) -> Ears:
    made = Ears(FakeDetector())
    made.speech.update(vad_settings(TurnDetection(**detection)))  # type: ignore[arg-type]
    return made


def hear(listener: Ears, sound: bytes, block: int = pcm.BLOCK) -> list[Transition]:
    step = block * pcm.SAMPLE_BYTES
    return [told for start in range(0, len(sound), step) for told in listener.hear(sound[start : start + step])]


def test_a_turn_and_its_times() -> None:
    told = hear(ears(), silence(1000) + loud(5, ms=1000) + silence(1000))
    assert [type(one) for one in told] == [Started, Paused, Stopped]
    started, _, stopped = told
    assert isinstance(started, Started)
    assert isinstance(stopped, Stopped)
    assert abs(started.start - (RATE - 300 * 16)) <= WINDOW
    assert abs(stopped.end - 2 * RATE) <= WINDOW
    assert 500 * 16 <= stopped.at - stopped.end <= 500 * 16 + WINDOW


def test_a_hesitation_is_told_and_taken_back() -> None:
    told = hear(ears(), loud(5) + silence(300) + loud(5) + silence(700))
    assert [type(one) for one in told] == [Started, Paused, Resumed, Paused, Stopped]


def test_a_short_silence_ends_a_turn_where_one_wants_it() -> None:
    told = hear(ears(silence_duration_ms=200), loud(5) + silence(300) + loud(5) + silence(300))
    assert [type(one) for one in told if isinstance(one, Started | Stopped)] == [Started, Stopped] * 2


@pytest.mark.parametrize("silence_ms", [50, 100, 500, 10_000])
def test_the_pause_is_never_longer_than_the_silence(silence_ms: int) -> None:
    settings = vad_settings(TurnDetection(silence_duration_ms=silence_ms))
    assert settings.pause_ms <= settings.silence_duration_ms == silence_ms


@pytest.mark.parametrize("block", [1, 7, 480, 24_000])
def test_the_size_of_the_pieces_makes_no_difference(block: int) -> None:
    sound = silence(200) + loud(5, ms=200) + silence(600)
    whole, pieces = ears(), ears()
    assert hear(whole, sound, len(sound)) == hear(pieces, sound, block)
    assert whole.position == pieces.position
    assert np.array_equal(whole.sound(0), pieces.sound(0))


def test_the_sound_of_a_turn_is_there() -> None:
    listener = ears()
    hear(listener, silence(1000) + loud(5, ms=1000) + silence(1000))
    turn = listener.sound(RATE, 2 * RATE)
    assert len(turn) == RATE
    assert abs(int(np.median(turn)) - 15_000) < 100
    assert int(np.abs(listener.sound(0, RATE - RATE // 10)).max()) < 100
    assert len(listener.sound(0)) == listener.position


def test_what_nobody_said_is_forgotten() -> None:
    listener = ears()
    hear(listener, silence(60_000))
    assert KEEP <= len(listener.sound(0)) <= KEEP + RATE + WINDOW
    assert listener.position > 59 * RATE


def test_a_turn_is_kept_as_long_as_it_lasts() -> None:
    listener = ears()
    hear(listener, silence(1000))
    listener.keep(listener.position)
    begin = listener.position
    hear(listener, loud(5, ms=30_000), 24_000)
    assert len(listener.sound(begin)) == listener.position - begin
    listener.keep(None)
    hear(listener, silence(2000))
    assert len(listener.sound(begin)) < KEEP + 2 * RATE


def test_memory_is_bounded() -> None:
    listener = ears()
    listener.keep(0)
    hear(listener, loud(5, ms=(LONGEST // RATE + 30) * 1000), 24_000)
    assert len(listener.sound(0)) <= LONGEST + RATE + WINDOW
