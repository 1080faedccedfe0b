"""What the language model is to see of a conversation: what was said, and of each answer what was heard."""

from __future__ import annotations

from typing import Literal

import msgspec

from mmagent.core import happenings as h
from mmagent.core import pcm
from mmagent.core.alignment import Alignment
from mmagent.core.protocol import Protocol
from mmagent.engines.local.brain import Brain, ChatMessage
from mmagent.engines.local.functions import CallingBrain, add_call, outputs_in

DEFAULT_INSTRUCTIONS = (
    "You are a friendly voice assistant. Reply with one or two short spoken sentences, in plain words."
)

Speaker = Literal["system", "user", "assistant"]


class Memory:
    """The conversation as text. The engine knows where its own words stand in its own sound, and cuts them there."""

    def __init__(self, protocol: Protocol, brain: Brain) -> None:
        self._talk = protocol.conversation
        self._brain = brain
        self._answers: dict[str, Alignment] = {}

    def note(self, item_id: str, said: Alignment) -> None:
        """An answer begins; its words and sound will be added to `said`."""
        self._answers[item_id] = said

    def cut(self, item_id: str, audio_end_ms: int) -> None:
        """Only so much of an answer was heard: that is what was said."""
        said = self._answers.get(item_id)
        if said is not None:
            heard = said.heard(pcm.ms_to_samples(audio_end_ms))
            self._answers[item_id] = Alignment()
            self._answers[item_id].add_text(heard)

    def forget(self, item_id: str) -> None:
        """The item is gone."""
        self._answers.pop(item_id, None)

    def messages(self, words: str | None, instructions: str, leave_out: str = "") -> list[ChatMessage]:
        """The whole conversation, with what the user says now (`words`, item `leave_out`)."""
        messages = _begin(instructions)
        entries = self._talk.entries
        outputs = outputs_in(entries) if isinstance(self._brain, CallingBrain) else {}
        for item_id in self._talk.order:
            entry = entries[item_id]
            if entry.kind == "function_call":
                add_call(messages, entry, outputs.get(entry.call_id))
            elif item_id != leave_out:
                _add(messages, entry.role, self._text(item_id, entry.text))
        if words:
            messages.append(ChatMessage("user", words))
        return messages

    def about(self, lines: tuple[h.Line, ...], instructions: str) -> list[ChatMessage]:
        """What an answer is to be about, in place of the conversation."""
        messages = _begin(instructions)
        for line in lines:
            entry = self._talk.entries.get(line.item_id)
            role, text = (line.role, line.text) if entry is None else (entry.role, entry.text)
            _add(messages, role, self._text(line.item_id, text))
        return messages

    def _text(self, item_id: str, text: str) -> str:
        said = self._answers.get(item_id)
        return text if said is None else said.text


def _begin(instructions: str) -> list[ChatMessage]:
    return [ChatMessage("system", instructions or DEFAULT_INSTRUCTIONS)]


def _add(messages: list[ChatMessage], role: str, text: str) -> None:
    if text.strip() and role in ("user", "assistant", "system"):
        messages.append(ChatMessage(msgspec.convert(role, Speaker), text.strip()))
