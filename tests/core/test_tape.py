from __future__ import annotations

import json
import types
import typing
from base64 import b64encode
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmagent.core import pcm, tape
from mmagent.core.commands import Announce, Command, End, Note, Play, Send, StopPlaying
from mmagent.core.events import (
    AgentStartedSpeaking,
    AgentStoppedSpeaking,
    Event,
    LinkUp,
    MicAudio,
    MicDropped,
    Played,
    Received,
    Typed,
    UserStartedSpeaking,
    UserStoppedSpeaking,
    Warning,
)
from mmagent.core.settings import SessionSettings
from mmagent.core.tape import CommandEntry, Entry, EventEntry, Unknown
from mmagent.errors import UsageError

EVENTS = typing.get_args(Event)
COMMANDS = typing.get_args(Command)
HEADER = tape.encode_header("0.1.0", SessionSettings())


# --- strategies, made from the fields, so that a new event is covered by itself -----------------------------------

audio = st.binary(max_size=41)
leaves = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
anything = st.recursive(
    leaves | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@st.composite
def realtime_messages(draw: st.DrawFn) -> bytes:
    """JSON objects, many with audio where the protocol has it, compact or not."""
    sound = draw(st.one_of(audio.map(lambda a: b64encode(a).decode()), st.text(max_size=5), leaves))
    part = {"type": "input_audio", "audio": sound}
    message: dict[str, Any] = draw(
        st.one_of(
            st.just({"type": "input_audio_buffer.append", "audio": sound}),
            st.sampled_from(["response.output_audio.delta", "response.audio.delta", "response.output_text.delta"]).map(
                lambda kind: {"type": kind, "item_id": "item_1", "delta": sound}
            ),
            st.just({"type": "conversation.item.create", "item": {"content": [part, {"type": "input_text"}, 5]}}),
            st.just({"type": "response.done", "response": {"output": [{"content": [part]}, None]}}),
            st.just({"type": "response.content_part.done", "part": part}),
            st.dictionaries(st.sampled_from(["type", "item", "response", "part", "audio", "x"]), anything),
        )
    )
    return json.dumps(message, indent=draw(st.sampled_from([None, 2]))).encode()


PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    int: st.integers(0, 2**60),
    float: st.floats(allow_nan=False, allow_infinity=False),
    str: st.text(max_size=20),
    bool: st.booleans(),
    types.NoneType: st.none(),
}


