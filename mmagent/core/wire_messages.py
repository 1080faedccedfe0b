"""Every message of the Realtime protocol, both directions, in GA names.

A class is called as its wire type is, in camel case: `response.output_audio.delta` is ResponseOutputAudioDelta. Audio
is `bytes` here and base64 on the wire. Source: the official GA event reference.
"""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Struct

from mmagent.core.wire_types import (
    ContentPart,
    Conversation,
    ErrorDetail,
    Item,
    Maybe,
    RateLimit,
    Response,
    ResponseParams,
    Session,
    TranscriptionUsage,
)


class _Message(Struct, frozen=True, tag_field="type"):
    """Anything on the wire."""


class _Client(_Message, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What a client says. `event_id` comes back in the error, should there be one."""

    event_id: str = ""


class _Server(_Message, frozen=True, kw_only=True):
    """What a server says. Tolerant peers leave ids and indices out, so all have defaults; servers must set them."""

    event_id: str = ""


# --- what clients say -----------------------------------------------------------------------------------------


class SessionUpdate(_Client, frozen=True, tag="session.update"):
    """Change the session: what is set in it, and nothing else. All or nothing."""

    session: Session


class InputAudioBufferAppend(_Client, frozen=True, tag="input_audio_buffer.append"):
    """More of what the microphone hears: at most 15 MiB. Never acknowledged."""

    audio: bytes


class InputAudioBufferCommit(_Client, frozen=True, tag="input_audio_buffer.commit"):
    """End the user's turn by hand. Asks for no answer."""


class InputAudioBufferClear(_Client, frozen=True, tag="input_audio_buffer.clear"):
    """Forget what was appended and not committed."""


class OutputAudioBufferClear(_Client, frozen=True, tag="output_audio_buffer.clear"):
    """Be silent. WebRTC and SIP only: over a WebSocket the server plays nothing."""


class ConversationItemCreate(_Client, frozen=True, tag="conversation.item.create"):
    """Add an item, at the end or after `previous_item_id` ("root": at the head)."""

    item: Item
    previous_item_id: str | None = None


class ConversationItemRetrieve(_Client, frozen=True, tag="conversation.item.retrieve"):
    """Ask for an item with its audio."""

    item_id: str


class ConversationItemTruncate(_Client, frozen=True, tag="conversation.item.truncate"):
    """Keep this many whole milliseconds of an answer's audio: what the user heard. Deletes its transcript there."""

    item_id: str
    content_index: int
    audio_end_ms: int


class ConversationItemDelete(_Client, frozen=True, tag="conversation.item.delete"):
    """Take an item out of the conversation."""

    item_id: str


class ResponseCreate(_Client, frozen=True, tag="response.create"):
    """Ask for an answer."""

    response: ResponseParams | None = None


class ResponseCancel(_Client, frozen=True, tag="response.cancel"):
    """Stop the answer being made, or that of `response_id`."""

    response_id: str | None = None


# --- what servers say -----------------------------------------------------------------------------------------


class _Transcript(_Server, frozen=True, kw_only=True):
    item_id: str = ""
    content_index: int = 0


class _OfResponse(_Server, frozen=True, kw_only=True):
    response_id: str = ""
    output_index: int = 0


class _OfCall(_OfResponse, frozen=True, kw_only=True):
    item_id: str = ""


class _OfPart(_OfCall, frozen=True, kw_only=True):
    content_index: int = 0


class _OfMcp(_Server, frozen=True, kw_only=True):
    item_id: str = ""


class Error(_Server, frozen=True, tag="error"):
    """Something failed; mostly the session goes on."""

    error: ErrorDetail


class SessionCreated(_Server, frozen=True, tag="session.created"):
    """The first message of a server: the session as it begins."""

    session: Session


class SessionUpdated(_Server, frozen=True, tag="session.updated"):
    """The session as it is after `session.update`."""

    session: Session


class ConversationCreated(_Server, frozen=True, tag="conversation.created"):
    """Sent by a few servers at the start; wait for it never."""

    conversation: Conversation = Conversation()


class ConversationItemAdded(_Server, frozen=True, tag="conversation.item.added"):
    """An item joined the conversation; beta's `conversation.item.created` is read as this."""

    item: Item
    previous_item_id: str | None = None


class ConversationItemDone(_Server, frozen=True, tag="conversation.item.done"):
    """An item is whole. Beta never says so."""

    item: Item
    previous_item_id: str | None = None


class ConversationItemRetrieved(_Server, frozen=True, tag="conversation.item.retrieved"):
    """The item asked for."""

    item: Item


class ConversationItemTruncated(_Server, frozen=True, tag="conversation.item.truncated"):
    """Truncation done, with the client's own numbers."""

    item_id: str = ""
    content_index: int = 0
    audio_end_ms: int = 0


class ConversationItemDeleted(_Server, frozen=True, tag="conversation.item.deleted"):
    """The item is gone."""

    item_id: str = ""


class ConversationItemInputAudioTranscriptionDelta(
    _Transcript, frozen=True, tag="conversation.item.input_audio_transcription.delta"
):
    """More of what the user said, to be appended."""

    delta: str
    logprobs: Maybe[list[Any]] = UNSET


class ConversationItemInputAudioTranscriptionUpdated(
    _Transcript, frozen=True, tag="conversation.item.input_audio_transcription.updated"
):
    """All that the user said so far, replacing what came before. xAI's own: never send it."""

    transcript: str


class ConversationItemInputAudioTranscriptionCompleted(
    _Transcript, frozen=True, tag="conversation.item.input_audio_transcription.completed"
):
    """What the user said. May come after the answer."""

    transcript: str
    usage: Maybe[TranscriptionUsage] = UNSET
    languages: Maybe[list[Any]] = UNSET
    logprobs: Maybe[list[Any]] = UNSET


class ConversationItemInputAudioTranscriptionSegment(
    _Transcript, frozen=True, tag="conversation.item.input_audio_transcription.segment"
):
    """A piece of it by one speaker; `start` and `end` in seconds."""

    id: str
    speaker: str
    start: float
    end: float
    text: str


class ConversationItemInputAudioTranscriptionFailed(
    _Transcript, frozen=True, tag="conversation.item.input_audio_transcription.failed"
):
    """It cannot be written down."""

    error: ErrorDetail


class InputAudioBufferSpeechStarted(_Server, frozen=True, tag="input_audio_buffer.speech_started"):
    """Speech began. `item_id` is that of the item to come; ms of appended audio, prefix padding included."""

    item_id: str = ""
    audio_start_ms: int = 0


class InputAudioBufferSpeechStopped(_Server, frozen=True, tag="input_audio_buffer.speech_stopped"):
    """Speech ended, at so many ms of appended audio."""

    item_id: str = ""
    audio_end_ms: int = 0


class InputAudioBufferCommitted(_Server, frozen=True, tag="input_audio_buffer.committed"):
    """The user's turn became an item."""

    item_id: str = ""
    previous_item_id: str | None = None


class InputAudioBufferCleared(_Server, frozen=True, tag="input_audio_buffer.cleared"):
    """What was appended is forgotten."""


class InputAudioBufferTimeoutTriggered(_Server, frozen=True, tag="input_audio_buffer.timeout_triggered"):
    """The user was silent for `idle_timeout_ms`: the server speaks up."""

    item_id: str = ""
    audio_start_ms: int = 0
    audio_end_ms: int = 0


class InputAudioBufferDtmfEventReceived(_Message, frozen=True, tag="input_audio_buffer.dtmf_event_received"):
    """A telephone key was pressed (SIP); unix seconds. The only message without `event_id`."""

    event: str
    received_at: int


class ResponseCreated(_Server, frozen=True, tag="response.created"):
    """An answer begins."""

    response: Response


class ResponseDone(_Server, frozen=True, tag="response.done"):
    """An answer ended, well or not: see its status. Its playback goes on."""

    response: Response


class ResponseOutputItemAdded(_OfResponse, frozen=True, tag="response.output_item.added"):
    """An answer has a new item."""

    item: Item


class ResponseOutputItemDone(_OfResponse, frozen=True, tag="response.output_item.done"):
    """An item of an answer is whole."""

    item: Item


class ResponseContentPartAdded(_OfPart, frozen=True, tag="response.content_part.added"):
    """An item has a new part, of type `audio` or `text`."""

    part: ContentPart


class ResponseContentPartDone(_OfPart, frozen=True, tag="response.content_part.done"):
    """A part is whole."""

    part: ContentPart


class ResponseOutputTextDelta(_OfPart, frozen=True, tag="response.output_text.delta"):
    """More text."""

    delta: str


class ResponseOutputTextDone(_OfPart, frozen=True, tag="response.output_text.done"):
    """All the text."""

    text: str


class ResponseOutputAudioDelta(_OfPart, frozen=True, tag="response.output_audio.delta"):
    """More audio. Comes faster than it plays."""

    delta: bytes


class ResponseOutputAudioDone(_OfPart, frozen=True, tag="response.output_audio.done"):
    """No more audio in this part."""


class ResponseOutputAudioTranscriptDelta(_OfPart, frozen=True, tag="response.output_audio_transcript.delta"):
    """More of what is being said; not aligned to the audio."""

    delta: str


class ResponseOutputAudioTranscriptDone(_OfPart, frozen=True, tag="response.output_audio_transcript.done"):
    """All that is said."""

    transcript: str


class ResponseFunctionCallArgumentsDelta(_OfCall, frozen=True, tag="response.function_call_arguments.delta"):
    """More of a call's arguments."""

    delta: str
    call_id: str = ""


class ResponseFunctionCallArgumentsDone(_OfCall, frozen=True, tag="response.function_call_arguments.done"):
    """A call's arguments, JSON text. Beta sends no name: it is in the item."""

    arguments: str
    call_id: str = ""
    name: str = ""


class ResponseMcpCallArgumentsDelta(_OfCall, frozen=True, tag="response.mcp_call_arguments.delta"):
    """More of an MCP call's arguments."""

    delta: str


class ResponseMcpCallArgumentsDone(_OfCall, frozen=True, tag="response.mcp_call_arguments.done"):
    """An MCP call's arguments."""

    arguments: str


class ResponseMcpCallInProgress(_OfMcp, frozen=True, tag="response.mcp_call.in_progress"):
    """The server is calling a tool."""

    output_index: int = 0


class ResponseMcpCallCompleted(_OfMcp, frozen=True, tag="response.mcp_call.completed"):
    """The server called a tool."""

    output_index: int = 0


class ResponseMcpCallFailed(_OfMcp, frozen=True, tag="response.mcp_call.failed"):
    """The server could not call a tool."""

    output_index: int = 0


class McpListToolsInProgress(_OfMcp, frozen=True, tag="mcp_list_tools.in_progress"):
    """The server is asking for tools."""


class McpListToolsCompleted(_OfMcp, frozen=True, tag="mcp_list_tools.completed"):
    """The server has the tools."""


class McpListToolsFailed(_OfMcp, frozen=True, tag="mcp_list_tools.failed"):
    """The server could not get the tools."""


class OutputAudioBufferStarted(_Server, frozen=True, tag="output_audio_buffer.started"):
    """Playback began at the server's end. WebRTC and SIP only, as its two sisters."""

    response_id: str = ""


class OutputAudioBufferStopped(_Server, frozen=True, tag="output_audio_buffer.stopped"):
    """Playback ended."""

    response_id: str = ""


class OutputAudioBufferCleared(_Server, frozen=True, tag="output_audio_buffer.cleared"):
    """Playback was cut."""

    response_id: str = ""


class RateLimitsUpdated(_Server, frozen=True, tag="rate_limits.updated"):
    """What is left of this minute's quota."""

    rate_limits: list[RateLimit] = []


# --- unions ---------------------------------------------------------------------------------------------------

PlainClientMessage = (
    InputAudioBufferAppend
    | InputAudioBufferCommit
    | InputAudioBufferClear
    | OutputAudioBufferClear
    | ConversationItemRetrieve
    | ConversationItemTruncate
    | ConversationItemDelete
    | ResponseCancel
)
"""What a client says that no dialect shapes."""

ClientMessage = PlainClientMessage | SessionUpdate | ConversationItemCreate | ResponseCreate
"""What a client says."""

PlainMessage = (
    ConversationCreated
    | ConversationItemTruncated
    | ConversationItemDeleted
    | ConversationItemInputAudioTranscriptionDelta
    | ConversationItemInputAudioTranscriptionUpdated
    | ConversationItemInputAudioTranscriptionCompleted
    | ConversationItemInputAudioTranscriptionSegment
    | InputAudioBufferSpeechStarted
    | InputAudioBufferSpeechStopped
    | InputAudioBufferCommitted
    | InputAudioBufferCleared
    | InputAudioBufferTimeoutTriggered
    | InputAudioBufferDtmfEventReceived
    | ResponseOutputTextDelta
    | ResponseOutputTextDone
    | ResponseOutputAudioDelta
    | ResponseOutputAudioDone
    | ResponseOutputAudioTranscriptDelta
    | ResponseOutputAudioTranscriptDone
    | ResponseFunctionCallArgumentsDelta
    | ResponseFunctionCallArgumentsDone
    | ResponseMcpCallArgumentsDelta
    | ResponseMcpCallArgumentsDone
    | ResponseMcpCallInProgress
    | ResponseMcpCallCompleted
    | ResponseMcpCallFailed
    | McpListToolsInProgress
    | McpListToolsCompleted
    | McpListToolsFailed
    | OutputAudioBufferStarted
    | OutputAudioBufferStopped
    | OutputAudioBufferCleared
    | RateLimitsUpdated
)
"""What a server says that no dialect shapes, but for its name. All audio and text is here."""

RichMessage = (
    Error
    | SessionCreated
    | SessionUpdated
    | ConversationItemAdded
    | ConversationItemDone
    | ConversationItemRetrieved
    | ConversationItemInputAudioTranscriptionFailed
    | ResponseCreated
    | ResponseDone
    | ResponseOutputItemAdded
    | ResponseOutputItemDone
    | ResponseContentPartAdded
    | ResponseContentPartDone
)
"""What a server says with a session, item, part, response or error in it."""

ServerMessage = PlainMessage | RichMessage
"""What a server says."""
