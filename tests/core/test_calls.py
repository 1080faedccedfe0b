"""The rules of function calls, one by one: mmagent/core/calls.py, with a real protocol under it."""

from __future__ import annotations

import json
from typing import Any

from mmagent.core import commands, events
from mmagent.core.calls import ENDED, FILLER_WAIT, NOT_RUN, TOO_MANY, Calls
from mmagent.core.commands import Command, ToolCall
from mmagent.core.protocol import Protocol, Role
from mmagent.core.settings import SAY, SessionSettings

A, B, C = (ToolCall(f"call_{x}", "weather", "{}") for x in "abc")


class Bench:
    """Calls over a protocol; `sent` empties what was sent since."""

    def __init__(self, **settings: Any) -> None:
        self.out: list[Command] = []
        self.protocol = Protocol(Role.CLIENT)
        self.calls = Calls(SessionSettings(**settings), self.protocol, self.out)

    def pending(self) -> bool:
        return self.calls.pending

    def sent(self) -> list[Any]:
        return [json.loads(message) for message in self.protocol.take()]

    def outputs(self) -> list[tuple[str, str]]:
        items = [message["item"] for message in self.sent() if message["type"] == "conversation.item.create"]
        return [(item["call_id"], item["output"]) for item in items]

    def announced(self, kind: type[Any]) -> list[Any]:
        told = [command.event for command in self.out if isinstance(command, commands.Announce)]
        return [event for event in told if isinstance(event, kind)]

    @property
    def run(self) -> list[ToolCall]:
        return [call for command in self.out if isinstance(command, commands.RunTools) for call in command.calls]

    def round(self, *calls: ToolCall) -> list[Any]:
        """Calls that are made, answered and delivered; what was sent."""
        self.calls.made(calls, 0, cut=False)
        for call in calls:
            self.calls.finished(call.call_id, "ok")
        self.calls.go_on(our_turn=True)
        self.protocol.give_up()  # the answer came
        return self.sent()


def kinds(messages: list[Any]) -> list[str]:
    return [message["type"] for message in messages]


def test_all_outputs_of_a_batch_in_order_then_one_answer() -> None:
    bench = Bench()
    bench.calls.made((A, B), 0, cut=False)
    assert bench.run == [A, B]
    assert bench.pending()
    bench.calls.finished("call_b", "second")
    bench.calls.go_on(our_turn=True)
    assert bench.sent() == []
    bench.calls.finished("call_a", "first")
    bench.calls.go_on(our_turn=True)
    sent = bench.sent()
    assert kinds(sent) == ["conversation.item.create", "conversation.item.create", "response.create"]
    assert [message["item"]["output"] for message in sent[:2]] == ["first", "second"]
    assert "response" not in sent[2]
    assert not bench.pending()
    bench.calls.go_on(our_turn=True)
    assert bench.sent() == []


def test_what_is_announced() -> None:
    bench = Bench()
    bench.round(A)
    call = {"call_id": "call_a", "name": "weather", "arguments": "{}"}
    assert bench.announced(events.FunctionCallsCollected) == [events.FunctionCallsCollected((call,))]
    result = {"name": "weather", "call_id": "call_a", "output": "ok"}
    assert bench.announced(events.FunctionCallsFinished) == [events.FunctionCallsFinished((result,))]


def test_each_call_is_run_once_and_has_one_output() -> None:
    bench = Bench()
    bench.calls.made((A,), 0, cut=False)
    bench.calls.made((A,), 0, cut=False)
    bench.calls.finished("call_a", "first")
    bench.calls.finished("call_a", "second")
    bench.calls.finished("call_x", "whose?")
    bench.calls.go_on(our_turn=True)
    assert bench.run == [A]
    assert bench.outputs() == [("call_a", "first")]
    bench.calls.finished("call_a", "third")
    bench.calls.go_on(our_turn=True)
    assert bench.outputs() == []


def test_a_call_of_an_answer_that_was_cut_is_not_run_and_says_so() -> None:
    bench = Bench()
    bench.calls.made((A,), 0, cut=True)
    assert not bench.pending()
    bench.calls.go_on(our_turn=True)
    assert bench.outputs() == [("call_a", NOT_RUN)]
    assert bench.out == []