def of_type(hint: Any) -> st.SearchStrategy[Any]:
    arguments, origin = typing.get_args(hint), typing.get_origin(hint)
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if origin in (types.UnionType, typing.Union):
        return st.one_of(*map(of_type, arguments))
    if origin is tuple:
        return st.lists(of_type(arguments[0]), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(of_type(arguments[0]), of_type(arguments[1]), max_size=3)
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return of_struct(hint)
    return PLAIN[hint]  # a KeyError: teach this test to make one


def of_struct(cls: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls)
    special = {"pcm": audio, "message": st.one_of(realtime_messages(), st.binary(max_size=20))}
    return st.builds(
        cls,
        **{
            name: special[name] if name in special and hints[name] is bytes else of_type(hints[name])
            for name in cls.__struct_fields__
        },
    )


times = st.integers(0, 2**53)
offsets = st.none() | st.integers(0, 2**40)


def entry_of(cls: Any) -> st.SearchStrategy[Entry]:
    make: Any = EventEntry if cls in EVENTS else CommandEntry
    return st.builds(make, times, of_struct(cls), offsets if "pcm" in cls.__struct_fields__ else st.none())


entries = st.one_of(*map(entry_of, EVENTS + COMMANDS))


def what(entry: Entry | Unknown) -> Any:
    assert not isinstance(entry, Unknown), entry
    return entry.event if isinstance(entry, EventEntry) else entry.command


def fields(line: bytes) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(line)
    return decoded


# --- there and back -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cls", EVENTS + COMMANDS, ids=lambda cls: cls.__name__)
@given(data=st.data())
def test_every_event_and_command_comes_back(cls: Any, data: st.DataObject) -> None:
    entry = data.draw(entry_of(cls))
    line = tape.encode(entry)
    assert line.endswith(b"}\n")
    assert line.count(b"\n") == 1
    assert next(iter(fields(line))) == "t"

    back = tape.decode(line)
    assert type(back) is type(entry)
    assert tape.encode(back) == line
    assert (back.t, back.at) == (entry.t, entry.at)
    for name in cls.__struct_fields__:
        before, after = getattr(what(entry), name), getattr(what(back), name)
        if name == "pcm":
            assert after == bytes(len(before))
        elif name != "message" or not before.lstrip().startswith(b"{"):
            assert after == before


@given(realtime_messages())
def test_a_message_comes_back_as_the_same_json_with_audio_of_the_same_length(message: bytes) -> None:
    back = what(tape.decode(tape.encode_event(1, Received(message)))).message

    def same(a: Any, b: Any) -> bool:
        if isinstance(a, dict):
            return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
        if isinstance(a, list):
            return len(a) == len(b) and all(map(same, a, b))
        silence = isinstance(a, str) and isinstance(b, str) and set(b) <= {"A", "="} and len(a) == len(b)
        return bool(a == b) or silence

    assert same(json.loads(message), json.loads(back))


def test_fields_do_not_collide_with_those_of_the_line() -> None:
    for cls in EVENTS + COMMANDS:
        names = set(cls.__struct_fields__)
        assert not names & {"t", "at", "command", "message_base64"}
        assert cls is Announce or "event" not in names
        assert "pcm" not in names or "samples" not in names


# --- what a line looks like -----------------------------------------------------------------------------------------


def test_microphone_audio_is_a_range_of_the_wav_file() -> None:
    line = tape.encode_event(20_000, MicAudio(pcm.silence(480)), at=960)
    assert line == b'{"t":20000,"event":"mic_audio","samples":480,"at":960}\n'


def test_half_a_sample_is_kept() -> None:
    line = tape.encode_command(0, Play(bytes(5)))
    assert line == b'{"t":0,"command":"play","samples":2.5}\n'
    assert tape.decode(line) == CommandEntry(0, Play(bytes(5)))


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ({"type": "input_audio_buffer.append", "audio": "SOUND"}, {"audio": 480}),
        ({"type": "response.output_audio.delta", "item_id": "a", "delta": "SOUND"}, {"delta": 480}),
        ({"type": "response.audio.delta", "item_id": "a", "delta": "SOUND"}, {"delta": 480}),
        ({"type": "conversation.item.create", "item": {"content": [{"audio": "SOUND"}]}}, {"audio": 480}),
        ({"type": "conversation.item.retrieved", "item": {"content": [{"audio": None}]}}, {"audio": None}),
        ({"type": "response.create", "response": {"input": [{"content": [{"audio": "SOUND"}]}]}}, {"audio": 480}),
        ({"type": "response.output_text.delta", "delta": "AAAA"}, {"delta": "AAAA"}),
        ({"type": "response.output_audio_transcript.delta", "delta": "AAAA"}, {"delta": "AAAA"}),
        ({"type": "response.create", "response": {"metadata": {"audio": "AAAA"}}}, {"audio": "AAAA"}),
        ({"type": "input_audio_buffer.append", "audio": "not base64!"}, {"audio": "not base64!"}),
    ],
)
def test_audio_in_a_message_becomes_its_length_and_nothing_else_does(
    message: dict[str, Any], kept: dict[str, Any]
) -> None:
    sound = b64encode(bytes(range(96)) * 10).decode()
    sent = json.dumps(message).replace("SOUND", sound).encode()
    line = tape.encode_command(5, Send(sent))
    ((key, value),) = kept.items()
    assert json.dumps({key: value})[1:-1].replace(": ", ":") in line.decode()
    assert fields(line)["message"]["type"] == message["type"]
    assert len(line) < 200


@pytest.mark.parametrize(
    ("message", "form"),
    [
        (b"not json", {"message": "not json"}),
        (b"[1, 2]", {"message": "[1, 2]"}),
        (b"", {"message": ""}),
        (b'{"a":1e999}', {"message": '{"a":1e999}'}),
        (b"\xff\x00", {"message_base64": "/wA="}),
        (
            b'{"type":"input_audio_buffer.append","audio":7}',
            {"message": '{"type":"input_audio_buffer.append","audio":7}'},
        ),
    ],
)
def test_what_is_no_message_is_kept_word_for_word(message: bytes, form: dict[str, str]) -> None:
    line = tape.encode_event(3, Received(message))
    assert fields(line) == {"t": 3, "event": "received", **form}
    assert tape.decode(line) == EventEntry(3, Received(message))


