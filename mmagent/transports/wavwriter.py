"""Sound files written: a WAV file that is whole at any moment, or a WAV stream down a pipe."""

from __future__ import annotations

import io
import os
import stat
import struct
from pathlib import Path
from typing import BinaryIO, cast

from mmagent.core import pcm
from mmagent.errors import AudioFileError
from mmagent.transports.wav import reason


class OutputClosed(Exception):
    """The program that read the pipe has gone: nobody hears what is written."""


class WavWriter:
    """A WAV file of 24 kHz mono 16-bit, written as it comes.

    A file's header is put right about once a second of sound and at the end: a killed process leaves a playable file. A
    pipe's header says that the size is unknown. What the file held before is kept until the first sample.

    Raises (here, and in `write`):
        AudioFileError: There is no such folder, no permission, no space.
        OutputClosed: Nobody reads the pipe any more.
    """

    def __init__(self, target: str | Path | BinaryIO, name: str = "") -> None:
        self.samples = 0
        self._patched = 0
        self._begun = False
        self.name = name or (f"'{target}'" if isinstance(target, (str, Path)) else "The output")
        try:
            self._file, self._owned = _sink(target)
        except OSError as error:
            hint = "Make its folder first." if isinstance(error, FileNotFoundError) else "Choose another file for it."
            raise AudioFileError(f"{self.name} cannot be written: {reason(error)}.", hint) from error
        self.seekable = _rewritable(self._file)

    def write(self, block: bytes) -> None:
        """Add sound; it has left this process when this returns."""
        self._begin()
        self._put(block)
        self.samples += pcm.samples(block)
        if self.samples - self._patched >= pcm.RATE:
            self._patch()

    def close(self) -> None:
        """Make the header right and let go of the file."""
        if self._file.closed:
            return
        try:
            if self.seekable and (self._begun or not self._file.seek(0, os.SEEK_END)):
                self._begin()
                self._patch()
        finally:
            if self._owned:
                self._file.close()

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        if self.seekable:
            self._file.seek(0)
            self._file.truncate()
        self._put(_header(0 if self.seekable else None))

    def _patch(self) -> None:
        """Write down in the header how much there is."""
        self._patched = self.samples
        if self.seekable:
            self._file.seek(0)
            self._put(_header(self.samples))
            self._file.seek(0, os.SEEK_END)

    def _put(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[self._file.write(view) or 0 :]
        except BrokenPipeError as error:
            raise OutputClosed(f"Nobody reads {self.name} any more.") from error
        except OSError as error:
            raise AudioFileError(
                f"{self.name} cannot be written: {reason(error)}.", "What was written before is whole."
            ) from error


def _header(samples: int | None) -> bytes:
    """The 44 bytes before the samples; None: their number is not known."""
    size = 0xFFFFFFFF if samples is None else min(samples * pcm.SAMPLE_BYTES, 0xFFFFFFFF - 36)
    riff = min(size + 36, 0xFFFFFFFF)
    form = struct.pack("<HHIIHH", 1, 1, pcm.RATE, pcm.RATE * pcm.SAMPLE_BYTES, pcm.SAMPLE_BYTES, 16)
    return (
        b"RIFF"
        + struct.pack("<I", riff)
        + b"WAVEfmt "
        + struct.pack("<I", 16)
        + form
        + b"data"
        + struct.pack("<I", size)
    )


def _sink(target: str | Path | BinaryIO) -> tuple[BinaryIO, bool]:
    """A file without a buffer, so that nothing is left in one when the reader goes; and whether to close it."""
    if isinstance(target, (str, Path)):
        fd = os.open(target, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)  # not truncated: see above
        return cast(BinaryIO, io.FileIO(fd, "wb")), True
    try:
        return cast(BinaryIO, io.FileIO(target.fileno(), "wb", closefd=False)), True
    except OSError:  # bytes in memory
        return target, False


def _rewritable(file: BinaryIO) -> bool:
    """Whether the header can be written again: a file, from its beginning, that is not appended to."""
    try:
        regular = stat.S_ISREG(os.fstat(file.fileno()).st_mode)
    except OSError:  # bytes in memory
        return file.seekable()
    return regular and file.tell() == 0 and not _appends(file.fileno())


def _appends(fd: int) -> bool:
    try:
        import fcntl
    except ImportError:  # not a Unix
        return False
    return bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_APPEND)
