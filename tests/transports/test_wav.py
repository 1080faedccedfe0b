"""Reading: every way to store a sample, every way to get a header wrong."""

from __future__ import annotations

import errno
import io
import itertools
import os
import shutil
import struct
import subprocess
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from mmagent.core import pcm
from mmagent.errors import AudioFileError
from mmagent.transports import wav
from mmagent.transports.samples import Format, decode

WAVE = np.rint(12000 * np.sin(2 * np.pi * 440 * np.arange(24_000) / 24_000)).astype("<i2")


def chunk(name: bytes, data: bytes, end: str = "<", size: int | None = None) -> bytes:
    return name + struct.pack(end + "I", len(data) if size is None else size) + data + b"\0" * (len(data) % 2)


def fmt(tag: int = 1, channels: int = 1, rate: int = 24_000, bits: int = 16, end: str = "<") -> bytes:
    frame = channels * bits // 8
    return chunk(b"fmt ", struct.pack(end + "HHIIHH", tag, channels, rate, rate * frame, frame, bits), end)


def riff(*chunks: bytes, magic: bytes = b"RIFF", size: int | None = None) -> bytes:
    body = b"WAVE" + b"".join(chunks)
    end = ">" if magic == b"RIFX" else "<"
    return magic + struct.pack(end + "I", len(body) if size is None else size) + body


def load(data: bytes) -> wav.Sound:
    return wav.read(io.BytesIO(data), "it")


def samples(sound: wav.Sound) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.frombuffer(b"".join(sound.blocks()), "<i2")


def stored(bits: int, kind: str, end: str = "<") -> bytes:
    x = WAVE.astype(np.float64) / 32768
    if kind == "float":
        return bytes(x.astype(f"{end}f{bits // 8}"))
    if bits == 8:
        return bytes(np.rint(x * 127 + 128).astype(np.uint8))
    whole = np.rint(x * 2 ** (bits - 1)).astype(np.int64)
    if bits == 24:
        wide = whole.astype(f"{end}i4").tobytes()
        three = np.frombuffer(wide, np.uint8).reshape(-1, 4)
        return bytes(np.ascontiguousarray(three[:, 1:] if end == ">" else three[:, :3]))
    return bytes(whole.astype(f"{end}i{bits // 8}"))


@pytest.mark.parametrize("end", ["<", ">"])
@pytest.mark.parametrize(
    ("bits", "kind"), [(16, "int"), (24, "int"), (32, "int"), (32, "float"), (64, "float"), (8, "int")]
)
def test_every_width_gives_the_same_samples(bits: int, kind: str, end: str) -> None:
    magic = b"RIFX" if end == ">" else b"RIFF"
    tag = 3 if kind == "float" else 1
    sound = load(riff(fmt(tag, bits=bits, end=end), chunk(b"data", stored(bits, kind, end), end), magic=magic))
    assert (sound.format.rate, sound.format.bits, sound.format.channels) == (24_000, bits, 1)
    got = samples(sound).astype(int)
    tolerance = 256 if bits == 8 else 0
    assert len(got) == len(WAVE)
    assert np.abs(got - WAVE).max() <= tolerance


def test_extensible_carries_its_tag_further_on() -> None:
    form = struct.pack("<HHIIHH", 0xFFFE, 1, 24_000, 72_000, 3, 20)  # 20 bits, stored in 24
    form += struct.pack("<HHI", 22, 20, 4) + b"\x01\x00\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"
    sound = load(riff(chunk(b"fmt ", form), chunk(b"data", stored(24, "int"))))
    assert sound.format.bits == 24
    np.testing.assert_array_equal(samples(sound), WAVE)


@pytest.mark.parametrize(("name", "tag", "zero", "loudest"), [("alaw", 6, 0xD5, 0xAA), ("mulaw", 7, 0xFF, 0x80)])
def test_g711_has_its_zero_and_its_peak(name: str, tag: int, zero: int, loudest: int) -> None:
    # G.711: 0xD5 is the smallest positive A-law value (8 of 32768), 0xFF is 0 in mu-law; 0xAA, 0x80 are the largest.
    sound = load(riff(fmt(tag, bits=8), chunk(b"data", bytes([zero, loudest, loudest & 0x7F]))))
    assert sound.format.encoding == name
    peak = {"alaw": 32256, "mulaw": 32124}[name]
    assert samples(sound).tolist() == [8 if name == "alaw" else 0, peak, -peak]


