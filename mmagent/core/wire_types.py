"""What the Realtime protocol's messages carry: session, item, content part, response, usage. GA names and shapes.

Two habits. In `Session` and its parts, UNSET is left out, and None is an explicit `null` ("turn_detection": null turns
detection off; leaving it out keeps what was). Everywhere else None means absent and is left out too, because strict
peers refuse null where they take nothing; `Response` says itself which nulls it sends.

Enumerations are plain strings, since a peer may know more of them than we do. `one_of` and `between` write down what
OpenAI takes; only `wire.decode_client` holds a client to it.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

T = TypeVar("T")
Maybe: TypeAlias = T | UnsetType | None
"""A field that may be left out (UNSET), be cleared (None), or have a value."""


def one_of(*names: str) -> Meta:
    """Note that OpenAI takes these values only."""
    return Meta(extra={"one_of": names})


def between(low: float, high: float) -> Meta:
    """Note that OpenAI takes numbers from `low` to `high`."""
    return Meta(extra={"between": (low, high)})


Modality: TypeAlias = Annotated[str, one_of("audio", "text")]
Tokens: TypeAlias = Annotated[int, between(1, 4096)] | Annotated[str, one_of("inf")]


# --- the session ----------------------------------------------------------------------------------------------


class Format(Struct, frozen=True):
    """`audio/pcm` (24 kHz at OpenAI; others say their rate), `audio/pcmu` or `audio/pcma` (8 kHz, without rate)."""

    type: Annotated[str, one_of("audio/pcm", "audio/pcmu", "audio/pcma")] | UnsetType = UNSET
    rate: Maybe[int] = UNSET


class NoiseReduction(Struct, frozen=True):
    """Filtering before turn detection and the model."""

    type: Annotated[str, one_of("near_field", "far_field")] | UnsetType = UNSET
    strength: float | UnsetType = UNSET


class Transcription(Struct, frozen=True, kw_only=True):
    """Who writes down what the user says. `languages`, `keywords` and `delay` exist in GA only."""

    model: Maybe[str] = UNSET
    language: Maybe[str] = UNSET
    prompt: Maybe[str] = UNSET
    languages: Maybe[list[str]] = UNSET
    keywords: Maybe[list[str]] = UNSET
    delay: Maybe[str] = UNSET


class TurnDetection(Struct, frozen=True, kw_only=True):
    """How the server finds turns. `eagerness` is semantic_vad's, numbers are server_vad's; ms are whole."""

    type: Annotated[str, one_of("server_vad", "semantic_vad")]
    threshold: Maybe[Annotated[float, between(0, 1)]] = UNSET
    prefix_padding_ms: Maybe[int] = UNSET
    silence_duration_ms: Maybe[int] = UNSET
    create_response: Maybe[bool] = UNSET
    interrupt_response: Maybe[bool] = UNSET
    idle_timeout_ms: Maybe[int] = UNSET
    eagerness: Maybe[Annotated[str, one_of("low", "medium", "high", "auto")]] = UNSET


class AudioInput(Struct, frozen=True, kw_only=True):
    """`audio.input`: None clears noise reduction, transcription, turn detection."""

    format: Maybe[Format] = UNSET
    noise_reduction: Maybe[NoiseReduction] = UNSET
    transcription: Maybe[Transcription] = UNSET
    turn_detection: Maybe[TurnDetection] = UNSET


class AudioOutput(Struct, frozen=True, kw_only=True):
    """`audio.output`. A voice is a name, or {"id": ...} for a custom one; `speed` changes between turns only."""

    format: Maybe[Format] = UNSET
    voice: Maybe[str | dict[str, Any]] = UNSET
    speed: Maybe[Annotated[float, between(0.25, 1.5)]] = UNSET


class AudioConfig(Struct, frozen=True, kw_only=True):
    """`audio`: both directions."""

    input: Maybe[AudioInput] = UNSET
    output: Maybe[AudioOutput] = UNSET


class Tool(Struct, frozen=True, kw_only=True):
    """A function (name, description, parameters as JSON schema), or an MCP server, which the rest describes."""

    type: Annotated[str, one_of("function", "mcp")] | UnsetType = UNSET
    name: Maybe[str] = UNSET
    description: Maybe[str] = UNSET
    parameters: Any = UNSET
    server_label: Maybe[str] = UNSET
    server_url: Maybe[str] = UNSET
    server_description: Maybe[str] = UNSET
    connector_id: Maybe[str] = UNSET
    tunnel_id: Maybe[str] = UNSET
    authorization: Maybe[str] = UNSET
    headers: Any = UNSET
    allowed_tools: Any = UNSET
    allowed_callers: Any = UNSET
    require_approval: Any = UNSET
    defer_loading: Maybe[bool] = UNSET


class Reasoning(Struct, frozen=True):
    """How long Realtime 2.x models think. Models of 1.x refuse it."""

    effort: Maybe[Annotated[str, one_of("minimal", "low", "medium", "high", "xhigh")]] = UNSET


class Session(Struct, frozen=True, kw_only=True):
    """The session, or the part of it to change. `temperature` exists in beta only and is never sent in GA.

    `id`, `object` and `expires_at` (unix seconds) come from servers only.
    """

    type: Annotated[str, one_of("realtime", "transcription")] | UnsetType = UNSET
    model: Maybe[str] = UNSET
    output_modalities: Maybe[list[Modality]] = UNSET
    instructions: Maybe[str] = UNSET
    audio: Maybe[AudioConfig] = UNSET
    tools: Maybe[list[Tool]] = UNSET
    tool_choice: Maybe[str | dict[str, Any]] = UNSET
    parallel_tool_calls: Maybe[bool] = UNSET
    reasoning: Maybe[Reasoning] = UNSET
    max_output_tokens: Maybe[Tokens] = UNSET
    truncation: Maybe[str | dict[str, Any]] = UNSET
    tracing: Maybe[str | dict[str, Any]] = UNSET
    prompt: Maybe[dict[str, Any]] = UNSET
    include: Maybe[list[str]] = UNSET
    temperature: Maybe[float] = UNSET
    id: Maybe[str] = UNSET
    object: Maybe[str] = UNSET
    expires_at: Maybe[int] = UNSET


# --- items ----------------------------------------------------------------------------------------------------


class ContentPart(Struct, frozen=True, omit_defaults=True):
    """A part of a message. Audio is bytes here and base64 on the wire.

    In items: `input_text`, `input_audio`, `input_image`, `output_text`, `output_audio`; in `response.content_part.*`:
    `text`, `audio`. What we decode keeps to that, whatever the peer wrote.
    """

    type: str
    text: str | None = None
    transcript: str | None = None
    audio: bytes | None = None
    image_url: str | None = None
    detail: str | None = None


class Item(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One of the conversation: `message`, `function_call`, `function_call_output`, `item_reference` or one of `mcp_*`.

    A message has role and content, a call has name, arguments (JSON text), call_id; an output has call_id, output.
    """

    type: str
    id: str | None = None
    object: str | None = None
    status: str | None = None
    role: str | None = None
    content: list[ContentPart] | None = None
    name: str | None = None
    call_id: str | None = None
    arguments: str | None = None
    output: str | None = None
    phase: str | None = None
    server_label: str | None = None
    tools: list[dict[str, Any]] | None = None
    approval_request_id: str | None = None
    approve: bool | None = None
    reason: str | None = None
    error: Any = None


