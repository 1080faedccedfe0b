from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType
from rich.text import Text

from mmagent.sinks.screen import Bottom, Row, Status, words
from mmagent.sinks.transcript import Line


def shown(what: RenderableType, width: int, height: int = 24) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width, height=height, force_terminal=False).print(what)
    return [row.rstrip() for row in out.getvalue().splitlines()]


PARTS = [[Text("listening")], [Text("640 ms (waiting 500, thinking 140)"), Text("640 ms")], [Text("12 tokens")]]


@pytest.mark.parametrize(
    ("width", "rows"),
    [
        (61, ["  listening · 640 ms (waiting 500, thinking 140) · 12 tokens"]),
        (60, ["  listening · 640 ms (waiting 500, thinking 140)", "  12 tokens"]),
        (37, ["  listening", "  640 ms (waiting 500, thinking 140)", "  12 tokens"]),
        (36, ["  listening · 640 ms · 12 tokens"]),
        (8, ["listen…", "640 ms", "12 tok…"]),
    ],
)
def test_status_takes_the_longest_that_fits_with_a_column_to_spare(width: int, rows: list[str]) -> None:
    assert shown(Status(PARTS), width) == rows


@pytest.mark.parametrize(
    ("width", "rows"),
    [
        (36, ["    you  aaaaaaaaaa aaaaaaaaaa", "         aaaaaaaaaa"]),
        (35, ["you: aaaaaaaaaa aaaaaaaaaa", "aaaaaaaaaa"]),
    ],
)
def test_row_has_a_gutter_where_there_is_room(width: int, rows: list[str]) -> None:
    assert shown(Row("you", Text(" ".join(["a" * 10] * 3))), width) == rows


def test_bottom_drops_the_top() -> None:
    body = Text("\n".join("12345"))
    assert shown(Bottom(body, Text("foot")), 10, height=4) == ["4", "5", "foot"]
    assert shown(Bottom(body, Text("foot")), 10, height=24) == [*"12345", "foot"]
    assert shown(Bottom(body, Text("foot")), 10, height=1) == ["foot"]


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (Line("u", "you", 0), "…"),
        (Line("u", "you", 0, done=True), "[inaudible]"),
        (Line("a", "agent", 0, "One ", "two"), "One two"),
        (Line("a", "agent", 0, "One ", " two", done=True, interrupted=True), "One—[two]"),
        (Line("a", "agent", 0, "One", "", done=True, interrupted=True), "One—"),
        (Line("c", "tool", 0, "f" * 300), "f" * 199 + "…"),
    ],
)
def test_words(line: Line, text: str) -> None:
    assert words(line).plain == text
