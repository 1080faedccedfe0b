"""The four models that the local engine is made of, loaded together, once, when they are first needed.

Each model computes in a thread of its own, so inference never runs on the event loop and one part never waits for
another's turn. Several sessions may share the parts.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from mmagent.engines.local.brain import Brain, load_brain
from mmagent.engines.local.stt import Recogniser, load_recogniser
from mmagent.engines.local.tts import Voice, load_voice
from mmagent.engines.local.vad import Detector, Silero
from mmagent.errors import EngineError

T = TypeVar("T")

Progress = Callable[[str, int, int], None]
"""Told while something loads or is fetched: what, how much, of how much (0: unknown)."""


def no_progress(_what: str, _done: int, _total: int) -> None:
    """Tell nobody."""
    return


@dataclass(frozen=True)
class PartNames:
    """Which models: names of the catalogue, files, folders, addresses. `key` is a chat endpoint's, if it wants one."""

    brain: str = "smollm2"
    stt: str = "moonshine"
    tts: str = "joe"
    model: str = ""
    key: str = field(default="", repr=False)


@dataclass
class Parts:
    """The loaded models, each with its thread."""

    detector: Callable[[], Detector]
    recogniser: Recogniser
    brain: Brain
    voice: Voice | None
    listening: ThreadPoolExecutor
    writing: ThreadPoolExecutor
    thinking: ThreadPoolExecutor
    speaking: ThreadPoolExecutor

    @classmethod
    async def load(cls, names: PartNames, *, speaks: bool = True, progress: Progress = no_progress) -> Parts:
        """Load all models at the same time.

        Raises:
            MissingModel: One is not here; the hint says how to get it.
        """
        pools = [ThreadPoolExecutor(1, thread_name_prefix=f"mmagent-{n}") for n in ("vad", "stt", "brain", "tts")]
        loop = asyncio.get_running_loop()
        gone = threading.Event()
        done = 0

        async def one(pool: ThreadPoolExecutor, load: Callable[[], T]) -> T:
            nonlocal done
            model = await loop.run_in_executor(pool, load)
            done += 1
            progress("Loading the local engine", done, 4)
            return model

        def fetching(got: int, total: int) -> None:
            if gone.is_set():  # else Python would wait for the whole transfer before it ends
                raise EngineError("Nobody waits for the model any more.")
            loop.call_soon_threadsafe(progress, "Fetching the language model", got, total)

        progress("Loading the local engine", 0, 4)
        try:
            first, recogniser, brain, voice = await asyncio.gather(
                one(pools[0], Silero.load),
                one(pools[1], lambda: load_recogniser(names.stt)),
                one(pools[2], lambda: load_brain(names.brain, key=names.key, model=names.model, progress=fetching)),
                one(pools[3], lambda: load_voice(names.tts) if speaks else None),
            )
        except BaseException:
            gone.set()
            for pool in pools:
                pool.shutdown(wait=False)
            raise
        spare = [first]  # the first session takes the detector that was loaded to see that it is there
        return cls(lambda: spare.pop() if spare else Silero.load(), recogniser, brain, voice, *pools)

    def close(self) -> None:
        """End the threads and free the models, without waiting."""
        for pool in (self.listening, self.writing, self.speaking):
            pool.shutdown(wait=False, cancel_futures=True)
        threading.Thread(target=self._free_brain, name="mmagent-close").start()

    def _free_brain(self) -> None:
        """The model must outlive what is still being thought."""
        self.thinking.shutdown(wait=True, cancel_futures=True)
        self.brain.close()
