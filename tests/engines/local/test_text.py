"""Chunks to be spoken, and words over sound."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmagent.engines.local.text import SentenceSplitter, clean, word_spans


def split(text: str, step: int = 3) -> list[str]:
    splitter = SentenceSplitter()
    chunks = []
    for start in range(0, len(text), step):
        chunks += splitter.feed(text[start : start + step])
    return chunks + splitter.finish()


@pytest.mark.parametrize("step", [1, 4, 1000])
@pytest.mark.parametrize(
    ("text", "chunks"),
    [
        ("Hello there. How are you?", ["Hello there. ", "How are you?"]),
        ("Mr. Smith has 3.14 apples. He left.", ["Mr. Smith has 3.14 apples. ", "He left."]),
        ("Use a tool, e.g. a saw. Good!", ["Use a tool, ", "e.g. a saw. ", "Good!"]),
        ("So. It is open until 5 p.m. Then it closes.", ["So. ", "It is open until 5 p.m. ", "Then it closes."]),
        ("So. Open until 5 p.m. and then not.", ["So. ", "Open until 5 p.m. and then not."]),
        ("J. R. Tolkien did. So do I. Yes.", ["J. R. Tolkien did. ", "So do I. ", "Yes."]),
        ("Well... I think so… maybe.", ["Well... ", "I think so… ", "maybe."]),
        ("Hm... maybe not.", ["Hm... maybe not."]),
        ('So. He said "Stop!" and ran. "Why?" I asked.', ["So. ", 'He said "Stop!" and ran. ', '"Why?" ', "I asked."]),
        ("Title\nThe text", ["Title ", "The text"]),
        ("**Bold** and `code`.\n\n- one\n* two", ["Bold and code. ", "one ", "two"]),
        ("1. First.\n2. Second.", ["1. First. ", "2. Second."]),
        ("# Head\nSee [this](http://a.b/c) now.", ["Head ", "See this now."]),
        ("你好。再见\uff01", ["你好。", "再见\uff01"]),
        ("...", ["..."]),
        ("", []),
        (" \n ", []),
    ],
)
def test_chunks(text: str, chunks: list[str], step: int) -> None:
    assert split(text, step) == chunks


def test_first_chunk_may_be_a_clause_and_later_ones_not() -> None:
    assert split("Of course, I can. Well then, let us go.") == ["Of course, ", "I can. ", "Well then, let us go."]


def test_one_word_is_no_clause() -> None:
    assert split("Yes, I can.") == ["Yes, I can."]


def test_first_chunk_ends_before_a_joint_once_it_is_long() -> None:
    assert split("One of the many wonderful animals that can fly.")[0] == "One of the many wonderful animals "
    text = "The moon is about four hundred thousand kilometers away from the earth and it moves."
    assert split(text)[0] == "The moon is about four hundred "
    assert split("The color of the leaves in the fall is green.")[0] == "The color of the leaves "


def test_a_chunk_comes_as_soon_as_its_end_is_known() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed("It is noon.") == []
    assert splitter.feed(" ") == ["It is noon. "]
    assert splitter.feed("At 5 p.m. ") == []
    assert splitter.feed("W") == ["At 5 p.m. "]


def test_endless_text_is_cut() -> None:
    chunks = split("word " * 200)
    assert max(len(chunk.split()) for chunk in chunks) <= 46


@given(st.lists(st.text(st.sampled_from('ab cI.,!?…"*-#1\n—:()'), max_size=8) | st.text(max_size=4), max_size=12))
def test_nothing_is_lost_and_nothing_moves(pieces: list[str]) -> None:
    splitter = SentenceSplitter()
    chunks = [chunk for piece in pieces for chunk in splitter.feed(piece)] + splitter.finish()
    letters = re.sub(r"\W", "", "".join(pieces).replace("_", ""))
    assert re.sub(r"\W", "", "".join(chunks).replace("_", "")) == letters
    assert all(chunk.strip() for chunk in chunks)


@given(st.text(st.sampled_from('ab cI.,!?…"—:\n'), max_size=60), st.integers(1, 9))
def test_joined_chunks_are_the_clean_text(text: str, step: int) -> None:
    assert "".join(split(text, step)).strip() == clean(text).strip()


def bursts(*lengths: float, rate: int = 16000, gap: float = 0.2) -> np.ndarray:
    """Noise of these lengths (seconds) with silence between."""
    random = np.random.default_rng(3)
    parts = []
    for length in lengths:
        parts += [random.normal(0, 5000, int(length * rate)), np.zeros(int(gap * rate))]
    return np.concatenate(parts[:-1]).clip(-32000, 32000).astype(np.int16)


def test_spans_join_to_the_text_and_go_forward() -> None:
    text = " My name is Anna;  I am 42. "
    spans = word_spans(text, bursts(0.9, 0.8), 16000)
    assert "".join(word for word, _ in spans) == text
    starts = [start for _, start in spans]
    assert starts == sorted(starts)
    assert starts[0] == 0


def test_a_pause_fixes_the_word_after_a_mark() -> None:
    spans = dict(word_spans("Well then, go on now please", bursts(0.5, 1.0), 16000))
    assert spans["go "] == pytest.approx(11200, abs=320)


def test_longer_words_take_longer() -> None:
    spans = [start for _, start in word_spans("a incomprehensibilities a", bursts(2.0), 16000)]
    assert spans[2] - spans[1] > 3 * (spans[1] - spans[0])


@given(st.text(max_size=40), st.integers(0, 3000))
def test_spans_of_anything(text: str, samples: int) -> None:
    pcm = np.full(samples, 1000, np.int16)
    spans = word_spans(text, pcm, 16000)
    assert "".join(word for word, _ in spans).strip() == text.strip()
    assert all(0 <= start <= samples for _, start in spans)
