from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mmagent.core.playout import Part, Playout

deeds = st.lists(
    st.tuples(
        st.sampled_from(["give", "give", "played", "played", "flushed", "stop", "complete", "overdue", "forget"]),
        st.sampled_from(["a", "b"]),
        st.integers(-10, 1500) | st.integers(-(10**12), 10**12),
    ),
    max_size=40,
)


def test_what_is_heard_belongs_to_the_items_in_order() -> None:
    ledger = Playout()
    ledger.give("a", 0, 100)
    ledger.give("a", 0, 50)
    ledger.give("b", 0, 100)
    assert [part.item_id for part in ledger.played(120)] == ["a"]
    assert (ledger.heard("a"), ledger.heard("b"), ledger.waiting, ledger.total) == (120, 0, 130, 120)
    assert [part.item_id for part in ledger.played(200)] == ["a", "b"]
    assert (ledger.heard("a"), ledger.heard("b")) == (150, 50)
    ledger.played(250)
    assert ledger.drained
    assert repr(ledger) == "<Playout heard 250, waiting 0>"


def test_reports_that_go_back_or_beyond_are_clamped() -> None:
    ledger = Playout()
    ledger.give("a", 0, 100)
    ledger.played(60)
    assert ledger.played(10) == []
    assert ledger.played(-5) == []
    ledger.played(10**9)
    assert (ledger.heard("a"), ledger.total) == (100, 100)


def test_an_item_is_finished_when_all_its_parts_are() -> None:
    ledger = Playout()
    assert not ledger.finished("a")
    ledger.give("a", 0, 100)
    ledger.give("a", 1, 100)
    ledger.played(100)
    ledger.complete("a")
    first, second = ledger.parts("a")
    assert (first.finished, second.finished, ledger.finished("a")) == (True, False, False)
    ledger.played(200)
    assert ledger.finished("a")
    ledger.forget("a")
    assert ledger.parts("a") == []


def test_a_cut_goes_through_the_part_that_was_begun_last() -> None:
    ledger = Playout()
    assert ledger.part("a") is None
    ledger.give("a", 0, 100)
    ledger.give("a", 1, 100)
    assert ledger.part("a") == Part("a", 0, 100)
    ledger.played(150)
    assert ledger.part("a") == Part("a", 1, 100, 50)


def test_milliseconds_are_rounded_down() -> None:
    assert (Part("a", 0, 47, 23).heard_ms, Part("a", 0, 47, 24).heard_ms, Part("a", 0, 47).received_ms) == (0, 1, 1)
    assert not Part("a", 0, 47).begun


def test_nothing_to_play_takes_no_place() -> None:
    ledger = Playout()
    ledger.give("a", 0, 0)
    assert ledger.drained
    assert ledger.parts("a") == [Part("a", 0)]


def test_a_flush_forgets_what_was_before_the_stop_and_nothing_else() -> None:
    ledger = Playout()
    ledger.give("a", 0, 1000)
    ledger.played(300)
    ledger.stop()
    stopped = [ledger.stopped]
    ledger.give("b", 0, 500)
    stopped.append(ledger.stopped)
    assert stopped == [True, False]
    assert [part.heard for part in ledger.flushed(350)] == [350]
    assert (ledger.heard("a"), ledger.heard("b"), ledger.waiting) == (350, 0, 500)
    ledger.played(400)
    assert ledger.heard("b") == 50


def test_what_was_given_after_a_stop_is_not_heard_before_it_is_obeyed() -> None:
    ledger = Playout()
    ledger.give("a", 0, 100)
    ledger.stop()
    ledger.give("b", 0, 100)
    ledger.played(150)
    assert (ledger.heard("a"), ledger.heard("b")) == (100, 0)
    ledger.flushed(10**6)
    assert (ledger.heard("b"), ledger.drained) == (0, False)


def test_stops_are_obeyed_one_after_the_other() -> None:
    ledger = Playout()
    for item in "ab":
        ledger.give(item, 0, 100)
        ledger.stop()
    ledger.give("c", 0, 100)
    ledger.flushed(40)
    ledger.flushed(60)
    ledger.played(90)
    assert [ledger.heard(item) for item in "abc"] == [40, 20, 30]
    assert not ledger.drained


def test_an_overdue_flush_that_comes_at_last_corrects_the_count() -> None:
    ledger = Playout()
    ledger.give("a", 0, 1000)
    ledger.played(100)
    ledger.stop()
    assert ledger.overdue() == []
    assert ledger.drained
    ledger.give("b", 0, 500)
    assert ledger.flushed(300) == []
    assert (ledger.heard("a"), ledger.heard("b"), ledger.total) == (100, 0, 300)
    ledger.played(350)
    assert ledger.heard("b") == 50
    ledger.flushed(10**9)  # of no stop at all: means nothing
    ledger.played(360)
    assert ledger.heard("b") == 60


def test_a_late_flush_cannot_claim_more_than_was_given() -> None:
    ledger = Playout()
    ledger.give("a", 0, 1000)
    ledger.stop()
    ledger.overdue()
    ledger.give("b", 0, 500)
    ledger.flushed(10**9)
    assert ledger.total == 1000


@given(deeds)
def test_heard_is_never_more_than_received(plan: list[tuple[str, str, int]]) -> None:
    ledger = Playout()
    given_in_all = 0
    for deed, item, number in plan:
        total = ledger.total
        match deed:
            case "give":
                given_in_all += abs(number) % 2000
                ledger.give(item, number % 2, abs(number) % 2000)
            case "played" | "flushed":
                getattr(ledger, deed)(number)
            case "stop" | "overdue":
                getattr(ledger, deed)()
            case _:
                getattr(ledger, deed)(item)
        for part in (*ledger.parts("a"), *ledger.parts("b")):
            assert 0 <= part.heard <= part.received
        assert total <= ledger.total <= given_in_all - ledger.waiting
        assert ledger.waiting >= 0
