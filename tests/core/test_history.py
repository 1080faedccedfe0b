from __future__ import annotations

from mmagent.core.history import History


def test_items_stand_in_the_order_in_which_they_began() -> None:
    history = History()
    history.ensure("b", "user")
    history.ensure("a", "assistant")
    history.ensure("b", "user")
    assert [item.id for item in history.items()] == ["b", "a"]
    assert history.get("a") is history.items()[1]
    assert history.get("c") is None


def test_an_item_keeps_the_role_that_it_had_first() -> None:
    history = History()
    assert history.ensure("a", "assistant").role == "assistant"
    assert history.ensure("a", "user").role == "assistant"


def test_an_item_is_settled_once() -> None:
    history = History()
    item = history.ensure("a", "assistant")
    item.started_at = 100
    assert history.settle(item, "interrupted", "what was", 200)
    assert not history.settle(item, "committed", "what was heard", 300)
    assert (item.outcome, item.text, item.ended_at) == ("interrupted", "what was", 200)


def test_an_end_that_is_known_is_kept_and_what_was_not_heard_has_none() -> None:
    history = History()
    item = history.ensure("a", "user")
    item.started_at, item.ended_at = 100, 150
    history.settle(item, "committed", "hello", 900)
    assert item.ended_at == 150
    typed = history.ensure("b", "user")
    history.settle(typed, "committed", "typed", 900)
    assert (typed.started_at, typed.ended_at) == (None, None)


def test_open_items_of_one_side() -> None:
    history = History()
    for item_id, role in (("a", "user"), ("b", "assistant"), ("c", "user")):
        history.ensure(item_id, role)  # type: ignore[arg-type]
    history.settle(history.items()[0], "committed", "", 0)
    assert [item.id for item in history.open_items("user")] == ["c"]
    assert [item.id for item in history.open_items("assistant")] == ["b"]
