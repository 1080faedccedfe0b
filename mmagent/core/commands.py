"""Everything that a session may ask for. The runner performs each at once, without waiting."""

from __future__ import annotations

from typing import Literal

import msgspec

from mmagent.core.events import Announcement, snake


class _Command(msgspec.Struct, frozen=True, tag_field="command", tag=snake):
    """A thing to do; its tag in a recording is its name in lower case."""


class Send(_Command, frozen=True):
    """Send a message to the engine: the Realtime protocol's JSON."""

    message: bytes


class Play(_Command, frozen=True):
    """Play this after all that was given before. The transport answers with `Played` as it is heard."""

    pcm: bytes


class StopPlaying(_Command, frozen=True):
    """Be silent now and forget what was given. The transport answers with `Flushed`."""


class ToolCall(msgspec.Struct, frozen=True):
    """A function that the model wants called; `arguments` is JSON text, as the model wrote it."""

    call_id: str
    name: str
    arguments: str


class RunTools(_Command, frozen=True):
    """Call these functions. Each is answered with one `ToolFinished`, whatever comes of it."""

    calls: tuple[ToolCall, ...]


class Announce(_Command, frozen=True):
    """Tell everyone who watches: handlers, sinks, the transport."""

    event: Announcement


class Note(_Command, frozen=True):
    """A line for the log: what a developer wants to know and a user does not."""

    level: Literal["debug", "info"]
    text: str


class Reconnect(_Command, frozen=True):
    """Make the link to the engine anew, in so many microseconds; one that stands is closed first."""

    after: int


EndKind = Literal["", "connection", "engine"]
"""Why a session ended badly: it decides the exit code."""


class End(_Command, frozen=True):
    """The session is over: close the edges. The last command of a session.

    `error` is one sentence if it ended badly, `hint` what to do, `kind` which exit code: `connection` or `engine`.
    """

    reason: str
    error: str = ""
    hint: str = ""
    kind: EndKind = ""


Command = Send | Play | StopPlaying | RunTools | Announce | Reconnect | Note | End
"""What a session may ask for."""
