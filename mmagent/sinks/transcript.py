"""The conversation as lines, in the order of speech.

Words do not come in order: an engine may write down what the user said after the agent has answered. So a line that is
whole waits for the open ones before it, and for no longer than `PATIENCE`. `Lines` prints what is let go; the console
also shows what is still open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mmagent.core.events import (
    AgentSpeechInterrupted,
    AgentStartedSpeaking,
    AgentTranscript,
    Announcement,
    FunctionCallsCollected,
    FunctionCallsFinished,
    SpeechCommitted,
    UserSpeechCommitted,
    UserStartedSpeaking,
    UserStoppedSpeaking,
    UserTranscript,
)

PATIENCE = 5_000_000
"""A whole line waits so many microseconds for the open lines before it, counted from the last news of any of them."""

Speaker = Literal["you", "agent", "tool"]


@dataclass
class Line:
    """One item of the conversation: what is known of it so far. The texts are as they came: not safe to print."""

    item_id: str
    speaker: Speaker
    touched: int
    text: str = ""
    unheard: str = ""
    done: bool = False
    interrupted: bool = False


class Transcript:
    """Announcements in; whole lines out, in order. `open` is what is still being said, or waits for its turn."""

    def __init__(self) -> None:
        self.open: list[Line] = []
        self._said: set[str] = set()

    def take(self, now: int, event: Announcement) -> list[Line]:
        """Learn from an announcement; the lines that are now whole and whose turn it is."""
        match event:
            case UserStartedSpeaking() | UserStoppedSpeaking():
                self._line(now, event.item_id, "you")
            case AgentStartedSpeaking():
                self._line(now, event.item_id, "agent")
            case UserTranscript():
                self._line(now, event.item_id, "you").text = event.text
            case AgentTranscript():
                line = self._line(now, event.item_id, "agent")
                line.text, line.unheard = event.heard, event.unheard
            case SpeechCommitted():
                self._commit(now, event)
            case FunctionCallsCollected():
                for call in event.calls:
                    spelled = f"{call.get('name', '')}({call.get('arguments', '')})"
                    self._line(now, call.get("call_id", ""), "tool").text = spelled
            case FunctionCallsFinished():
                for result in event.results:
                    self._answer(now, result)
            case _:
                pass
        return self._due(now)

    def gone(self, item_id: str) -> bool:
        """Whether the item's line was let go."""
        return item_id in self._said and all(line.item_id != item_id for line in self.open)

    def close(self) -> list[Line]:
        """What is left, in order: nothing more will be known of it."""
        left = [line for line in self.open if line.done or line.text]
        for line in left:
            line.interrupted |= line.speaker == "agent" and not line.done
        self.open = []
        return left

    def _line(self, now: int, item_id: str, speaker: Speaker) -> Line:
        """The open line of an item. What comes after an item is whole goes to a line that nobody sees."""
        found = next((line for line in self.open if line.item_id == item_id and not line.done), None)
        line = found or Line(item_id, speaker, now)
        if found is None and item_id not in self._said:
            self.open.append(line)
        line.touched = now
        return line

    def _commit(self, now: int, event: SpeechCommitted) -> None:
        line = self._line(now, event.item_id, "you" if isinstance(event, UserSpeechCommitted) else "agent")
        said = (line.text + line.unheard).lstrip()
        cut = isinstance(event, AgentSpeechInterrupted)
        # The event says what was heard; the rest is what the agent had ready beyond it.
        rest = said[len(event.text) :] if said.startswith(event.text) else line.unheard
        line.text, line.unheard, line.interrupted = event.text, rest if cut else "", cut
        self._finish(line)

    def _answer(self, now: int, result: dict[str, str]) -> None:
        line = self._line(now, result.get("call_id", ""), "tool")
        line.text = f"{line.text or result.get('name', '')} → {result.get('output', '')}"
        self._finish(line)

    def _finish(self, line: Line) -> None:
        line.done = True
        self._said.add(line.item_id)

    def _due(self, now: int) -> list[Line]:
        due: list[Line] = []
        while (at := next((i for i, line in enumerate(self.open) if line.done), None)) is not None:
            before = self.open[:at]
            if before and now - max(line.touched for line in self.open[: at + 1]) < PATIENCE:
                break
            due.append(self.open.pop(at))
            # Overtaken with nothing to show: should its words come after all, they make a new line.
            self.open[:at] = [line for line in before if line.text or line.unheard]
        return due
