"""Everything that can happen, in two halves.

`Event` is what a session is told: by the transport (sound, typed words, what was really played), by the engine (a
message, the link), by the user's hand (push to talk, stop). A recording is the list of these.

`Announcement` is what a session tells everyone: Python handlers (`agent.on(name)`), `--json` lines and recordings show
the same names and fields. The names are the seed's, the reference's, and those of design.md, section 4.

Audio is `bytes` of 24 kHz mono 16-bit little-endian PCM. Times are integer microseconds since the session began.
"""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal[
    "connecting",
    "listening",
    "user_speaking",
    "thinking",
    "speaking",
    "paused",
    "reconnecting",
    "closed",
]
"""What the agent is doing. In a room the attribute `lk.agent.state` carries LiveKit's own words for it."""

Role = Literal["user", "assistant", "system"]


def snake(name: str) -> str:
    """`MicAudio` -> `mic_audio`: how a recording spells a type."""
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


class _Event(msgspec.Struct, frozen=True, tag_field="event", tag=snake):
    """A thing that happened; its tag in a recording is its name in lower case."""


# --- what a session is told -----------------------------------------------------------------------------------


class LinkUp(_Event, frozen=True):
    """The engine can be talked to."""


class LinkDown(_Event, frozen=True):
    """The engine cannot be talked to any more. `fatal` means that trying again is of no use."""

    reason: str
    hint: str = ""
    fatal: bool = False


class Received(_Event, frozen=True):
    """A message of the engine, as it came: the Realtime protocol's JSON."""

    message: bytes


class MicAudio(_Event, frozen=True):
    """What the microphone gave next. Without gaps: what was lost is told by `MicDropped`."""

    pcm: bytes


class MicDropped(_Event, frozen=True):
    """Microphone audio older than half a second was thrown away, so many samples."""

    samples: int


class Played(_Event, frozen=True):
    """So many samples of the agent's audio have been heard in all, silence between answers not counted."""

    samples: int


class Flushed(_Event, frozen=True):
    """The transport obeyed `StopPlaying`: it is silent, and so many samples were heard in all."""

    samples: int


class Typed(_Event, frozen=True):
    """The user typed a line."""

    text: str


class PushToTalk(_Event, frozen=True):
    """The user pressed or released the talk key. Means nothing while the engine finds turns itself."""

    down: bool


class Interrupt(_Event, frozen=True):
    """The user asked for silence by hand."""


class ToolFinished(_Event, frozen=True):
    """A function that `RunTools` asked for has answered. An error is an output too: the model reads it."""

    call_id: str
    output: str
    is_error: bool = False


class InputEnded(_Event, frozen=True):
    """The user will say nothing more: the last file was heard, standard input was closed."""


class Trouble(_Event, frozen=True):
    """An edge has something to tell the user; the session goes on."""

    text: str
    hint: str = ""


class Stop(_Event, frozen=True):
    """End the session. `reason` is shown to the user."""

    reason: str


Event = (
    LinkUp
    | LinkDown
    | Received
    | MicAudio
    | MicDropped
    | Played
    | Flushed
    | Typed
    | PushToTalk
    | Interrupt
    | ToolFinished
    | InputEnded
    | Trouble
    | Stop
)
"""What a session is told."""


# --- what a session announces ---------------------------------------------------------------------------------


class UserStartedSpeaking(_Event, frozen=True):
    """The engine heard speech begin. `audio_start_ms` counts the audio sent so far and includes the prefix padding."""

    item_id: str
    audio_start_ms: int


class UserStoppedSpeaking(_Event, frozen=True):
    """The engine heard the turn end, at so many ms of sent audio; the silence that ended it is included."""

    item_id: str
    audio_end_ms: int


class AgentStartedSpeaking(_Event, frozen=True):
    """The first sample of an answer is audible."""

    item_id: str


class AgentStoppedSpeaking(_Event, frozen=True):
    """The answer has been heard to its end, or was cut. Pairs with `agent_started_speaking`."""

    item_id: str


