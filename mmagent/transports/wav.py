"""Sound files read: any WAV in, 24 kHz mono 16-bit out, block by block, from disks and from pipes.

Formats: Microsoft's "Multimedia Programming Interface and Data Specifications 1.0" (RIFF, RIFX) and "Multiple Channel
Audio Data and WAVE Files" (WAVE_FORMAT_EXTENSIBLE), EBU Tech 3306 (RF64).
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np

from mmagent.core import pcm
from mmagent.errors import AudioFileError
from mmagent.resampler import Resampler
from mmagent.transports.samples import Encoding, Format, decode

RATES = range(4_000, 192_001)
"""Sample rates that are read, in Hz."""

_FRAMES = 4800
"""Frames read at once: what bounds the memory of a long file."""

_STREAMED = 0x7FFF0000
"""Sizes from here on, and 0, are written by programs that could not go back to the header (sox, ffmpeg, arecord)."""

_ENCODINGS: dict[int, Encoding] = {1: "int", 3: "float", 6: "alaw", 7: "mulaw"}
_EXTENSIBLE = 0xFFFE
_WIDTHS = {"int": (8, 16, 24, 32), "float": (32, 64), "alaw": (8,), "mulaw": (8,)}
_CODECS = {0x02: "Microsoft ADPCM", 0x11: "IMA ADPCM", 0x31: "GSM 6.10", 0x50: "MPEG", 0x55: "MP3", 0xFF: "AAC"}

_OTHERS = (
    (0, b"fLaC", "a FLAC file"),
    (0, b"OggS", "an Ogg file"),
    (0, b"ID3", "an MP3 file"),
    (4, b"ftyp", "an MP4 file"),
    (0, b"\x1a\x45\xdf\xa3", "a WebM or Matroska file"),
    (0, b"FORM", "an AIFF file"),
    (0, b"caff", "a Core Audio file"),
    (0, b".snd", "a Sun audio file"),
    (0, b"#!AMR", "an AMR file"),
    (0, b"\xff\xfb", "an MP3 file"),
    (0, b"\xff\xf3", "an MP3 file"),
    (0, b"\xff\xf2", "an MP3 file"),
)


class _Input:
    """Bytes of a file or pipe, forward only."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self.name = name
        self.stream = stream
        self._some = getattr(stream, "read1", stream.read)  # what is there now, rather than all that was asked for
        self._ahead = b""
        self.position = 0

    def peek(self, count: int) -> bytes:
        """The next `count` bytes, or what is left, without using them up."""
        while len(self._ahead) < count and (more := self._read(count - len(self._ahead))):
            self._ahead += more
        return self._ahead[:count]

    def exactly(self, count: int) -> bytes:
        """The next `count` bytes, or what is left."""
        data = self.peek(count)
        self._ahead = self._ahead[len(data) :]
        self.position += len(data)
        return data

    def some(self, count: int) -> bytes:
        """From 1 to `count` bytes; none at the end."""
        if self._ahead:
            return self.exactly(min(count, len(self._ahead)))
        data = self._read(count)
        self.position += len(data)
        return data

    def skip(self, count: int) -> None:
        """Leave out `count` bytes, or what is left."""
        while count > 0 and (data := self.some(min(count, 1 << 16))):
            count -= len(data)

    def size(self) -> int | None:
        """Bytes in all, where that is known: a regular file."""
        try:
            status = os.fstat(self.stream.fileno())
        except OSError:  # no file at all: bytes in memory
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def _read(self, count: int) -> bytes:
        try:
            return self._some(count) or b""
        except OSError as error:
            raise AudioFileError(f"{self.name} cannot be read: {reason(error)}.", "Is its disk still there?") from error


