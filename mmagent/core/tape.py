"""A line of a recording <-> (time, event or command), and the tempo of a replay.

`session.jsonl` begins with a header and goes on with one JSON object for everything the session handled or asked for:

    {"format":1,"mmagent":"0.1.0","settings":{...}}
    {"t":20000,"event":"mic_audio","samples":480,"at":0}
    {"t":20000,"command":"send","message":{"type":"input_audio_buffer.append","audio":480}}
    {"t":911000,"command":"announce","event":{"event":"user_started_speaking","item_id":"item_1","audio_start_ms":300}}

The rules:

1. `t` is integer microseconds since the session began. The other fields are those of the types in `events` and
   `commands`.
2. Audio is not in the lines. A field `pcm` becomes `samples`, its length, and `at`, where it begins in the wav file
   beside (`user.wav` for events, `agent.wav` for commands; the writer gives it). Half a sample counts .5.
3. A message is a JSON object, and base64 audio in it is replaced by its length in samples. It comes back as the same
   JSON, written compactly. What is no JSON object is kept as a string, what is not even text as `message_base64`.
4. Audio comes back as silence of the same length, unless its samples are at hand. The core only counts samples, so
   that a replay is exact without the wav files.
5. A line that is not understood (of a newer version, torn by a crash) is kept as it stands: `Unknown`.
"""

from __future__ import annotations

import math
from binascii import a2b_base64, b2a_base64
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, TypeVar, get_args

import msgspec

from mmagent.core import pcm
from mmagent.core.commands import Announce, Command, Send
from mmagent.core.events import (
    AgentStartedSpeaking,
    AgentStoppedSpeaking,
    Event,
    MicAudio,
    MicDropped,
    UserStartedSpeaking,
    UserStoppedSpeaking,
)
from mmagent.errors import UsageError

FORMAT = 1
"""The version of the format that this module writes; it reads all up to it."""

MAX_SAMPLES = 600 * pcm.RATE
"""Ten minutes: no honest line has more audio (a message carries at most 15 MiB), and a bad one must not fill memory."""

Samples = Callable[[int, int], bytes]
"""(at, samples) -> that stretch of a wav file, as PCM. May give less where the file ends; the rest is silence."""


class Header(msgspec.Struct, frozen=True):
    """The first line. `mmagent` is the version that recorded; `settings` hold no secrets (the recorder sees to it)."""

    format: int
    mmagent: str
    settings: dict[str, Any] = {}


class EventEntry(msgspec.Struct, frozen=True):
    """The session handled `event` at `t`. Its audio, if any, begins at sample `at` of `user.wav`."""

    t: int
    event: Event
    at: int | None = None


class CommandEntry(msgspec.Struct, frozen=True):
    """The session asked for `command` at `t`. Its audio, if any, begins at sample `at` of `agent.wav`."""

    t: int
    command: Command
    at: int | None = None


class Unknown(msgspec.Struct, frozen=True):
    """A line that was not understood, as it stands, without its newline. `number` counts lines from 1, in `read`."""

    line: bytes
    reason: str
    number: int = 0


Entry = EventEntry | CommandEntry

_EVENTS: dict[Any, type[Event]] = {str(cls.__struct_config__.tag): cls for cls in get_args(Event)}
_COMMANDS: dict[Any, type[Command]] = {str(cls.__struct_config__.tag): cls for cls in get_args(Command)}
_WITH_BYTES = {cls for cls in (*get_args(Event), *get_args(Command)) if {"pcm", "message"} & set(cls.__struct_fields__)}
_json = msgspec.json.Encoder()
_lines = msgspec.json.Decoder()


# --- writing --------------------------------------------------------------------------------------------------------


def encode_header(version: str, settings: object) -> bytes:
    """The first line of a recording. `settings`: a struct or mapping, secrets already taken out."""
    return _json.encode({"format": FORMAT, "mmagent": version, "settings": settings}) + b"\n"


def encode_event(t: int, event: Event, at: int | None = None) -> bytes:
    """One line, newline included. `at`: where the event's audio begins in `user.wav`."""
    return _encode(t, "event", event, at)


def encode_command(t: int, command: Command, at: int | None = None) -> bytes:
    """One line, newline included. `at`: where the command's audio begins in `agent.wav`."""
    return _encode(t, "command", command, at)


def encode(entry: Entry | Unknown) -> bytes:
    """The line of what `decode` or `read` gave, newline included."""
    match entry:
        case EventEntry(t, event, at):
            return encode_event(t, event, at)
        case CommandEntry(t, command, at):
            return encode_command(t, command, at)
        case Unknown(line):
            return line + b"\n"