class SpeechCommitted(_Event, frozen=True):
    """Words went into the history. `str()` of it is the text.

    `started_at` and `ended_at` are when it began and ended to be heard; null for what was typed.
    """

    item_id: str
    text: str
    role: Role
    interrupted: bool
    started_at: int | None = None
    ended_at: int | None = None

    @property
    def content(self) -> str:
        """The text, by the name that LiveKit's `ChatMessage` gives it."""
        return self.text

    def __str__(self) -> str:
        return self.text


class UserSpeechCommitted(SpeechCommitted, frozen=True):
    """What the user said is known. Empty text: the engine could not write it down."""


class AgentSpeechCommitted(SpeechCommitted, frozen=True):
    """The user heard (or, of a text reply, read) all of this."""


class AgentSpeechInterrupted(SpeechCommitted, frozen=True):
    """The user heard this much, up to the end of a word; `heard_ms` of `received_ms` milliseconds."""

    heard_ms: int = 0
    received_ms: int = 0


class UserTranscript(_Event, frozen=True):
    """What the user seems to have said so far: the whole text of the item, replacing what was shown before."""

    item_id: str
    text: str


class AgentTranscript(_Event, frozen=True):
    """What the agent has said so far: `heard` has been played, `unheard` is still to come (and may never be)."""

    item_id: str
    heard: str
    unheard: str


class AgentStateChanged(_Event, frozen=True):
    """The agent is doing something else now."""

    state: State
    previous: State


class FunctionCallsCollected(_Event, frozen=True):
    """The model wants functions called: name, arguments (JSON text) and call id of each."""

    calls: tuple[dict[str, str], ...]


class FunctionCallsFinished(_Event, frozen=True):
    """The functions have answered: name, call id and output of each."""

    results: tuple[dict[str, str], ...]


class MetricsCollected(_Event, frozen=True):
    """How long the user waited for the answer `item_id`, in ms, split by cause; null where unknown.

    `waiting` from the last voiced sample to the end of the turn (mostly the configured silence), `thinking` to the
    first word, `voicing` to the first sound, `playout` until it was audible; `total` is their sum.
    """

    item_id: str
    total_ms: int | None
    waiting_ms: int | None
    thinking_ms: int | None
    voicing_ms: int | None
    playout_ms: int | None


class BargeIn(_Event, frozen=True):
    """The user talked over the answer: ms from the engine's word of it to silence."""

    item_id: str
    silence_ms: int


class Usage(_Event, frozen=True):
    """Tokens of one response and of the session so far, and money where the price is known (USD; null: unknown)."""

    response_id: str
    input_tokens: int
    output_tokens: int
    session_input_tokens: int
    session_output_tokens: int
    cost_usd: float | None = None
    session_cost_usd: float | None = None
    estimated: bool = False


class SessionReconnecting(_Event, frozen=True):
    """The link to the engine was lost; trying again."""

    reason: str
    attempt: int


class SessionReconnected(_Event, frozen=True):
    """The link is back; the session, its tools and its history were sent again."""

    away_ms: int


class Error(_Event, frozen=True):
    """Something failed: what happened, what to do. The session goes on unless `fatal`."""

    message: str
    hint: str = ""
    code: str = ""
    fatal: bool = False


class Warning(_Event, frozen=True):
    """Something to know: what happened, what to do."""

    message: str
    hint: str = ""


class Closed(_Event, frozen=True):
    """The session is over."""

    reason: str


Announcement = (
    UserStartedSpeaking
    | UserStoppedSpeaking
    | AgentStartedSpeaking
    | AgentStoppedSpeaking
    | UserSpeechCommitted
    | AgentSpeechCommitted
    | AgentSpeechInterrupted
    | UserTranscript
    | AgentTranscript
    | AgentStateChanged
    | FunctionCallsCollected
    | FunctionCallsFinished
    | MetricsCollected
    | BargeIn
    | Usage
    | SessionReconnecting
    | SessionReconnected
    | Error
    | Warning
    | Closed
)
"""What a session tells everyone."""


def name_of(event: _Event) -> str:
    """The event's name, as handlers, JSON lines and recordings spell it."""
    return str(event.__struct_config__.tag)
