"""The local engine: the server role of the Realtime protocol, on this machine.

It means what OpenAI's `server_vad` means, and uses the silence that ends a turn: at the first pause it writes down
what was said, begins to think and to speak, unheard; when the turn ends the answer is there. If speech goes on, the
draft is thrown away.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmagent.core import happenings as h
from mmagent.core import pcm, vad
from mmagent.core.events import Event, LinkUp, Received
from mmagent.core.protocol import Protocol, Role
from mmagent.core.settings import SAY, Dialect, TurnDetection
from mmagent.engines.local.brain import ChatMessage
from mmagent.engines.local.draft import Draft, Manner
from mmagent.engines.local.ears import RATE, Ears, vad_settings
from mmagent.engines.local.formats import Decoder
from mmagent.engines.local.memory import Memory
from mmagent.engines.local.parts import PartNames, Parts, Progress, no_progress
from mmagent.engines.local.replies import Order, Replies, words_of

LISTEN_BYTES = 48_000
"""Bytes (a second of PCM) that are listened to at once: sessions share one thread, and nobody is to wait long."""

PARTIAL_EVERY = RATE * 3 // 4
"""Samples of speech between two partial transcripts, at the least: each keeps the recogniser busy for 0.1 s."""

DEFAULT_TEMPERATURE = 0.8
"""The seed's default."""


@dataclass
class _Turn:
    """A turn of the user: from speech started until it is written down. Positions in samples at 16 kHz."""

    item_id: str
    start: int
    text: asyncio.Task[str] | None = None
    draft: Draft | None = None
    making: asyncio.Task[None] | None = None
    last_words: str = ""
    told_words: str = ""
    next_partial: int = 0


