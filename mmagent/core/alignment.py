"""Which words of an answer have been heard: text positions against audio positions.

Transcript and audio of an answer come in separate deltas. Two kinds of engine are met:

1. Each text delta is followed by its own audio before the next text delta comes (mmagent's own engine: word by word).
   Then the place where a delta arrived is the place where it is spoken, and nothing is guessed.
2. Text runs ahead of the sound ("Deltas of transcript and audio are not aligned", reference, trap 23). Then text is
   spread evenly over the audio: over its true length once all of it came, before that at `CHARS_PER_SECOND`.

A word counts as heard when more than half of its time was played, so the text always ends at a word.
"""

from __future__ import annotations

from bisect import bisect_right

from mmagent.core import pcm

CHARS_PER_SECOND = 15
"""How fast speech runs while its length is not known: about 2.7 words a second in English."""


class Alignment:
    """The text and the audio of one item. Positions are characters and samples at 24 kHz."""

    def __init__(self) -> None:
        self.text = ""
        self.samples = 0
        self.complete = False
        self._marks: list[tuple[int, int]] = []
        self._mark_samples: list[int] = []
        self._alternating = True

    def add_text(self, delta: str) -> None:
        """More text: it belongs to audio that is still to come."""
        if not delta:
            return
        if self._marks and self._marks[-1][1] == self.samples:
            self._alternating = False
        self._marks.append((len(self.text), self.samples))
        self._mark_samples.append(self.samples)
        self.text += delta

    def add_audio(self, samples: int) -> None:
        """More audio."""
        self.samples += samples

    def correct(self, text: str) -> None:
        """The whole text, as the engine says it in the end: it replaces what came in pieces."""
        if text != self.text:
            self.text = text
            self._alternating = False

    def finish(self) -> None:
        """All text and all audio are here."""
        self.complete = True

    def heard(self, samples: int) -> str:
        """The words of which most was heard once `samples` samples were played; the whole text at the end."""
        return self.text[: self.heard_chars(samples)].rstrip()

    def heard_chars(self, samples: int) -> int:
        """The same as a position in `text`, always at the end of a word (blanks included)."""
        if samples <= 0 or not self.text:
            return 0
        if self.complete and samples >= self.samples:
            return len(self.text)
        return self._end_of_word(self._char_at(samples))

    def _char_at(self, samples: int) -> float:
        """The character that is being spoken at `samples`, as far as is known."""
        if self._alternating and self._marks:
            return self._between_marks(samples)
        if self.complete:
            return len(self.text) * samples / self.samples
        return samples * CHARS_PER_SECOND / pcm.RATE

    def _between_marks(self, samples: int) -> float:
        index = bisect_right(self._mark_samples, samples) - 1
        if index < 0:
            return 0  # sound came before the first word
        last = index + 1 == len(self._marks)
        text0, audio0 = self._marks[index]
        text1, audio1 = (len(self.text), self.samples) if last else self._marks[index + 1]
        if audio1 <= audio0:
            return text0
        spoken = (text1 - text0) * min(1.0, (samples - audio0) / (audio1 - audio0))
        if last and not self.complete:  # more of its sound may be on the way
            spoken = min(spoken, (samples - audio0) * CHARS_PER_SECOND / pcm.RATE)
        return text0 + spoken

    def _end_of_word(self, char: float) -> int:
        """The end of the last word of which more than half lies before `char`."""
        text = self.text
        start = end = min(len(text), int(char))
        while start > 0 and not (text[start - 1].isspace() and not _blank(text, start)):
            start -= 1
        while end < len(text) and (not text[end].isspace() or end == start):
            end += 1
        while end < len(text) and text[end].isspace():
            end += 1
        return end if char > (start + end) / 2 else start


def _blank(text: str, index: int) -> bool:
    return index >= len(text) or text[index].isspace()
