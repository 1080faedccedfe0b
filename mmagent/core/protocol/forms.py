"""Settings, items and usage, in the wire's shapes and back."""

from __future__ import annotations

from typing import Any

import msgspec

from mmagent.core import happenings as h
from mmagent.core import pcm, wire
from mmagent.core.conversation import Entry
from mmagent.core.settings import Modality, SessionSettings, ToolSpec, TurnDetection

# --- settings <-> session -------------------------------------------------------------------------------------


def session_of(settings: SessionSettings) -> wire.Session:
    """All settings as one `session.update`: "Send every VAD field yourself" (reference, section 1.4)."""
    audio_format = wire.Format(type="audio/pcm", rate=pcm.RATE)
    return wire.Session(
        type="realtime",
        model=settings.model or msgspec.UNSET,
        output_modalities=["audio"] if settings.speaks else ["text"],
        instructions=settings.instructions,
        audio=wire.AudioConfig(
            input=wire.AudioInput(
                format=audio_format,
                noise_reduction=None,
                transcription=wire.Transcription(model=settings.transcription_model),
                turn_detection=detection_of(settings),
            ),
            output=wire.AudioOutput(format=audio_format, voice=settings.voice),
        ),
        tools=[tool_of(spec) for spec in settings.tools] or msgspec.UNSET,
        tool_choice="auto" if settings.tools else msgspec.UNSET,
        max_output_tokens="inf" if settings.max_output_tokens is None else settings.max_output_tokens,
        temperature=msgspec.UNSET if settings.temperature is None else settings.temperature,
    )


def tool_of(spec: ToolSpec) -> wire.Tool:
    """A function as the wire describes it."""
    parameters = msgspec.json.decode(spec.parameters)
    return wire.Tool(type="function", name=spec.name, description=spec.description, parameters=parameters)


def tools_of(tools: object) -> tuple[ToolSpec, ...] | None:
    """The functions among the tools of a session or an answer; None where nothing is said of them."""
    if not isinstance(tools, list):
        return None
    return tuple(
        ToolSpec(tool.name, tool.description or "", msgspec.json.encode(tool.parameters or {}).decode())
        for tool in tools
        if isinstance(tool, wire.Tool) and tool.type == "function" and isinstance(tool.name, str)
    )


def choice_of(choice: object) -> str | None:
    """`auto`, `none`, `required`, or the name of the function that must be called; None where nothing is said."""
    if isinstance(choice, dict) and choice.get("type") == "function":
        return str(choice.get("name") or "auto")
    return choice if isinstance(choice, str) else None


def detection_of(settings: SessionSettings) -> wire.TurnDetection | None:
    """The wire's turn detection; None turns it off."""
    given = settings.turn_detection
    if given.type == "none":
        return None  # "explicit null clears turn_detection"; leaving it out would keep the server's default (trap 1)
    common: dict[str, Any] = {
        "type": given.type,
        "create_response": given.create_response,
        "interrupt_response": settings.interrupts_response,
    }
    if given.type == "semantic_vad":
        return wire.TurnDetection(**common, eagerness=given.eagerness)
    return wire.TurnDetection(
        **common,
        threshold=given.threshold,
        prefix_padding_ms=given.prefix_padding_ms,
        silence_duration_ms=given.silence_duration_ms,
        idle_timeout_ms=given.idle_timeout_ms,
    )


def merge(old: Any, new: Any) -> Any:
    """A partial update: what `new` leaves unset stays as in `old`; structs are merged field by field."""
    if type(old) is not type(new) or not isinstance(new, msgspec.Struct):
        return new
    if isinstance(new, wire.TurnDetection | wire.Format) and old.type != new.type:
        return new
    given = {f: getattr(new, f) for f in new.__struct_fields__ if getattr(new, f) is not msgspec.UNSET}
    return msgspec.structs.replace(old, **{f: merge(getattr(old, f), v) for f, v in given.items()})


def session_changed(session: wire.Session) -> h.SessionChanged:
    """What a server does by this session."""
    audio = session.audio if isinstance(session.audio, wire.AudioConfig) else wire.AudioConfig()
    heard = audio.input if isinstance(audio.input, wire.AudioInput) else wire.AudioInput()
    said = audio.output if isinstance(audio.output, wire.AudioOutput) else wire.AudioOutput()
    wanted = session.output_modalities if isinstance(session.output_modalities, list) else ["audio"]
    answers = session.type != "transcription"
    detection = detection_from(heard.turn_detection)
    if detection is not None and not answers:
        detection = msgspec.structs.replace(detection, create_response=False, idle_timeout_ms=None)
    return h.SessionChanged(
        instructions=session.instructions if isinstance(session.instructions, str) else "",
        voice=said.voice if isinstance(said.voice, str) else "",
        modalities=modalities(wanted),
        max_output_tokens=session.max_output_tokens if isinstance(session.max_output_tokens, int) else None,
        turn_detection=detection,
        transcribe=not answers or isinstance(heard.transcription, wire.Transcription),
        heard=encoding(heard.format),
        spoken=encoding(said.format),
        answers=answers,
        tools=tools_of(session.tools) or (),
        tool_choice=choice_of(session.tool_choice) or "auto",
    )


def encoding(given: wire.Format | msgspec.UnsetType | None) -> pcm.Encoding:
    """How sound is written; "format not given = 24 kHz" of PCM."""
    if not isinstance(given, wire.Format) or not isinstance(given.type, str) or given.type == "audio/pcm":
        rate = given.rate if isinstance(given, wire.Format) else None
        return pcm.Encoding(rate=rate if isinstance(rate, int) else pcm.RATE)
    return pcm.Encoding(given.type, 8000)


