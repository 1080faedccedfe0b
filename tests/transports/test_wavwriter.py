"""Writing: whole at any moment, and honest about a reader that goes."""

from __future__ import annotations

import errno
import io
import os
import struct
import wave
from pathlib import Path

import pytest

from mmagent.core import pcm
from mmagent.errors import AudioFileError
from mmagent.transports import wav
from mmagent.transports.wavwriter import OutputClosed, WavWriter
from tests.transports.conformance import tone


def frames(path: Path) -> int:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, 24_000)
        return int(file.getnframes())


def test_a_file_is_whole_when_it_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    writer = WavWriter(path)
    writer.write(tone(1000))
    writer.write(tone(7))
    writer.close()
    writer.close()
    assert frames(path) == 1007
    assert b"".join(wav.read(path).blocks()) == tone(1000) + tone(7)


def test_a_killed_process_leaves_all_but_the_last_second(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    writer = WavWriter(path)
    writer.write(tone(480))
    assert frames(path) == 0  # valid, if short
    for _ in range(5 * 50):
        writer.write(tone(480))
    assert frames(path) >= 4 * 24_000
    assert path.stat().st_size == 44 + 251 * 960
    writer.close()


def test_what_was_there_stays_until_there_is_something_new(tmp_path: Path) -> None:
    path = tmp_path / "out.wav"
    path.write_bytes(b"an earlier answer, longer than a header of forty-four bytes")
    WavWriter(path).close()
    assert path.read_bytes().startswith(b"an earlier")
    writer = WavWriter(path)
    writer.write(tone(2))
    writer.close()
    assert path.stat().st_size == 48


def test_no_sound_at_all_is_a_whole_file(tmp_path: Path) -> None:
    WavWriter(tmp_path / "out.wav").close()
    assert frames(tmp_path / "out.wav") == 0


def test_a_pipe_gets_a_header_of_unknown_size_and_each_block_at_once() -> None:
    reader, end = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as source, os.fdopen(end, "wb") as target:
        writer = WavWriter(target, "Standard output")
        assert not writer.seekable
        writer.write(tone(480))
        got = source.read(5000)
        assert len(got) == 44 + 960
        assert struct.unpack("<I", got[40:44]) == (0xFFFFFFFF,)
        assert b"".join(wav.read(io.BytesIO(got)).blocks()) == tone(480)
        writer.close()


def test_a_pipe_that_nobody_reads_is_told_as_such() -> None:
    reader, end = os.pipe()
    os.close(reader)
    with os.fdopen(end, "wb") as target:
        writer = WavWriter(target, "Standard output")
        with pytest.raises(OutputClosed, match="Nobody reads Standard output"):
            writer.write(tone(480))
        writer.close()


def test_redirected_output_is_made_whole_and_appended_output_left_alone(tmp_path: Path) -> None:
    with (tmp_path / "fresh").open("wb") as target:
        writer = WavWriter(target)
        writer.write(tone(480))
        writer.close()
    assert frames(tmp_path / "fresh") == 480
    with (tmp_path / "more").open("ab") as target:
        writer = WavWriter(target)
        assert not writer.seekable
        writer.write(tone(480))
        writer.close()
    assert (tmp_path / "more").stat().st_size == 44 + 960


def test_bytes_in_memory_do_as_well() -> None:
    target = io.BytesIO()
    writer = WavWriter(target)
    writer.write(tone(24_000))
    writer.close()
    assert len(b"".join(wav.read(io.BytesIO(target.getvalue())).blocks())) == 48_000


def test_a_folder_that_is_not_there_and_one_that_is(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match=r"no such file or directory\. Make its folder first"):
        WavWriter(tmp_path / "nowhere" / "out.wav")
    with pytest.raises(AudioFileError, match="is a directory"):
        WavWriter(tmp_path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_a_full_disk_is_told() -> None:
    writer = WavWriter("/dev/full")
    with pytest.raises(AudioFileError, match="no space left"):
        writer.write(pcm.silence(480))
    writer.close()


def test_a_file_that_may_not_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(os, "open", refuse)  # root may write everything, so the system cannot be asked to refuse
    with pytest.raises(AudioFileError, match=r"'out\.wav' cannot be written: permission denied"):
        WavWriter("out.wav")