def _encode(t: int, kind: str, what: Event | Command, at: int | None) -> bytes:
    if type(what) not in _WITH_BYTES:
        # The struct's own JSON begins with its tag: only the time is to be put before it.
        return b'{"t":%d,%b\n' % (t, _json.encode(what)[1:])
    line: dict[str, Any] = {"t": t, kind: what.__struct_config__.tag}
    for name in what.__struct_fields__:
        value = getattr(what, name)
        if name == "pcm":
            line["samples"] = _length(value)
        elif name == "message":
            line.update(_without_audio(value))
        else:
            line[name] = value
    if at is not None:
        line["at"] = at
    return _json.encode(line) + b"\n"


def _length(audio: bytes) -> int | float:
    """The length in samples; a half sample counts .5."""
    return len(audio) / 2 if len(audio) % 2 else len(audio) // 2


def _without_audio(message: bytes) -> dict[str, Any]:
    """A message as the fields of a line, see rule 3."""
    with suppress(ValueError, RecursionError):  # no JSON: kept word for word; msgspec's errors are ValueErrors
        content = _lines.decode(message)
        if isinstance(content, dict) and all(_take_out(*slot) for slot in _audio_slots(content)):
            return {"message": msgspec.Raw(_json.encode(content))}
    try:
        return {"message": message.decode()}
    except UnicodeDecodeError:
        return {"message_base64": message}


def _audio_slots(message: dict[str, Any]) -> Iterator[tuple[dict[str, Any], str]]:
    """(object, key) wherever the Realtime protocol, in either dialect, has base64 audio."""
    kind = message.get("type")
    if kind == "input_audio_buffer.append":
        yield message, "audio"
        return
    if isinstance(kind, str) and kind.endswith("audio.delta"):
        yield message, "delta"
        return
    items = [message.get("item")]
    if isinstance(response := message.get("response"), dict):
        items += _list(response.get("input")) + _list(response.get("output"))
    parts = [message.get("part")]
    for item in items:
        parts += _list(item.get("content")) if isinstance(item, dict) else []
    for part in parts:
        if isinstance(part, dict) and "audio" in part:
            yield part, "audio"


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _take_out(holder: dict[str, Any], key: str) -> bool:
    """Replace audio by its length. False if a number is there already: it would come back as audio."""
    value = holder.get(key)
    if isinstance(value, int | float):
        return False
    if isinstance(value, str):
        with suppress(ValueError):  # no audio after all; binascii's error is one
            holder[key] = _length(a2b_base64(value, strict_mode=True))
    return True


# --- reading --------------------------------------------------------------------------------------------------------


def decode(line: bytes, user: Samples | None = None, agent: Samples | None = None) -> Entry | Unknown:
    """One line -> what it tells; never fails. `user` and `agent` give the samples of the wav files, else silence."""
    line = line.removesuffix(b"\n")
    try:
        return _entry(_lines.decode(line), user, agent)
    except KeyError as error:
        return Unknown(line, f"no such event or command: {error}")
    except (ValueError, TypeError, RecursionError) as error:
        return Unknown(line, str(error))


def _entry(raw: Any, user: Samples | None, agent: Samples | None) -> Entry:
    if not isinstance(raw, dict):
        raise TypeError("not a JSON object")
    t, at = raw.pop("t", None), raw.pop("at", None)
    if type(t) is not int or t < 0 or not (at is None or (type(at) is int and at >= 0)):
        raise ValueError("`t` and `at` must be whole numbers from 0 up")
    if "command" in raw:
        return CommandEntry(t, _build(raw, _COMMANDS[raw["command"]], at, agent), at)
    return EventEntry(t, _build(raw, _EVENTS[raw.get("event")], at, user), at)


_What = TypeVar("_What", Event, Command)


def _build(raw: dict[str, Any], cls: type[_What], at: int | None, audio: Samples | None) -> _What:
    if cls in _WITH_BYTES:
        if "pcm" in cls.__struct_fields__:
            raw["pcm"] = _audio(raw.pop("samples", None), at, audio)
        elif "message_base64" in raw:
            raw["message"] = a2b_base64(raw.pop("message_base64"), strict_mode=True)
        else:
            raw["message"] = _with_audio(raw.get("message"))
    return msgspec.convert(raw, cls)


def _audio(length: Any, at: int | None, audio: Samples | None) -> bytes:
    """`length` samples: those at `at`, or silence."""
    if type(length) not in (int, float) or not 0 <= length <= MAX_SAMPLES or length * 2 % 1:
        raise ValueError(f"{length!r} is no number of samples")
    size = int(length * 2)
    if audio is None or at is None:
        return bytes(size)
    return audio(at, math.ceil(length))[:size].ljust(size, b"\0")


