"""The client's role: what we say to a server, and what a server's messages mean."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from typing import Any, Literal

from mmagent.core import happenings as h
from mmagent.core import pcm, wire
from mmagent.core.conversation import Entry
from mmagent.core.faults import FATAL, HINTS, QUIET
from mmagent.core.protocol import forms
from mmagent.core.protocol.functions import Outputs
from mmagent.core.protocol.link import Role
from mmagent.core.settings import Dialect, SessionSettings


class Client(Outputs):
    """The client's half of a `Protocol`."""

    def __init__(self, role: Role, *, dialect: Dialect = "ga", ids: str = "") -> None:
        super().__init__(role, dialect=dialect, ids=ids)
        self._asked: str | None = None
        self._asked_for: dict[str, wire.ResponseParams | None] = {}
        self._next: Literal["wanted", "cancelled", "unwanted"] = "wanted"
        self._over: set[str] = set()
        self._wishes: deque[wire.ResponseParams | None] = deque()
        self._truncates: dict[str, wire.ConversationItemTruncate] = {}
        self._retried: set[str] = set()
        self._odd: dict[tuple[str, int], bytes] = {}
        self._said: dict[str, str] = {}

    def reset(self) -> None:
        """The link is lost: the next one begins an empty conversation. Ids go on, so that none comes twice."""
        events, items = self._event_ids, self._item_ids
        Client.__init__(self, self.role, dialect=self.dialect)
        self._event_ids, self._item_ids = events, items

    def restore(self, item_id: str, role: str, text: str) -> None:
        """Put an item of the old conversation into the new one, as text: its audio "cannot be recreated"."""
        kind = "output_text" if role == "assistant" else "input_text"
        item = wire.Item(type="message", id=item_id, role=role, content=[wire.ContentPart(type=kind, text=text)])
        self.conversation.add(Entry(item_id, role=role, status="completed", text=text, written=True), None)
        self._send(wire.ConversationItemCreate(item=item, event_id=self._event_id()))

    # --- what we say ---

    @property
    def busy(self) -> bool:
        """Whether an answer is being made, was asked for, or waits to be asked for."""
        return self.conversation.response is not None or self._asked is not None or bool(self._wishes)

    def configure(self, settings: SessionSettings) -> list[str]:
        """Send all settings. Returns what this dialect cannot say and the user asked for."""
        session = forms.session_of(settings)
        self._send(wire.SessionUpdate(session=session, event_id=self._event_id()))
        return wire.lacks(session, self.dialect)

    def append(self, sound: bytes) -> None:
        """Send microphone audio."""
        self._out.append(wire.encode(wire.InputAudioBufferAppend(audio=sound), self.dialect))

    def commit(self) -> None:
        """End the user's turn by hand."""
        self._send(wire.InputAudioBufferCommit(event_id=self._event_id()))

    def clear(self) -> None:
        """Forget the audio that is not committed."""
        self._send(wire.InputAudioBufferClear(event_id=self._event_id()))

    def add_text(self, text: str) -> str:
        """Put what the user typed into the conversation; its item id."""
        item_id = next(new for new in self._item_ids if new not in self.conversation.entries)
        content = [wire.ContentPart(type="input_text", text=text)]
        item = wire.Item(type="message", id=item_id, role="user", content=content)
        self.conversation.add(Entry(item_id, role="user", status="completed", text=text, written=True), None)
        self._send(wire.ConversationItemCreate(item=item, event_id=self._event_id()))
        return item_id

    def reply(self, instructions: str | None = None, *, tool_choice: str | None = None, aside: bool = False) -> None:
        """Ask for an answer; it waits behind the one that is being made. `aside`: it joins no conversation."""
        told = {"instructions": instructions, "tool_choice": tool_choice, "conversation": "none" if aside else None}
        given: dict[str, Any] = {name: value for name, value in told.items() if value is not None}
        self._wishes.append(wire.ResponseParams(**given) if given else None)
        self._ask()

    def give_up(self) -> None:
        """Expect no answer any more: the server does not react."""
        self._wishes.clear()
        self._asked, self._next = None, "wanted"
        if self.conversation.response is not None:
            self.conversation.end_response(self.conversation.response)

    def cancel(self, *, server_cancels: bool = False, expected: bool = False) -> None:
        """Take back every wish, and stop the answer that is being made: what still comes of it is dropped.

        `server_cancels`: the server stops by itself what it is making. It cannot know of what we just asked for.
        `expected`: the server is about to begin an answer by itself; that will be stopped as soon as it begins.
        """
        self._wishes.clear()
        self._asked_for.clear()
        talk = self.conversation
        if talk.response is not None and talk.response not in talk.shunned:
            talk.shunned.add(talk.response)
            if not server_cancels:
                self._send(wire.ResponseCancel(event_id=self._event_id()))
        if self._asked is not None:
            if self._next == "wanted":
                self._send(wire.ResponseCancel(event_id=self._event_id()))
            self._next = "cancelled"
        elif expected:
            self._next = "unwanted"

    def delete(self, item_id: str) -> None:
        """Take an item out; what still comes of it is dropped."""
        if self.conversation.delete(item_id):
            self._send(wire.ConversationItemDelete(item_id=item_id, event_id=self._event_id()))

    def truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        """Tell how much of an answer was heard; what still comes of it is dropped. Once an item."""
        known = self.conversation.entries.get(item_id)
        if known is None or known.cut_ms is not None:
            return
        self.conversation.truncate(item_id, audio_end_ms)
        self._send_truncate(item_id, content_index, audio_end_ms)

    def _send_truncate(self, item_id: str, content_index: int, audio_end_ms: int) -> None:
        event_id = self._event_id()
        message = wire.ConversationItemTruncate(
            item_id=item_id, content_index=content_index, audio_end_ms=audio_end_ms, event_id=event_id
        )
        self._truncates[event_id] = message
        self._send(message)

    def _ask(self) -> None:
        if self._wishes and self._asked is None and self.conversation.response is None:
            self._asked, self._next, wish = self._event_id(), "wanted", self._wishes.popleft()
            self._asked_for = {self._asked: wish}
            if wish is None or wish.conversation != "none":
                self.excuse()  # it sees all that was sent before it
            self._send(wire.ResponseCreate(response=wish, event_id=self._asked))

    # --- what the server says ---

    def _from_server(  # noqa: C901, PLR0912, PLR0915 - a table: one arm a message
        self, message: wire.ServerMessage | wire.Unknown | wire.Malformed
    ) -> Iterator[h.Happening]:
        talk = self.conversation
        match message:
            case wire.ResponseOutputAudioDelta():
                yield from self._sound(message)
            case wire.ResponseOutputAudioTranscriptDelta(delta=delta):
                yield from self._words(message, delta, spoken=True)
            case wire.ResponseOutputTextDelta(delta=delta):
                yield from self._words(message, delta, spoken=False)
            case wire.ResponseOutputAudioTranscriptDone(transcript=text):
                yield from self._all_words(message, text, spoken=True)
            case wire.ResponseOutputTextDone(text=text):
                yield from self._all_words(message, text, spoken=False)
            case wire.SessionCreated(session=session):
                expires = session.expires_at
                yield h.SessionBegan(expires if isinstance(expires, int) else None)
            case wire.SessionUpdated():
                yield h.SessionReady()
            case wire.InputAudioBufferSpeechStarted(item_id=item_id, audio_start_ms=ms):
                talk.speech = item_id
                self._next = "wanted"  # it belongs to this turn
                yield h.SpeechBegan(item_id, ms)
            case wire.InputAudioBufferSpeechStopped(item_id=item_id, audio_end_ms=ms):
                yield h.SpeechEnded(item_id, ms)
            case wire.InputAudioBufferCommitted(item_id=item_id):
                talk.speech = None
                yield h.TurnTaken(item_id)
            case wire.InputAudioBufferCleared():
                talk.speech = None
            case wire.ConversationItemAdded(item=item, previous_item_id=previous):
                yield from self._item_added(item, previous, "")
            case wire.ResponseOutputItemAdded(item=item, response_id=response_id):
                yield from self._item_added(item, None, response_id)
            case wire.ConversationItemDone(item=item):
                yield from self._item_done(item)
            case wire.ResponseOutputItemDone(item=item, response_id=response_id):
                self._note_call(response_id, item)
                yield from self._item_done(item)
            case wire.ResponseFunctionCallArgumentsDone(item_id=item_id, response_id=response_id):
                call_id, name, said = message.call_id, message.name, message.arguments
                item = wire.Item(type="function_call", id=item_id, call_id=call_id, name=name, arguments=said)
                self._note_call(response_id, item)
            case wire.ConversationItemInputAudioTranscriptionDelta(item_id=item_id, delta=delta):
                self._said[item_id] = self._said.get(item_id, "") + delta
                yield h.UserWords(item_id, self._said[item_id], final=False)
            case wire.ConversationItemInputAudioTranscriptionUpdated(item_id=item_id, transcript=text):
                self._said[item_id] = text
                yield h.UserWords(item_id, text, final=False)
            case wire.ConversationItemInputAudioTranscriptionCompleted(item_id=item_id, transcript=text):
                self._said.pop(item_id, None)
                if item_id in talk.entries:
                    talk.entries[item_id].text = text
                yield h.UserWords(item_id, text.strip(), final=True, usage=forms.builtins(message.usage))
            case wire.ConversationItemInputAudioTranscriptionFailed(item_id=item_id):
                text = self._said.pop(item_id, "")
                yield h.UserWords(item_id, text.strip(), final=True, failed=True)
            case wire.ConversationItemTruncated(item_id=item_id, audio_end_ms=ms):
                talk.truncate(item_id, ms)
            case wire.ConversationItemDeleted(item_id=item_id):
                talk.delete(item_id)
            case wire.ResponseCreated(response=response):
                yield from self._response_began(response.id)
            case wire.ResponseDone(response=response):
                yield from self._response_done(response)
            case wire.Error(error=error):
                yield from self._error(error)
            case _:
                pass  # "unknown type -> ignore, never raise" (tolerance rule 2)

    def _sound(self, message: wire.ResponseOutputAudioDelta) -> Iterator[h.Happening]:
        if not self.conversation.is_open(message.item_id, message.response_id):
            return
        entry = self.conversation.entry(message.item_id, message.response_id)
        # "After decoding, an odd byte count is possible from compat servers: carry 1 byte per (item, part)" (trap 11)
        key = (message.item_id, message.content_index)
        sound = self._odd.pop(key, b"") + message.delta
        if len(sound) % pcm.SAMPLE_BYTES:
            self._odd[key] = sound[-1:]
            sound = sound[:-1]
        if sound:
            entry.samples += pcm.samples(sound)
            yield h.AnswerSound(message.response_id, message.item_id, message.content_index, sound)

    def _words(
        self,
        message: wire.ResponseOutputAudioTranscriptDelta
        | wire.ResponseOutputTextDelta
        | wire.ResponseOutputAudioTranscriptDone
        | wire.ResponseOutputTextDone,
        delta: str,
        *,
        spoken: bool,
    ) -> Iterator[h.Happening]:
        if delta and self.conversation.is_open(message.item_id, message.response_id):
            self.conversation.entry(message.item_id, message.response_id).text += delta
            yield h.AnswerWords(message.response_id, message.item_id, delta, spoken)

    def _all_words(
        self, message: wire.ResponseOutputAudioTranscriptDone | wire.ResponseOutputTextDone, text: str, *, spoken: bool
    ) -> Iterator[h.Happening]:
        if not self.conversation.is_open(message.item_id, message.response_id):
            return
        entry = self.conversation.entry(message.item_id, message.response_id)
        if not entry.text:  # it came in one piece
            yield from self._words(message, text, spoken=spoken)
        entry.text = text
        yield h.AnswerText(message.item_id, text)

    def _item_added(self, item: wire.Item, previous: str | None, response_id: str) -> Iterator[h.Happening]:
        if not item.id:
            return
        self._arrived(item.id)
        whole = item.status in ("completed", "incomplete") and not response_id
        status: Any = item.status if whole else "in_progress"
        entry = Entry(item.id, item.type, item.role or "", status, forms.text_of(item))
        entry.call_id, entry.name = item.call_id or "", item.name or ""
        known = self.conversation.add(entry, previous)
        if item.id in self.conversation.gone:
            return
        known.response_id = known.response_id or response_id
        if not response_id or item.type != "message":
            return
        if response_id in self.conversation.shunned:
            self.delete(item.id)  # nothing of it will be heard, and the server is to know
        elif self.conversation.is_open(item.id, response_id):
            yield h.AnswerBegan(response_id, item.id)

    def _item_done(self, item: wire.Item) -> Iterator[h.Happening]:
        known = self.conversation.entries.get(item.id or "")
        if known is None:
            return
        if known.role == "assistant" and known.status == "in_progress":
            yield h.AnswerEnded(known.id)
        self.conversation.finish(known.id, "incomplete" if item.status == "incomplete" else "completed")
        if item.type == "message" and known.cut_ms is None and known.role == "assistant":
            known.text = forms.text_of(item) or known.text

    def _response_began(self, response_id: str) -> Iterator[h.Happening]:
        if self._asked is None:  # the server's own: it has seen what was in the conversation before it
            self._seen_by_server()
        fate, self._asked, self._next = self._next, None, "wanted"
        self.conversation.begin_response(response_id)
        if fate == "cancelled":
            self.conversation.shunned.add(response_id)
        elif fate == "unwanted":
            self.cancel()
        yield h.ResponseBegan(response_id)

    def _response_done(self, response: wire.Response) -> Iterator[h.Happening]:
        if response.id in self._over:
            return
        self._over |= {response.id} - {""}
        if response.id not in self.conversation.ended:
            self._asked = None
        self.conversation.end_response(response.id)
        calls = self._calls_of(response)
        why, code = forms.why(response)
        if code in FATAL:
            yield h.Fault(code, why, FATAL[code], fatal=True)
        cut = response.id in self.conversation.shunned
        usage = forms.builtins(response.usage)
        yield h.ResponseEnded(response.id, response.status, why, usage=usage, calls=calls, cut=cut)
        self._ask()

    def _error(self, error: wire.ErrorDetail) -> Iterator[h.Happening]:
        code = error.code or error.type
        busy = code == "conversation_already_has_active_response"
        event_id = error.event_id or (busy and self._asked) or ""
        if event_id and event_id == self._asked:
            self._asked, self._next = None, "wanted"
        if event_id in self._asked_for:
            wish = self._asked_for.pop(event_id)
            if busy:
                self._wishes.appendleft(wish)  # asked again when that answer is done
        refused = self._truncates.pop(event_id, None)
        shorter = re.search(r"Audio content of (\d{1,9})ms is already shorter", error.message)
        if refused is not None and shorter is not None:
            # "parse X from the message and retry once with X - 1" (reference, section 2, rule 2)
            if refused.item_id not in self._retried and int(shorter[1]) > 1:
                self._retried.add(refused.item_id)
                self._send_truncate(refused.item_id, refused.content_index, int(shorter[1]) - 1)
            yield h.Fault(code, error.message, quiet=True)
        else:
            hint = FATAL.get(code) or HINTS.get(code, "")
            yield h.Fault(code, error.message, hint, fatal=code in FATAL, quiet=code in QUIET)
        if not busy:
            self._ask()
