"""Function calls on the wire, in the order of the reference's section 1.6 E: what each role adds to its half."""

from __future__ import annotations

from typing import Any

from mmagent.core import wire
from mmagent.core.commands import ToolCall
from mmagent.core.conversation import Entry
from mmagent.core.protocol import forms
from mmagent.core.protocol.link import Link, Role
from mmagent.core.protocol.server import Server
from mmagent.core.settings import Dialect


class Outputs(Link):
    """The client's: calls are kept until their response is done, outputs until an answer has seen them."""

    def __init__(self, role: Role, *, dialect: Dialect = "ga", ids: str = "") -> None:
        super().__init__(role, dialect=dialect, ids=ids)
        self._calls: dict[str, dict[str, ToolCall]] = {}
        self._unseen: dict[str, bool] = {}

    def restore_call(self, call: ToolCall) -> None:
        """Put a call of the old conversation into the new one, so that its output has something to answer."""
        item_id = next(self._item_ids)
        item = wire.Item(
            type="function_call", id=item_id, call_id=call.call_id, name=call.name, arguments=call.arguments
        )
        entry = Entry(item_id, item.type, status="completed", text=call.arguments, call_id=call.call_id, name=call.name)
        self.conversation.add(entry, None)
        self._send(wire.ConversationItemCreate(item=item, event_id=self._event_id()))

    def add_output(self, call_id: str, output: str, *, answer: bool = True) -> None:
        """Put what a function said into the conversation. `answer`: an answer is owed that has seen it."""
        item_id = next(self._item_ids)
        item = wire.Item(type="function_call_output", id=item_id, call_id=call_id, output=output)
        entry = Entry(item_id, item.type, status="completed", text=output, call_id=call_id)
        self.conversation.add(entry, None)
        if answer:
            self._unseen[item_id] = False
        self._send(wire.ConversationItemCreate(item=item, event_id=self._event_id()))

    @property
    def owes_answer(self) -> bool:
        """Whether there are outputs of functions that no answer has seen and none was asked for."""
        return bool(self._unseen)

    def excuse(self) -> None:
        """No answer is owed: the user asked for silence, or one was asked for that will see all that was sent."""
        self._unseen.clear()

    def _arrived(self, item_id: str) -> None:
        """The server has the item: an answer that it begins by itself from now on has seen it."""
        if item_id in self._unseen:
            self._unseen[item_id] = True

    def _seen_by_server(self) -> None:
        self._unseen = {item_id: arrived for item_id, arrived in self._unseen.items() if not arrived}

    def _note_call(self, response_id: str, item: wire.Item) -> None:
        """Keep a call until its response is done: "Never act on argument deltas"."""
        known = self.conversation.entries.get(item.id or "") or Entry("")
        call_id, name = item.call_id or known.call_id or item.id, item.name or known.name
        if item.type != "function_call" or item.status == "incomplete" or not call_id or not name:
            return
        known.text = item.arguments or ""
        self._calls.setdefault(response_id, {})[call_id] = ToolCall(call_id, name, known.text)

    def _calls_of(self, response: wire.Response) -> tuple[ToolCall, ...]:
        """All calls of a response that is done, however they were told; none if it is not whole."""
        for item in response.output:
            self._note_call(response.id, item)
        calls = {**self._calls.pop("", {}), **self._calls.pop(response.id, {})}  # some peers give no ids
        return tuple(calls.values()) if response.status == "completed" else ()


class FunctionServer(Server):
    """The server's: an answer calls functions of the client."""

    def begin_call(self, response_id: str, name: str, call_id: str = "") -> str:
        """A response gets a function call; its item id. `call_id` "" makes one up."""
        talk = self._talk(response_id)
        item_id = next(self._item_ids)
        before = talk.order[-1] if talk.order else None
        call_id = call_id or f"call_{item_id}"
        talk.add(Entry(item_id, "function_call", call_id=call_id, name=name, response_id=response_id), None)
        item = forms.item_of(talk.entries[item_id])
        added: dict[str, Any] = {"response_id": response_id, "output_index": self._place(item_id, response_id)}
        self._send(wire.ResponseOutputItemAdded(**added, item=item, event_id=self._event_id()))
        if talk is self.conversation:
            self._send(wire.ConversationItemAdded(item=item, previous_item_id=before, event_id=self._event_id()))
        return item_id

    def call_arguments(self, response_id: str, item_id: str, delta: str) -> None:
        """More of a call's arguments, JSON text."""
        talk = self._talk(response_id)
        if not delta or not talk.is_open(item_id, response_id):
            return
        talk.entries[item_id].text += delta
        ids = self._ids_of_call(response_id, item_id)
        self._send(wire.ResponseFunctionCallArgumentsDelta(**ids, delta=delta, event_id=self._event_id()))

    def end_call(self, response_id: str, item_id: str, *, whole: bool = True) -> None:
        """No more of a call."""
        talk = self._talk(response_id)
        entry = talk.entries.get(item_id)
        if entry is None or entry.status != "in_progress":
            return
        ids = self._ids_of_call(response_id, item_id)
        talk.finish(item_id, "completed" if whole else "incomplete")
        done = wire.ResponseFunctionCallArgumentsDone(
            **ids, name=entry.name, arguments=entry.text, event_id=self._event_id()
        )
        self._send(done)
        item = forms.item_of(entry)
        if talk is self.conversation:
            before = talk.order[place - 1] if (place := talk.order.index(item_id)) else None
            self._send(wire.ConversationItemDone(item=item, previous_item_id=before, event_id=self._event_id()))
        index = ids["output_index"]
        closed = wire.ResponseOutputItemDone(
            response_id=response_id, output_index=index, item=item, event_id=self._event_id()
        )
        self._send(closed)

    def _ids_of_call(self, response_id: str, item_id: str) -> dict[str, Any]:
        return {
            "response_id": response_id,
            "item_id": item_id,
            "output_index": self._place(item_id, response_id),
            "call_id": self._talk(response_id).entries[item_id].call_id,
        }

    def _place(self, item_id: str, response_id: str) -> int:
        """Where an item stands in its response."""
        mine = [entry.id for entry in self._talk(response_id).entries.values() if entry.response_id == response_id]
        return mine.index(item_id)
