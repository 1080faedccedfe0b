from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmagent.core.events import MetricsCollected, Usage
from mmagent.sinks.printable import latency, money, printable, shorten, usage


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain words, Straße, 東京, 👩‍🚀", "plain words, Straße, 東京, 👩‍🚀"),
        ("a\x1b[31;1mred\x1b[0m b", "ared b"),
        ("a\x1b[2J\x1b[Hb", "ab"),
        ("\x9b2Jx", "x"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$tq\x1b\\x", "x"),
        ("\x1bcx\x1b(Bx", "xx"),
        ("\x1b]0;no end", "␛]0;no end"),
        ("bell\x07 back\x08 del\x7f c1\x85 nul\x00", "bell␇ back␈ del␡ c1 nul␀"),
        ("one\ntwo\r\nthree\rfour\u2028five\tsix", "one two three four five six"),
        ("abc\u202etxt.exe\u2066", "abctxt.exe"),
        ("half \ud83d", "half \ufffd"),
        ("[bold]not markup[/]", "[bold]not markup[/]"),
    ],
)
def test_takes_the_power_and_leaves_the_words(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_keeps_line_ends_where_asked() -> None:
    assert printable("a  b\r\nc\rd\n\x1b[Ae", newlines=True) == "a b\nc d\ne"


nasty = st.text(st.one_of(st.characters(), st.sampled_from("\x1b\x9b\x9d[]PX^_;?0mJ\x07\\\n\r\x00\u202e\ud800")))


@given(nasty, st.booleans())
def test_nothing_in_it_acts_on_a_terminal(text: str, newlines: bool) -> None:
    shown = printable(text, newlines=newlines)
    bad = [c for c in shown if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") and not (newlines and c == "\n")]
    assert not bad
    assert not [c for c in shown if unicodedata.bidirectional(c) in ("RLO", "LRO", "RLE", "LRE", "RLI", "LRI", "FSI")]
    assert printable(shown, newlines=newlines) == shown


@given(st.lists(st.text("abcdefgh,.!?äßé東[]", min_size=1)))
def test_words_pass_unchanged(words: list[str]) -> None:
    assert printable(" ".join(words)) == " ".join(words)


def test_many_openings_without_an_end_take_no_longer_than_their_length() -> None:
    # Quadratic matching would not end within the test's timeout.
    assert len(printable("\x1b]" * 500_000)) == 1_000_000


def test_shorten() -> None:
    assert shorten("abcdef", 6) == "abcdef"
    assert shorten("abcdefg", 6) == "abcde…"


def test_figures() -> None:
    assert latency(MetricsCollected("a", 640, 500, 80, 50, 10)) == (
        "640 ms (waiting 500, thinking 80, voicing 50, playout 10)"
    )
    assert latency(MetricsCollected("a", 640, None, 80, None, None)) == "640 ms (thinking 80)"
    assert latency(MetricsCollected("a", None, None, None, None, None)) == "unknown"
    assert [money(usd, False) for usd in (0, 0.00421, 3.14159)] == ["$0.00", "$0.0042", "$3.14"]
    assert usage(Usage("r", 1120, 45, 2000, 345)) == "1,120 in + 45 out tokens, session 2,345 tokens"
    assert usage(Usage("r", 1, 2, 3, 4, 0.1, 0.25, True)).endswith("session 7 tokens, ~$0.2500")
