"""Function calls: from what the model wants called to the answer that it makes of the outputs.

The rules:

1. Calls are run when the response that has them is done and completed, and each `call_id` once. A response that was
   cut short runs nothing: an unfinished call is forgotten, and one that is whole at the server is told that it did not
   run.
2. The calls of a response are a batch. Each gets exactly one output, whatever happens; a second one is dropped. When
   all are there they go to the server together, in the order of the calls, and then *one* answer is asked for.
3. That answer goes through the protocol's gate, like any other, and not before it is the agent's turn: not while the
   user speaks, nor while another answer is due. An answer that begins after the outputs reached the server has seen
   them (whoever asked for it), and none is owed any more. Several batches may be answered by one answer.
4. The user may talk meanwhile: a batch goes on and delivers its outputs. Asking for silence by hand takes back the
   wish for its answer, not the outputs.
5. After `max_tool_rounds` batches without a word of the user, the answer is asked for with `tool_choice` none. Calls
   that come all the same are not run, get an output that says so, and no answer is asked for.
6. `function_calls_collected` and `function_calls_finished` pair, the latest at the end of the session.
7. When a batch takes its time and `tool_filler` is set, it is said once, out of band, if all is quiet just then.
"""

from __future__ import annotations

import msgspec

from mmagent.core import commands, events
from mmagent.core.commands import Command, ToolCall
from mmagent.core.protocol import Protocol
from mmagent.core.settings import SAY, SessionSettings

FILLER_WAIT = 2_000_000
"""Microseconds until the filler is said."""

NOT_RUN = "Error: the user interrupted, and the function was not called."
TOO_MANY = "Error: too many rounds of function calls, and this one was not called. Answer without calling functions."
ENDED = "Error: the session ended before the function had answered."


class _Batch(msgspec.Struct):
    """The calls of one response. `told`: they were announced and are being run. `wanted`: an answer is."""

    calls: tuple[ToolCall, ...]
    outputs: dict[str, str] = {}
    told: bool = True
    wanted: bool = True

    @property
    def done(self) -> bool:
        return len(self.outputs) == len(self.calls)


class Calls:
    """The calls of a session. Commands are appended to `out`."""

    def __init__(self, settings: SessionSettings, protocol: Protocol, out: list[Command]) -> None:
        self._limit = settings.max_tool_rounds
        self._filler = settings.tool_filler
        self._protocol = protocol
        self._out = out
        self._batches: list[_Batch] = []
        self._seen: set[str] = set()
        self._rounds = 0
        self._fill_at: int | None = None

    @property
    def pending(self) -> bool:
        """Whether an answer waits for functions, or for its turn to be asked for."""
        return any(batch.wanted for batch in self._batches) or self._protocol.owes_answer

    @property
    def fill_at(self) -> int | None:
        """When the filler is due."""
        return self._fill_at

    def made(self, calls: tuple[ToolCall, ...], now: int, *, cut: bool) -> None:
        """A response is whole, and has these calls. `cut`: the user does not want it any more."""
        calls = tuple(call for call in calls if call.call_id not in self._seen)
        if not calls:
            return
        self._seen |= {call.call_id for call in calls}
        self._rounds += 1
        if cut or self._rounds > self._limit:
            refusal = NOT_RUN if cut else TOO_MANY
            refused = {call.call_id: refusal for call in calls}
            self._batches.append(_Batch(calls, refused, told=False, wanted=False))
            if not cut:
                text = f"The model called functions {self._limit} times in a row: it must answer without them now."
                self._announce(events.Warning(text, "Raise --max-tool-rounds, if that is what it takes."))
            return
        self._batches.append(_Batch(calls))
        self._announce(events.FunctionCallsCollected(tuple(msgspec.to_builtins(call) for call in calls)))
        self._out.append(commands.RunTools(calls))
        if self._filler:
            self._fill_at = now + FILLER_WAIT

    def finished(self, call_id: str, output: str) -> None:
        """A function has answered."""
        for batch in self._batches:
            if any(call.call_id == call_id for call in batch.calls):
                batch.outputs.setdefault(call_id, output)

    def user_turn(self) -> None:
        """The user has the word: rounds are counted from here."""
        self._rounds = 0

    def hush(self) -> None:
        """The user asked for silence: nothing needs to be said of what is being run."""
        for batch in self._batches:
            batch.wanted = False
        self._protocol.excuse()
        self._fill_at = None

    def go_on(self, *, our_turn: bool) -> None:
        """Deliver what is done; ask for the answer, if it is `our_turn` to speak. The server must be there."""
        for batch in [batch for batch in self._batches if batch.done]:
            self._batches.remove(batch)
            for call in batch.calls:
                self._protocol.add_output(call.call_id, batch.outputs[call.call_id], answer=batch.wanted)
            self._tell_finished(batch)
        if not any(batch.wanted for batch in self._batches):
            self._fill_at = None
        if our_turn and self._protocol.owes_answer:
            self._protocol.reply(tool_choice="none" if self._rounds >= self._limit else None)

    def restore(self) -> None:
        """The conversation began anew: its calls that are still being run are told again, and answered when done."""
        for batch in self._batches:
            for call in batch.calls:
                self._protocol.restore_call(call)

    def fill(self, *, quiet: bool) -> None:
        """It takes its time: say so, if nobody says anything."""
        self._fill_at = None
        if quiet:
            self._protocol.reply(SAY + self._filler, tool_choice="none", aside=True)

    def close(self) -> None:
        """The session is over: what still runs is told as finished, without a word to the server."""
        for batch in self._batches:
            for call in batch.calls:
                batch.outputs.setdefault(call.call_id, ENDED)
            self._tell_finished(batch)
        self._batches.clear()
        self._fill_at = None

    def _tell_finished(self, batch: _Batch) -> None:
        if batch.told:
            results = tuple(
                {"name": call.name, "call_id": call.call_id, "output": batch.outputs[call.call_id]}
                for call in batch.calls
            )
            self._announce(events.FunctionCallsFinished(results))

    def _announce(self, event: events.Announcement) -> None:
        self._out.append(commands.Announce(event))
