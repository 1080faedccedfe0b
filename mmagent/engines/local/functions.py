"""Function calls between the Realtime protocol's items and a chat endpoint's messages.

Chat Completions wants the outputs right behind the message that has the calls, one for each, whatever was said
meanwhile. So a call goes into the messages together with its output, calls that follow each other share a message, and
a call without an output is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from mmagent.core.conversation import Entry
from mmagent.core.settings import ToolSpec
from mmagent.engines.local.brain import ChatCall, ChatMessage, Function


@runtime_checkable
class CallingBrain(Protocol):
    """A brain that can call functions."""

    def reply_or_call(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[ToolSpec],
        tool_choice: str,
        *,
        temperature: float,
        max_tokens: int | None,
        seed: int,
        stopped: Callable[[], bool],
    ) -> Iterator[str | ChatCall]:
        """As `Brain.reply`; what it wants called comes last, each call whole."""
        ...


def tools_in_request(tools: Sequence[ToolSpec], choice: str) -> dict[str, Any]:
    """What a chat request says of functions. `choice`: auto, none, required, or a function's name."""
    named = choice not in ("auto", "none", "required")
    described = [
        {"name": tool.name, "description": tool.description, "parameters": msgspec.Raw(tool.parameters.encode())}
        for tool in tools
    ]
    return {
        "tools": [{"type": "function", "function": function} for function in described],
        "tool_choice": {"type": "function", "function": {"name": choice}} if named else choice,
    }


class CallsInPieces:
    """Calls as they are streamed: `index` says which one a piece belongs to; id and name come with the first."""

    def __init__(self) -> None:
        self._calls: dict[int, list[str]] = {}

    def add(self, pieces: object) -> None:
        """The `tool_calls` of a streamed delta. What is not understood is left alone."""
        for piece in pieces if isinstance(pieces, list) else ():
            function = piece.get("function") if isinstance(piece, dict) else None
            if not isinstance(function, dict):
                continue
            index = piece.get("index")
            place = index if isinstance(index, int) else len(self._calls)  # some send each call whole, uncounted
            call = self._calls.setdefault(place, ["", "", ""])
            call[0] = call[0] or str(piece.get("id") or "")
            call[1] = call[1] or str(function.get("name") or "")
            arguments = function.get("arguments") or ""
            call[2] += arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()

    def whole(self) -> list[ChatCall]:
        """All that have a name, in order."""
        return [ChatCall(call[0], Function(call[1], call[2])) for _, call in sorted(self._calls.items()) if call[1]]


def outputs_in(entries: Mapping[str, Entry]) -> dict[str, str]:
    """What the functions said, by call id."""
    return {entry.call_id: entry.text for entry in entries.values() if entry.kind == "function_call_output"}


def add_call(messages: list[ChatMessage], entry: Entry, output: str | None) -> None:
    """Put a call and its output behind `messages`."""
    if output is None:
        return
    call = ChatCall(entry.call_id, Function(entry.name, entry.text or "{}"))
    head = next((i for i in reversed(range(len(messages))) if messages[i].role != "tool"), None)
    if head is not None and messages[head].tool_calls:
        messages[head] = msgspec.structs.replace(messages[head], tool_calls=(*messages[head].tool_calls, call))
    else:
        messages.append(ChatMessage("assistant", "", (call,)))
    messages.append(ChatMessage("tool", output, tool_call_id=entry.call_id))