def _with_audio(content: object) -> bytes:
    """A line's message -> the message, silence in the place of its audio."""
    if isinstance(content, str):
        return content.encode()
    if not isinstance(content, dict):
        raise TypeError("`message` must be an object or a string")
    for holder, key in _audio_slots(content):
        if isinstance(holder.get(key), int | float):
            holder[key] = b2a_base64(_audio(holder[key], None, None), newline=False).decode()
    return _json.encode(content)


def decode_header(line: bytes) -> Header:
    """The first line of a recording.

    Raises:
        UsageError: It is no header, or of a format that is newer than this program.
    """
    header = None
    with suppress(ValueError, RecursionError):
        header = msgspec.json.decode(line, type=Header)
    if header is None or header.format < 1:
        raise UsageError(
            "This is no recording of mmagent: its first line is not the header of one.",
            "Give the folder that --record made.",
        )
    if header.format > FORMAT:
        raise UsageError(
            f"The recording has format {header.format}, and this mmagent reads formats up to {FORMAT}.",
            f"Install mmagent {header.mmagent} or later.",
        )
    return header


class Tape(Iterator[Entry]):
    """A recording as it is read: iterate for its entries. Goes once, and holds one line at a time.

    `header` is there from the start; `unknown` grows by the lines that were not understood.
    """

    def __init__(self, header: Header, lines: Iterator[Entry | Unknown]) -> None:
        self.header = header
        self.unknown: list[Unknown] = []
        self._lines = lines

    def __next__(self) -> Entry:
        for entry in self._lines:
            if not isinstance(entry, Unknown):
                return entry
            self.unknown.append(entry)
        raise StopIteration


def read(lines: Iterable[bytes], user: Samples | None = None, agent: Samples | None = None) -> Tape:
    """The lines of `session.jsonl` -> its entries; empty lines are passed over.

    Raises:
        UsageError: There is no header, or it is of a newer format. Nothing that comes after it raises.
    """
    numbered = ((number, line) for number, line in enumerate(lines, 1) if line.strip())
    _, first = next(numbered, (0, b""))
    return Tape(decode_header(first), _decoded(numbered, user, agent))


def _decoded(
    numbered: Iterator[tuple[int, bytes]], user: Samples | None, agent: Samples | None
) -> Iterator[Entry | Unknown]:
    for number, line in numbered:
        entry = decode(line, user, agent)
        yield Unknown(entry.line, entry.reason, number) if isinstance(entry, Unknown) else entry


# --- tempo, for looking at a recording; a check never uses it ---------------------------------------------------------

_E = TypeVar("_E", bound=Entry)


def accelerate(entries: Iterable[_E], speed: float) -> Iterator[_E]:
    """The same entries, `speed` times as fast.

    Raises:
        UsageError: The speed is not above 0.
    """
    if not (speed > 0 and math.isfinite(speed)):
        raise UsageError(f"The speed must be above 0, and is {speed:g}.", "Try --speed 2.")
    return (msgspec.structs.replace(entry, t=int(entry.t / speed)) for entry in entries)


def limit_silence(entries: Iterable[_E], max_gap_us: int) -> Iterator[_E]:
    """The same entries, with no stretch longer than `max_gap_us` in which nobody speaks and nothing else happens.

    A microphone never rests, so that its audio, and sending it, is not counted as happening. What comes in the part of
    such a stretch that is left out is given the time of the cut.
    """
    cut = last = 0
    speaking: set[type] = set()
    for entry in entries:
        excess = 0 if speaking else max(0, entry.t - last - max_gap_us)
        yield msgspec.structs.replace(entry, t=entry.t - cut - excess)
        if isinstance(entry, CommandEntry) and isinstance(entry.command, Announce):
            _note_speaker(speaking, type(entry.command.event))
        if _happens(entry):
            cut += excess
            last = entry.t


_TURNS = {UserStoppedSpeaking: UserStartedSpeaking, AgentStoppedSpeaking: AgentStartedSpeaking}


def _note_speaker(speaking: set[type], told: type) -> None:
    if told in _TURNS.values():
        speaking.add(told)
    elif told in _TURNS:
        speaking.discard(_TURNS[told])


def _happens(entry: Entry) -> bool:
    """Whether the entry is more than the microphone's steady flow."""
    if isinstance(entry, EventEntry):
        return not isinstance(entry.event, MicAudio | MicDropped)
    return not (isinstance(entry.command, Send) and b'"input_audio_buffer.append"' in entry.command.message[:200])
