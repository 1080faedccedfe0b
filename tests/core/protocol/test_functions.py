"""Function calls over the wire, from a real server end to a real client end and back."""

from __future__ import annotations

from mmagent.core import happenings as h
from mmagent.core.commands import ToolCall
from mmagent.core.protocol import Protocol, Role
from mmagent.core.settings import SessionSettings, ToolSpec

TOOL = ToolSpec("weather", "The weather in a city.", '{"type":"object","properties":{}}')


class Link:
    """Two ends, and what each learned last."""

    def __init__(self) -> None:
        self.client, self.server = Protocol(Role.CLIENT), Protocol(Role.SERVER)
        self.server.open("sess", "test")
        self.client_learned: list[h.Happening] = []
        self.server_learned: list[h.Happening] = []
        self.carry()
        self.client.configure(SessionSettings(tools=(TOOL,)))
        self.carry()

    def carry(self) -> None:
        moving = True
        while moving:
            down, up = self.server.take(), self.client.take()
            for message in down:
                self.client_learned += self.client.receive(message)
            for message in up:
                self.server_learned += self.server.receive(message)
            moving = bool(down or up)

    def call(self, status: str = "completed", whole: bool = True) -> h.ResponseEnded:
        response = self.server.begin_response()
        item = self.server.begin_call(response, "weather", "call_1")
        self.server.call_arguments(response, item, '{"city":')
        self.server.call_arguments(response, item, '"Oslo"}')
        if whole:
            self.server.end_call(response, item)
        self.server.end_response(response, status, "" if status == "completed" else "turn_detected", h.UsageCount())
        self.carry()
        return next(x for x in reversed(self.client_learned) if isinstance(x, h.ResponseEnded))


def owes(link: Link) -> bool:
    return link.client.owes_answer


def test_tools_reach_the_server() -> None:
    link = Link()
    changed = next(x for x in link.server_learned if isinstance(x, h.SessionChanged))
    assert [tool.name for tool in changed.tools] == ["weather"]


def test_a_call_is_told_when_its_answer_is_done() -> None:
    ended = Link().call()
    assert ended.calls == (ToolCall("call_1", "weather", '{"city":"Oslo"}'),)


def test_a_call_in_an_answer_that_was_cut_is_not_run() -> None:
    assert Link().call("cancelled", whole=False).calls == ()


def test_an_output_reaches_the_server_and_an_answer_is_owed() -> None:
    link = Link()
    link.call()
    assert not owes(link)
    link.client.add_output("call_1", "Sunny.")
    assert owes(link)
    link.carry()
    entry = link.server.conversation.entries[link.server.conversation.order[-1]]
    assert (entry.kind, entry.call_id, entry.text) == ("function_call_output", "call_1", "Sunny.")
    link.client.reply()
    assert not owes(link)


def test_an_answer_that_began_before_the_output_arrived_has_not_seen_it() -> None:
    link = Link()
    link.call()
    response = link.server.begin_response()
    link.client.add_output("call_1", "Sunny.")
    for message in link.server.take():
        link.client.receive(message)
    assert owes(link)
    link.carry()
    link.server.end_response(response, "completed", "", h.UsageCount())
    link.carry()
    link.server.begin_response()
    link.carry()
    assert not owes(link)


def test_no_answer_is_owed_for_what_nobody_wants_to_hear() -> None:
    link = Link()
    link.client.add_output("call_1", "Sunny.", answer=False)
    assert not owes(link)
    link.client.add_output("call_2", "Rain.")
    link.client.excuse()
    assert not owes(link)


def test_a_call_is_restored_with_its_id_name_and_arguments() -> None:
    link = Link()
    link.client.restore_call(ToolCall("call_9", "weather", "{}"))
    link.carry()
    entry = link.server.conversation.entries[link.server.conversation.order[-1]]
    assert (entry.kind, entry.call_id) == ("function_call", "call_9")
