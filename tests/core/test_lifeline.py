"""The rules of the lifeline that no session is needed for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mmagent.core import pcm
from mmagent.core.lifeline import FIRST_WAIT, GIVE_UP, KEEP, LONGEST_WAIT, Lifeline


def test_a_link_that_stands_has_no_history() -> None:
    line = Lifeline()
    assert not line.cut
    assert line.give_up_at is None
    assert line.take_kept() == []


def test_away_is_counted_from_the_first_loss() -> None:
    line = Lifeline()
    assert line.lost(1_000_000) == 0
    assert line.lost(2_000_000) == FIRST_WAIT
    assert line.give_up_at == 1_000_000 + GIVE_UP
    assert line.back(3_500_000) == 2500
    assert not line.cut
    assert line.lost(9_000_000) == 0


def test_waits_are_bounded() -> None:
    line = Lifeline()
    assert max(line.lost(0) for _ in range(100)) == LONGEST_WAIT


@given(st.lists(st.integers(0, pcm.RATE)))
def test_the_last_two_seconds_are_kept(lengths: list[int]) -> None:
    line = Lifeline()
    for length in lengths:
        line.keep(pcm.silence(length))
    kept = [pcm.samples(sound) for sound in line.take_kept()]
    assert sum(kept) <= KEEP
    assert kept == lengths[len(lengths) - len(kept) :]
    assert line.take_kept() == []
