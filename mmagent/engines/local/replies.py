"""Answers on their way to the client: pieces of a draft as messages, one answer after another."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from mmagent.core import happenings as h
from mmagent.core import pcm
from mmagent.core.alignment import Alignment
from mmagent.core.protocol import Protocol
from mmagent.engines.local.draft import Draft, Piece
from mmagent.engines.local.ears import RATE
from mmagent.engines.local.formats import Encoder
from mmagent.engines.local.memory import Memory
from mmagent.errors import MmagentError

FRAME = pcm.RATE // 5
"""Samples in an audio message: 200 ms at most."""


@dataclass
class Order:
    """An answer to be sent. `user_samples` (16 kHz) is the turn that it answers; `aside`: it joins no conversation."""

    draft: Draft
    spoken: bool
    encoding: pcm.Encoding
    user_samples: int = 0
    metadata: dict[str, Any] | None = None
    aside: bool = False


@dataclass
class _Reply:
    """The answer that is being sent."""

    response_id: str
    order: Order
    encoder: Encoder
    item_id: str = ""
    said: Alignment = field(default_factory=Alignment)
    samples: int = 0
    over: bool = False


class Replies:
    """The answers of one session: the one that is being sent, the one that waits behind it, and those aside.

    `spawn` begins a task, `tell` sends the messages that wait; `ended(samples)` is told when an answer is whole, with
    the length of its sound (24 kHz).
    """

    def __init__(
        self,
        protocol: Protocol,
        memory: Memory,
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        tell: Callable[[], None],
        ended: Callable[[int], None],
    ) -> None:
        self._protocol = protocol
        self._memory = memory
        self._spawn = spawn
        self._tell = tell
        self._ended = ended
        self._reply: _Reply | None = None
        self._next: Order | None = None
        self._asides: dict[str, _Reply] = {}

    def send(self, order: Order) -> None:
        """Begin to send an answer; nobody may be in its way."""
        response_id = self._protocol.begin_response(order.metadata, aside=order.aside)
        reply = _Reply(response_id, order, Encoder(order.encoding))
        if order.aside:
            self._asides[response_id] = reply
        else:
            self._reply = reply
        self._spawn(self._send_pieces(reply))

    def send_in_turn(self, order: Order) -> None:
        """Send an answer; it waits behind one that speech was not allowed to cut. Of several the latest waits."""
        if self._protocol.response is None:
            self.send(order)
            return
        if self._next is not None:
            self._next.draft.stop()
        self._next = order

    def cancel(self, reason: str, response_id: str = "") -> None:
        """Stop the answer that is being sent, and the one behind it; or one aside, by its id."""
        aside = self._asides.get(response_id)
        if aside is not None:
            aside.order.draft.stop()
            self._end(aside, "cancelled", reason)
            return
        if self._next is not None:
            self._next.draft.stop()
            self._next = None
        if self._reply is not None:
            self._reply.order.draft.stop()
            self._end(self._reply, "cancelled", reason)

    def drop(self) -> None:
        """The session is over: stop all, and say nothing."""
        if self._next is not None:
            self._next.draft.stop()
        for reply in (self._reply, *self._asides.values()):
            if reply is not None:
                reply.order.draft.stop()
                reply.over = True
        self._reply = self._next = None
        self._asides.clear()

    async def _send_pieces(self, reply: _Reply) -> None:
        while (piece := await reply.order.draft.pieces.get()) is not None:
            if reply.over:
                return
            self._send_piece(reply, piece)
            self._tell()
        if not reply.over:
            self._finish(reply)
            self._tell()

    def _send_piece(self, reply: _Reply, piece: Piece) -> None:
        protocol, spoken = self._protocol, reply.order.spoken
        if not reply.item_id:
            reply.item_id = protocol.begin_item(reply.response_id, spoken=spoken)
            self._memory.note(reply.item_id, reply.said)
        for word, sound in piece.words:
            protocol.words(reply.response_id, reply.item_id, word, spoken=spoken)
            reply.said.add_text(word)
            for start in range(0, len(sound), FRAME * pcm.SAMPLE_BYTES):
                frame = sound[start : start + FRAME * pcm.SAMPLE_BYTES]
                protocol.sound(reply.response_id, reply.item_id, frame, reply.encoder.push(frame))
                reply.said.add_audio(pcm.samples(frame))
                reply.samples += pcm.samples(frame)

    def _finish(self, reply: _Reply) -> None:
        draft = reply.order.draft
        if reply.item_id and reply.order.spoken:
            self._protocol.sound(reply.response_id, reply.item_id, b"", reply.encoder.finish())
        status, reason = "completed", ""
        if draft.failure is not None:
            status, reason = "failed", "server_error"
            self._protocol.refuse("server_error", words_of(draft.failure), kind="server_error")
        elif draft.cut_short:
            status, reason = "incomplete", "max_output_tokens"
        self._end(reply, status, reason)
        if self._reply is None:
            self._ended(reply.samples)

    def _end(self, reply: _Reply, status: str, reason: str) -> None:
        protocol, draft = self._protocol, reply.order.draft
        reply.over = True
        self._asides.pop(reply.response_id, None)
        if self._reply is reply:
            self._reply = None
        reply.said.finish()
        if reply.item_id:
            whole = status == "completed"
            protocol.end_item(reply.response_id, reply.item_id, spoken=reply.order.spoken, whole=whole)
        for call in draft.calls if status == "completed" else ():
            item_id = protocol.begin_call(reply.response_id, call.function.name, call.id)
            protocol.call_arguments(reply.response_id, item_id, call.function.arguments)
            protocol.end_call(reply.response_id, item_id)
        count = h.UsageCount(
            text_in=draft.tokens_in,
            audio_in=reply.order.user_samples * 10 // RATE,
            text_out=draft.tokens_out,
            audio_out=reply.samples * 20 // pcm.RATE,
        )
        protocol.end_response(reply.response_id, status, reason, count)
        if self._next is not None and self._reply is None:
            order, self._next = self._next, None
            self.send_in_turn(order)


def words_of(error: Exception) -> str:
    """What is told of a model that failed."""
    return error.message if isinstance(error, MmagentError) else f"The local engine failed ({error})."
