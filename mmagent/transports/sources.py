"""Where a user's sound is read from, 20 ms at a time: files, named pipes, standard input."""

from __future__ import annotations

import io
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

from mmagent.core import pcm
from mmagent.errors import AudioFileError
from mmagent.transports import wav
from mmagent.transports.pipes import Feed

_BLOCK_BYTES = pcm.BLOCK * pcm.SAMPLE_BYTES

_CUSHION = 3 * _BLOCK_BYTES
"""What a pipe must hold before it is played (again): its writer is never exactly in time."""


class Source:
    """One input, 20 ms at a time: a file that is read as it is needed, or a pipe with a thread of its own."""

    def __init__(self, opened: wav.Sound | Callable[[], wav.Sound]) -> None:
        self.sound = opened if isinstance(opened, wav.Sound) else None
        self._blocks = self._read(opened)
        self._feed = Feed(self._blocks, ahead=4) if self.sound is None else None
        self._buffer = bytearray()
        self._finished = self._flowing = False
        self._told = 0

    def start(self, woken: Callable[[], None]) -> None:
        """Begin to read a pipe; `woken` is called when it has more."""
        if self._feed is not None:
            self._feed.start(woken)

    def ready(self) -> bool:
        """Whether `pull` would give something, or nothing will ever come.

        Raises:
            AudioFileError: Reading failed, or what came is no sound.
        """
        while len(self._buffer) <= _CUSHION and not self._finished:
            block = next(self._blocks, None) if self._feed is None else self._feed.take()
            if block is not None:
                self._buffer += block
            elif self._feed is None or self._feed.ended:
                self._finished = True
            else:
                break
        return self._finished or len(self._buffer) >= (_BLOCK_BYTES if self._flowing else _CUSHION)

    def pull(self) -> bytes:
        """The next 20 ms, the last of them filled up with silence; empty where there is nothing yet, or any more."""
        self._flowing = self.ready()
        if not self._flowing or not self._buffer:
            return b""
        block = bytes(self._buffer[:_BLOCK_BYTES])
        del self._buffer[:_BLOCK_BYTES]
        return block.ljust(_BLOCK_BYTES, b"\0")

    @property
    def ended(self) -> bool:
        """Whether the last sample was pulled."""
        return self.ready() and not self._buffer

    @property
    def name(self) -> str:
        """What messages call it."""
        return "The input" if self.sound is None else self.sound.name

    def warnings(self) -> list[str]:
        """What is to be told about it, each once."""
        found = [] if self.sound is None else self.sound.warnings
        new, self._told = found[self._told :], len(found)
        return new

    def close(self) -> None:
        """Let go of it. A thread that waits for a pipe keeps it until its next block."""
        if self._feed is not None:
            self._feed.close()
        elif self.sound is not None:
            self.sound.close()

    def _read(self, opened: wav.Sound | Callable[[], wav.Sound]) -> Iterator[bytes]:
        self.sound = opened if isinstance(opened, wav.Sound) else opened()
        yield from self.sound.blocks()


def open_source(path: str, stdin: BinaryIO | None) -> Source:
    """A file is opened now, so that what is wrong with it is told at once; a pipe when it is read."""
    if path == "-":
        stream = stdin or sys.stdin.buffer
        if stream.isatty():
            raise AudioFileError("Standard input is a terminal.", "Send it a sound, name a file, or type with --text.")
        return Source(lambda: wav.read(_unbuffered(stream), "Standard input", raw=True))
    if is_pipe(path):
        return Source(lambda: wav.read(path, raw=True))
    return Source(wav.read(path))


def _unbuffered(stream: BinaryIO) -> BinaryIO:
    """The same file without Python's buffer: its lock, held by a reading thread, would abort the interpreter's end."""
    try:
        return cast(BinaryIO, io.FileIO(stream.fileno(), "rb", closefd=False))
    except OSError:  # bytes in memory
        return stream


def is_pipe(path: str) -> bool:
    """Whether `path` is there and neither a file nor a folder: `<(flite …)`, a FIFO, a device."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))
