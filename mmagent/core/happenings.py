"""What a Realtime message means, told without the wire's words: the results of `Protocol.receive`.

The first half is what a client learns from its server, the second what a server learns from its client.
Audio is 24 kHz mono 16-bit PCM; `_ms` are milliseconds of appended audio (the server's clock) or of an item's audio.
"""

from __future__ import annotations

from typing import Any

import msgspec

from mmagent.core.commands import ToolCall
from mmagent.core.pcm import Encoding
from mmagent.core.settings import Modality, ToolSpec, TurnDetection


class _Happening(msgspec.Struct, frozen=True):
    """Something that a message told."""


# --- client: the server told us ---------------------------------------------------------------------------------


class SessionBegan(_Happening, frozen=True):
    """The server is there. It waits for our `session.update`."""

    expires_at: int | None = None


class SessionReady(_Happening, frozen=True):
    """The server took our settings."""


class SpeechBegan(_Happening, frozen=True):
    """The server hears speech; the item exists once it is committed."""

    item_id: str
    audio_start_ms: int


class SpeechEnded(_Happening, frozen=True):
    """The server thinks that the turn is over."""

    item_id: str
    audio_end_ms: int


class TurnTaken(_Happening, frozen=True):
    """The user's turn is an item of the conversation now."""

    item_id: str


class UserWords(_Happening, frozen=True):
    """What the user said, as far as it is written down: the whole text so far."""

    item_id: str
    text: str
    final: bool
    failed: bool = False
    usage: dict[str, Any] | None = None


class ResponseBegan(_Happening, frozen=True):
    """The server is making an answer."""

    response_id: str


class AnswerBegan(_Happening, frozen=True):
    """An answer has an item to stand in."""

    response_id: str
    item_id: str


class AnswerWords(_Happening, frozen=True):
    """More text of an answer: of its sound (`spoken`), or an answer in writing."""

    response_id: str
    item_id: str
    delta: str
    spoken: bool


class AnswerText(_Happening, frozen=True):
    """The whole text of an answer."""

    item_id: str
    text: str


class AnswerSound(_Happening, frozen=True):
    """More sound of an answer."""

    response_id: str
    item_id: str
    content_index: int
    pcm: bytes


class AnswerEnded(_Happening, frozen=True):
    """No more of this item will come."""

    item_id: str


class ResponseEnded(_Happening, frozen=True):
    """The answer is made, or will not be. `why` is empty when all went well.

    `calls` are the functions that it wants called, if it is completed; `cut`: it was not wanted any more.
    """

    response_id: str
    status: str
    why: str = ""
    usage: dict[str, Any] | None = None
    calls: tuple[ToolCall, ...] = ()
    cut: bool = False


class Fault(_Happening, frozen=True):
    """The server refused something or failed. `quiet` faults are races that hurt nobody."""

    code: str
    message: str
    hint: str = ""
    fatal: bool = False
    quiet: bool = False


# --- server: the client asked for -------------------------------------------------------------------------------


class SessionChanged(_Happening, frozen=True):
    """The client's settings as they are now. `turn_detection` None: turns are the client's business.

    `heard` and `spoken`: how sound comes and goes. `answers`: False in a session that only transcribes.
    `tool_choice`: auto, none, required, or the name of the function that must be called.
    """

    instructions: str
    voice: str
    modalities: tuple[Modality, ...]
    max_output_tokens: int | None
    turn_detection: TurnDetection | None
    transcribe: bool
    heard: Encoding = Encoding()
    spoken: Encoding = Encoding()
    answers: bool = True
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: str = "auto"


class AudioAppended(_Happening, frozen=True):
    """More microphone audio, as the client writes it (`SessionChanged.heard`)."""

    sound: bytes


class CommitAsked(_Happening, frozen=True):
    """The client says that the turn is over."""

    event_id: str


class ClearAsked(_Happening, frozen=True):
    """The client wants the uncommitted audio forgotten."""


class ItemPut(_Happening, frozen=True):
    """The client put an item into the conversation."""

    item_id: str


class ItemCut(_Happening, frozen=True):
    """The user heard only so much of an answer."""

    item_id: str
    audio_end_ms: int


class ItemDeleted(_Happening, frozen=True):
    """The client took an item out."""

    item_id: str


class Line(_Happening, frozen=True):
    """What an answer is to be about: an item of the conversation (`item_id`), or words that stand nowhere else."""

    item_id: str = ""
    role: str = ""
    text: str = ""


class ReplyAsked(_Happening, frozen=True):
    """The client wants an answer; what is None is as in the session.

    `aside`: out of band ("`conversation` none"), so that the conversation does not know of it. `about` takes the
    conversation's place.
    """

    instructions: str | None
    modalities: tuple[Modality, ...] | None
    max_output_tokens: int | None
    metadata: dict[str, Any] | None
    event_id: str
    aside: bool = False
    about: tuple[Line, ...] | None = None
    spoken: Encoding | None = None
    tools: tuple[ToolSpec, ...] | None = None
    tool_choice: str | None = None


class CancelAsked(_Happening, frozen=True):
    """The client wants no more of the answer."""

    response_id: str


class UsageCount(msgspec.Struct, frozen=True):
    """Tokens of one answer, as the server counts them."""

    text_in: int = 0
    audio_in: int = 0
    text_out: int = 0
    audio_out: int = 0


Happening = (
    SessionBegan
    | SessionReady
    | SpeechBegan
    | SpeechEnded
    | TurnTaken
    | UserWords
    | ResponseBegan
    | AnswerBegan
    | AnswerWords
    | AnswerText
    | AnswerSound
    | AnswerEnded
    | ResponseEnded
    | Fault
    | SessionChanged
    | AudioAppended
    | CommitAsked
    | ClearAsked
    | ItemPut
    | ItemCut
    | ItemDeleted
    | ReplyAsked
    | CancelAsked
)
"""All that a message can mean."""
