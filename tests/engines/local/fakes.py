"""The four models, faked at the edge: what they are told is kept, what they say is written down in the test.

Speech is loudness. A sound of level 1 is the word "one", of level 2 "two", and so on up to "nine"; NOISE is loud and
is no word. So a test says what is heard, and everything between the samples and the messages is real.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from mmagent.core import pcm
from mmagent.engines.local.brain import ChatMessage
from mmagent.engines.local.parts import Parts

WORDS = ["_", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
NOISE = 10

WORD = 4800
"""Samples (24 kHz) that each word of the voice takes: 200 ms."""

_STEP = 3000


def loud(*levels: int, ms: int = 300) -> bytes:
    """So many ms of each level one after another, at 24 kHz: 0 is silence."""
    return b"".join(np.full(pcm.ms_to_samples(ms), level * _STEP, "<i2").tobytes() for level in levels)


def silence(ms: int) -> bytes:
    """Silence, at 24 kHz."""
    return pcm.silence(pcm.ms_to_samples(ms))


class Watched:
    """Keeps the names of the threads in which it was called."""

    def __init__(self) -> None:
        self.threads: set[str] = set()

    def note(self) -> None:
        self.threads.add(threading.current_thread().name)


class FakeDetector(Watched):
    """Loud is speech."""

    rate = 16_000
    window = 512

    def probability(self, window: NDArray[np.int16]) -> float:
        self.note()
        assert window.shape == (self.window,)
        return float(abs(int(window.astype(np.int32).mean())) > _STEP // 2)

    def reset(self) -> None:
        return


class FakeRecogniser(Watched):
    """Levels to words. `fails` is raised where it is set."""

    rate = 16_000
    name = "levels"

    def __init__(self) -> None:
        super().__init__()
        self.fails: Exception | None = None
        self.heard: list[str] = []

    def transcribe(self, sound: NDArray[np.int16]) -> str:
        self.note()
        if self.fails is not None:
            raise self.fails
        said: list[str] = []
        before, run = 0, 0
        for start in range(0, len(sound) - 159, 160):
            level = round(float(np.median(sound[start : start + 160])) / _STEP)
            run = run + 1 if level == before else 1
            before = level
            if run == 5 and 0 < level < NOISE:
                said.append(WORDS[level])
        self.heard.append(" ".join(said))
        return self.heard[-1]


class FakeBrain(Watched):
    """Says what `answer` says of the conversation, word by word; `gate` holds it back, `fails` is raised.

    `asked` are the conversations it was given, `reached` is set when the next one has come.
    """

    name = "fake"

    def __init__(self, answer: Callable[[Sequence[ChatMessage]], str]) -> None:
        super().__init__()
        self.answer = answer
        self.asked: list[list[ChatMessage]] = []
        self.prepared: list[list[ChatMessage]] = []
        self.stops = 0
        self.gate = threading.Event()
        self.gate.set()
        self.fails: Exception | None = None

    def reply(
        self,
        messages: Sequence[ChatMessage],
        *,
        temperature: float,
        max_tokens: int | None,
        seed: int,
        stopped: Callable[[], bool],
    ) -> Iterator[str]:
        self.note()
        self.asked.append(list(messages))
        while not self.gate.wait(0.01):
            if stopped():
                self.stops += 1
                return
        if self.fails is not None:
            raise self.fails
        for count, word in enumerate(self.answer(messages).split(" "), 1):
            if stopped():
                self.stops += 1
                return
            yield word if count == 1 else f" {word}"
            if count == max_tokens:
                return

    def prepare(self, messages: Sequence[ChatMessage]) -> None:
        self.note()
        self.prepared.append(list(messages))

    def count(self, text: str) -> int:
        self.note()
        return len(text.split())

    def close(self) -> None:
        return


class FakeVoice(Watched):
    """200 ms of sound a word."""

    name = "hum"
    rate = 24_000

    def speak(self, text: str) -> NDArray[np.int16]:
        return self.speak_words(text)[0]

    def speak_words(self, text: str) -> tuple[NDArray[np.int16], list[tuple[str, int]]]:
        self.note()
        words = re.findall(r"\s*\S+\s*", text)
        spans = [(word, index * WORD) for index, word in enumerate(words)]
        return np.full(len(words) * WORD, 5000, np.int16), spans


def echo(messages: Sequence[ChatMessage]) -> str:
    """An answer that shows what was asked."""
    return f"You said {messages[-1].content}."


class FakeParts(Parts):
    """Parts that are loaded already, with the fakes by name."""

    ears: FakeDetector
    writer: FakeRecogniser
    thinker: FakeBrain
    speaker: FakeVoice

    @classmethod
    def make(cls, answer: Callable[[Sequence[ChatMessage]], str] = echo) -> FakeParts:
        ears, writer, thinker, speaker = FakeDetector(), FakeRecogniser(), FakeBrain(answer), FakeVoice()
        pools = [ThreadPoolExecutor(1, thread_name_prefix=f"mmagent-{name}") for name in ("vad", "stt", "brain", "tts")]
        parts = cls(lambda: ears, writer, thinker, speaker, *pools)
        parts.ears, parts.writer, parts.thinker, parts.speaker = ears, writer, thinker, speaker
        return parts