class LocalEngine:
    """One session with the models of this machine."""

    def __init__(
        self,
        names: PartNames,
        *,
        temperature: float | None = None,
        seed: int = 1,
        speaks: bool = True,
        progress: Progress = no_progress,
        parts: Parts | None = None,
        session_id: str = "local",
        dialect: Dialect = "ga",
    ) -> None:
        """`parts` are models that are loaded already and stay loaded; `session_id` tells sessions apart."""
        self._names = names
        self._shared = parts
        self._session_id = session_id
        self._temperature = DEFAULT_TEMPERATURE if temperature is None else temperature
        self._seed = seed
        self._speaks = speaks
        self._progress = progress
        self._protocol = Protocol(Role.SERVER, dialect=dialect, ids="" if session_id == "local" else f"_{session_id}")
        self._closed = asyncio.Event()
        self._fresh: deque[tuple[Decoder, bytearray] | Callable[[], None]] = deque()
        self._decoder = Decoder(pcm.Encoding())
        self._came = asyncio.Event()
        self._digested = asyncio.Event()
        self._digested.set()
        self._session = h.SessionChanged("", "", ("audio",), None, TurnDetection(), True)
        self._turn: _Turn | None = None
        self._last_turn: _Turn | None = None
        self._manual_start = 0
        self._idle_since: int | None = None
        self._committing = 0
        self._emit: Callable[[Event], None] = lambda _event: None

    # --- the engine's interface ---

    async def run(self, emit: Callable[[Event], None]) -> None:
        """Serve one session until `close`."""
        self._emit = emit
        self._parts = self._shared or await Parts.load(self._names, speaks=self._speaks, progress=self._progress)
        try:
            self._ears = Ears(self._parts.detector())
            self._memory = Memory(self._protocol, self._parts.brain)
            self._replies = Replies(self._protocol, self._memory, self._spawn, self._tell, self._answered)
            emit(LinkUp())
            self._protocol.open(f"sess_{self._session_id}", f"local/{self._parts.brain.name}")
            self._tell()
            async with asyncio.TaskGroup() as self._tasks:
                listening = self._tasks.create_task(self._listen())
                await self._closed.wait()
                listening.cancel()
                self._drop_all()
                self._digested.set()  # nobody listens any more: who waits for it is let go
        finally:
            if self._shared is None:
                self._parts.close()

    def send(self, message: bytes) -> None:
        """A client message; what it asks for is begun, not awaited."""
        for happening in self._protocol.receive(message):
            self._obey(happening)
        self._tell()

    async def settled(self) -> None:
        """Wait until all audio that was sent has been listened to."""
        await self._digested.wait()

    def close(self) -> None:
        """Make `run` return."""
        self._closed.set()

    def _tell(self) -> None:
        for message in self._protocol.take():
            self._emit(Received(message))

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return self._tasks.create_task(work)

    @property
    def backlog(self) -> int:
        """Bytes of sound that came and were not listened to yet."""
        return sum(len(each[1]) for each in self._fresh if isinstance(each, tuple))

    # --- what the client asks for ---

    def _obey(self, happening: h.Happening) -> None:
        match happening:
            case h.AudioAppended(sound=sound):
                self._queue(sound)
            case h.SessionChanged():
                self._change(happening)
            case h.CommitAsked():
                self._committing += 1
                self._after_sound(self._commit_by_hand)
            case h.ClearAsked():
                self._after_sound(self._clear)
            case h.ItemCut(item_id=item_id, audio_end_ms=ms):
                self._memory.cut(item_id, ms)
            case h.ItemDeleted(item_id=item_id):
                self._memory.forget(item_id)
            case h.ReplyAsked() if self._committing:
                self._after_sound(lambda: self._answer_after_commit(happening))
            case h.ReplyAsked():
                self._answer_on_request(happening)
            case h.CancelAsked(response_id=response_id):
                self._replies.cancel("client_cancelled", response_id)
            case _:
                pass

    def _queue(self, sound: bytes) -> None:
        last = self._fresh[-1] if self._fresh else None
        if isinstance(last, tuple) and last[0] is self._decoder:
            last[1].extend(sound)
        else:
            self._fresh.append((self._decoder, bytearray(sound)))
        self._digested.clear()
        self._came.set()

    def _after_sound(self, deed: Callable[[], None]) -> None:
        """Do this when what came before it has been listened to, and nothing that came after it."""
        self._fresh.append(deed)
        self._digested.clear()
        self._came.set()

    def _change(self, settings: h.SessionChanged) -> None:
        self._session = settings
        if settings.heard != self._decoder.encoding:
            self._decoder = Decoder(settings.heard)
        detection = settings.turn_detection
        if detection is None:
            self._ears.keep(self._manual_start)
        else:
            self._after_sound(lambda: self._ears.speech.update(vad_settings(detection)))

    # --- listening ---

    async def _listen(self) -> None:
        while True:
            await self._came.wait()
            self._came.clear()
            while self._fresh:
                first = self._fresh[0]
                if isinstance(first, tuple):
                    decoder, sound = first
                    some = bytes(sound[:LISTEN_BYTES])
                    del sound[:LISTEN_BYTES]
                    if not sound:
                        self._fresh.popleft()
                    await self._listen_to(decoder, some)
                else:
                    self._fresh.popleft()
                    first()
                self._tell()
            self._digested.set()

    async def _listen_to(self, decoder: Decoder, sound: bytes) -> None:
        loop = asyncio.get_running_loop()
        told = await loop.run_in_executor(self._parts.listening, lambda: self._ears.hear(decoder.push(sound)))
        detection = self._session.turn_detection
        if detection is not None:
            for transition, following in zip_longest(told, told[1:]):
                if isinstance(transition, vad.Paused) and following is not None:
                    continue  # it is known already how the pause ended
                self._on_speech(transition, detection)
            self._write_along()
            self._mind_silence(detection)

    def _on_speech(self, transition: vad.Transition, detection: TurnDetection) -> None:
        match transition:
            case vad.Started(start=start):
                self._idle_since = None
                item_id = self._protocol.speech_started(vad.to_ms(start))
                self._turn = _Turn(item_id, start, next_partial=start + 2 * PARTIAL_EVERY)
                self._ears.keep(start)
                self._parts.thinking.submit(self._parts.brain.prepare, self._messages(None))
                if detection.interrupt_response:
                    self._replies.cancel("turn_detected")
            case vad.Paused(at=at):
                self._begin_draft(at)
            case vad.Resumed():
                self._throw_draft_away()
            case vad.Stopped(at=at):
                self._end_turn(at)

    def _end_turn(self, at: int) -> None:
        turn = self._turn
        if turn is None:
            return
        if turn.text is None:
            self._begin_draft(at)
        self._turn, self._last_turn = None, turn
        self._protocol.speech_stopped(turn.item_id, vad.to_ms(at))
        self._protocol.committed(turn.item_id)
        self._ears.keep(None)
        self._spawn(self._tell_words(turn, at - turn.start))
        if turn.draft is not None:
            self._replies.send_in_turn(self._order(turn.draft, at - turn.start))

    def _order(self, draft: Draft, user_samples: int = 0) -> Order:
        return Order(draft, "audio" in self._session.modalities, self._session.spoken, user_samples)

    def _answered(self, samples: int) -> None:
        """An answer is whole: it will be heard for so many samples more."""
        self._idle_since = self._ears.position + samples * RATE // pcm.RATE

    def _mind_silence(self, detection: TurnDetection) -> None:
        """`idle_timeout_ms` counts from the end of the answer's sound; then the engine speaks up by itself."""
        if detection.idle_timeout_ms is None or self._idle_since is None or self._turn is not None:
            return
        if self._ears.position - self._idle_since >= detection.idle_timeout_ms * RATE // 1000:
            start_ms, end_ms = (vad.to_ms(p) for p in (self._idle_since, self._ears.position))
            self._idle_since = None
            self._protocol.timed_out(start_ms, end_ms)
            if self._protocol.response is None:
                draft = Draft(self._parts, self._manner())
                self._replies.send(self._order(draft))
                self._spawn(draft.answer(self._messages(None)))

    # --- writing down ---

    def _write_along(self) -> None:
        """A partial transcript, when there is enough new speech and the recogniser is idle."""
        turn = self._turn
        if turn is None or turn.text is not None or self._ears.position < turn.next_partial:
            return
        if self._ears.speech.silence == 0 and self._session.transcribe:
            turn.next_partial = self._ears.position + 60 * RATE  # none while this one is made
            self._spawn(self._write_partial(turn, self._ears.sound(turn.start)))

    async def _write_partial(self, turn: _Turn, sound: NDArray[np.int16]) -> None:
        begun = self._ears.position
        text = await self._transcribe(sound)
        # The longer it took, the longer the next one waits: partials never get in the way of the whole.
        turn.next_partial = self._ears.position + max(PARTIAL_EVERY, self._ears.position - begun)
        if self._turn is turn and turn.text is None:
            self._tell_stable(turn, text)
            self._tell()
            # What was said so far is read ahead, so that only the last words are new when the turn ends.
            self._parts.thinking.submit(self._parts.brain.prepare, self._messages(text, leave_out=turn.item_id))

    def _tell_stable(self, turn: _Turn, text: str) -> None:
        """Tell the words that two partials agree on: what was told cannot be taken back."""
        agreed: list[str] = []
        for before, now in zip(turn.last_words.split(), text.split(), strict=False):
            if before != now:
                break
            agreed.append(now)
        turn.last_words = text
        stable = " ".join(agreed)
        if stable.startswith(turn.told_words) and len(stable) > len(turn.told_words):
            self._protocol.transcribing(turn.item_id, stable[len(turn.told_words) :])
            turn.told_words = stable

    async def _transcribe(self, sound: NDArray[np.int16]) -> str:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._parts.writing, self._parts.recogniser.transcribe, sound)
        except Exception as error:  # noqa: BLE001 - whatever a model throws leaves one turn unwritten
            self._protocol.refuse("server_error", words_of(error), kind="server_error")
            return ""

    async def _tell_words(self, turn: _Turn, samples: int) -> None:
        text = "" if turn.text is None else await turn.text
        self._protocol.transcribed(turn.item_id, text, round(samples / RATE, 3))
        self._tell()

    # --- answering ---

    def _begin_draft(self, at: int) -> None:
        """Speech paused: write down what was said until sample `at` and begin to answer, in case this was all."""
        turn = self._turn
        if turn is None or turn.text is not None:
            return
        detection = self._session.turn_detection
        turn.text = self._spawn(self._transcribe(self._ears.sound(turn.start, at)))
        if detection is not None and detection.create_response:
            turn.draft = Draft(self._parts, self._manner())
            turn.making = self._spawn(self._make(turn.draft, turn.text, turn.item_id))

    async def _make(self, draft: Draft, text: asyncio.Task[str], item_id: str) -> None:
        words = await text
        if draft.stopped or not any(c.isalnum() for c in words):
            draft.pieces.put_nowait(None)  # nobody said anything: a noise gets no answer
        else:
            await draft.answer(self._messages(words, leave_out=item_id))

    def _throw_draft_away(self) -> None:
        turn = self._turn
        if turn is not None:
            if turn.draft is not None:
                turn.draft.stop()
            turn.draft = turn.making = turn.text = None

    def _messages(self, words: str | None, leave_out: str = "") -> list[ChatMessage]:
        return self._memory.messages(words, self._session.instructions, leave_out)

    def _manner(self, asked: h.ReplyAsked | None = None) -> Manner:
        """How to answer: as the session says, but for what was asked for with the answer."""
        self._seed += 1
        session = self._session
        manner = Manner(
            self._temperature,
            session.max_output_tokens,
            self._seed,
            "audio" in session.modalities,
            tools=session.tools,
            tool_choice=session.tool_choice,
        )
        if asked is None:
            return manner
        said = asked.instructions or ""
        return dataclasses.replace(
            manner,
            max_tokens=asked.max_output_tokens or manner.max_tokens,
            spoken="audio" in (asked.modalities or session.modalities),
            verbatim=said.removeprefix(SAY) if said.startswith(SAY) else None,
            tools=manner.tools if asked.tools is None else asked.tools,
            tool_choice=asked.tool_choice or manner.tool_choice,
        )

    def _answer_on_request(self, asked: h.ReplyAsked) -> None:
        manner = self._manner(asked)
        draft = Draft(self._parts, manner)
        encoding = asked.spoken or self._session.spoken
        self._replies.send(Order(draft, manner.spoken, encoding, 0, asked.metadata, asked.aside))
        self._spawn(self._make_on_request(draft, asked))

    def _answer_after_commit(self, asked: h.ReplyAsked) -> None:
        """A commit waits for the last of its sound to be listened to; this answers it, so it waits behind it."""
        if self._protocol.response is None or asked.aside:
            self._answer_on_request(asked)

    async def _make_on_request(self, draft: Draft, asked: h.ReplyAsked) -> None:
        if self._last_turn is not None and self._last_turn.text is not None:
            await self._last_turn.text
        instructions = self._session.instructions if asked.instructions is None else asked.instructions
        if asked.about is None:
            await draft.answer(self._memory.messages(None, instructions))
        else:
            await draft.answer(self._memory.about(asked.about, instructions))

    # --- turns by hand ---

    def _commit_by_hand(self) -> None:
        """The client ends the turn: what was appended since the last commit is the turn."""
        self._committing -= 1
        turn = self._turn or _Turn("", self._manual_start)
        self._throw_draft_away()
        self._turn, self._last_turn = None, turn
        sound = self._ears.sound(turn.start)
        turn.item_id = self._protocol.committed(turn.item_id)
        turn.text = self._spawn(self._transcribe(sound))
        self._ears.speech.reset()
        self._mark_manual_start()
        self._spawn(self._tell_words(turn, len(sound)))

    def _clear(self) -> None:
        self._throw_draft_away()
        self._turn = None
        self._ears.speech.reset()
        self._mark_manual_start()

    def _mark_manual_start(self) -> None:
        self._manual_start = self._ears.position
        self._ears.keep(self._manual_start if self._session.turn_detection is None else None)

    def _drop_all(self) -> None:
        """The session is over: nothing that is being computed is wanted."""
        self._throw_draft_away()
        self._replies.drop()