def test_no_answer_is_asked_for_while_it_is_not_our_turn() -> None:
    bench = Bench()
    bench.calls.made((A,), 0, cut=False)
    bench.calls.finished("call_a", "ok")
    bench.calls.go_on(our_turn=False)
    assert kinds(bench.sent()) == ["conversation.item.create"]
    assert bench.pending()
    bench.calls.go_on(our_turn=True)
    assert kinds(bench.sent()) == ["response.create"]


def test_two_batches_that_wait_are_answered_by_one_answer() -> None:
    bench = Bench()
    for call in (A, B):
        bench.calls.made((call,), 0, cut=False)
        bench.calls.finished(call.call_id, "ok")
        bench.calls.go_on(our_turn=False)
    bench.calls.go_on(our_turn=True)
    assert kinds(bench.sent()) == ["conversation.item.create", "conversation.item.create", "response.create"]


def test_silence_by_hand_takes_back_the_answer_and_not_the_output() -> None:
    bench = Bench(tool_filler="One moment.")
    bench.calls.made((A,), 0, cut=False)
    bench.calls.hush()
    assert not bench.pending()
    assert bench.calls.fill_at is None
    bench.calls.finished("call_a", "ok")
    bench.calls.go_on(our_turn=True)
    assert kinds(bench.sent()) == ["conversation.item.create"]


def test_silence_by_hand_also_takes_back_an_answer_that_waits_for_its_turn() -> None:
    bench = Bench()
    bench.calls.made((A,), 0, cut=False)
    bench.calls.finished("call_a", "ok")
    bench.calls.go_on(our_turn=False)
    bench.calls.hush()
    bench.calls.go_on(our_turn=True)
    assert kinds(bench.sent()) == ["conversation.item.create"]


def test_after_the_last_round_an_answer_without_calls_is_asked_for() -> None:
    bench = Bench(max_tool_rounds=2)
    assert "response" not in bench.round(A)[-1]
    assert bench.round(B)[-1]["response"] == {"tool_choice": "none"}
    assert bench.announced(events.Warning) == []
    bench.calls.made((C,), 0, cut=False)  # a server that does not care
    bench.calls.go_on(our_turn=True)
    assert bench.run == [A, B]
    assert bench.outputs() == [("call_c", TOO_MANY)]
    assert len(bench.announced(events.Warning)) == 1
    assert not bench.pending()


def test_rounds_are_counted_from_the_users_turn() -> None:
    bench = Bench(max_tool_rounds=2)
    bench.round(A)
    bench.calls.user_turn()
    assert "response" not in bench.round(B)[-1]


def test_the_filler_is_asked_for_out_of_band() -> None:
    bench = Bench(tool_filler="One moment.")
    bench.calls.made((A,), 500, cut=False)
    assert bench.calls.fill_at == 500 + FILLER_WAIT
    bench.calls.fill(quiet=True)
    (filler,) = bench.sent()
    assert filler["response"] == {
        "instructions": SAY + "One moment.",
        "tool_choice": "none",
        "conversation": "none",
    }
    assert bench.calls.fill_at is None


def test_no_filler_over_somebody_and_none_when_the_output_is_there() -> None:
    bench = Bench(tool_filler="One moment.")
    bench.calls.made((A,), 0, cut=False)
    bench.calls.fill(quiet=False)
    assert bench.sent() == []
    bench.calls.made((B,), 0, cut=False)
    assert bench.calls.fill_at is not None
    bench.calls.finished("call_a", "ok")
    bench.calls.finished("call_b", "ok")
    bench.calls.go_on(our_turn=True)
    assert bench.calls.fill_at is None


def test_without_a_filler_nothing_is_due() -> None:
    bench = Bench()
    bench.calls.made((A,), 0, cut=False)
    assert bench.calls.fill_at is None


def test_the_end_of_the_session_finishes_what_runs() -> None:
    bench = Bench()
    bench.calls.made((A, B), 0, cut=False)
    bench.calls.finished("call_b", "ok")
    bench.calls.close()
    (finished,) = bench.announced(events.FunctionCallsFinished)
    assert [result["output"] for result in finished.results] == [ENDED, "ok"]
    assert bench.sent() == []
    bench.calls.close()
    assert len(bench.announced(events.FunctionCallsFinished)) == 1
