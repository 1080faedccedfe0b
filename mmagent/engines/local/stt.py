"""Speech to text: Moonshine tiny from its package, or any Whisper from a folder."""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mmagent.errors import EngineError, MissingModel

INSTALL = "pip install 'mmagent[local]'"


class Recogniser(Protocol):
    """Words of a piece of speech. `rate` is in Hz (16000). Blocking; one thread at a time."""

    rate: int
    name: str

    def transcribe(self, pcm: NDArray[np.int16]) -> str:
        """The words in `pcm` (mono, at `rate`), "" where there are none. Calls are independent of each other."""
        ...


class Moonshine:
    """Moonshine tiny, English, whose weights stand inside `moonshine-voice` 0.1.0.

    About 60 ms and another 33 ms for each second of speech, on one core or two.

    The library cuts its input with a voice detection of its own, at an averaged probability of 0.5, and carries that
    detection's state from the end of one call into the next, so that a kept transcriber invents first words. What is
    done about it was measured on 60 cuts of 15 human recordings, 80 synthetic questions and 7 pairs of human sentences
    with a pause between them; percent of words wrong:

        the library's defaults, 0.6 s of digital silence after   14.6 %, 14.5 %, 8.5 %
        threshold 0 (all in one piece), 0.3 s silence            13.3 %, 13.1 %, 15.5 %, and "You" for any noise
        threshold 0.1, 0.6 s silence (used here)                 11.2 %, 13.6 %, 7.0 %

    The session has found out already that somebody speaks, so the library's detection may be lenient.
    """

    rate = 16000
    name = "moonshine-tiny-en"
    _OPTIONS = {"vad_threshold": "0.1", "return_audio_data": "false"}  # noqa: RUF012
    _SILENCE = 9600

    def __init__(self, transcriber: Any, transcript_type: Any) -> None:
        self._transcriber = transcriber
        self._transcript_type = transcript_type

    @classmethod
    def load(cls) -> Moonshine:
        """Load the weights from the package (0.5 s).

        Raises:
            MissingModel: The package is not installed, or is a version without the weights.
        """
        hint = f"Install it with: {INSTALL}"
        try:
            import moonshine_voice
            from moonshine_voice.errors import MoonshineError
            from moonshine_voice.moonshine_api import ModelArch, TranscriptC
            from moonshine_voice.transcriber import Transcriber
        except (ImportError, OSError) as error:
            raise MissingModel(f"The speech recogniser is not installed ({error}).", hint) from error
        folder = Path(moonshine_voice.__file__).parent / "assets" / "tiny-en"
        if not folder.is_dir():
            raise MissingModel("The installed moonshine-voice does not carry its weights.", hint)
        try:
            return cls(Transcriber(folder, ModelArch.TINY, options=cls._OPTIONS), TranscriptC)
        except MoonshineError as error:
            raise MissingModel(f"Moonshine cannot be loaded ({error}).", hint) from error

    def transcribe(self, pcm: NDArray[np.int16]) -> str:
        """The words in `pcm`, with Moonshine's capitals and punctuation."""
        if len(pcm) == 0:
            return ""
        samples = np.zeros(len(pcm) + self._SILENCE, np.float32)
        samples[: len(pcm)] = pcm
        samples /= 32768.0
        # The package's own method copies every sample through Python lists: up to 60 ms more.
        out = ctypes.POINTER(self._transcript_type)()
        failed = self._transcriber._lib.moonshine_transcribe_without_streaming(
            self._transcriber._handle,
            samples.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
            len(samples),
            self.rate,
            0,
            ctypes.byref(out),
        )
        if failed:
            raise EngineError(f"The speech recogniser failed (code {failed}).")
        if not out:
            return ""
        lines = [out.contents.lines[i].text for i in range(out.contents.line_count)]
        texts = [ctypes.string_at(line).decode("utf-8", "ignore") for line in lines if line]
        return tidy(" ".join(texts))


class Whisper:
    """Any Whisper model that `faster-whisper` can read, from a folder on this machine."""

    rate = 16000

    def __init__(self, model: Any, name: str) -> None:
        self._model = model
        self.name = name

    @classmethod
    def load(cls, folder: Path) -> Whisper:
        """Load the model in `folder` (its `model.bin` in CTranslate2's form).

        Raises:
            MissingModel: The folder is not such a model, or `faster-whisper` is not installed.
        """
        if not (folder / "model.bin").is_file():
            raise MissingModel(
                f"{folder} is not a folder with a Whisper model (no model.bin in it).",
                "Give --stt a folder in CTranslate2's form, or leave the option out.",
            )
        try:
            import faster_whisper  # type: ignore[import-not-found,unused-ignore]
        except ImportError as error:
            raise MissingModel(
                "A Whisper model needs the package faster-whisper, which is not installed.",
                "Install it with: pip install faster-whisper",
            ) from error
        try:
            return cls(faster_whisper.WhisperModel(str(folder), device="auto", local_files_only=True), folder.name)
        except (RuntimeError, ValueError, OSError) as error:
            raise MissingModel(f"The Whisper model in {folder} cannot be loaded ({error}).") from error

    def transcribe(self, pcm: NDArray[np.int16]) -> str:
        """The words in `pcm`; greedy, because latency matters more than the last word in a hundred."""
        if len(pcm) == 0:
            return ""
        segments, _ = self._model.transcribe(
            pcm.astype(np.float32) / 32768.0, beam_size=1, condition_on_previous_text=False
        )
        return tidy(" ".join(segment.text for segment in segments))


def tidy(text: str) -> str:
    """Single spaces, no music notes; "" where no letter or digit is left."""
    text = " ".join(text.replace("♪", " ").split())
    return text if any(character.isalnum() for character in text) else ""


def load_recogniser(spec: str) -> Recogniser:
    """The recogniser that `spec` names: "moonshine", or a folder with a Whisper model.

    Raises:
        MissingModel: It is not here; the hint is the command that installs it.
    """
    return Moonshine.load() if spec == "moonshine" else Whisper.load(Path(spec).expanduser())