@pytest.mark.skipif(shutil.which("sox") is None, reason="apt install sox")
@pytest.mark.parametrize(
    "options",
    [*(["-e", e] for e in ("a-law", "u-law")), ["-b", "24"], ["-b", "8"], ["-e", "float", "-b", "64"], ["-c", "2"]],
    ids="-".join,
)
def test_sox_writes_what_is_read(options: list[str], tmp_path: Path) -> None:
    plain, other = tmp_path / "plain.wav", tmp_path / "other.wav"
    plain.write_bytes(riff(fmt(), chunk(b"data", WAVE.tobytes())))
    subprocess.run(["sox", "-D", plain, *options, other], check=True)
    error = samples(wav.read(other)).astype(int) - WAVE
    assert np.sqrt(np.mean(error**2.0)) < 12000 / 2**0.5 * 10 ** (-30 / 20)
    piped = subprocess.run(["sox", "-D", plain, "-t", "wav", *options, "-"], check=True, capture_output=True).stdout
    np.testing.assert_array_equal(samples(load(piped)), samples(wav.read(other)))  # a header that was never filled in


@pytest.mark.parametrize("channels", [1, 2, 3, 6, 8])
def test_channels_are_mixed_by_their_mean(channels: int) -> None:
    data = np.repeat(WAVE[:, None], channels, 1)
    data[:, -1] = 0
    sound = load(riff(fmt(channels=channels), chunk(b"data", data.tobytes())))
    want = WAVE * ((channels - 1) / channels)
    assert np.abs(samples(sound) - want).max() <= 0.501


@pytest.mark.parametrize("rate", [4_000, 8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000, 44_056])
def test_every_rate_gives_the_same_seconds(rate: int) -> None:
    wave = np.rint(12000 * np.sin(2 * np.pi * 440 * np.arange(rate * 2) / rate)).astype("<i2")
    sound = load(riff(fmt(rate=rate), chunk(b"data", wave.tobytes())))
    got = samples(sound)
    assert len(got) == 48_000
    want = 12000 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 24_000)
    assert np.abs(got - want)[2400:-2400].max() < 20


def test_chunks_before_and_after_are_left_out() -> None:
    data = riff(
        chunk(b"LIST", b"odd"), fmt(), chunk(b"junk", b""), chunk(b"data", WAVE.tobytes()), chunk(b"id3 ", b"abc")
    )
    np.testing.assert_array_equal(samples(load(data)), WAVE)


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000])
def test_a_header_that_was_never_filled_in_means_up_to_the_end(size: int, tmp_path: Path) -> None:
    data = riff(fmt(), chunk(b"data", WAVE.tobytes(), size=size), size=size)
    piped = load(data)
    np.testing.assert_array_equal(samples(piped), WAVE)
    path = tmp_path / "x.wav"
    path.write_bytes(data)
    sound = wav.read(path)
    assert sound.seconds == 1.0
    np.testing.assert_array_equal(samples(sound), WAVE)
    assert sound.warnings == piped.warnings == []


def test_rf64_has_its_size_elsewhere() -> None:
    sizes = struct.pack("<QQQI", 0, WAVE.nbytes, len(WAVE), 0)
    body = chunk(b"ds64", sizes) + fmt() + chunk(b"data", WAVE.tobytes(), size=0xFFFFFFFF) + chunk(b"LIST", b"abcd")
    np.testing.assert_array_equal(samples(load(riff(body, magic=b"RF64", size=0xFFFFFFFF))), WAVE)


def test_a_file_cut_short_is_used_and_told(tmp_path: Path) -> None:
    data = riff(fmt(), chunk(b"data", WAVE.tobytes()))[:-24_001]  # in the middle of a sample
    path = tmp_path / "x.wav"
    path.write_bytes(data)
    sound = wav.read(path)
    np.testing.assert_array_equal(samples(sound), WAVE[:11_999])
    assert sound.warnings == [f"'{path}' is cut short: 0.5 s are there of 1.0 s."]
    piped = load(data)
    assert len(samples(piped)) == 11_999
    assert piped.warnings == ["it is cut short: 24001 bytes of sound are missing."]


def test_beyond_full_scale_and_no_number_at_all() -> None:
    data = np.array([0.5, 2.0, -1.0, np.nan, np.inf], "<f4")
    sound = load(riff(fmt(3, bits=32), chunk(b"data", data.tobytes())))
    assert samples(sound).tolist() == [16384, 32767, -32768, 0, 32767]
    assert sound.warnings == ["it goes beyond full scale: 2 of 5 samples were clipped."]


