"""The agent's side of a session: its answers as they come, as they are heard, and as they are cut.

The rules (design, sections 4 and 7):

1. An answer has begun when its first sample was heard, and is over when nothing of it is left to hear and nothing more
   is being made. `agent_started_speaking` and `agent_stopped_speaking` pair.
2. Every item is settled exactly once, before the agent stops speaking: committed when all of it was heard (or, without
   sound, read), interrupted when it was cut.
3. A cut begins with `StopPlaying` and is decided when the transport says what was heard: `Flushed`. An answer that
   comes in between is another one; it may be cut too, by a stop of its own.
4. Of a cut item: nothing heard, delete it; everything heard, send nothing; else truncate it, once. Items of the same
   answer that had not begun are deleted. A text is never truncated.
5. Sound and words of an item that is cut, and that come late, are dropped.
"""

from __future__ import annotations

from collections import deque

import msgspec

from mmagent.core import commands, events, pcm
from mmagent.core.commands import Command
from mmagent.core.history import History, Item
from mmagent.core.latency import TurnMarks
from mmagent.core.playout import Part, Playout
from mmagent.core.protocol import Protocol


class _Stop(msgspec.Struct):
    """A `StopPlaying` that was not obeyed yet: when it was asked for, and what it cuts."""

    at: int
    items: list[Item]


