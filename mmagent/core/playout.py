"""The ledger of the agent's audio: received, heard, where to cut.

The rules (design, section 7; reference, "Truncation, exactly"):

1. What was heard is reported by the transport in samples (`Played`), never guessed from time.
2. All audio forms one queue. A position in it is "samples heard in all"; each stretch of the queue belongs to one part
   of one item.
3. `0 <= heard <= received` holds for every part, whatever a transport reports: reports that go back or beyond are
   clamped.
4. A stop leaves a mark in the queue. What lies behind it cannot be heard before the transport has obeyed. What lies
   before it and was not heard by then never will be, and is forgotten.
5. An item is finished when no more of it will come and all of it was heard.
"""

from __future__ import annotations

from collections import deque

import msgspec

from mmagent.core import pcm


class Part(msgspec.Struct):
    """The audio of one content part of one item. Counts are samples at 24 kHz."""

    item_id: str
    content_index: int
    received: int = 0
    heard: int = 0
    complete: bool = False

    @property
    def begun(self) -> bool:
        """Whether anything of it was heard."""
        return self.heard > 0

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to hear, now or later."""
        return self.complete and self.heard == self.received

    @property
    def heard_ms(self) -> int:
        """Milliseconds heard, rounded down: the `audio_end_ms` of a truncation."""
        return pcm.samples_to_ms(self.heard)

    @property
    def received_ms(self) -> int:
        """Milliseconds received, rounded down."""
        return pcm.samples_to_ms(self.received)


class _Stretch(msgspec.Struct):
    part: Part
    left: int


class Playout:
    """Received and heard, for each item of the conversation that has audio."""

    def __init__(self) -> None:
        self._items: dict[str, list[Part]] = {}
        self._queue: deque[_Stretch | None] = deque()  # None: a stop
        self._total = 0
        self._given = 0
        self._owed = False

    def __repr__(self) -> str:
        return f"<Playout heard {self._total}, waiting {self.waiting}>"

    @property
    def total(self) -> int:
        """Samples heard in all."""
        return self._total

    @property
    def waiting(self) -> int:
        """Samples given to the transport and not heard yet."""
        return sum(stretch.left for stretch in self._queue if stretch is not None)

    @property
    def drained(self) -> bool:
        """Whether everything that was given has been heard, and every stop obeyed."""
        return not self._queue

    @property
    def stopped(self) -> bool:
        """Whether the transport was told to stop, and nothing was given to it since."""
        return bool(self._queue) and self._queue[-1] is None

    def parts(self, item_id: str) -> list[Part]:
        """The parts of an item that have audio, in the order in which it came."""
        return self._items.get(item_id, [])

    def part(self, item_id: str) -> Part | None:
        """The part that a cut goes through: the last one that was begun, or else the first."""
        parts = self.parts(item_id)
        return next((part for part in reversed(parts) if part.begun), parts[0] if parts else None)

    def heard(self, item_id: str) -> int:
        """Samples of an item that were heard."""
        return sum(part.heard for part in self.parts(item_id))

    def finished(self, item_id: str) -> bool:
        """Whether an item has audio, and nothing of it is left to hear, now or later."""
        parts = self.parts(item_id)
        return bool(parts) and all(part.finished for part in parts)

    def give(self, item_id: str, content_index: int, samples: int) -> None:
        """So much more of an item was handed to the transport."""
        parts = self._items.setdefault(item_id, [])
        part = next((part for part in parts if part.content_index == content_index), None)
        if part is None:
            part = Part(item_id, content_index)
            parts.append(part)
        part.received += samples
        self._given += samples
        last = self._queue[-1] if self._queue else None
        if last is not None and last.part is part:
            last.left += samples
        elif samples:
            self._queue.append(_Stretch(part, samples))

    def stop(self) -> None:
        """The transport was told to fall silent: what is queued now will be cut, what comes later will not."""
        self._queue.append(None)

    def complete(self, item_id: str) -> None:
        """No more of this item will come."""
        for part in self.parts(item_id):
            part.complete = True

    def played(self, total: int) -> list[Part]:
        """The transport heard `total` samples in all. Returns the parts that moved, in order."""
        moved: list[Part] = []
        ahead = total - self._total
        while ahead > 0 and self._queue and (stretch := self._queue[0]) is not None:
            step = min(ahead, stretch.left)
            stretch.part.heard += step
            stretch.left -= step
            self._total += step
            ahead -= step
            moved.append(stretch.part)
            if stretch.left == 0:
                self._queue.popleft()
        return moved

    def flushed(self, total: int) -> list[Part]:
        """The transport obeyed the oldest `stop` after `total` samples. Returns the parts that moved until then."""
        if None in self._queue:
            moved = self.played(total)
            while self._queue.popleft() is not None:
                pass
            return moved
        if self._owed:  # what was heard since the stop was given up belongs to nobody, but counts
            self._owed = False
            self._total = max(self._total, min(total, self._given - self.waiting))
        return []

    def overdue(self) -> list[Part]:
        """The transport does not say that it obeyed: forget what was to be cut. Should it say so later, it is heard."""
        self._owed = None in self._queue
        return self.flushed(self._total)

    def forget(self, item_id: str) -> None:
        """The item is over: committed, cut or deleted. Its audio counts no more."""
        self._items.pop(item_id, None)