@pytest.mark.parametrize(
    ("data", "sentence", "hint"),
    [
        (b"", "is empty", "Record it again"),
        (riff(fmt()), "holds no sound", "Record"),
        (riff(fmt(), chunk(b"data", b"")), "holds no sound", "Record"),
        (riff(fmt(), chunk(b"data", b""), chunk(b"LIST", b"abcd")), "holds no sound", "Record"),
        (riff(chunk(b"data", b"abcd")), "holds no sound", "Record"),
        (b"RIFF", "holds no sound", "Record"),
        (riff(fmt(0x11), chunk(b"data", b"abcd")), "IMA ADPCM", "ffmpeg -i"),
        (riff(fmt(0x1234), chunk(b"data", b"abcd")), "format 0x1234", "ffmpeg -i"),
        (riff(fmt(bits=48), chunk(b"data", b"abcdef")), "48-bit", "ffmpeg -i"),
        (riff(fmt(rate=1000), chunk(b"data", b"abcd")), "at 1000 Hz", "4000 to 192000"),
        (riff(fmt(channels=0), chunk(b"data", b"abcd")), "0 channels", "ffmpeg -i"),
        (b"ID3\x04\0\0\0\0", "an MP3 file, not WAV", "ffmpeg -i"),
        (b"\xff\xfb\x90\x64" * 9, "an MP3 file, not WAV", "ffmpeg -i"),
        (b"fLaC\0\0\0\x22", "a FLAC file, not WAV", "ffmpeg -i"),
        (b"OggS\0\2", "an Ogg file, not WAV", "ffmpeg -i"),
        (b"\0\0\0\x20ftypM4A ", "an MP4 file, not WAV", "ffmpeg -i"),
        (b"What is the capital of France?\n", "text, not WAV", "Name a WAV file."),
        (bytes(range(200, 256)), "not a sound file that is known here", "ffmpeg -i"),
    ],
)
def test_what_is_no_wav_is_told_in_a_sentence(data: bytes, sentence: str, hint: str, tmp_path: Path) -> None:
    path = tmp_path / "x.wav"
    path.write_bytes(data)
    with pytest.raises(AudioFileError) as told:
        list(wav.read(path).blocks())
    assert sentence in told.value.message
    assert hint in told.value.hint
    assert told.value.message.startswith(f"'{path}'")
    assert told.value.exit_code == 2


def test_what_is_no_file_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(AudioFileError, match=r"There is no file '.*nowhere\.wav'"):
        wav.read(tmp_path / "nowhere.wav")
    with pytest.raises(AudioFileError, match="is a folder"):
        wav.read(tmp_path)


def test_a_file_that_may_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "open", refuse)  # root may read everything, so the system cannot be asked to refuse
    with pytest.raises(AudioFileError, match="cannot be opened: permission denied"):
        wav.read("x.wav")


def test_sound_without_a_header_is_24_khz_mono() -> None:
    raw = WAVE.tobytes()
    sound = wav.read(io.BytesIO(raw), "it", raw=True)
    np.testing.assert_array_equal(samples(sound), WAVE)
    mp3_like = b"\xff\xfb" + raw  # two bytes may well be a sample
    assert len(samples(wav.read(io.BytesIO(mp3_like), "it", raw=True))) == len(WAVE) + 1
    with pytest.raises(AudioFileError, match="not WAV"):
        wav.read(io.BytesIO(raw), "it")
    with pytest.raises(AudioFileError, match="--text"):
        wav.read(io.BytesIO(b"What is this?\n"), "it", raw=True)


def test_a_long_file_is_read_in_small_pieces(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    with path.open("wb") as file:
        file.write(riff(fmt(rate=48_000, channels=2), chunk(b"data", b"", size=600 * 192_000), size=600 * 192_000 + 36))
        file.truncate(44 + 600 * 192_000)
    sound = wav.read(path)
    assert sound.seconds == 600
    tracemalloc.start()
    try:
        blocks = sound.blocks()
        for block in itertools.islice(blocks, 100):
            assert pcm.samples(block) <= 4800
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()
        sound.close()


def test_the_mean_is_taken_before_rounding() -> None:
    data = np.array([[1, 2], [-32768, -32768]], "<i2").tobytes()
    assert decode(data, Format(channels=2)).tolist() == [1.5 / 32768, -1.0]
