from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmagent.core import pcm
from mmagent.core.events import MetricsCollected
from mmagent.core.latency import MicClock, TurnMarks


def test_when_a_sample_was_captured() -> None:
    clock = MicClock()
    for now in range(1_020_000, 2_020_000, 20_000):  # a second, in blocks of 20 ms, the first one at 1.02 s
        clock.sent(pcm.BLOCK, now)
    assert clock.sent_ms == 1000
    assert clock.captured_at(1000) == 2_000_000
    assert clock.captured_at(400) == 1_400_000


def test_never_in_the_future_and_never_before_the_start() -> None:
    clock = MicClock()
    assert clock.captured_at(500) == 0
    clock.sent(pcm.RATE, 1_000_000)
    assert clock.captured_at(10**9) == 1_000_000
    assert clock.captured_at(-(10**9)) == 0


@given(st.lists(st.integers(0, 5000), max_size=20), st.integers(-(10**9), 10**9))
def test_always_between_the_start_and_now(chunks: list[int], audio_ms: int) -> None:
    clock = MicClock()
    for index, count in enumerate(chunks):
        clock.sent(count, index * 20_000)
    assert 0 <= clock.captured_at(audio_ms) <= len(chunks) * 20_000


def test_the_spans_of_a_turn() -> None:
    marks = TurnMarks(voiced=1_000_000, stopped=1_500_000, worded=1_600_000, sounded=1_650_500, audible=1_700_000)
    assert marks.metrics("a") == MetricsCollected("a", 700, 500, 100, 50, 49)


@pytest.mark.parametrize("missing", TurnMarks.__struct_fields__)
def test_a_mark_that_is_missing_leaves_its_spans_open(missing: str) -> None:
    marks = TurnMarks(1, 2, 3, 4, 5)
    setattr(marks, missing, None)
    spans = marks.metrics("a")
    ends = {
        "total_ms": ("voiced", "audible"),
        "waiting_ms": ("voiced", "stopped"),
        "thinking_ms": ("stopped", "worded"),
        "voicing_ms": ("worded", "sounded"),
        "playout_ms": ("sounded", "audible"),
    }
    for name, between in ends.items():
        assert (getattr(spans, name) is None) == (missing in between)


def test_words_that_came_before_the_turn_was_over_took_no_time() -> None:
    """The local engine thinks inside the silence that ends the turn."""
    assert TurnMarks(stopped=2_000_000, worded=1_500_000).metrics("a").thinking_ms == 0
