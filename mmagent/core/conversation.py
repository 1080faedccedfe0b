"""What both ends of a Realtime link know: session, input buffer, items, the response being made.

The rules, told without saying who sends what. Client and server apply the same messages to the same class, so that two
ends which saw the same messages are in the same state:

1. Items stand in an order. A new item goes behind `previous_item_id`, to the head for `"root"`, else to the end.
2. An item goes absent -> in_progress -> completed | incomplete, and may be deleted at any time. Nothing revives it.
3. One response at a time belongs to the conversation: idle -> active by `response.created`, back by `response.done`.
   What still comes of a shunned response is not wanted.
4. A truncation shortens the audio of an item, never lengthens it, and takes its transcript away ("the whole text
   transcript of the item is removed", reference, section 2).
5. The input buffer is quiet, or holds speech of an item that exists once it is committed.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from mmagent.core import pcm

ItemStatus = Literal["in_progress", "completed", "incomplete"]


class Entry(msgspec.Struct):
    """An item as the link knows it. `samples` is its audio at 24 kHz."""

    id: str
    kind: str = "message"
    role: str = ""
    status: ItemStatus = "in_progress"
    text: str = ""
    written: bool = False
    samples: int = 0
    cut_ms: int | None = None
    call_id: str = ""
    name: str = ""
    response_id: str = ""

    @property
    def audio_ms(self) -> int:
        """Milliseconds of audio, rounded down."""
        return pcm.samples_to_ms(self.samples)


class Conversation:
    """The state that both ends share."""

    def __init__(self) -> None:
        self._chain: list[str] = []  # the order, with the deleted ones: "behind that one" may still be said of them
        self.entries: dict[str, Entry] = {}
        self.gone: set[str] = set()
        self.response: str | None = None
        self.begun: set[str] = set()
        self.ended: set[str] = set()
        self.shunned: set[str] = set()
        self.speech: str | None = None

    def __repr__(self) -> str:
        return f"<Conversation {len(self.order)} items, response {self.response}, speech {self.speech}>"

    @property
    def order(self) -> list[str]:
        """The ids of the items in order."""
        return [item_id for item_id in self._chain if item_id in self.entries]

    def snapshot(self) -> tuple[object, ...]:
        """What two ends compare: order, and of each item all that is settled."""
        rows = [
            (e.id, e.kind, e.role, e.status, e.text, e.samples, e.cut_ms)
            for e in map(self.entries.__getitem__, self.order)
        ]
        return (tuple(rows), self.response, self.speech)

    def add(self, entry: Entry, previous: str | None) -> Entry:
        """Put an item into the order, or an item that is there behind `previous`, if that is known.

        One that is gone stays gone, but has a place.
        """
        if entry.id not in self._chain:
            self._chain.append(entry.id)
        if previous == "root" or (previous in self._chain and previous != entry.id):
            self._chain.remove(entry.id)
            self._chain.insert(0 if previous == "root" else self._chain.index(previous) + 1, entry.id)
        return entry if entry.id in self.gone else self.entries.setdefault(entry.id, entry)

    def entry(self, item_id: str, response_id: str = "") -> Entry:
        """The item of that id; an answer is made up if its beginning was never told (tolerance rule 4)."""
        known = self.entries.get(item_id)
        if known is None:
            known = self.add(Entry(item_id, role="assistant", response_id=response_id), None)
        return known

    def is_open(self, item_id: str, response_id: str = "") -> bool:
        """Whether more of this item may come: not deleted, not cut, its response neither over nor shunned."""
        if item_id in self.gone or response_id in self.ended or response_id in self.shunned:
            return False
        known = self.entries.get(item_id)
        return known is None or (known.status == "in_progress" and known.cut_ms is None)

    def finish(self, item_id: str, status: ItemStatus) -> None:
        """The item is whole, or as whole as it will get."""
        known = self.entries.get(item_id)
        if known is not None and known.status == "in_progress":
            known.status = status

    def delete(self, item_id: str) -> bool:
        """Take an item out. False if it is not there."""
        self.gone.add(item_id)
        return self.entries.pop(item_id, None) is not None

    def truncate(self, item_id: str, end_ms: int) -> None:
        """Cut the audio of an item to `end_ms` milliseconds."""
        known = self.entries.get(item_id)
        if known is None or (known.cut_ms is not None and known.cut_ms <= end_ms):
            return
        known.cut_ms = end_ms
        known.samples = min(known.samples, pcm.ms_to_samples(max(0, end_ms)))
        known.text = ""

    def begin_response(self, response_id: str) -> None:
        """A response is being made. One that ended already does not begin again."""
        self.begun.add(response_id)
        if response_id not in self.ended:
            self.response = response_id

    def end_response(self, response_id: str) -> None:
        """A response is over, and with it every item of it.

        One that has no id is the one being made. One that was never told to begin is a later one, so that the one
        being made is over too.
        """
        over = {response_id}
        unheard_of = response_id not in self.begun and response_id not in self.ended
        if self.response is not None and (response_id in (self.response, "") or unheard_of):
            over.add(self.response)
            self.response = None
        self.ended |= over - {""}  # peers that give no ids are heard further
        for known in self.entries.values():
            if known.response_id in over and known.status == "in_progress":
                known.status = "incomplete"