def test_a_message_too_deep_to_read_is_kept_word_for_word() -> None:
    deep = b'{"a":' * 100_000 + b"1" + b"}" * 100_000
    assert tape.decode(tape.encode_event(0, Received(deep))) == EventEntry(0, Received(deep))


# --- samples --------------------------------------------------------------------------------------------------------


def test_samples_come_from_the_wav_file_of_their_side() -> None:
    asked: list[tuple[str, int, int]] = []

    def side(name: str, short: int = 0) -> tape.Samples:
        def give(at: int, count: int) -> bytes:
            asked.append((name, at, count))
            return b"\x01\x02" * (count - short)

        return give

    mic = tape.decode(tape.encode_event(1, MicAudio(bytes(6)), 100), user=side("user"), agent=side("agent"))
    play = tape.decode(tape.encode_command(2, Play(bytes(7)), 200), user=side("user"), agent=side("agent"))
    ends = tape.decode(tape.encode_event(1, MicAudio(bytes(6)), 300), user=side("user", short=1))
    nowhere = tape.decode(tape.encode_event(1, MicAudio(bytes(6))), user=side("user"))
    assert what(mic).pcm == b"\x01\x02" * 3
    assert what(play).pcm == b"\x01\x02\x01\x02\x01\x02\x01"
    assert what(ends).pcm == b"\x01\x02\x01\x02\x00\x00"
    assert what(nowhere).pcm == bytes(6)
    assert asked == [("user", 100, 3), ("agent", 200, 4), ("user", 300, 3)]


# --- lines that are not understood ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"not json",
        b'{"t":1,"event":"typed","te',
        b"[]",
        b"null",
        b'{"t":1}',
        b'{"event":"link_up"}',
        b'{"t":-1,"event":"link_up"}',
        b'{"t":1.5,"event":"link_up"}',
        b'{"t":true,"event":"link_up"}',
        b'{"t":1,"event":"from_the_future","x":1}',
        b'{"t":1,"command":"from_the_future"}',
        b'{"t":1,"event":["typed"]}',
        b'{"t":1,"event":"typed"}',
        b'{"t":1,"event":"typed","text":7}',
        b'{"t":1,"event":"mic_audio"}',
        b'{"t":1,"event":"mic_audio","samples":-1}',
        b'{"t":1,"event":"mic_audio","samples":0.3}',
        b'{"t":1,"event":"mic_audio","samples":1e15}',
        b'{"t":1,"event":"mic_audio","samples":4,"at":-1}',
        b'{"t":1,"event":"received"}',
        b'{"t":1,"event":"received","message":5}',
        b'{"t":1,"event":"received","message_base64":"?"}',
        b'{"t":1,"event":"received","message":{"type":"response.audio.delta","delta":1e15}}',
        b'{"t":1,"command":"announce","event":{"event":"link_up"}}',
        b'{"t":1,"event":' + b"[" * 100_000,
    ],
)
def test_a_line_that_is_not_understood_is_kept_as_it_stands(line: bytes) -> None:
    entry = tape.decode(line + b"\n")
    assert isinstance(entry, Unknown)
    assert entry.line == line
    assert entry.reason
    assert tape.encode(entry) == line + b"\n"


@given(st.one_of(st.binary(max_size=60), anything.map(lambda x: json.dumps(x).encode())))
def test_no_line_makes_decode_fail(line: bytes) -> None:
    entry = tape.decode(line)
    assert isinstance(entry, Unknown | EventEntry | CommandEntry)


@given(entries, st.data())
def test_a_torn_line_is_unknown(entry: Entry, data: st.DataObject) -> None:
    line = tape.encode(entry)
    torn = line[: data.draw(st.integers(0, len(line) - 2))]
    assert isinstance(tape.decode(torn), Unknown)


# --- a whole recording ----------------------------------------------------------------------------------------------


def test_a_recording_is_read_line_by_line_and_unknown_lines_are_counted() -> None:
    lines = [
        HEADER,
        tape.encode_event(0, LinkUp()),
        b'{"t":1,"event":"from_the_future"}\n',
        b"\n",
        tape.encode_command(2, Announce(Warning("careful"))),
        b'{"t":3,"eve',
    ]
    recording = tape.read(iter(lines))
    assert recording.header.mmagent == "0.1.0"
    assert msgspec.convert(recording.header.settings, SessionSettings) == SessionSettings()
    assert list(recording) == [EventEntry(0, LinkUp()), CommandEntry(2, Announce(Warning("careful")))]
    assert [(u.number, u.line) for u in recording.unknown] == [(3, lines[2].strip()), (6, lines[5])]


