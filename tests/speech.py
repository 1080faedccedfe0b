"""Speech for tests and benchmarks: spoken by flite, heard by our own recogniser, compared word by word.

flite's voices are not ours (which are Piper's), so nothing is tested with itself; espeak-ng's are too robotic.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import wave
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mmagent.core import pcm
from mmagent.resampler import resample
from mmagent.transports.wav import read

if TYPE_CHECKING:
    from mmagent.engines.local.stt import Recogniser

FLITE = shutil.which("flite")
NO_FLITE = "flite is not here: apt-get install flite"

HUMANS = Path(__file__).parents[2] / "shared" / "speech"
"""Recordings of people, with a manifest; not part of the repository."""

VOICED = 330
"""Samples louder than this (-40 dBFS) are voice."""

_PART = 8.0
"""Seconds that the recogniser gets at once: it was trained on pieces of such length."""


# --- sound ----------------------------------------------------------------------------------------------------------


def say(folder: Path, text: str, voice: str = "slt") -> Path:
    """A wav file with `text`, spoken once and kept in `folder`."""
    assert FLITE is not None, NO_FLITE
    path = folder / f"{voice}-{hashlib.sha1(text.encode()).hexdigest()[:12]}.wav"
    if not path.exists():
        subprocess.run([FLITE, "-voice", voice, "-t", text, "-o", str(path)], check=True, capture_output=True)
    return path


def sound(path: Path) -> NDArray[np.int16]:
    """A wav file as samples at 24 kHz."""
    return pcm.as_array(b"".join(read(path).blocks()))


def stored(path: Path, rate: int) -> NDArray[np.int16]:
    """The samples of a wav file as they are, by Python's own reader; at `rate`, if that is not theirs."""
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        samples = pcm.as_array(file.readframes(file.getnframes()))
        return samples if file.getframerate() == rate else resample(samples, file.getframerate(), rate)


def save(path: Path, samples: NDArray[np.int16], rate: int = pcm.RATE) -> Path:
    """Samples as a wav file, by Python's own writer."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(samples.astype("<i2").tobytes())
    return path


def trimmed(samples: NDArray[np.int16], level: int = VOICED) -> NDArray[np.int16]:
    """From the first voiced sample to the last."""
    first, last = voiced(samples, level)
    return samples[first:last]


def voiced(samples: NDArray[np.int16], level: int = VOICED) -> tuple[int, int]:
    """Where the first voiced sample is, and the end of the last one; (0, 0) where there is none."""
    loud = np.flatnonzero(np.abs(samples.astype(np.int32)) > level)
    return (int(loud[0]), int(loud[-1]) + 1) if len(loud) else (0, 0)


def transcribe(recogniser: Recogniser, samples: NDArray[np.int16], rate: int = pcm.RATE) -> str:
    """What our recogniser hears in sound of any length: in parts, cut where it is quietest."""
    low = resample(samples, rate, recogniser.rate)
    return " ".join(filter(None, (recogniser.transcribe(part) for part in _parts(low, recogniser.rate))))


def _parts(samples: NDArray[np.int16], rate: int) -> Iterable[NDArray[np.int16]]:
    frame, longest = rate // 50, int(_PART * rate)
    while len(samples) > longest:
        half = samples[longest // 2 : longest].astype(np.float64)
        power = (half[: len(half) // frame * frame].reshape(-1, frame) ** 2).mean(axis=1)
        quiet = np.convolve(power, np.ones(10), "same")  # 200 ms, so that a stop consonant is no pause
        cut = longest // 2 + int(quiet.argmin()) * frame
        yield samples[:cut]
        samples = samples[cut:]
    if len(samples):
        yield samples


# --- words ----------------------------------------------------------------------------------------------------------

_ONES = [
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
    *("thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"),
]
_TENS = ["_", "_", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]
_SHORT = {
    "won't": "will not",
    "can't": "can not",
    "cannot": "can not",
    "let's": "let us",
    "i'm": "i am",
    "%": " percent",
    "&": " and ",
}
_ENDINGS = {"n't": " not", "'re": " are", "'ve": " have", "'ll": " will", "'d": " would"}
_IS = re.compile(r"\b(what|who|where|when|how|that|there|here|it|he|she)'s\b")


def words(text: str) -> list[str]:
    """The words of `text` as they are compared: small letters, numbers and contractions written out."""
    text = text.lower().replace("\u2019", "'")
    for short, long in _SHORT.items():
        text = text.replace(short, long)
    text = _IS.sub(r"\1 is", text)
    for short, long in _ENDINGS.items():
        text = re.sub(rf"(?<=\w){short}\b", long, text)
    text = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    text = re.sub(r"\d+", lambda found: f" {number(found[0])} ", text)
    return re.findall(r"[a-z]+", text.replace("'", ""))


def number(digits: str) -> str:
    """`42` as `forty two`; from 10,000 on, or with a zero in front, digit by digit."""
    value = int(digits)
    if value >= 10_000 or (digits[0] == "0" and len(digits) > 1):
        return " ".join(_ONES[int(digit)] for digit in digits)
    if value < 20:
        return _ONES[value]
    if value < 100:
        return _TENS[value // 10] + (f" {_ONES[value % 10]}" if value % 10 else "")
    size, name = (100, "hundred") if value < 1000 else (1000, "thousand")
    rest = f" {number(str(value % size))}" if value % size else ""
    return f"{number(str(value // size))} {name}{rest}"


def word_errors(reference: str, heard: str) -> tuple[int, int]:
    """Words to insert, delete or replace (Levenshtein), and the words of the reference."""
    a, b = words(reference), words(heard)
    row = list(range(len(b) + 1))
    for i, word in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1], len(a)


def word_error_rate(pairs: Iterable[tuple[str, str]]) -> float:
    """Of many (reference, heard): all errors over all words of the references."""
    counts = [word_errors(reference, heard) for reference, heard in pairs]
    return sum(errors for errors, _ in counts) / max(1, sum(total for _, total in counts))


# --- people ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recording:
    """A person's words, from the manifest."""

    path: Path
    transcript: str


def recordings() -> list[Recording]:
    """Those of `HUMANS` in which somebody speaks; none where the folder is absent."""
    manifest = HUMANS / "manifest.json"
    if not manifest.is_file():
        return []
    listed = json.loads(manifest.read_text(encoding="utf-8"))
    return [Recording(HUMANS / entry["file"], entry["transcript"]) for entry in listed if entry["transcript"]]
