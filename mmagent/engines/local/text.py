"""Text on its way to being spoken: cut into pieces that can be spoken, and words laid over sound. Pure."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

_NEVER_ENDS = frozenset(
    [
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "st",
        "jr",
        "sr",
        "vs",
        "no",
        "fig",
        "gen",
        "col",
        "lt",
        "sgt",
        "capt",
        "rev",
        "hon",
        "approx",
        "dept",
        "est",
        "e.g",
        "i.e",
        "cf",
        "ca",
    ]
)
"""Abbreviations after which a sentence goes on."""
_MAY_END = frozenset(
    ["etc", "inc", "ltd", "co", "corp", "a.m", "p.m", "u.s", "u.k", "u.s.a", "u.n", "e.u", "ph.d", "b.c", "a.d"]
)
"""Abbreviations that may end a sentence: the letter that follows decides."""
_JOINTS = frozenset(
    [
        "and",
        "but",
        "or",
        "so",
        "because",
        "which",
        "that",
        "when",
        "where",
        "while",
        "if",
        "though",
        "although",
        "since",
        "until",
        "unless",
        "with",
        "from",
        "in",
        "on",
        "at",
        "for",
        "by",
        "into",
        "like",
        "than",
        "as",
        "of",
        "to",
        "is",
        "are",
        "was",
        "were",
    ]
)
"""Words before which a voice may take a breath."""

_FIRST_CLAUSE_WORDS = 2
_FIRST_JOINT_WORDS = 3
_FIRST_LONGEST = 6
_CLAUSE_WORDS = 30
_LONGEST = 45

_STOP = re.compile(
    r"(?P<stop>[.!?…]+[\"'”\u2019)\]*`_]*(?=\s)|[。\uff01\uff1f]+)|(?P<line>\n)|(?P<clause>[,;:—\u2013]\"?(?=\s)|\s-(?=\s))"
)
_MARKER = re.compile(r"^[ \t]*(?:[-*+•]|#{1,6}|>)[ \t]+")


def clean(text: str, at_line_start: bool = True) -> str:
    """`text` without markdown's marks, every run of blanks and line ends made one blank; outer blanks stay (as one)."""
    lines = text.split("\n")
    for index, line in enumerate(lines):
        if index or at_line_start:
            lines[index] = _MARKER.sub("", line)
    text = re.sub(r"\[([^\]]*)\]\([^)\s]*\)", r"\1", "\n".join(lines))
    text = re.sub(r"[*`]|__|~~", "", text)
    return re.sub(r"\s+", " ", text)


class SentenceSplitter:
    """Pieces of generated text in, chunks to be spoken out.

    The chunks, joined, are `clean` of the whole text (outer blanks aside): nothing is lost and nothing moves; each but
    the last ends with its blank. A chunk is a sentence or a line, except that the first may be a clause (two words and
    a comma, or the words before a joint once there are three, or six words), so that sound starts early, and that very
    long sentences are cut.
    """

    def __init__(self) -> None:
        self._rest = ""
        self._first = True
        self._line_start = True
        self._blank = True

    def feed(self, piece: str) -> list[str]:
        """More text; the chunks that are complete now."""
        self._rest += piece
        chunks = []
        self._skip_blanks()
        while (end := self._boundary()) is not None:
            chunks += self._take(end)
        return chunks

    def finish(self) -> list[str]:
        """There is no more text: the last chunks."""
        chunks = self.feed("\n")
        chunks += self._take(len(self._rest))
        if chunks:
            chunks[-1] = chunks[-1].rstrip()
        return chunks

    def _skip_blanks(self) -> None:
        """Drop blanks that came after the chunk that they belong to was cut; it has one already."""
        rest = self._rest.lstrip()
        if self._blank and len(rest) < len(self._rest):
            self._line_start |= "\n" in self._rest[: len(self._rest) - len(rest)]
            self._rest = rest

    def _take(self, end: int) -> list[str]:
        """Cut `end` characters off, with the blanks that follow; as a list, because nothing may be left of them."""
        while end < len(self._rest) and self._rest[end].isspace():
            end += 1
        raw, self._rest = self._rest[:end], self._rest[end:]
        chunk = clean(raw, self._line_start)
        self._line_start = "\n" in raw[len(raw.rstrip()) :] or (self._line_start and not chunk)
        if self._first:
            chunk = chunk.lstrip()
        if not chunk.strip():
            return []
        self._first = False
        self._blank = chunk.endswith(" ")
        return [chunk]

    def _boundary(self) -> int | None:
        """Where the next chunk ends in the text that waits, blanks not counted; None while it is not known."""
        for match in _STOP.finditer(self._rest):
            if not self._rest[: match.end()].strip():
                continue
            words = len(self._rest[: match.end()].split())
            if match["line"]:
                return match.end()
            if match["stop"]:
                verdict = self._ends_sentence(match)
                if verdict is None:
                    return None
                if verdict:
                    return match.end()
            elif words >= (_FIRST_CLAUSE_WORDS if self._first else _CLAUSE_WORDS):
                return match.end()
        return self._breath()

    def _ends_sentence(self, match: re.Match[str]) -> bool | None:
        """Whether this mark ends a sentence; None if the letter that decides has not come yet."""
        marks = match["stop"]
        if len(marks) == 1 and marks != ".":
            return True
        word = self._rest[: match.start()].split()[-1:] or [""]
        name = word[0].strip("\"'(*_“”").lower()
        if name in _NEVER_ENDS or (len(name) == 1 and name.isalpha() and name != "i"):
            return False
        if name.isdigit() and not self._rest[: match.start()].strip(" \n*_").strip("0123456789"):
            return False  # "1. " begins a line of a list
        if name in _MAY_END or len(marks) > 1:
            follows = self._rest[match.end() :].lstrip()
            return None if not follows else not follows[0].islower()
        return True

    def _breath(self) -> int | None:
        """A place to cut a chunk that grew long without a mark: the first before a joint, any at last anywhere.

        The word that waits decides: it must be whole, and then the chunk before it can be spoken.
        """
        words = list(re.finditer(r"\S+(?=\s)", self._rest))
        if self._first:
            for index, word in enumerate(words):
                joint = index >= _FIRST_JOINT_WORDS and word[0].lower() in _JOINTS
                if joint or index >= _FIRST_LONGEST:
                    return words[index - 1].end()
        return words[_LONGEST - 1].end() if len(words) > _LONGEST else None


