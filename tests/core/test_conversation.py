from __future__ import annotations

from mmagent.core.conversation import Conversation, Entry


def talk(*ids: str, response: str = "") -> Conversation:
    conversation = Conversation()
    for item_id in ids:
        conversation.add(Entry(item_id, role="assistant", response_id=response), None)
    return conversation


def test_where_an_item_goes() -> None:
    conversation = talk("a", "b")
    conversation.add(Entry("c"), "a")
    conversation.add(Entry("d"), "root")
    conversation.add(Entry("e"), "nobody")
    conversation.add(Entry("f"), None)
    assert conversation.order == ["d", "a", "c", "b", "e", "f"]
    assert repr(conversation) == "<Conversation 6 items, response None, speech None>"


def test_an_item_that_is_there_is_put_where_it_is_said_to_stand() -> None:
    """What we put in ourselves stands where the server says, once it says so."""
    conversation = talk("mine", "a")
    known = conversation.add(Entry("mine", text="another"), "a")
    assert conversation.order == ["a", "mine"]
    assert known.text == ""
    conversation.add(Entry("mine"), None)
    conversation.add(Entry("mine"), "mine")
    assert conversation.order == ["a", "mine"]


def test_one_that_is_gone_stays_gone_but_has_a_place() -> None:
    conversation = talk("a", "b", "c")
    assert conversation.delete("b")
    assert not conversation.delete("b")
    assert not conversation.delete("never")
    conversation.add(Entry("b"), "c")
    assert conversation.order == ["a", "c"]
    assert not conversation.is_open("b")
    assert not conversation.is_open("never")
    conversation.add(Entry("d"), "b")
    conversation.add(Entry("e"), "a")
    assert conversation.order == ["a", "e", "c", "d"]


def test_an_answer_whose_beginning_was_never_told_is_made_up() -> None:
    conversation = Conversation()
    assert conversation.is_open("a", "r")
    entry = conversation.entry("a", "r")
    assert (entry.role, entry.response_id) == ("assistant", "r")
    assert conversation.entry("a") is entry


def test_an_item_is_finished_once() -> None:
    conversation = talk("a")
    conversation.finish("a", "incomplete")
    conversation.finish("a", "completed")
    conversation.finish("nobody", "completed")
    assert conversation.entries["a"].status == "incomplete"
    assert not conversation.is_open("a")


def test_a_truncation_only_shortens() -> None:
    conversation = talk("a")
    entry = conversation.entries["a"]
    entry.samples, entry.text = 24_000, "Hello"
    assert entry.audio_ms == 1000
    conversation.truncate("a", 500)
    assert (entry.samples, entry.cut_ms, entry.text) == (12_000, 500, "")
    conversation.truncate("a", 700)
    assert (entry.samples, entry.cut_ms) == (12_000, 500)
    conversation.truncate("a", 400)
    assert (entry.samples, entry.cut_ms) == (9600, 400)
    conversation.truncate("a", -7)
    assert entry.samples == 0
    conversation.truncate("nobody", 5)
    assert not conversation.is_open("a")


def test_a_response_begins_and_ends_once() -> None:
    conversation = talk("a", response="r")
    conversation.begin_response("r")
    assert conversation.is_open("a", "r")
    conversation.end_response("r")
    assert conversation.response is None
    assert conversation.entries["a"].status == "incomplete"
    assert not conversation.is_open("b", "r")
    conversation.begin_response("r")
    assert conversation.response is None


def test_nothing_of_a_shunned_response_is_wanted() -> None:
    conversation = talk("a")
    conversation.shunned.add("r")
    assert not conversation.is_open("a", "r")
    assert conversation.is_open("a", "s")


def test_the_end_of_a_later_response_ends_the_one_before() -> None:
    conversation = talk("a", response="r")
    conversation.begin_response("r")
    conversation.end_response("s")
    assert conversation.response is None
    assert conversation.entries["a"].status == "incomplete"


def test_the_end_of_an_earlier_response_ends_no_other() -> None:
    conversation = Conversation()
    conversation.begin_response("r")
    conversation.begin_response("s")
    conversation.end_response("r")
    conversation.end_response("r")
    assert conversation.response == "s"


def test_peers_that_give_no_ids_are_understood() -> None:
    conversation = Conversation()
    conversation.begin_response("")
    conversation.end_response("")
    assert conversation.response is None
    assert conversation.is_open("a", "")
    conversation.begin_response("r")
    conversation.end_response("")
    assert conversation.response is None


def test_two_conversations_that_saw_the_same_are_equal() -> None:
    first, second = talk("a", "b"), talk("a", "b")
    assert first.snapshot() == second.snapshot()
    second.truncate("b", 5)
    assert first.snapshot() != second.snapshot()
    first.truncate("b", 5)
    first.begin_response("r")
    assert first.snapshot() != second.snapshot()
    second.begin_response("r")
    assert first.snapshot() == second.snapshot()
    assert first.delete("a")
    assert first.snapshot() != second.snapshot()
