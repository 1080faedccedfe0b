"""The agent's side of a session: its answers as they come, as they are heard, and as they are cut.

The rules (design, sections 4 and 7):

1. An answer has begun when its first sample was heard, and is over when nothing of it is left to hear and nothing more
   is being made. `agent_started_speaking` and `agent_stopped_speaking` pair.
2. Every item is settled exactly once, before the agent stops speaking: committed when all of it was heard (or, without
   sound, read), interrupted when it was cut.
3. A cut begins with `StopPlaying` and is decided when the transport says what was heard: `Flushed`.
4. Of a cut item: nothing heard, delete it; everything heard, send nothing; else truncate it, once. Items of the same
   answer that had not begun are deleted. A text is never truncated.
5. Sound and words of an answer that was cut, and that come late, are dropped.
"""

from __future__ import annotations

from mmagent.core import commands, events, pcm
from mmagent.core.commands import Command
from mmagent.core.history import History, Item
from mmagent.core.latency import TurnMarks
from mmagent.core.playout import Part, Playout
from mmagent.core.protocol import Protocol


class Answers:
    """What the agent says. Commands are appended to `out`."""

    def __init__(self, history: History, protocol: Protocol, out: list[Command]) -> None:
        self.playout = Playout()
        self.marks = TurnMarks()
        self.stopping = False
        self._history = history
        self._protocol = protocol
        self._out = out
        self._speaking: str | None = None
        self._stop_began = 0
        self._cutting: list[Item] = []
        self._dropped: set[str] = set()

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
        """The item of an answer; None if the answer was cut."""
        if response_id in self._dropped:
            return None
        item = self._history.ensure(item_id, "assistant")
        item.response_id = item.response_id or response_id
        return item if item.outcome == "open" and item not in self._cutting else None

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
        item = self._history.get(item_id)
        if item is not None and item.outcome == "open":
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
        item.words.add_audio(count)
        self.playout.give(item.id, content_index, count)
        self._out.append(commands.Play(sound))

    def item_ended(self, item_id: str, now: int) -> None:
        """No more of the item will come."""
        item = self._history.get(item_id)
        if item is None or item.all_here or item.outcome != "open" or item in self._cutting:
            return
        item.all_here = True
        item.words.finish()
        self.playout.complete(item.id)
        part = self.playout.part(item.id)
        if part is not None:
            if part.finished:
                self._commit(item, now)
        elif item.written:
            self._commit(item, now)
        else:
            self._interrupt(item, now)

    def response_ended(self, response_id: str, now: int) -> None:
        """No more of any item of this answer will come."""
        for item in self._history.open_items("assistant"):
            if item.response_id == response_id:
                self.item_ended(item.id, now)

    # --- as they are heard ---

    def played(self, total: int, now: int) -> None:
        """`total` samples were heard in all."""
        self._heard(self.playout.played(total), now)

    def stop_speaking_if_done(self, *, more_to_come: bool) -> None:
        """The agent has stopped when nothing is left to hear and nothing more is being made."""
        if self.audible and self.playout.drained and not self.stopping and not more_to_come:
            self._stop_speaking()

    def _heard(self, moved: list[Part], now: int) -> None:
        for part in moved:
            item = self._history.get(part.item_id)
            if item is None or item.outcome != "open":
                continue
            if item.started_at is None:
                self._begin_speaking(item, now)
            self._show(item, part.heard)
            if part.finished:
                self._commit(item, now)

    def _begin_speaking(self, item: Item, now: int) -> None:
        item.started_at = now
        if self._speaking is not None:
            return
        self._speaking = item.id
        self._announce(events.AgentStartedSpeaking(item.id))
        if self.marks.audible is None:
            self.marks.audible = now
            self._announce(self.marks.metrics(item.id))

    def _stop_speaking(self) -> None:
        item_id, self._speaking = self._speaking, None
        if item_id is not None:
            self._announce(events.AgentStoppedSpeaking(item_id))

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

    def stop(self, now: int) -> bool:
        """Take the word from the agent. True if the transport has been asked and will say what was heard."""
        if self.stopping:
            return True
        self._cutting = self._history.open_items("assistant")
        self._dropped.update(item.response_id for item in self._cutting if item.response_id)
        if not self.something_to_hear:
            self._cut(now)
            return False
        self.stopping = True
        self._stop_began = now
        self.playout.stop()
        self._out.append(commands.StopPlaying())
        return True

    def drop(self, response_id: str) -> None:
        """Nothing that this answer may still send is wanted."""
        self._dropped.add(response_id)

    def flushed(self, total: int, now: int) -> None:
        """The transport fell silent after `total` samples."""
        if not self.stopping:
            return
        self._heard(self.playout.flushed(total), now)
        self.stopping = False
        speaking = self._speaking
        self._cut(now)
        self._stop_speaking()
        if speaking is not None:
            self._announce(events.BargeIn(speaking, (now - self._stop_began) // 1000))

    def close(self, now: int) -> None:
        """The session is over: settle what is open, without a word to the engine."""
        self.stopping = False
        for item in self._history.open_items("assistant"):
            self._settle_cut(item, now)
        self._cutting = []
        self._stop_speaking()

    def _cut(self, now: int) -> None:
        cutting, self._cutting = self._cutting, []
        for item in cutting:
            self._interrupt(item, now)

    def _interrupt(self, item: Item, now: int) -> None:
        part = self._settle_cut(item, now)
        if item.outcome != "interrupted" or item.written:
            return
        if part is None or part.heard_ms == 0:
            self._protocol.delete(item.id)
        elif not part.finished:
            self._protocol.truncate(item.id, part.content_index, part.heard_ms)

    def _settle_cut(self, item: Item, now: int) -> Part | None:
        """Settle an item that was cut by what was heard of it. Returns its audio, if it has any."""
        part = self.playout.part(item.id)
        heard = part.heard if part is not None else 0
        text = item.words.text.strip() if item.written else item.words.heard(heard)
        if self._history.settle(item, "interrupted", text, now):
            heard_ms, received_ms = (part.heard_ms, part.received_ms) if part is not None else (0, 0)
            self._announce(
                events.AgentSpeechInterrupted(
                    item.id, text, "assistant", True, item.started_at, item.ended_at, heard_ms, received_ms
                )
            )
            self.playout.forget(item.id)
        return part

    def _announce(self, event: events.Announcement) -> None:
        self._out.append(commands.Announce(event))