class Answers:
    """What the agent says. Commands are appended to `out`."""

    def __init__(self, history: History, protocol: Protocol, out: list[Command]) -> None:
        self.playout = Playout()
        self.marks = TurnMarks()
        self.received = 0
        """Samples of all answers so far."""
        self._history = history
        self._protocol = protocol
        self._out = out
        self._speaking: Item | None = None
        self._stops: deque[_Stop] = deque()

    @property
    def stopping(self) -> bool:
        """Whether the transport has yet to say what was heard of an answer that is cut."""
        return bool(self._stops)

    @property
    def audible(self) -> bool:
        """Whether the agent has the word: it can be heard, or has been and is not through."""
        return self._speaking is not None

    @property
    def something_to_hear(self) -> bool:
        """Whether sound is left that the user did not hear."""
        return self.audible or not self.playout.drained

    # --- as they come ---

    def began(self, item_id: str, response_id: str) -> Item | None:
        """The item of an answer; None if nothing more of it is wanted."""
        item = self._history.ensure(item_id, "assistant")
        if item.role != "assistant" or item.outcome != "open" or item.cut:
            return None
        item.response_id = item.response_id or response_id
        return item

    def words(self, item_id: str, response_id: str, delta: str, now: int, *, spoken: bool) -> None:
        """More text: of the sound, or an answer in writing."""
        item = self.began(item_id, response_id)
        if item is None:
            return
        if self.marks.worded is None:
            self.marks.worded = now
        item.words.add_text(delta)
        if not spoken:
            item.written = True
            self._show(item, 0)

    def text(self, item_id: str, text: str) -> None:
        """The whole text."""
        item = self.began(item_id, "")
        if item is not None:
            item.words.correct(text)

    def sound(self, item_id: str, response_id: str, content_index: int, sound: bytes, now: int) -> None:
        """More sound: hand it to the transport and enter it in the ledger."""
        item = self.began(item_id, response_id)
        if item is None:
            return
        if self.marks.sounded is None:
            self.marks.sounded = now
        count = pcm.samples(sound)
        item.has_audio = True
        self.received += count
        item.words.add_audio(count)
        self.playout.give(item.id, content_index, count)
        self._out.append(commands.Play(sound))

    def item_ended(self, item_id: str, now: int) -> None:
        """No more of the item will come."""
        item = self._history.get(item_id)
        if item is None or item.role != "assistant" or item.all_here or item.outcome != "open" or item.cut:
            return
        item.all_here = True
        item.words.finish()
        self.playout.complete(item.id)
        if self.playout.finished(item.id):
            self._commit(item, now)
        elif self.playout.parts(item.id):
            pass  # the rest of it is still to be heard
        elif item.written:
            self._commit(item, now)
        else:
            self._interrupt(item, now)

    def response_ended(self, response_id: str, now: int) -> None:
        """No more of any item of this answer will come. A peer that names no answers makes one at a time."""
        for item in self._history.open_items("assistant"):
            if item.response_id in (response_id, ""):
                self.item_ended(item.id, now)

    # --- as they are heard ---

    def played(self, total: int, now: int) -> None:
        """`total` samples were heard in all."""
        self._heard(self.playout.played(total), now)

    def stop_speaking_if_done(self, making: str | None) -> None:
        """The agent has stopped when nothing is left to hear and the answer being made (`making`) is another one."""
        speaking = self._speaking
        if speaking is None or not self.playout.drained:
            return
        if making is None or speaking.response_id not in (making, ""):
            self._stop_speaking()

    def _heard(self, moved: list[Part], now: int) -> None:
        for part in moved:
            item = self._history.get(part.item_id)
            if item is None or item.outcome != "open":
                continue
            if item.started_at is None:
                self._begin_speaking(item, now)
            self._show(item, self.playout.heard(item.id))
            if part.finished and self.playout.finished(item.id):
                if item.broken:
                    self._settle_cut(item, now)
                else:
                    self._commit(item, now)

    def _begin_speaking(self, item: Item, now: int) -> None:
        item.started_at = now
        if self._speaking is not None:
            if self._speaking.response_id == item.response_id:
                return
            self._stop_speaking()
        self._speaking = item
        self._announce(events.AgentStartedSpeaking(item.id))
        if self.marks.audible is None:
            self.marks.audible = now
            self._announce(self.marks.metrics(item.id))

    def _stop_speaking(self) -> None:
        item, self._speaking = self._speaking, None
        if item is not None:
            self._announce(events.AgentStoppedSpeaking(item.id))

    def _show(self, item: Item, heard: int) -> None:
        """Tell how far the words have been heard, when that changed."""
        text = item.words.text
        shown = (len(text) if item.written else item.words.heard_chars(heard), len(text))
        if shown != item.shown:
            item.shown = shown
            self._announce(events.AgentTranscript(item.id, text[: shown[0]], text[shown[0] :]))

    def _commit(self, item: Item, now: int) -> None:
        if self._history.settle(item, "committed", item.words.text.strip(), now):
            self._announce(
                events.AgentSpeechCommitted(item.id, item.text, "assistant", False, item.started_at, item.ended_at)
            )
            self.playout.forget(item.id)

    # --- as they are cut ---

    def stop(self, now: int) -> None:
        """Take the word from the agent: nothing that it has begun is wanted any more."""
        items = [item for item in self._history.open_items("assistant") if not item.cut]
        for item in items:
            item.cut = True
        if not self.something_to_hear or self.playout.stopped:
            self._cut(items, now)  # of these there is no sound
            return
        self.playout.stop()
        self._stops.append(_Stop(now, items))
        self._out.append(commands.StopPlaying())

    def flushed(self, total: int, now: int) -> None:
        """The transport fell silent after `total` samples."""
        self._obeyed(self.playout.flushed(total), now)

    def overdue(self, now: int) -> None:
        """The transport does not say that it fell silent: go by what it said before."""
        while self._stops:
            self._obeyed(self.playout.overdue(), now)

    def _obeyed(self, moved: list[Part], now: int) -> None:
        self._heard(moved, now)
        if not self._stops:
            return
        stop = self._stops.popleft()
        self._cut(stop.items, now)
        speaking = self._speaking
        self._stop_speaking()
        if speaking is not None:
            self._announce(events.BargeIn(speaking.id, (now - stop.at) // 1000))

    def link_lost(self, now: int) -> None:
        """No more of any answer will come. What came is still heard to its end, and is an interrupted answer then."""
        for item in self._history.open_items("assistant"):
            if item.all_here:
                continue
            item.broken = item.all_here = True
            item.words.finish()
            self.playout.complete(item.id)
            if not self.playout.parts(item.id) or self.playout.finished(item.id):
                self._settle_cut(item, now)

    def close(self, now: int) -> None:
        """The session is over: settle what is open, without a word to the engine."""
        self._stops.clear()
        for item in self._history.open_items("assistant"):
            self._settle_cut(item, now)
        self._stop_speaking()

    def _cut(self, items: list[Item], now: int) -> None:
        for item in items:
            self._interrupt(item, now)

    def _interrupt(self, item: Item, now: int) -> None:
        part, heard = self.playout.part(item.id), self.playout.heard(item.id)
        if not self._settle_cut(item, now) or item.written:
            return
        if part is None or pcm.samples_to_ms(heard) == 0:
            self._protocol.delete(item.id)
        elif not part.complete or part.heard_ms < part.received_ms:
            self._protocol.truncate(item.id, part.content_index, part.heard_ms)

    def _settle_cut(self, item: Item, now: int) -> bool:
        """Settle an item that was cut by what was heard of it. False if it is settled already."""
        heard = self.playout.heard(item.id)
        text = item.words.text.strip() if item.written else item.words.heard(heard).strip()
        if not self._history.settle(item, "interrupted", text, now):
            return False
        heard_ms = pcm.samples_to_ms(heard)
        received_ms = pcm.samples_to_ms(sum(part.received for part in self.playout.parts(item.id)))
        self._announce(
            events.AgentSpeechInterrupted(
                item.id, text, "assistant", True, item.started_at, item.ended_at, heard_ms, received_ms
            )
        )
        self.playout.forget(item.id)
        return True

    def _announce(self, event: events.Announcement) -> None:
        self._out.append(commands.Announce(event))
