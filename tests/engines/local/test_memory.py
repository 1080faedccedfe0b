"""What the language model is shown."""

from __future__ import annotations

from mmagent.core import pcm
from mmagent.core.alignment import Alignment
from mmagent.core.conversation import Entry
from mmagent.core.protocol import Protocol, Role
from mmagent.engines.local.brain import ChatMessage
from mmagent.engines.local.memory import DEFAULT_INSTRUCTIONS, Memory
from tests.engines.local.fakes import FakeParts


def talk() -> tuple[Protocol, Memory]:
    protocol = Protocol(Role.SERVER)
    protocol.conversation.add(Entry("a", role="user", status="completed", text="one two"), None)
    protocol.conversation.add(Entry("b", role="assistant", status="completed", text="all of it"), None)
    return protocol, Memory(protocol, FakeParts.make(lambda _messages: "yes").brain)


def said(*words: str) -> Alignment:
    alignment = Alignment()
    for word in words:
        alignment.add_text(word)
        alignment.add_audio(pcm.ms_to_samples(200))
    alignment.finish()
    return alignment


def test_the_conversation_in_order_behind_the_instructions() -> None:
    _, memory = talk()
    assert memory.messages("three", "Be brief.") == [
        ChatMessage("system", "Be brief."),
        ChatMessage("user", "one two"),
        ChatMessage("assistant", "all of it"),
        ChatMessage("user", "three"),
    ]
    assert memory.messages(None, "")[0] == ChatMessage("system", DEFAULT_INSTRUCTIONS)


def test_of_an_answer_that_was_cut_the_heard_words_remain() -> None:
    _, memory = talk()
    memory.note("b", said("all ", "of ", "it"))
    assert memory.messages(None, "x")[-1].content == "all of it"
    memory.cut("b", 400)
    assert memory.messages(None, "x")[-1].content == "all of"
    memory.cut("b", 0)
    assert memory.messages(None, "x")[-1] == ChatMessage("user", "one two")
    memory.forget("b")
    memory.cut("nobody knows it", 100)


def test_the_item_that_is_being_said_is_not_shown_twice() -> None:
    _, memory = talk()
    assert [m.content for m in memory.messages("one two", "x", leave_out="a")] == ["x", "all of it", "one two"]
