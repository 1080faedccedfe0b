from __future__ import annotations

import io
import json
import os
from collections.abc import Callable
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mmagent.core.events as e
from mmagent.core.events import Announcement
from mmagent.sinks import Sink
from mmagent.sinks.jsonl import JsonLines, seconds, spell
from tests.sinks.conformance import SinkConformance
from tests.sinks.conversation import announcements


class TestConformance(SinkConformance):
    def make(self) -> tuple[Sink, Callable[[], str]]:
        out = io.BytesIO()
        return JsonLines(out), lambda: out.getvalue().decode()


def test_a_line() -> None:
    event = e.UserSpeechCommitted("i3", "Grüß Gott", "user", False, 1_200_000, None)
    assert spell(12_345_000, event) == (
        '{"t": 12.345, "event": "user_speech_committed", "item_id": "i3", "text": "Grüß Gott", '
        '"role": "user", "interrupted": false, "started_at": 1.2, "ended_at": null}'
    )


def test_every_line_has_time_then_name_then_the_structs_own_fields() -> None:
    for now, event in announcements():
        line = json.loads(spell(now, event))
        assert list(line) == ["t", "event", *event.__struct_fields__]
        assert line["event"] == e.name_of(event)
        assert line["t"] == now / 1_000_000


@pytest.mark.parametrize(
    ("microseconds", "spelled"),
    [(0, "0.0"), (1, "0.000001"), (12_345_000, "12.345"), (2_000_000, "2.0"), (86_399_999_999, "86399.999999")],
)
def test_seconds(microseconds: int, spelled: str) -> None:
    assert seconds(microseconds) == spelled


@given(st.integers(-(10**15), 10**15))
def test_seconds_are_exact(microseconds: int) -> None:
    assert Decimal(seconds(microseconds)) == Decimal(microseconds).scaleb(-6)


@given(st.text(st.characters()))
def test_any_text_comes_back(text: str) -> None:
    line = spell(0, e.UserTranscript("u", text))
    assert len(line.splitlines()) == 1
    assert json.loads(line)["text"] == "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)


def test_half_a_character_deep_inside() -> None:
    line = json.loads(spell(0, e.FunctionCallsFinished(({"output": "\ud83d", "call_id": "c"},))))
    assert line["results"] == [{"output": "\ufffd", "call_id": "c"}]


def test_each_line_is_out_at_once() -> None:
    reader, writer = os.pipe()
    with open(writer, "w", encoding="latin-1") as out, open(reader, encoding="utf-8") as lines:
        sink = JsonLines(out)
        script: list[tuple[int, Announcement]] = [(1, e.UserTranscript("u", "東京")), (2, e.Closed("done"))]
        for now, event in script:
            sink.handle(now, event)
            # Would wait for ever (and fail by the timeout) were the line still in a buffer.
            assert lines.readline() == spell(now, event) + "\n"


def test_text_streams_without_bytes() -> None:
    out = io.StringIO()
    JsonLines(out).handle(0, e.Closed("東京"))
    assert msgspec.json.decode(out.getvalue()) == {"t": 0.0, "event": "closed", "reason": "東京"}


def test_a_reader_that_left_is_told() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb", buffering=0) as out, pytest.raises(BrokenPipeError):
        JsonLines(out).handle(0, e.Closed(""))


def test_the_stream_stays_open() -> None:
    out = io.BytesIO()
    JsonLines(out).close()
    assert not out.closed