@dataclass
class Sound:
    """An opened sound: its header was read, its samples were not.

    `seconds` is None where only the end will tell (a pipe). `warnings` are sentences; the end may add some.
    """

    name: str
    format: Format
    seconds: float | None
    warnings: list[str]
    _input: _Input = field(repr=False)
    _size: int | None = field(repr=False)  # bytes of samples that the header promises; None: up to the end

    def blocks(self) -> Iterator[bytes]:
        """The sound as 24 kHz mono 16-bit, once, in pieces of at most 4800 frames of the source, as they come.

        Raises:
            AudioFileError: There is not one sample, or reading failed.
        """
        try:
            yield from self._blocks()
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the file."""
        self._input.stream.close()

    def _blocks(self) -> Iterator[bytes]:
        resampler = Resampler(self.format.rate, pcm.RATE)
        frames = clipped = 0
        for data in self._frames():
            wave = decode(data, self.format) * np.float32(32768)
            frames += len(wave)
            clipped += int(np.count_nonzero((wave > 32768) | (wave < -32768)))
            yield resampler.push(np.clip(np.rint(wave), -32768, 32767).astype(np.int16)).tobytes()
        if not frames:
            raise _no_sound(self.name)
        yield resampler.finish().tobytes()
        if clipped:
            self.warnings.append(f"{self.name} goes beyond full scale: {clipped} of {frames} samples were clipped.")

    def _frames(self) -> Iterator[bytes]:
        """The samples as they are stored, in whole frames."""
        frame, part, left = self.format.frame, b"", self._size
        while left != 0:
            most = _FRAMES * frame
            data = self._input.some(most if left is None else min(left, most))
            if not data:
                break
            left = None if left is None else left - len(data)
            data = part + data
            whole = len(data) - len(data) % frame
            part = data[whole:]
            if whole:
                yield data[:whole]
        if left and self.seconds is None:  # of a file, `read` has told
            self.warnings.append(f"{self.name} is cut short: {left} bytes of sound are missing.")


def read(source: str | Path | BinaryIO, name: str = "", *, raw: bool = False) -> Sound:
    """Open a sound and read its header. `name` is what messages call it, `raw` allows sound without a header.

    Formats: 8-bit unsigned, 16, 24 and 32-bit integer, 32 and 64-bit float, A-law, mu-law; RIFF, RIFX and RF64; any
    number of channels (their mean is taken); a header whose sizes were never filled in. Raw: 24 kHz mono 16-bit
    little-endian.

    Raises:
        AudioFileError: It is missing, empty, holds no samples, or is not a WAV file that can be read.
    """
    if isinstance(source, (str, Path)):
        name = name or f"'{source}'"
        source = _open(Path(source), name)
    data = _Input(source, name or "The sound")
    try:
        return _read(data, raw)
    except AudioFileError:
        source.close()
        raise


def _open(path: Path, name: str) -> BinaryIO:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        raise AudioFileError(f"There is no file {name}.", "Check its name and folder.") from error
    except IsADirectoryError as error:
        raise AudioFileError(f"{name} is a folder.", "Name a sound file in it.") from error
    except OSError as error:
        raise AudioFileError(f"{name} cannot be opened: {reason(error)}.", "Check who may read it.") from error


def _read(data: _Input, raw: bool) -> Sound:
    head = data.peek(64)
    if not head:
        raise AudioFileError(
            f"{data.name} is empty.", "Record it again, or check the program that should have filled it."
        )
    if head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] in (b"WAVE", b""):
        return _read_wave(data)
    kind = _kind(head, raw)
    if raw and not kind:
        return Sound(data.name, Format(), None, [], data, None)
    hint = f"Turn it into WAV: {_convert(data.name)}"
    if kind == "text":
        hint = "For typed lines, use --text." if raw else "Name a WAV file."
    raise AudioFileError(f"{data.name} is {kind or 'not a sound file that is known here'}, not WAV.", hint)


def _read_wave(data: _Input) -> Sound:
    """RIFF: a row of chunks, each a name, a size and that many bytes; after an odd size comes one byte more."""
    magic, riff_size = data.exactly(4), data.exactly(4)
    data.exactly(4)
    end = ">" if magic == b"RIFX" else "<"
    form: Format | None = None
    long_size = 0
    while len(head := data.exactly(8)) == 8:
        name, size = head[:4], int(struct.unpack(end + "I", head[4:])[0])
        if name == b"data":
            if form is None:
                break
            size = long_size if magic == b"RF64" and size == 0xFFFFFFFF else size
            return _sound(data, form, size, int(struct.unpack(end + "I", riff_size)[0]))
        if name == b"fmt ":
            form = _format(data.name, data.exactly(min(size, 1 << 10)), end)
            size -= min(size, 1 << 10)
        elif name == b"ds64" and size >= 16:  # RF64: the sizes that do not fit in 32 bits
            long_size = int(struct.unpack("<QQ", data.exactly(16))[1])
            size -= 16
        data.skip(size + size % 2)
    raise _no_sound(data.name)


def _sound(data: _Input, form: Format, size: int, riff_size: int) -> Sound:
    """The samples begin here. How many are there?"""
    total = data.size()
    there = None if total is None else total - data.position
    more_follows = data.position - 8 < riff_size < _STREAMED  # other chunks: so 0 samples means none
    streamed = size >= _STREAMED if size else not more_follows
    if there == 0 or (size == 0 and not streamed):
        raise _no_sound(data.name)
    if there is None:
        return Sound(data.name, form, None, [], data, None if streamed and size < 1 << 32 else size)
    here = there if not size or (streamed and size > there) else min(size, there)
    seconds = here // form.frame / form.rate
    warnings = []
    if size > there and not streamed:
        promised = size // form.frame / form.rate
        warnings.append(f"{data.name} is cut short: {seconds:.1f} s are there of {promised:.1f} s.")
    return Sound(data.name, form, seconds, warnings, data, here)


def _format(name: str, chunk: bytes, end: str) -> Format:
    """The chunk `fmt `: tag, channels, rate, bytes a second, bytes a frame, bits; EXTENSIBLE has its tag further on."""
    if len(chunk) < 16:
        raise _no_sound(name)
    tag, channels, rate, _, frame, bits = struct.unpack(end + "HHIIHH", chunk[:16])
    if tag == _EXTENSIBLE and len(chunk) >= 26:
        tag = struct.unpack(end + "H", chunk[24:26])[0]
    if channels and frame and frame % channels == 0 and tag in (1, 3):
        bits = frame // channels * 8  # 12 or 20 bits are stored in 16 or 24
    encoding = _ENCODINGS.get(tag)
    if encoding is None or bits not in _WIDTHS[encoding]:
        what = _CODECS.get(tag, f"format {tag:#06x}") if encoding is None else f"{bits}-bit {encoding} samples"
        raise AudioFileError(f"{name} is a WAV file of {what}.", f"Turn it into plain WAV: {_convert(name)}")
    if channels == 0 or rate not in RATES:
        what = f"{channels} channels at {rate} Hz"
        raise AudioFileError(
            f"{name} claims {what}.", f"From {RATES[0]} to {RATES[-1]} Hz can be read: {_convert(name)}"
        )
    return Format(encoding, rate, bits, channels, end == ">")


def _kind(head: bytes, raw: bool) -> str:
    """What else it may be. Two bytes are too little evidence against sound without a header."""
    for offset, magic, kind in _OTHERS:
        if head[offset:].startswith(magic) and not (raw and len(magic) < 3):
            return kind
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in head):
        return "text"
    return ""


def _no_sound(name: str) -> AudioFileError:
    return AudioFileError(
        f"{name} holds no sound.", "Record it again: there is a header at the most, and not one sample."
    )


def _convert(name: str) -> str:
    """The command that makes a WAV file of it."""
    quoted = name if name.startswith("'") else "-"
    return f"ffmpeg -i {quoted} -c:a pcm_s16le {'out.wav' if quoted != '-' else '-f wav -'}"


def reason(error: OSError) -> str:
    """What the system says of it, to stand in a sentence."""
    return (error.strerror or str(error)).lower()