def word_spans(text: str, pcm: NDArray[np.int16], rate: int) -> list[tuple[str, int]]:
    """The words of `text` (each with the blanks after it) and the sample at which each is estimated to start.

    For voices that do not tell. Words share the sound by their letters; a pause in the sound that lies about where a
    mark stands in the text fixes the word after it; at last each start moves to the quietest place near by.
    """
    words = re.findall(r"\s*\S+\s*", text)
    if not words or len(pcm) == 0:
        return [(word, 0) for word in words]
    hop = max(1, rate // 100)
    level = _levels(pcm, hop)
    loud = np.flatnonzero(level > 0.05 * level.max())
    begin, end = (int(loud[0]), int(loud[-1]) + 1) if len(loud) else (0, len(level))
    weights = np.array([_weight(word) for word in words])
    anchors = _anchors(words, weights, level, begin, end)
    starts: list[float] = []
    for (first, since), (last, until) in pairwise(anchors):
        share = np.concatenate(([0.0], np.cumsum(weights[first:last])))
        starts += list(since + (until - since) * share[:-1] / share[-1])
    fixed = {index for index, _ in anchors}
    places = [start if index in fixed else _quietest(level, start, index, starts) for index, start in enumerate(starts)]
    places[0] = 0.0
    spans = np.minimum(np.maximum.accumulate(places) * hop, len(pcm)).astype(int)
    return [(word, int(start)) for word, start in zip(words, spans, strict=True)]


def _levels(pcm: NDArray[np.int16], hop: int) -> NDArray[np.float64]:
    """Root mean square of each `hop` samples (10 ms)."""
    frames = -(-len(pcm) // hop)
    padded = np.zeros(frames * hop)
    padded[: len(pcm)] = pcm
    level: NDArray[np.float64] = np.sqrt((padded.reshape(frames, hop) ** 2).mean(axis=1))
    return level


def _weight(word: str) -> float:
    """How long a word takes, in letters: digits are whole words, vowels make syllables, short words are not nothing."""
    bare = word.strip()
    syllables = len(re.findall(r"[aeiouy]+", bare.lower()))
    digits = sum(character.isdigit() for character in bare)
    return 1.0 + 0.6 * sum(c.isalpha() for c in bare) + 0.9 * syllables + 4.0 * digits


def _anchors(
    words: list[str], weights: NDArray[np.float64], level: NDArray[np.float64], begin: int, end: int
) -> list[tuple[int, float]]:
    """(word, frame) pairs that are known: the ends, and the words after a mark that met a pause."""
    quiet = level[begin:end] < 0.08 * level.max()
    edges = np.flatnonzero(np.diff(np.concatenate(([0], quiet.astype(int), [0]))))
    pauses = [(int(a) + begin, int(b) + begin) for a, b in edges.reshape(-1, 2) if b - a >= 6]
    share = np.concatenate(([0.0], np.cumsum(weights))) / weights.sum()
    anchors = [(0, float(begin))]
    for index in range(1, len(words)):
        if not re.search(r"[.,;:!?…—\u2013-]\W*$", words[index - 1]):
            continue
        guess = begin + (end - begin) * share[index]
        after = [p for p in pauses if p[0] > anchors[-1][1]]
        near = min(after, key=lambda p: abs(p[1] - guess), default=None)
        if near is not None and abs(near[1] - guess) < 0.15 * (end - begin) + 15:
            anchors.append((index, float(near[1])))
    return [*anchors, (len(words), float(end))]


def _quietest(level: NDArray[np.float64], start: float, index: int, starts: list[float]) -> float:
    """The quietest frame within 50 ms of `start`, never past the middle of a neighbouring word."""
    before = (start + starts[index - 1]) / 2 if index else start
    after = (start + starts[index + 1]) / 2 if index + 1 < len(starts) else start
    low, high = int(max(before, start - 5)), int(min(after, start + 5)) + 1
    return float(low + int(np.argmin(level[low:high]))) if high > low else start
