"""The agent's voice on its way out of a session without a sound card: queued, counted, written, on a clock or without.

What is written is what is heard: a sample counts as played in the moment that it goes to the output.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import BinaryIO

import numpy as np

from mmagent.core import pcm
from mmagent.core.events import Event, Flushed, Played, Stop
from mmagent.errors import AudioFileError
from mmagent.transports import Emit
from mmagent.transports.pipes import Drain
from mmagent.transports.wavwriter import OutputClosed, WavWriter

FADE = pcm.ms_to_samples(5)
"""Samples in which a cut voice dies away. Without them a cut is a click; they do not count as heard."""

_TICK = pcm.samples_to_us(pcm.BLOCK)
_MOST_LATE = 500_000


class Pacer:
    """Ticks of 20 ms on a grid: late ones are made up for, so that the grid does not drift.

    More than half a second late (the machine slept, a pipe was full), the grid begins anew: files have lost nothing.
    """

    def __init__(self, now: Callable[[], int], sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        self._now = now
        self._sleep = sleep
        self._due: int | None = None

    async def tick(self) -> None:
        """Wait for the next tick; others get their turn even if it is due."""
        now = self._now()
        if self._due is None or now - self._due > _MOST_LATE:
            self._due = now
        await self._sleep(max(0, self._due - now) / 1e6)
        self._due += _TICK

    def restart(self) -> None:
        """The next tick is at once, whenever it is asked for."""
        self._due = None


class Player:
    """The play queue, its count, and the output: a WAV file, a pipe, or none.

    `played` samples were heard in all; `queued` samples wait.
    """

    def __init__(self, writer: WavWriter | None) -> None:
        self.played = 0
        self._told = 0
        self._queue = bytearray()
        self._fading = b""
        self._writer = writer
        self._drain = None if writer is None or writer.seekable else Drain(writer.write)
        self._early: list[Event] = []
        self._emit: Emit = self._early.append

    def start(self, emit: Emit) -> None:
        """From now on tell `emit`, beginning with what was to be told before."""
        self._emit = emit
        for event in self._early:
            emit(event)

    @property
    def queued(self) -> int:
        """Samples that wait to be played."""
        return len(self._queue) // pcm.SAMPLE_BYTES

    @property
    def busy(self) -> bool:
        """Whether a tick would write anything but silence."""
        return bool(self._queue or self._fading)

    def play(self, sound: bytes) -> None:
        """Queue sound behind what is queued."""
        self._queue += sound

    def flush(self) -> None:
        """Drop the queue; its next 5 ms fade out in the output. Tells `Flushed`."""
        if self._queue:
            tail = pcm.as_array(bytes(self._queue[: FADE * pcm.SAMPLE_BYTES]))
            ramp = np.linspace(1, 0, FADE, endpoint=False, dtype=np.float32)[: len(tail)]
            self._fading = (tail * ramp).astype("<i2").tobytes()
            self._queue.clear()
        self._told = self.played
        self._emit(Flushed(self.played))

    async def tick(self, *, pad: bool = True) -> None:
        """Play the next 20 ms, or, without `pad`, what there is of it. Tells `Played`.

        Raises:
            AudioFileError: The output cannot be written.
        """
        room = pcm.BLOCK - pcm.samples(self._fading)
        sound = bytes(self._queue[: room * pcm.SAMPLE_BYTES])
        del self._queue[: len(sound)]
        self.played += pcm.samples(sound)
        block, self._fading = self._fading + sound, b""
        await self._write(block + pcm.silence(pcm.BLOCK - pcm.samples(block)) if pad else block)
        if self.played != self._told:
            self._told = self.played
            self._emit(Played(self.played))

    async def _write(self, block: bytes) -> None:
        if self._writer is None:
            return
        try:
            if self._drain is not None:
                await self._drain.write(block)
            else:
                self._writer.write(block)
        except OutputClosed as gone:
            self.close()
            self._emit(Stop(str(gone)))

    def stop(self) -> None:
        """Wait for a pipe no longer: `tick` returns."""
        if self._drain is not None:
            self._drain.close()

    def close(self) -> None:
        """Leave the output whole and let go of it."""
        self.stop()
        writer, self._writer = self._writer, None
        if writer is not None and not (self._drain is not None and self._drain.stuck):  # its thread keeps the file
            writer.close()


def open_output(output: str | None, stdout: BinaryIO | None = None) -> WavWriter | None:
    """The file or pipe for the agent's voice. Raises AudioFileError."""
    if output != "-":
        return None if output is None else WavWriter(output)
    stream = stdout or sys.stdout.buffer
    if stream.isatty():
        hint = "Send it on: --output - | aplay -, or name a file."
        raise AudioFileError("Sound is not for a terminal.", hint)
    return WavWriter(stream, "Standard output")
