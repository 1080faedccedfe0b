"""The server's role: what a client's messages ask for, and what we say to a client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from mmagent.core import happenings as h
from mmagent.core import pcm, wire
from mmagent.core.conversation import Conversation, Entry
from mmagent.core.protocol import forms, limits
from mmagent.core.protocol.link import Link, Role, counter
from mmagent.core.settings import Dialect, SessionSettings

LEAST_COMMIT_MS = 100
"""A commit of less audio is refused ("< 100 ms buffered", reference, section 1.2)."""


class Server(Link):
    """The server's half of a `Protocol`."""

    def __init__(self, role: Role, *, dialect: Dialect = "ga", ids: str = "") -> None:
        super().__init__(role, dialect=dialect, ids=ids)
        self._response_ids = counter(f"resp{ids}")
        self._session = self._first = wire.Session(type="realtime")
        self._settings = h.SessionChanged("", "", ("audio",), None, None, transcribe=True)
        self._buffered = 0
        self._asides: dict[str, Conversation] = {}
        self._metadata: dict[str, dict[str, Any]] = {}

    # --- what the client says ---

    def _from_client(  # noqa: C901, PLR0912, PLR0915 - a table: one arm a message
        self, message: wire.ClientMessage | wire.Unknown | wire.Malformed
    ) -> Iterator[h.Happening]:
        match message:
            case wire.InputAudioBufferAppend(audio=sound):
                self._buffered += self._settings.heard.samples(len(sound))
                yield h.AudioAppended(sound)
            case wire.SessionUpdate(session=session, event_id=event_id):
                if refusal := limits.of_session(session):
                    self.refuse("invalid_value", refusal.reason, event_id, refusal.param)
                else:
                    self._session = limits.updated(self._session, session, self._first)
                    self._settings = forms.session_changed(self._session)
                    self._send(wire.SessionUpdated(session=self._session, event_id=self._event_id()))
                    yield self._settings
            case wire.InputAudioBufferCommit(event_id=event_id):
                if pcm.samples_to_ms(self._buffered) < LEAST_COMMIT_MS:
                    ms = pcm.samples_to_ms(self._buffered)
                    text = (
                        "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
                        f"but buffer only has {ms}.00ms of audio."
                    )
                    self.refuse("input_audio_buffer_commit_empty", text, event_id)
                else:
                    yield h.CommitAsked(event_id)
            case wire.InputAudioBufferClear():
                self._buffered = 0
                self.conversation.speech = None
                self._send(wire.InputAudioBufferCleared(event_id=self._event_id()))
                yield h.ClearAsked()
            case wire.ConversationItemCreate():
                yield from self._put(message)
            case wire.ConversationItemRetrieve(item_id=item_id, event_id=event_id):
                self._retrieve(item_id, event_id)
            case wire.ConversationItemTruncate():
                yield from self._cut(message)
            case wire.ConversationItemDelete(item_id=item_id, event_id=event_id):
                if item_id in self.conversation.entries:
                    self.conversation.delete(item_id)
                    self._send(wire.ConversationItemDeleted(item_id=item_id, event_id=self._event_id()))
                    yield h.ItemDeleted(item_id)
                else:
                    text = f"Error deleting item: the item with id '{item_id}' does not exist."
                    self.refuse("item_delete_invalid_item_id", text, event_id, "item_id")
            case wire.ResponseCreate():
                yield from self._asked_to_answer(message)
            case wire.ResponseCancel(response_id=response_id, event_id=event_id):
                active = response_id or self.conversation.response or ""
                if active != self.conversation.response and active not in self._asides:
                    text = "Cancellation failed: no active response found"
                    self.refuse("response_cancel_not_active", text, event_id)
                else:
                    yield h.CancelAsked(active)
            case wire.OutputAudioBufferClear(event_id=event_id):
                text = "Output audio buffers exist over WebRTC and SIP only."
                self.refuse("invalid_event", text, event_id, "type")
            case wire.Unknown(type=kind, raw=raw):
                text = f"Invalid value: '{kind}'. It is not the type of a client event."
                self.refuse("invalid_value", text, forms.event_id_in(raw), "type")
            case wire.Malformed():
                self.refuse(message.code, message.reason, message.event_id, message.param)

    def _asked_to_answer(self, message: wire.ResponseCreate) -> Iterator[h.Happening]:
        asked = forms.reply_asked(message.response, message.event_id)
        refusal = limits.of_response(message.response, self.conversation.entries)
        if refusal is not None:
            self.refuse("invalid_value", refusal.reason, message.event_id, refusal.param)
        elif not self._settings.answers:
            self.refuse("invalid_event", "A session of type transcription gives no answers.", message.event_id, "type")
        elif self.conversation.response is not None and not asked.aside:
            text = (
                f"Conversation already has an active response in progress: {self.conversation.response}. "
                "Wait until the response is finished before creating a new one."
            )
            self.refuse("conversation_already_has_active_response", text, message.event_id)
        else:
            yield asked

    def _put(self, message: wire.ConversationItemCreate) -> Iterator[h.Happening]:
        item, previous = message.item, message.previous_item_id
        item_id = item.id or next(self._item_ids)
        talk = self.conversation
        if refusal := limits.of_item(item, "item"):
            self.refuse("invalid_value", refusal.reason, message.event_id, refusal.param)
            return
        if item_id in talk.entries:
            text = f"Error adding item: an item with id '{item_id}' already exists."
            self.refuse("item_create_duplicate_item_id", text, message.event_id, "item.id")
            return
        if previous not in (None, "root") and previous not in talk.entries:
            text = f"Error adding item: the previous item with id '{previous}' does not exist."
            self.refuse("item_create_invalid_previous_item_id", text, message.event_id, "previous_item_id")
            return
        talk.gone.discard(item_id)
        before = None if previous == "root" else previous or (talk.order[-1] if talk.order else None)
        role = item.role or ""
        written = any(part.text is not None for part in item.content or [])
        text, call_id = forms.text_of(item), item.call_id or ""
        name = item.name or ""
        entry = Entry(item_id, item.type, role, "completed", text, written=written, call_id=call_id, name=name)
        talk.add(entry, previous)
        whole = msgspec.structs.replace(item, id=item_id, object="realtime.item", status="completed")
        for kind in (wire.ConversationItemAdded, wire.ConversationItemDone):
            self._send(kind(item=whole, previous_item_id=before, event_id=self._event_id()))
        yield h.ItemPut(item_id)

    def _retrieve(self, item_id: str, event_id: str) -> None:
        entry = self.conversation.entries.get(item_id)
        if entry is None:
            text = f"Error retrieving item: the item with id '{item_id}' does not exist."
            self.refuse("item_retrieve_invalid_item_id", text, event_id, "item_id")
        else:
            self._send(wire.ConversationItemRetrieved(item=forms.item_of(entry), event_id=self._event_id()))

    def _cut(self, message: wire.ConversationItemTruncate) -> Iterator[h.Happening]:
        """The three ways in which a truncation fails are OpenAI's, in its words (reference, section 2)."""
        entry = self.conversation.entries.get(message.item_id)
        end_ms, event_id = message.audio_end_ms, message.event_id
        if entry is None:
            text = f"Error truncating item: the item with id '{message.item_id}' does not exist."
            self.refuse("item_truncate_invalid_item_id", text, event_id, "item_id")
        elif entry.role != "assistant" or entry.samples == 0:
            text = "Only model output audio messages can be truncated"
            self.refuse("unsupported_content_type", text, event_id, "item_id")
        elif end_ms >= entry.audio_ms + 1 and pcm.ms_to_samples(end_ms - 1) >= entry.samples:
            # A client that rounds the last millisecond up is believed.
            text = f"Audio content of {entry.audio_ms}ms is already shorter than {end_ms}ms"
            self.refuse("invalid_value", text, event_id, "audio_end_ms")
        elif end_ms < 0:
            self.refuse("invalid_value", f"Invalid value: {end_ms}. It must be 0 or more.", event_id, "audio_end_ms")
        else:
            self.conversation.truncate(entry.id, end_ms)
            done = wire.ConversationItemTruncated(
                item_id=entry.id, content_index=message.content_index, audio_end_ms=end_ms, event_id=self._event_id()
            )
            self._send(done)
            yield h.ItemCut(entry.id, end_ms)

    # --- what we say ---

    def open(self, session_id: str, model: str) -> None:
        """Say hello: `session.created` with the defaults (reference, section 1.4)."""
        defaults = forms.session_of(SessionSettings(model=model))
        self._session = msgspec.structs.replace(defaults, id=session_id, object="realtime.session")
        self._first, self._settings = self._session, forms.session_changed(self._session)
        self._send(wire.SessionCreated(session=self._session, event_id=self._event_id()))

    def refuse(self, code: str, text: str, event_id: str = "", param: str = "", kind: str = "") -> None:
        """An error about a client's message, or (kind `server_error`) about ourselves."""
        detail = wire.ErrorDetail(
            type=kind or "invalid_request_error",
            message=text,
            code=code,
            param=param or None,
            event_id=event_id or None,
        )
        self._send(wire.Error(error=detail, event_id=self._event_id()))

    def speech_started(self, audio_start_ms: int) -> str:
        """Speech began; the id of the item to come."""
        item_id = next(self._item_ids)
        self.conversation.speech = item_id
        message = wire.InputAudioBufferSpeechStarted(
            item_id=item_id, audio_start_ms=audio_start_ms, event_id=self._event_id()
        )
        self._send(message)
        return item_id

    def speech_stopped(self, item_id: str, audio_end_ms: int) -> None:
        """The turn is over."""
        message = wire.InputAudioBufferSpeechStopped(
            item_id=item_id, audio_end_ms=audio_end_ms, event_id=self._event_id()
        )
        self._send(message)

    def timed_out(self, audio_start_ms: int, audio_end_ms: int) -> None:
        """The user has been silent for `idle_timeout_ms`: the silence becomes a turn."""
        item_id = next(self._item_ids)
        message = wire.InputAudioBufferTimeoutTriggered(
            item_id=item_id, audio_start_ms=audio_start_ms, audio_end_ms=audio_end_ms, event_id=self._event_id()
        )
        self._send(message)
        self.committed(item_id)

    def committed(self, item_id: str = "") -> str:
        """The buffer becomes an item; its id."""
        talk = self.conversation
        item_id = item_id or next(self._item_ids)
        before = talk.order[-1] if talk.order else None
        talk.speech = None
        self._buffered = 0
        entry = talk.add(Entry(item_id, role="user", status="completed"), None)
        committed = wire.InputAudioBufferCommitted(item_id=item_id, previous_item_id=before, event_id=self._event_id())
        self._send(committed)
        for kind in (wire.ConversationItemAdded, wire.ConversationItemDone):
            self._send(kind(item=forms.item_of(entry), previous_item_id=before, event_id=self._event_id()))
        return item_id

    def transcribing(self, item_id: str, delta: str) -> None:
        """More of what the user is saying."""
        message = wire.ConversationItemInputAudioTranscriptionDelta(
            item_id=item_id, delta=delta, event_id=self._event_id()
        )
        self._send(message)

    def transcribed(self, item_id: str, text: str, seconds: float) -> None:
        """All that the user said, in so many seconds. The client is told if it wants to know."""
        if item_id in self.conversation.entries:
            self.conversation.entries[item_id].text = text
        if not self._settings.transcribe:
            return
        message = wire.ConversationItemInputAudioTranscriptionCompleted(
            item_id=item_id,
            transcript=text,
            usage=wire.TranscriptionUsage(type="duration", seconds=seconds),
            event_id=self._event_id(),
        )
        self._send(message)

    def _talk(self, response_id: str) -> Conversation:
        """Where an answer stands: in the conversation, or aside in one of its own."""
        return self._asides.get(response_id, self.conversation)

    def begin_response(self, metadata: dict[str, Any] | None = None, *, aside: bool = False) -> str:
        """An answer begins; its id. One that is `aside` may be made beside another, and joins no conversation."""
        response_id = next(self._response_ids)
        if aside:
            self._asides[response_id] = Conversation()
        if metadata is not None:
            self._metadata[response_id] = metadata
        self._talk(response_id).begin_response(response_id)
        self._send(wire.ResponseCreated(response=self._response(response_id), event_id=self._event_id()))
        return response_id

    def _response(self, response_id: str) -> wire.Response:
        return wire.Response(
            id=response_id,
            status="in_progress",
            conversation_id=None if response_id in self._asides else self._conversation_id,
            metadata=self._metadata.get(response_id),
        )

    @property
    def _conversation_id(self) -> str:
        return f"conv_{str(self._session.id).removeprefix('sess_')}"

    def begin_item(self, response_id: str, *, spoken: bool) -> str:
        """An answer gets a message with one part, of sound or text; its id."""
        talk = self._talk(response_id)
        item_id = next(self._item_ids)
        before = talk.order[-1] if talk.order else None
        entry = talk.add(Entry(item_id, role="assistant", written=not spoken, response_id=response_id), None)
        item = forms.item_of(entry)
        self._send(wire.ResponseOutputItemAdded(response_id=response_id, item=item, event_id=self._event_id()))
        if talk is self.conversation:
            self._send(wire.ConversationItemAdded(item=item, previous_item_id=before, event_id=self._event_id()))
        part = wire.ContentPart(type="audio", transcript="") if spoken else wire.ContentPart(type="text", text="")
        added = wire.ResponseContentPartAdded(
            response_id=response_id, item_id=item_id, part=part, event_id=self._event_id()
        )
        self._send(added)
        return item_id

    def words(self, response_id: str, item_id: str, delta: str, *, spoken: bool) -> None:
        """More text of an answer."""
        if not self._talk(response_id).is_open(item_id, response_id):
            return
        self._talk(response_id).entries[item_id].text += delta
        kind = wire.ResponseOutputAudioTranscriptDelta if spoken else wire.ResponseOutputTextDelta
        self._send(kind(response_id=response_id, item_id=item_id, delta=delta, event_id=self._event_id()))

    def sound(self, response_id: str, item_id: str, sound: bytes, written: bytes | None = None) -> None:
        """More audio of an answer, and how it is written where that is not 24 kHz PCM."""
        if not self._talk(response_id).is_open(item_id, response_id):
            return
        self._talk(response_id).entries[item_id].samples += pcm.samples(sound)
        delta = sound if written is None else written
        if delta:
            message = wire.ResponseOutputAudioDelta(
                response_id=response_id, item_id=item_id, delta=delta, event_id=self._event_id()
            )
            self._send(message)

    def end_item(self, response_id: str, item_id: str, *, spoken: bool, whole: bool) -> None:
        """No more of an item: everything that closes it, in OpenAI's order."""
        talk = self._talk(response_id)
        entry = talk.entries.get(item_id)
        if entry is None or entry.status != "in_progress":
            return
        talk.finish(item_id, "completed" if whole else "incomplete")
        ids: dict[str, Any] = {"response_id": response_id, "item_id": item_id}
        if spoken:
            self._send(wire.ResponseOutputAudioDone(**ids, event_id=self._event_id()))
            done = wire.ResponseOutputAudioTranscriptDone(**ids, transcript=entry.text, event_id=self._event_id())
            self._send(done)
            part = wire.ContentPart(type="audio", transcript=entry.text)
        else:
            self._send(wire.ResponseOutputTextDone(**ids, text=entry.text, event_id=self._event_id()))
            part = wire.ContentPart(type="text", text=entry.text)
        self._send(wire.ResponseContentPartDone(**ids, part=part, event_id=self._event_id()))
        item = forms.item_of(entry)
        if talk is self.conversation:
            before = talk.order[place - 1] if (place := talk.order.index(item_id)) else None
            self._send(wire.ConversationItemDone(item=item, previous_item_id=before, event_id=self._event_id()))
        self._send(wire.ResponseOutputItemDone(response_id=response_id, item=item, event_id=self._event_id()))

    def end_response(self, response_id: str, status: str, reason: str, usage: h.UsageCount) -> None:
        """An answer is over. `status`: completed, cancelled, incomplete, failed; `reason` says why if not completed."""
        talk = self._talk(response_id)
        if talk.response != response_id:
            return
        talk.end_response(response_id)
        entries = [e for e in talk.entries.values() if e.response_id == response_id]
        details = None if status == "completed" else wire.StatusDetails(type=status, reason=reason)
        response = msgspec.structs.replace(
            self._response(response_id),
            status=status,
            status_details=details,
            output=[forms.item_of(e) for e in entries],
            usage=forms.usage_of(usage),
        )
        self._asides.pop(response_id, None)
        self._metadata.pop(response_id, None)
        self._send(wire.ResponseDone(response=response, event_id=self._event_id()))
