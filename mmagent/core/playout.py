"""The ledger of the agent's audio: received, heard, where to cut.

The rules (design, section 7; reference, "Truncation, exactly"):

1. What was heard is reported by the transport in samples (`Played`), never guessed from time.
2. All audio forms one queue. A position in it is "samples heard in all"; each stretch of the queue belongs to one item.
3. `0 <= heard <= received` holds for every item, whatever a transport reports: reports that go back or beyond are
   clamped.
4. A flush ends the queue where the transport says that it fell silent. What lay behind was never heard and is
   forgotten. What was given after the transport was told to stop is not touched.
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
    stopped: bool = False


class Playout:
    """Received and heard, for each item of the conversation that has audio."""

    def __init__(self) -> None:
        self._parts: dict[tuple[str, int], Part] = {}
        self._queue: deque[_Stretch] = deque()
        self._total = 0

    def __repr__(self) -> str:
        return f"<Playout heard {self._total}, waiting {self.waiting}>"

    @property
    def total(self) -> int:
        """Samples heard in all."""
        return self._total

    @property
    def waiting(self) -> int:
        """Samples given to the transport and not heard yet."""
        return sum(stretch.left for stretch in self._queue)

    @property
    def drained(self) -> bool:
        """Whether everything that was given has been heard."""
        return not self._queue

    def part(self, item_id: str) -> Part | None:
        """The latest part of an item that has audio."""
        return next((p for p in reversed(self._parts.values()) if p.item_id == item_id), None)

    def give(self, item_id: str, content_index: int, samples: int) -> None:
        """So much more of an item was handed to the transport."""
        part = self._parts.setdefault((item_id, content_index), Part(item_id, content_index))
        part.received += samples
        if self._queue and self._queue[-1].part is part and not self._queue[-1].stopped:
            self._queue[-1].left += samples
        elif samples:
            self._queue.append(_Stretch(part, samples))

    def stop(self) -> None:
        """The transport was told to fall silent: what is queued now will be cut, what comes later will not."""
        for stretch in self._queue:
            stretch.stopped = True

    def complete(self, item_id: str) -> None:
        """No more of this item will come."""
        for part in self._parts.values():
            if part.item_id == item_id:
                part.complete = True

    def played(self, total: int) -> list[Part]:
        """The transport heard `total` samples in all. Returns the parts that moved, in order."""
        moved: list[Part] = []
        ahead = total - self._total
        while ahead > 0 and self._queue:
            stretch = self._queue[0]
            step = min(ahead, stretch.left)
            stretch.part.heard += step
            stretch.left -= step
            self._total += step
            ahead -= step
            if not moved or moved[-1] is not stretch.part:
                moved.append(stretch.part)
            if stretch.left == 0:
                self._queue.popleft()
        return moved

    def flushed(self, total: int) -> list[Part]:
        """The transport obeyed `stop` after `total` samples. Returns the parts that moved until then."""
        before_stop = sum(stretch.left for stretch in self._queue if stretch.stopped)
        moved = self.played(min(total, self._total + before_stop))
        while self._queue and self._queue[0].stopped:
            self._queue.popleft()
        return moved

    def forget(self, item_id: str) -> None:
        """The item is over: committed, cut or deleted. Its audio counts no more."""
        for key in [k for k in self._parts if k[0] == item_id]:
            del self._parts[key]