def detection_from(given: wire.TurnDetection | msgspec.UnsetType | None) -> TurnDetection | None:
    """The wire's turn detection as settings."""
    if given is None:
        return None
    if isinstance(given, msgspec.UnsetType):
        return TurnDetection()
    fields = {f: getattr(given, f) for f in given.__struct_fields__}
    return msgspec.convert({k: v for k, v in fields.items() if v is not None and v is not msgspec.UNSET}, TurnDetection)


def reply_asked(params: wire.ResponseParams | None, event_id: str) -> h.ReplyAsked:
    """What an answer was asked for with."""
    params = params or wire.ResponseParams()
    wanted = params.output_modalities
    said = params.audio.output if isinstance(params.audio, wire.AudioConfig) else None
    said = said if isinstance(said, wire.AudioOutput) else wire.AudioOutput()
    return h.ReplyAsked(
        instructions=params.instructions if isinstance(params.instructions, str) else None,
        modalities=modalities(wanted) if isinstance(wanted, list) else None,
        max_output_tokens=params.max_output_tokens if isinstance(params.max_output_tokens, int) else None,
        metadata=params.metadata if isinstance(params.metadata, dict) else None,
        event_id=event_id,
        aside=params.conversation == "none",
        about=tuple(line_of(item) for item in params.input) if isinstance(params.input, list) else None,
        spoken=encoding(said.format) if isinstance(said.format, wire.Format) else None,
        tools=tools_of(params.tools),
        tool_choice=choice_of(params.tool_choice),
    )


def line_of(item: wire.Item) -> h.Line:
    """What an item of `response.create`'s input says; a reference says which item to look at."""
    return h.Line(item.id or "") if item.type == "item_reference" else h.Line("", item.role or "", text_of(item))


def modalities(names: list[str]) -> tuple[Modality, ...]:
    """The known ones among `names`; sound if there is none."""
    return tuple(m for m in ("audio", "text") if m in names) or ("audio",)


# --- items, usage, reasons ------------------------------------------------------------------------------------


def item_of(entry: Entry) -> wire.Item:
    """The item as the wire shows it."""
    if entry.kind != "message":
        return _function_item(entry)
    if entry.role != "assistant" and entry.written:
        content = [wire.ContentPart(type="input_text", text=entry.text)]
    elif entry.role != "assistant":
        content = [wire.ContentPart(type="input_audio", transcript=entry.text or None)]
    elif entry.status == "in_progress":
        content = []
    elif not entry.written:
        # "conversation.item.retrieve afterwards comes back without the transcript" of what was cut (reference, 2)
        said = None if entry.cut_ms is not None else entry.text
        content = [wire.ContentPart(type="output_audio", transcript=said)]
    else:
        content = [wire.ContentPart(type="output_text", text=entry.text)]
    return wire.Item(
        type="message", id=entry.id, object="realtime.item", status=entry.status, role=entry.role, content=content
    )


def _function_item(entry: Entry) -> wire.Item:
    common: dict[str, Any] = {"type": entry.kind, "id": entry.id, "object": "realtime.item", "status": entry.status}
    if entry.kind == "function_call":
        return wire.Item(**common, name=entry.name, call_id=entry.call_id, arguments=entry.text)
    return wire.Item(**common, call_id=entry.call_id, output=entry.text)


def text_of(item: wire.Item) -> str:
    """All the text in an item, written or spoken; a call's arguments, a function's output."""
    if item.type in ("function_call", "function_call_output"):
        return item.arguments or item.output or ""
    return "".join(part.text or part.transcript or "" for part in item.content or [])


def why(response: wire.Response) -> tuple[str, str]:
    """(one sentence why a response is not whole, code); both empty where there is nothing to tell."""
    details = response.status_details
    if response.status in ("completed", "cancelled", "in_progress"):
        return "", ""
    if isinstance(details, str):
        return f"The answer ended early: {details}.", ""
    error = details.error if details is not None else None
    if error is not None and (error.message or error.code):
        return f"The answer failed: {error.message or error.code}", error.code or error.type or ""
    reason = details.reason if details is not None else None
    told = {"max_output_tokens": "the limit of --max-output-tokens was reached", "content_filter": "it was filtered"}
    return f"The answer ended early: {told.get(reason or '', reason or response.status)}.", ""


def builtins(usage: object) -> dict[str, Any] | None:
    """A count as plain data, for the price table."""
    return msgspec.to_builtins(usage) if isinstance(usage, msgspec.Struct) else None


def usage_of(count: h.UsageCount) -> wire.Usage:
    """Tokens in the wire's shape."""
    return wire.Usage(
        input_tokens=count.text_in + count.audio_in,
        output_tokens=count.text_out + count.audio_out,
        total_tokens=count.text_in + count.audio_in + count.text_out + count.audio_out,
        input_token_details=wire.InputTokens(text_tokens=count.text_in, audio_tokens=count.audio_in, cached_tokens=0),
        output_token_details=wire.OutputTokens(text_tokens=count.text_out, audio_tokens=count.audio_out),
    )


def event_id_in(raw: bytes) -> str:
    """The event id of a message that is not understood otherwise."""
    try:
        value = msgspec.json.decode(raw).get("event_id")
    except (msgspec.DecodeError, AttributeError, RecursionError):
        return ""
    return value if isinstance(value, str) else ""
