"""Moonshine on people; the folder of a Whisper; what is missing."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from mmagent.engines.local.stt import Moonshine, load_recogniser, tidy
from mmagent.errors import MissingModel

from .speech import FOLDER, sentence


@pytest.fixture(scope="module")
def moonshine() -> Moonshine:
    pytest.importorskip("moonshine_voice", reason="pip install 'mmagent[local]'")
    return Moonshine.load()


def words(text: str) -> list[str]:
    return re.sub(r"[^a-z0-9' ]", " ", text.lower()).split()


def wrong(reference: list[str], heard: list[str]) -> int:
    """Substitutions, insertions and deletions."""
    row = list(range(len(heard) + 1))
    for i, expected in enumerate(reference, 1):
        last, row[0] = row[:], i
        for j, word in enumerate(heard, 1):
            row[j] = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (expected != word))
    return row[-1]


def test_people_are_understood_by_a_kept_recogniser(moonshine: Moonshine) -> None:
    if not (FOLDER / "manifest.json").is_file():
        pytest.skip("no recordings in ../shared/speech")
    errors = total = 0
    for entry in json.loads((FOLDER / "manifest.json").read_text()):
        reference = words(entry["transcript"] or "")
        if not reference:
            continue
        errors += wrong(reference, words(moonshine.transcribe(sentence(entry["file"]))))
        total += len(reference)
    assert errors / total <= 0.154, "worse than the model alone on whole clips"


def test_nothing_is_carried_from_one_call_to_the_next(moonshine: Moonshine) -> None:
    pcm = sentence("ls_3005-163389-0007.wav")
    first = moonshine.transcribe(pcm)
    assert words(first) == words("You didn't want to come")
    moonshine.transcribe(sentence("ls_1320.wav")[:30000])  # cut off while speaking
    assert moonshine.transcribe(pcm) == first


@pytest.mark.parametrize("samples", [0, 1, 400, 16000])
def test_silence_has_no_words(moonshine: Moonshine, samples: int) -> None:
    assert moonshine.transcribe(np.zeros(samples, np.int16)) == ""


def test_the_sound_given_is_not_changed(moonshine: Moonshine) -> None:
    pcm = np.full(8000, 7, np.int16)
    moonshine.transcribe(pcm)
    assert (pcm == 7).all()


@pytest.mark.parametrize(
    ("heard", "told"),
    [("  two \n words ", "two words"), ("♪♪ ♪", ""), ("...", ""), ("♪ la", "la"), ("", "")],
)
def test_tidy(heard: str, told: str) -> None:
    assert tidy(heard) == told


def test_missing_package_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "moonshine_voice", None)
    with pytest.raises(MissingModel) as caught:
        load_recogniser("moonshine")
    assert "pip install 'mmagent[local]'" in caught.value.hint


def test_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(MissingModel, match=r"model\.bin"):
        load_recogniser(str(tmp_path))


def test_whisper_needs_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model.bin").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "faster_whisper", None)
    with pytest.raises(MissingModel) as caught:
        load_recogniser(str(tmp_path))
    assert "pip install faster-whisper" in caught.value.hint
