from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from mmagent.core import pcm
from mmagent.core.alignment import CHARS_PER_SECOND, Alignment

SECOND = pcm.RATE
texts = st.text(alphabet="ab .,\n'", min_size=1, max_size=12)
histories = st.lists(st.one_of(texts, st.integers(0, SECOND)), max_size=12)


def aligned(*pieces: str | int, complete: bool = True) -> Alignment:
    """Text and audio in the order in which they came."""
    words = Alignment()
    for piece in pieces:
        if isinstance(piece, str):
            words.add_text(piece)
        else:
            words.add_audio(piece)
    if complete:
        words.finish()
    return words


def test_word_by_word_nothing_is_guessed() -> None:
    words = aligned("Hello ", SECOND, "there ", SECOND // 10, "friend.", SECOND)
    assert words.heard(SECOND // 2) == ""
    assert words.heard(SECOND // 2 + SECOND // 10) == "Hello"
    assert words.heard(SECOND) == "Hello"
    assert words.heard(SECOND + SECOND // 10) == "Hello there"
    assert words.heard(SECOND + SECOND // 10 + SECOND * 6 // 10) == "Hello there friend."


def test_text_that_runs_ahead_is_spread_over_the_whole_sound() -> None:
    words = aligned("One two ", "three four", 2 * SECOND)
    assert words.heard(SECOND // 2) == "One"
    assert words.heard(SECOND) == "One two"
    assert words.heard(2 * SECOND - 1) == "One two three four"


def test_text_that_runs_ahead_of_sound_that_is_not_all_there_goes_by_the_usual_speed() -> None:
    text = "word " * 12
    words = aligned(text, "and more of it", 4 * SECOND, complete=False)
    assert len(words.heard(2 * SECOND)) in range(2 * CHARS_PER_SECOND - 5, 2 * CHARS_PER_SECOND + 5)


def test_one_piece_of_text_whose_sound_still_comes_is_not_all_heard() -> None:
    words = aligned("a sentence of some length, in one piece", SECOND // 5, complete=False)
    assert len(words.heard(SECOND // 5)) < 10


def test_sound_before_the_first_word() -> None:
    words = aligned(SECOND, "Hello ", SECOND, "there", SECOND)
    assert words.heard(SECOND // 2) == ""
    assert words.heard(SECOND * 2) == "Hello"


def test_all_of_it_is_all_of_it() -> None:
    assert aligned("Hello ", "there.", SECOND).heard(SECOND) == "Hello there."
    assert aligned("Hello ", "there. ", SECOND).heard_chars(SECOND) == 13


def test_nothing_is_nothing() -> None:
    assert aligned("Hello", SECOND).heard(0) == ""
    assert aligned("Hello", SECOND).heard(-5) == ""
    assert aligned(SECOND).heard(SECOND) == ""
    assert aligned("", SECOND, "Hi", SECOND).heard(2 * SECOND) == "Hi"
    assert aligned("Hello").heard(1) == "Hello"  # complete, without sound: all there is


def test_a_word_at_the_last_place_without_sound_yet() -> None:
    words = aligned("Hello ", SECOND, "there", complete=False)
    assert words.heard(SECOND) == "Hello"


def test_the_whole_text_replaces_the_pieces() -> None:
    words = aligned("Hello ", SECOND, "ther", SECOND)
    words.correct("Hello there, friend.")
    assert words.heard(2 * SECOND) == "Hello there, friend."
    assert words.heard(SECOND * 9 // 10) == "Hello"
    same = aligned("Hello ", SECOND, "there", SECOND // 10)
    same.correct("Hello there")
    assert same.heard(SECOND) == "Hello"  # still word by word


@given(histories, st.booleans(), st.none() | texts)
def test_what_was_heard_grows_with_what_was_played_and_ends_at_a_word(
    pieces: list[str | int], complete: bool, correction: str | None
) -> None:
    words = aligned(*pieces, complete=complete)
    if correction is not None:
        words.correct(correction)
    positions = sorted({0, 1, *range(0, words.samples + 2, 997), words.samples, words.samples + 1})
    chars = [words.heard_chars(position) for position in positions]
    assert chars == sorted(chars)
    for position, end in zip(positions, chars, strict=True):
        assert 0 <= end <= len(words.text)
        assert words.text.startswith(words.heard(position))
        before, after = words.text[:end], words.text[end:]
        assert not (before and after) or (before[-1].isspace() and not after[0].isspace())
    if complete and words.text:
        assert words.heard(max(1, words.samples)) == words.text.rstrip()


@given(st.lists(st.tuples(st.sampled_from(["a ", "word ", "longer-word "]), st.integers(100, SECOND)), min_size=1))
def test_word_by_word_each_word_counts_when_half_of_it_was_played(spoken: list[tuple[str, int]]) -> None:
    words = aligned(*(piece for pair in spoken for piece in pair))
    ends = [sum(samples for _, samples in spoken[:i]) for i in range(len(spoken) + 1)]
    for index, (start, end) in enumerate(pairwise(ends)):
        assert len(words.heard(start + (end - start) // 3).split()) == index
        assert len(words.heard(end - 1).split()) == index + 1
