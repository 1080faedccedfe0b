"""One JSON object per announcement and line, for programs.

    {"t": 12.345, "event": "user_speech_committed", "item_id": "item_3", "text": "How far is it?", ...}

`t` is when it was announced; then its name, then its fields as `mmagent.core.events` documents them. All points in time
(`t`, `started_at`, `ended_at`) are seconds since the session began, to the microsecond; the structs hold integer
microseconds. Lengths keep the unit that their name says (`heard_ms`). UTF-8, a line feed after each object, flushed at
once.
"""

from __future__ import annotations

import re
from typing import IO, Any

import msgspec

from mmagent.core.events import Announcement

_POINTS_IN_TIME = ("started_at", "ended_at")
# JSON may hold these as they are (RFC 8259, 7), but a terminal would obey some, and some readers split lines at others.
_UNSAFE = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_SURROGATES = re.compile("[\ud800-\udfff]")


def seconds(microseconds: int) -> str:
    """The exact decimal: `12345000` is `12.345`, `2000000` is `2.0`."""
    sign, rest = ("-", -microseconds) if microseconds < 0 else ("", microseconds)
    whole, fraction = divmod(rest, 1_000_000)
    return f"{sign}{whole}.{f'{fraction:06d}'.rstrip('0') or '0'}"


def spell(now: int, event: Announcement) -> str:
    """The announcement as a JSON object in one line, without its line feed."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    for name in _POINTS_IN_TIME:
        if fields.get(name) is not None:
            fields[name] = _number(fields[name])
    line = {"t": _number(now)} | fields
    try:
        encoded = msgspec.json.encode(line)
    except UnicodeEncodeError:  # half a character: UTF-8 has no bytes for it
        encoded = msgspec.json.encode(_mended(line))
    spelled = msgspec.json.format(encoded, indent=0).decode()
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", spelled)


class JsonLines:
    """Writes the lines to `out`, a binary or a text stream, which stays open.

    Raises:
        OSError: from `handle`, when `out` cannot be written; `BrokenPipeError` when its reader has left.
    """

    def __init__(self, out: IO[bytes] | IO[str]) -> None:
        # JSON is UTF-8 whatever the locale says, so a text stream that has bytes under it is asked for them.
        self._out: Any = getattr(out, "buffer", out)
        self._text = hasattr(self._out, "encoding")
        self._closed = False

    def handle(self, now: int, event: Announcement) -> None:
        """One announcement, one line."""
        if self._closed:
            return
        line = spell(now, event) + "\n"
        self._out.write(line if self._text else line.encode())
        self._out.flush()

    def close(self) -> None:
        """Every line was written as it came: there is nothing left to do."""
        self._closed = True


def _number(microseconds: int) -> msgspec.Raw:
    return msgspec.Raw(seconds(microseconds).encode())


def _mended(value: Any) -> Any:
    """The same with a replacement character for each lone surrogate."""
    if isinstance(value, str):
        return _SURROGATES.sub("\ufffd", value)
    if isinstance(value, dict):
        return {key: _mended(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_mended(inner) for inner in value]
    return value