# --- responses ------------------------------------------------------------------------------------------------


class ResponseParams(Struct, frozen=True, kw_only=True):
    """What `response.create` may ask for. `conversation` "none": out of band.

    `temperature` exists in beta only and is never sent in GA.
    """

    conversation: Maybe[str] = UNSET
    input: Maybe[list[Item]] = UNSET
    instructions: Maybe[str] = UNSET
    output_modalities: Maybe[list[Modality]] = UNSET
    audio: Maybe[AudioConfig] = UNSET
    tools: Maybe[list[Tool]] = UNSET
    tool_choice: Maybe[str | dict[str, Any]] = UNSET
    parallel_tool_calls: Maybe[bool] = UNSET
    reasoning: Maybe[Reasoning] = UNSET
    max_output_tokens: Maybe[Tokens] = UNSET
    metadata: Maybe[dict[str, Any]] = UNSET
    prompt: Maybe[dict[str, Any]] = UNSET
    temperature: Maybe[float] = UNSET


class CachedTokens(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How the cached part of the input divides."""

    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class InputTokens(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How input tokens divide. Cached ones are counted in the others too."""

    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    cached_tokens: int | None = None
    cached_tokens_details: CachedTokens | None = None


class OutputTokens(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How output tokens divide."""

    text_tokens: int | None = None
    audio_tokens: int | None = None


class Usage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Tokens of a response. All None when the peer sent `{}`: it does not count."""

    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_token_details: InputTokens | None = None
    output_token_details: OutputTokens | None = None


class TranscriptionUsage(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What writing the user's speech down cost: `type` "tokens" or "duration" (`seconds` of audio)."""

    type: str | None = None
    seconds: float | None = None
    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_token_details: InputTokens | None = None


class ErrorDetail(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What went wrong. `event_id` is that of the client's message at fault, `param` the field in it."""

    type: str
    message: str
    code: str | None = None
    param: str | None = None
    event_id: str | None = None


class StatusError(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a response failed."""

    type: str | None = None
    code: str | None = None
    message: str | None = None


class StatusDetails(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a response ended: reason `turn_detected`, `client_cancelled`, `max_output_tokens`, `content_filter`."""

    type: str | None = None
    reason: str | None = None
    error: StatusError | None = None


class Response(Struct, frozen=True, kw_only=True):
    """An answer. `status`: in_progress, completed, cancelled, failed, incomplete.

    `status_details`, `usage` and `metadata` are sent as null when None, as OpenAI does; some peers make
    `status_details` a bare string. `conversation_id` None is an answer out of band.
    """

    status: str
    id: str = ""
    object: str = "realtime.response"
    status_details: StatusDetails | str | None = None
    output: list[Item] = []
    metadata: dict[str, Any] | None = None
    usage: Usage | None = None
    conversation_id: Maybe[str] = UNSET
    output_modalities: Maybe[list[str]] = UNSET
    max_output_tokens: Maybe[int | str] = UNSET
    audio: Maybe[AudioConfig] = UNSET
    temperature: Maybe[float] = UNSET


class Conversation(Struct, frozen=True, omit_defaults=True):
    """Named by `conversation.created`."""

    id: str | None = None
    object: str | None = None


class RateLimit(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is left of `requests` or `tokens`."""

    name: str | None = None
    limit: int | None = None
    remaining: int | None = None
    reset_seconds: float | None = None
