"""An answer in the making: words of the user -> thoughts -> spoken pieces.

A draft may begin before the turn has ended: the silence that ends a turn is time to use. If speech goes on, the draft
is thrown away unheard. Nothing here touches the protocol.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mmagent.core import pcm
from mmagent.core.settings import ToolSpec
from mmagent.engines.local.brain import ChatCall, ChatMessage
from mmagent.engines.local.functions import CallingBrain
from mmagent.engines.local.parts import Parts
from mmagent.engines.local.text import SentenceSplitter
from mmagent.resampler import resample


@dataclass(frozen=True)
class Manner:
    """How to answer. `max_tokens` None: no limit. `seed` makes the same words of the same thoughts."""

    temperature: float
    max_tokens: int | None
    seed: int
    spoken: bool
    verbatim: str | None = None
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str = "auto"


@dataclass(frozen=True)
class Piece:
    """A part of an answer: words in order, each with the sound (24 kHz) that begins with it. Text has no sound."""

    words: tuple[tuple[str, bytes], ...]


class Draft:
    """One answer. `pieces` ends with None; `failure` says why it ended early, `calls` what it wants called."""

    def __init__(self, parts: Parts, manner: Manner) -> None:
        self.pieces: asyncio.Queue[Piece | None] = asyncio.Queue()
        self.failure: Exception | None = None
        self.calls: list[ChatCall] = []
        self.tokens_in = 0
        self.tokens_out = 0
        self._parts = parts
        self._manner = manner
        self._stopped = threading.Event()
        self._loop = asyncio.get_running_loop()

    @property
    def cut_short(self) -> bool:
        """Whether the limit of tokens ended it."""
        limit = self._manner.max_tokens
        return limit is not None and self.tokens_out >= limit

    @property
    def stopped(self) -> bool:
        """Whether it was thrown away."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Throw it away: whatever is being computed ends as soon as it can."""
        self._stopped.set()

    async def answer(self, messages: Sequence[ChatMessage]) -> None:
        """Make the answer to `messages`."""
        sentences: asyncio.Queue[str | None] = asyncio.Queue()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._think(messages, sentences))
                group.create_task(self._speak(sentences))
        except* Exception as group_error:  # noqa: BLE001 - whatever a model throws ends this answer, not the session
            self.failure = group_error.exceptions[0]
            self._stopped.set()
        finally:
            self.pieces.put_nowait(None)

    async def _think(self, messages: Sequence[ChatMessage], sentences: asyncio.Queue[str | None]) -> None:
        """The brain's thread hands over each sentence as soon as it is whole."""
        manner, brain = self._manner, self._parts.brain

        def tell(ready: list[str]) -> None:
            for sentence in ready:
                self._loop.call_soon_threadsafe(sentences.put_nowait, sentence)

        def work() -> None:
            splitter = SentenceSplitter()
            if manner.verbatim is not None:
                tell(splitter.feed(manner.verbatim))
            else:
                for piece in self._reply(messages):
                    self.tokens_out += 1
                    if isinstance(piece, ChatCall):
                        self.calls.append(piece)
                    else:
                        tell(splitter.feed(piece))
            if not self._stopped.is_set():
                tell(splitter.finish())
            if manner.verbatim is None:
                self.tokens_in = sum(brain.count(message.content) for message in messages)

        try:
            await self._loop.run_in_executor(self._parts.thinking, work)
        finally:
            self._loop.call_soon(sentences.put_nowait, None)

    def _reply(self, messages: Sequence[ChatMessage]) -> Iterator[str | ChatCall]:
        manner, brain = self._manner, self._parts.brain
        common: dict[str, Any] = {
            "temperature": manner.temperature,
            "max_tokens": manner.max_tokens,
            "seed": manner.seed,
            "stopped": self._stopped.is_set,
        }
        if manner.tools and isinstance(brain, CallingBrain):
            return brain.reply_or_call(messages, manner.tools, manner.tool_choice, **common)
        return brain.reply(messages, **common)

    async def _speak(self, sentences: asyncio.Queue[str | None]) -> None:
        while (sentence := await sentences.get()) is not None:
            if self._stopped.is_set():
                continue
            if self._manner.spoken:
                piece = await self._loop.run_in_executor(self._parts.speaking, self._say, sentence)
            else:
                piece = Piece(((sentence, b""),))
            if not self._stopped.is_set():
                self.pieces.put_nowait(piece)

    def _say(self, sentence: str) -> Piece:
        """A sentence with its sound, cut where its words begin."""
        voice = self._parts.voice
        if voice is None or self._stopped.is_set():
            return Piece(((sentence, b""),))
        sound, spans = voice.speak_words(sentence)
        return Piece(tuple(_cut(spans, sound, voice.rate)))


def _cut(spans: Sequence[tuple[str, int]], sound: NDArray[np.int16], rate: int) -> list[tuple[str, bytes]]:
    """Each word with its own sound at 24 kHz; sound before the first word goes with it."""
    whole = resample(sound, rate, pcm.RATE)
    starts = [start * pcm.RATE // rate for _, start in spans]
    if starts:
        starts[0] = 0
    ends = [*starts[1:], len(whole)]
    return [(word, whole[a:b].astype("<i2").tobytes()) for (word, _), a, b in zip(spans, starts, ends, strict=True)]