def test_reading_is_lazy() -> None:
    def lines() -> Iterator[bytes]:
        yield HEADER
        yield tape.encode_event(0, LinkUp())
        raise AssertionError("nobody asked for this line yet")

    assert next(tape.read(lines())) == EventEntry(0, LinkUp())


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b""],
        [b"RIFF\x00\xff"],
        [b"[]"],
        [b'{"format":0,"mmagent":"1"}'],
        [b'{"t":0,"event":"link_up"}'],
        [b"{" * 10**5],
    ],
)
def test_what_is_no_recording_is_refused(lines: list[bytes]) -> None:
    with pytest.raises(UsageError, match="no recording of mmagent") as refused:
        tape.read(lines)
    assert refused.value.hint


def test_a_newer_format_is_refused_and_says_what_would_read_it() -> None:
    with pytest.raises(UsageError, match=r"format 2.*up to 1") as refused:
        tape.read([b'{"format":2,"mmagent":"7.1.0","settings":{},"more":1}'])
    assert "7.1.0" in refused.value.hint


# --- tempo ------------------------------------------------------------------------------------------------------------

timelines = st.lists(st.tuples(st.integers(0, 3_000_000), entries), max_size=25)


def on_a_timeline(parts: list[tuple[int, Entry]]) -> list[Entry]:
    now, placed = 0, []
    for gap, entry in parts:
        now += gap
        placed.append(msgspec.structs.replace(entry, t=now))
    return placed


def test_twice_as_fast() -> None:
    there: list[Entry] = [EventEntry(1_000_001, Typed("a")), CommandEntry(3_000_000, StopPlaying())]
    assert list(tape.accelerate(there, 2)) == [EventEntry(500_000, Typed("a")), CommandEntry(1_500_000, StopPlaying())]


@pytest.mark.parametrize("speed", [0, -1, float("nan"), float("inf")])
def test_a_speed_that_makes_no_sense_is_refused(speed: float) -> None:
    with pytest.raises(UsageError, match="speed"):
        tape.accelerate([], speed)


def test_silence_is_cut_although_the_microphone_goes_on() -> None:
    append = Send(b'{"type":"input_audio_buffer.append","audio":"AAAA"}')
    there: list[Entry] = [EventEntry(0, LinkUp())]
    for now in range(1_000_000, 10_000_000, 1_000_000):
        there += [EventEntry(now, MicAudio(b"")), EventEntry(now, MicDropped(1)), CommandEntry(now, append)]
    there += [EventEntry(10_000_000, Typed("hello")), CommandEntry(10_500_000, Note("debug", "x"))]
    here = [e.t for e in tape.limit_silence(there, 2_000_000)]
    assert here == [0] + [1_000_000] * 3 + [2_000_000] * 25 + [2_500_000]


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (UserStartedSpeaking("a", 0), UserStoppedSpeaking("a", 9)),
        (AgentStartedSpeaking("a"), AgentStoppedSpeaking("a")),
    ],
)
def test_speech_is_never_cut(begin: Any, end: Any) -> None:
    there: list[Entry] = [
        CommandEntry(0, Announce(begin)),
        EventEntry(30_000_000, MicAudio(b"")),
        CommandEntry(60_000_000, Announce(end)),
        EventEntry(70_000_000, Played(5)),
        CommandEntry(80_000_000, End("done")),
    ]
    assert [e.t for e in tape.limit_silence(there, 1_000_000)] == [0, 30_000_000, 60_000_000, 61_000_000, 62_000_000]


@given(timelines, st.integers(0, 2_000_000))
def test_limited_silence_keeps_order_and_content_and_never_stretches(
    parts: list[tuple[int, Entry]], limit: int
) -> None:
    there = on_a_timeline(parts)
    here = list(tape.limit_silence(there, limit))
    assert [what(e) for e in here] == [what(e) for e in there]
    for (a, b), (c, d) in zip(pairwise(there), pairwise(here), strict=True):
        assert 0 <= d.t - c.t <= b.t - a.t


@given(timelines)
def test_speed_one_and_endless_patience_change_nothing(parts: list[tuple[int, Entry]]) -> None:
    there = on_a_timeline(parts)
    assert list(tape.limit_silence(tape.accelerate(there, 1), 10**12)) == there
