"""Held to the official SDK's types in strict mode, to peers' known oddities, and to noise."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET

from mmagent.core import wire, wire_dialect
from mmagent.core.wire import (
    AudioConfig,
    AudioInput,
    AudioOutput,
    ContentPart,
    Format,
    Item,
    Malformed,
    NoiseReduction,
    Session,
    SessionUpdate,
    Transcription,
    TurnDetection,
    Unknown,
    decode_client,
    decode_server,
    encode,
    lacks,
)

UPDATED = "conversation.item.input_audio_transcription.updated"  # xAI's, in no SDK: read, never sent
CLIENT = {str(t.__struct_config__.tag): t for t in get_args(wire.ClientMessage)}
SERVER = {str(t.__struct_config__.tag): t for t in get_args(wire.ServerMessage)}
ALL = CLIENT | SERVER


def tag(message: Any) -> str:
    return str(message.__struct_config__.tag)


# --- messages as we build them --------------------------------------------------------------------------------

ids = st.text("abcdefgh_0123456789", min_size=1, max_size=8)
words = st.text(max_size=12)
whole = st.integers(0, 2**40)
small = st.integers(0, 5)
share = st.floats(0, 1)
flags = st.booleans()
sound = st.binary(max_size=12)


def built(kind: Any, required: Any = None, **optional: Any) -> st.SearchStrategy[Any]:
    """With the required fields and any of the optional ones; the rest stays unset."""
    return st.fixed_dictionaries(required or {}, optional=optional).map(lambda fields: kind(**fields))


formats = (
    st.just(Format("audio/pcm", 24000))
    | st.just(Format("audio/pcm"))
    | st.sampled_from(["audio/pcmu", "audio/pcma"]).map(Format)
)
vads = built(
    TurnDetection,
    {"type": st.just("server_vad")},
    threshold=share,
    prefix_padding_ms=small,
    silence_duration_ms=small,
    create_response=flags,
    interrupt_response=flags,
    idle_timeout_ms=st.none() | small,
) | built(
    TurnDetection,
    {"type": st.just("semantic_vad")},
    eagerness=st.sampled_from(["auto", "low", "medium", "high"]),
    create_response=flags,
    interrupt_response=flags,
)
inputs = built(
    AudioInput,
    format=formats,
    noise_reduction=st.none()
    | built(NoiseReduction, type=st.sampled_from(["near_field", "far_field"]), strength=share),
    transcription=st.none()
    | built(
        Transcription,
        model=words,
        language=words,
        prompt=words,
        languages=st.lists(words, max_size=2),
        keywords=st.lists(words, max_size=2),
        delay=st.sampled_from(["minimal", "low", "high"]),
    ),
    turn_detection=st.none() | vads,
)
voices = words | st.builds(lambda name: {"id": name}, ids)
outputs = built(AudioOutput, format=formats, voice=voices, speed=st.floats(0.25, 1.5))
tools = built(
    wire.Tool, {"type": st.just("function")}, name=ids, description=words, parameters=st.just({"type": "object"})
) | built(
    wire.Tool,
    {"type": st.just("mcp"), "server_label": ids},
    server_url=words,
    headers=st.none() | st.dictionaries(words, words, max_size=1),
    allowed_tools=st.none() | st.lists(words, max_size=1),
    require_approval=st.sampled_from(["always", "never", None]),
)
limits = st.integers(1, 4096) | st.just("inf")
choices = st.sampled_from(["auto", "none", "required"]) | st.builds(lambda n: {"type": "function", "name": n}, ids)
modalities = st.sampled_from([["audio"], ["text"]])
reasonings = built(wire.Reasoning, effort=st.sampled_from(["minimal", "low", "xhigh"]))
asked = {
    "instructions": words,
    "output_modalities": modalities,
    "tools": st.lists(tools, max_size=2),
    "tool_choice": choices,
    "parallel_tool_calls": flags,
    "reasoning": reasonings,
    "max_output_tokens": limits,
}
sessions = built(
    Session,
    {"type": st.just("realtime")},
    **asked,
    model=words,
    audio=built(AudioConfig, input=inputs, output=outputs),
    truncation=st.sampled_from(["auto", "disabled", {"type": "retention_ratio", "retention_ratio": 0.8}]),
    tracing=st.sampled_from([None, "auto", {"workflow_name": "x"}]),
    prompt=st.sampled_from([None, {"id": "p"}]),
    include=st.sampled_from([None, ["item.input_audio_transcription.logprobs"]]),
) | built(Session, {"type": st.just("transcription")}, audio=built(AudioConfig, input=inputs))


def parts(*kinds: str, more: Any = st.nothing(), **fields: Any) -> st.SearchStrategy[list[ContentPart]]:  # noqa: B008
    return st.lists(built(ContentPart, {"type": st.sampled_from(kinds)}, **fields) | more, max_size=2)


known = {"id": ids, "status": st.sampled_from(["completed", "incomplete", "in_progress"])}
known["object"] = st.just("realtime.item")
message = st.just("message")
heard = {"text": words, "transcript": words, "audio": sound}
pictures = built(
    ContentPart, {"type": st.just("input_image")}, image_url=words, detail=st.sampled_from(["auto", "low", "high"])
)
items = st.one_of(
    built(
        Item,
        {
            "type": message,
            "role": st.just("user"),
            "content": parts("input_text", "input_audio", more=pictures, **heard),
        },
        **known,
    ),
    built(Item, {"type": message, "role": st.just("system"), "content": parts("input_text", text=words)}, **known),
    built(
        Item,
        {"type": message, "role": st.just("assistant"), "content": parts("output_text", "output_audio", **heard)},
        phase=st.sampled_from(["commentary", "final_answer"]),
        **known,
    ),
    built(Item, {"type": st.just("function_call"), "name": ids, "arguments": words}, call_id=ids, **known),
    built(Item, {"type": st.just("function_call_output"), "call_id": ids, "output": words}, **known),
    built(Item, {"type": st.just("mcp_approval_response"), "id": ids, "approval_request_id": ids, "approve": flags}),
    built(Item, {"type": st.just("mcp_list_tools"), "server_label": ids, "tools": st.just([])}, id=ids),
    built(
        Item,
        {"type": st.just("mcp_call"), "id": ids, "arguments": words, "name": ids, "server_label": ids},
        output=words,
        error=st.sampled_from([None, {"type": "tool_execution_error", "message": "x"}]),
    ),
)
counts = {"text_tokens": whole, "audio_tokens": whole}
usages = built(
    wire.Usage,
    total_tokens=whole,
    input_tokens=whole,
    output_tokens=whole,
    output_token_details=built(wire.OutputTokens, **counts),
    input_token_details=built(
        wire.InputTokens,
        **counts,
        image_tokens=whole,
        cached_tokens=whole,
        cached_tokens_details=built(wire.CachedTokens, **counts, image_tokens=whole),
    ),
)
responses = built(
    wire.Response,
    {"status": st.sampled_from(["in_progress", "completed", "cancelled", "failed", "incomplete"])},
    id=ids,
    status_details=st.none()
    | built(
        wire.StatusDetails,
        type=st.sampled_from(["cancelled", "failed"]),
        reason=st.sampled_from(["turn_detected", "client_cancelled", "max_output_tokens"]),
        error=built(wire.StatusError, type=words, code=words, message=words),
    ),
    output=st.lists(items, max_size=2),
    metadata=st.none() | st.dictionaries(words, words, max_size=2),
    usage=st.none() | usages,
    conversation_id=st.none() | ids,
    output_modalities=modalities,
    max_output_tokens=limits,
    audio=built(AudioConfig, output=built(AudioOutput, format=formats, voice=words)),
)
params = built(
    wire.ResponseParams,
    **asked,
    conversation=st.sampled_from(["auto", "none"]),
    input=st.lists(items, max_size=2),
    audio=built(AudioConfig, output=built(AudioOutput, format=formats, voice=voices)),
    metadata=st.none() | st.dictionaries(words, words, max_size=2),
)
errors = built(wire.ErrorDetail, {"type": ids, "message": words}, code=ids, param=ids)
billed = built(
    wire.TranscriptionUsage,
    {"type": st.just("tokens"), "total_tokens": whole, "input_tokens": whole, "output_tokens": whole},
    input_token_details=built(wire.InputTokens, **counts),
) | built(wire.TranscriptionUsage, {"type": st.just("duration"), "seconds": st.floats(0, 1e6)})
quotas = built(
    wire.RateLimit, name=st.sampled_from(["requests", "tokens"]), limit=whole, remaining=whole, reset_seconds=share
)

# Strategy by field; a pair where two messages use one name for different things.
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "session": sessions,
    "item": items,
    "part": built(ContentPart, {"type": st.sampled_from(["audio", "text"])}, **heard),
    "error": errors,
    "audio": sound,
    "conversation": built(wire.Conversation, id=ids, object=st.just("realtime.conversation")),
    "rate_limits": st.lists(quotas, max_size=2),
    "usage": billed,
    "previous_item_id": st.none() | ids,
    "start": share,
    "end": share,
    "logprobs": st.just([{"token": "a", "bytes": [97], "logprob": -0.5}]),
    "languages": st.just([]),
}
NAMES = ("event_id", "item_id", "response_id", "call_id", "id", "name", "speaker", "event")


def messages(kind: Any) -> st.SearchStrategy[Any]:
    """All fields set, as a careful sender does; optional ones of a client sometimes."""
    fields: dict[str, st.SearchStrategy[Any]] = {}
    hints = get_type_hints(kind)
    for name in kind.__struct_fields__:
        if name == "session" and kind is not SessionUpdate:
            fields[name] = sessions.map(lambda s: msgspec.structs.replace(s, id="sess_1", expires_at=1))
        elif name == "response":
            fields[name] = (params | st.none()) if kind is wire.ResponseCreate else responses
        elif name in FIELDS:
            fields[name] = FIELDS[name]
        elif name in NAMES:
            fields[name] = ids
        else:
            fields[name] = {int: whole, str: words, bytes: sound}[hints[name]]
    return st.fixed_dictionaries(fields).map(lambda values: kind(**values))


# --- names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "cls"), ALL.items())
def test_class_is_named_after_type(kind: str, cls: type) -> None:
    assert cls.__name__ == "".join(word[0].upper() + word[1:] for word in kind.replace(".", "_").split("_"))


def test_every_message_goes_one_way_only() -> None:
    assert len(CLIENT) == 11
    assert not set(CLIENT) & set(SERVER)


# --- round trips ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SERVER)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_server_messages_come_back(kind: str, data: st.DataObject) -> None:
    sent = data.draw(messages(SERVER[kind]))
    assert decode_server(encode(sent)) == sent
    assert decode_server(encode(sent).decode()) == sent


@pytest.mark.parametrize("kind", CLIENT)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_client_messages_come_back(kind: str, data: st.DataObject) -> None:
    sent = data.draw(messages(CLIENT[kind]))
    assert decode_client(encode(sent)) == sent


def test_null_is_kept_and_unset_is_not() -> None:
    session = Session(type="realtime", audio=AudioConfig(input=AudioInput(turn_detection=None)))
    assert json.loads(encode(SessionUpdate(session))) == {
        "type": "session.update",
        "session": {"type": "realtime", "audio": {"input": {"turn_detection": None}}},
    }
    flat = json.loads(encode(SessionUpdate(session), "beta"))
    assert flat == {"type": "session.update", "session": {"turn_detection": None}}


def test_no_nulls_where_strict_peers_refuse_them() -> None:
    item = Item(type="function_call", name="f", arguments="")
    sent = json.loads(encode(wire.ResponseOutputItemAdded(item)))
    assert sent["item"] == {"type": "function_call", "name": "f", "arguments": ""}
    sent = json.loads(encode(wire.ResponseCreated(wire.Response(status="in_progress"))))
    assert sent["response"] == {
        "status": "in_progress",
        "id": "",
        "object": "realtime.response",
        "status_details": None,
        "output": [],
        "metadata": None,
        "usage": None,
    }


def test_indices_are_sent_even_when_zero() -> None:
    sent = json.loads(encode(wire.ConversationItemTruncate("a", 0, 0)))
    assert sent == {"type": "conversation.item.truncate", "item_id": "a", "content_index": 0, "audio_end_ms": 0}
    sent = json.loads(encode(wire.ResponseOutputAudioDelta(b"\1\2")))
    assert sent["content_index"] == sent["output_index"] == 0


# --- the oracle -----------------------------------------------------------------------------------------------

# Sent by OpenAI and declared nowhere; the last two: sent by beta too, and declared for GA only.
ALLOWED = (".session.id", ".session.object", ".session.expires_at", ".phase", ".cached_tokens_details", ".image_tokens")


def members(union: Any) -> Iterator[Any]:
    for each in get_args(union):
        if hasattr(each, "model_fields"):
            yield each
        else:
            yield from members(each)


def registry(module: str, name: str) -> dict[str, Any]:
    types = pytest.importorskip(module, reason="pip install 'mmagent[dev]': the official SDK's types")
    return {get_args(m.model_fields["type"].annotation)[0]: m for m in members(getattr(types, name))}


def undeclared(model: Any, path: str = "") -> list[str]:
    found: list[str] = []
    if isinstance(model, list):
        for i, each in enumerate(model):
            found += undeclared(each, f"{path}[{i}]")
    elif hasattr(model, "model_extra"):
        extra = [f"{path}.{key}" for key in model.model_extra or {}]
        found += [name for name in extra if not name.endswith(ALLOWED)]
        for key in type(model).model_fields:
            found += undeclared(getattr(model, key), f"{path}.{key}")
    return found


def judge(models: dict[str, Any], sent: bytes) -> None:
    tree = json.loads(sent)
    assert undeclared(models[tree["type"]].model_validate(tree, strict=True)) == []


def test_the_oracle_sees_what_it_should() -> None:
    """Else all that follows proves nothing."""
    models = registry("openai.types.realtime", "RealtimeClientEvent")
    with pytest.raises(AssertionError, match="temperature"):
        judge(models, b'{"type":"session.update","session":{"type":"realtime","temperature":0.8}}')
    with pytest.raises(ValueError, match="audio_end_ms"):
        judge(models, b'{"type":"conversation.item.truncate","item_id":"a","content_index":0,"audio_end_ms":"1"}')


def test_no_ga_message_is_missing() -> None:
    assert set(registry("openai.types.realtime", "RealtimeClientEvent")) == set(CLIENT)
    # `created` is the legacy twin of `added`, and read as that.
    official = set(registry("openai.types.realtime", "RealtimeServerEvent")) - {"conversation.item.created"}
    assert official == set(SERVER) - {UPDATED}


@pytest.mark.parametrize("kind", sorted(set(ALL) - {UPDATED}))
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_sdk_accepts_what_we_send(kind: str, data: st.DataObject) -> None:
    models = registry("openai.types.realtime", f"Realtime{'Client' if kind in CLIENT else 'Server'}Event")
    judge(models, encode(data.draw(messages(ALL[kind]))))


def beta_names() -> dict[str, Any]:
    names = registry("openai.types.beta.realtime", "RealtimeServerEvent")
    return names | registry("openai.types.beta.realtime", "RealtimeClientEvent")


def sayable_in_beta(sent: Any) -> bool:
    """Within the literals that beta's types list; the values are the caller's."""
    tree = json.loads(encode(sent, "beta"))
    shaped = tree.get("session") or tree.get("response") or {}
    listed = [tree.get("item") or {}, *shaped.get("output", ()), *shaped.get("input", ())]
    plain = {"message", "function_call", "function_call_output"}
    return (
        "model" not in shaped
        and isinstance(shaped.get("tool_choice", ""), str)
        and all(item.get("type", "message") in plain for item in listed)
        and all(part["type"] != "audio" for item in shaped.get("input", ()) for part in item.get("content", ()))
    )


@pytest.mark.parametrize("kind", sorted(ALL))
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_beta_sdk_accepts_what_we_send_in_beta(kind: str, data: st.DataObject) -> None:
    models = beta_names()
    sent = data.draw(messages(ALL[kind]))
    text = encode(sent, "beta")
    if not text:
        assert kind not in models
    elif kind != UPDATED and sayable_in_beta(sent):
        judge(models, text)


def test_beta_has_every_message_that_its_sdk_has() -> None:
    said = {kind for kind, cls in ALL.items() if kind != UPDATED} - set(wire_dialect.GA_ONLY)
    said = {kind for kind in said if "mcp" not in kind and not kind.endswith(".segment")}
    renamed = {wire_dialect.BETA_NAMES.get(kind, kind) for kind in said}
    assert renamed == {name for name in beta_names() if not name.startswith("transcription_session")}


# --- beta -----------------------------------------------------------------------------------------------------

beta_inputs = built(
    AudioInput,
    {"format": st.just(Format("audio/pcm", 24000))},
    noise_reduction=st.none() | st.just(NoiseReduction("near_field")),
    transcription=st.none() | built(Transcription, model=words, language=words, prompt=words),
    turn_detection=st.none() | st.just(TurnDetection(type="server_vad", threshold=0.5, create_response=False)),
)
beta_sessions = built(
    Session,
    {"type": st.just("realtime")},
    instructions=words,
    output_modalities=modalities,
    audio=built(
        AudioConfig, {"input": beta_inputs, "output": built(AudioOutput, {"voice": words}, speed=st.floats(0.25, 1.5))}
    ),
    tools=st.lists(st.just(wire.Tool(type="function", name="f")), max_size=2),
    tool_choice=choices,
    max_output_tokens=limits,
    temperature=st.floats(0.6, 1.2),
)


@given(beta_sessions)
def test_beta_session_comes_back(session: Session) -> None:
    assert lacks(session, "beta") == []
    assert decode_client(encode(SessionUpdate(session), "beta"), "beta") == SessionUpdate(session)
    created = wire.SessionCreated(session, event_id="e")
    assert decode_server(encode(created, "beta")) == created


@given(responses.map(lambda r: msgspec.structs.replace(r, audio=UNSET)))
def test_beta_response_comes_back(response: Any) -> None:
    sent = wire.ResponseDone(msgspec.structs.replace(response, output=[]), event_id="e")
    assert decode_server(encode(sent, "beta")) == sent


@pytest.mark.parametrize(("beta", "ga"), wire_dialect.SERVER_NAMES.items())
def test_beta_names_are_read_as_ga(beta: str, ga: str) -> None:
    fields = {"delta": "", "text": "", "transcript": "", "session": {}, "item": {"type": "message"}}
    assert tag(decode_server(json.dumps({"type": beta, **fields}))) == ga


def test_beta_reads_a_whole_session_update() -> None:
    flat = {
        "modalities": ["text", "audio"],
        "voice": "sage",
        "input_audio_format": "g711_ulaw",
        "output_audio_format": "pcm16",
        "input_audio_transcription": {"model": "whisper-1"},
        "input_audio_noise_reduction": None,
        "turn_detection": {"type": "server_vad", "threshold": 0.5},
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "temperature": 0.7,
        "max_response_output_tokens": "inf",
        "speed": 1.25,
    }
    text = json.dumps({"type": "session.update", "session": flat})
    assert decode_client(text, "beta") == SessionUpdate(
        Session(
            type="realtime",
            output_modalities=["audio"],
            audio=AudioConfig(
                input=AudioInput(
                    format=Format("audio/pcmu"),
                    noise_reduction=None,
                    transcription=Transcription(model="whisper-1"),
                    turn_detection=TurnDetection(type="server_vad", threshold=0.5),
                ),
                output=AudioOutput(format=Format("audio/pcm", 24000), voice="sage", speed=1.25),
            ),
            tool_choice={"type": "function", "name": "f"},
            temperature=0.7,
            max_output_tokens="inf",
        )
    )
    assert isinstance(decode_client(text, "ga"), Malformed)


def test_beta_transcription_session() -> None:
    text = '{"type":"transcription_session.update","session":{"input_audio_format":"pcm16"}}'
    got = decode_client(text, "beta")
    assert isinstance(got, SessionUpdate)
    assert got.session.type == "transcription"
    assert isinstance(decode_client(text), Unknown)


def test_what_a_dialect_lacks_is_named_and_not_sent() -> None:
    session = Session(
        type="realtime",
        temperature=0.8,
        reasoning=wire.Reasoning("low"),
        parallel_tool_calls=False,
        tools=[wire.Tool(type="function", name="f"), wire.Tool(type="mcp", server_label="m")],
        audio=AudioConfig(
            input=AudioInput(
                transcription=Transcription(model="m", keywords=["k"]),
                turn_detection=TurnDetection(type="server_vad", idle_timeout_ms=5000),
            ),
            output=AudioOutput(voice={"id": "v"}),
        ),
    )
    assert lacks(session, "ga") == ["temperature"]
    assert sorted(lacks(session, "beta")) == [
        "audio.input.transcription.keywords",
        "audio.input.turn_detection.idle_timeout_ms",
        "audio.output.voice",
        "parallel_tool_calls",
        "reasoning",
        "tools[1]",
    ]
    assert "temperature" not in json.loads(encode(SessionUpdate(session)))["session"]
    assert json.loads(encode(SessionUpdate(session), "beta"))["session"] == {
        "temperature": 0.8,
        "tools": [{"type": "function", "name": "f"}],
        "input_audio_transcription": {"model": "m"},
        "turn_detection": {"type": "server_vad"},
    }
    assert session.temperature == 0.8  # untouched


# --- tolerance: what servers were seen to send ----------------------------------------------------------------

TOLERATED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    # case: (what comes, what must be found at which path)
    "no ids, no indices": (
        {"type": "response.output_audio.delta", "delta": "AAA="},
        {"delta": b"\0\0", "event_id": "", "item_id": "", "output_index": 0, "content_index": 0},
    ),
    "null ids": (
        {"type": "response.output_text.delta", "delta": "a", "event_id": None, "output_index": None},
        {"delta": "a", "event_id": "", "output_index": 0},
    ),
    "unknown fields": (
        {"type": "response.output_text.delta", "delta": "a", "obfuscation": "x", "y": [1]},
        {"delta": "a"},
    ),
    "error is a string": ({"type": "error", "error": "out of luck"}, {"error.message": "out of luck"}),
    "error beside": ({"type": "error", "message": "m", "code": "c"}, {"error.message": "m", "error.code": "c"}),
    "error with nulls": (
        {"type": "error", "error": {"type": None, "message": "m", "code": 503, "param": None}},
        {"error.message": "m", "error.code": "503", "error.param": None},
    ),
    "error without anything": ({"type": "error"}, {"error.message": "unknown error"}),
    "status_details is a string": (
        {"type": "response.done", "response": {"status": "failed", "status_details": "busy"}},
        {"response.status_details": "busy", "response.status": "failed"},
    ),
    "status_details null": (
        {"type": "response.done", "response": {"id": "r", "status_details": None}},
        {"response.status_details": None, "response.status": "completed", "response.id": "r"},
    ),
    "usage null": ({"type": "response.done", "response": {"usage": None}}, {"response.usage": None}),
    "usage empty": ({"type": "response.done", "response": {"usage": {}}}, {"response.usage.input_tokens": None}),
    "usage is nonsense": ({"type": "response.done", "response": {"usage": "n/a"}}, {"response.usage": None}),
    "usage beside (xAI)": (
        {"type": "response.done", "response": {}, "usage": {"input_tokens": 3}},
        {"response.usage.input_tokens": 3},
    ),
    "tokens as floats": (
        {"type": "response.done", "response": {"usage": {"output_tokens": 3.9}}},
        {"response.usage.output_tokens": 3},
    ),
    "no response in done": ({"type": "response.done"}, {"response.status": "completed", "response.output": []}),
    "no response in created": ({"type": "response.created"}, {"response.status": "in_progress"}),
    "out of band": (
        {"type": "response.created", "response": {"status": "in_progress", "conversation_id": None}},
        {"response.conversation_id": None},
    ),
    "ms as float, down": (
        {"type": "input_audio_buffer.speech_started", "item_id": "i", "audio_start_ms": 1500.9},
        {"audio_start_ms": 1500},
    ),
    "ms as text": ({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": "1500"}, {"audio_end_ms": 1500}),
    "no ms": ({"type": "input_audio_buffer.speech_started"}, {"audio_start_ms": 0, "item_id": ""}),
    "no previous item": (
        {"type": "input_audio_buffer.committed", "item_id": "i"},
        {"previous_item_id": None, "item_id": "i"},
    ),
    "transcript in text": (
        {"type": "conversation.item.input_audio_transcription.completed", "item_id": "i", "text": "hi"},
        {"transcript": "hi", "usage": UNSET},
    ),
    "transcript delta in text": (
        {"type": "conversation.item.input_audio_transcription.delta", "text": "hi"},
        {"delta": "hi"},
    ),
    "transcript delta absent": ({"type": "conversation.item.input_audio_transcription.delta"}, {"delta": ""}),
    "cumulative transcript": ({"type": UPDATED, "item_id": "i", "transcript": "hi th"}, {"transcript": "hi th"}),
    "cumulative transcript in delta": ({"type": UPDATED, "delta": "hi th"}, {"transcript": "hi th"}),
    "transcription usage": (
        {
            "type": "conversation.item.input_audio_transcription.completed",
            "transcript": "",
            "usage": {"type": "duration", "seconds": 2},
        },
        {"usage.seconds": 2.0},
    ),
    "transcription failed with a string": (
        {"type": "conversation.item.input_audio_transcription.failed", "error": "deaf"},
        {"error.message": "deaf"},
    ),
    "text delta in text": ({"type": "response.text.delta", "text": "a"}, {"delta": "a"}),
    "no transcript in done": ({"type": "response.output_audio_transcript.done"}, {"transcript": ""}),
    "beta created item": (
        {
            "type": "conversation.item.created",
            "item": {"type": "message", "role": "assistant", "content": [{"type": "audio", "transcript": "a"}]},
        },
        {"item.content.0.type": "output_audio", "previous_item_id": None},
    ),
    "beta text in an answer": (
        {
            "type": "response.output_item.done",
            "item": {"type": "message", "role": "assistant", "content": [{"type": "text", "text": "a"}]},
        },
        {"item.content.0.type": "output_text", "item.content.0.text": "a"},
    ),
    "all in response.done": (
        {
            "type": "response.done",
            "response": {"output": [{"role": "assistant", "content": [{"type": "audio", "audio": None}]}]},
        },
        {"response.output.0.type": "message", "response.output.0.content.0.type": "output_audio"},
    ),
    "text of a user": (
        {"type": "conversation.item.added", "item": {"type": "message", "role": "user", "content": "hi"}},
        {"item.content.0.type": "input_text", "item.content.0.text": "hi"},
    ),
    "part named as in items": (
        {"type": "response.content_part.added", "part": {"type": "output_audio", "transcript": ""}},
        {"part.type": "audio"},
    ),
    "arguments as JSON": (
        {"type": "response.function_call_arguments.done", "call_id": "c", "arguments": {"a": 1}},
        {"arguments": '{"a":1}', "name": ""},
    ),
    "flat beta session": (
        {"type": "session.created", "session": {"modalities": ["text"], "voice": "v", "input_audio_format": "pcm16"}},
        {
            "session.type": "realtime",
            "session.output_modalities": ["text"],
            "session.audio.output.voice": "v",
            "session.audio.input.format.rate": 24000,
        },
    ),
    "xAI: GA, but flat voice": (
        {
            "type": "session.updated",
            "session": {
                "type": "realtime",
                "voice": "Ara",
                "turn_detection": None,
                "audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}},
            },
        },
        {
            "session.audio.output.voice": "Ara",
            "session.audio.input.turn_detection": None,
            "session.audio.input.format.rate": 16000,
        },
    ),
    "nested wins": (
        {"type": "session.updated", "session": {"voice": "flat", "audio": {"output": {"voice": "nested"}}}},
        {"session.audio.output.voice": "nested"},
    ),
    "unknown turn detection (Qwen)": (
        {"type": "session.updated", "session": {"turn_detection": {"type": "smart_turn", "zeal": 1}}},
        {"session.audio.input.turn_detection.type": "smart_turn"},
    ),
    "temperature in session": (
        {"type": "session.created", "session": {"temperature": 0.8, "id": "s", "expires_at": 1.5}},
        {"session.temperature": 0.8, "session.id": "s", "session.expires_at": 1},
    ),
    "no session": ({"type": "session.updated"}, {"session.type": "realtime"}),
    "tool parameters are left alone": (
        {"type": "session.created", "session": {"tools": [{"name": "f", "parameters": {"wait_ms": 1.5}}]}},
        {"session.tools.0.parameters": {"wait_ms": 1.5}},
    ),
}


@pytest.mark.parametrize("case", TOLERATED)
def test_tolerates(case: str) -> None:
    sent, expected = TOLERATED[case]
    got = decode_server(json.dumps(sent))
    assert not isinstance(got, Unknown | Malformed)
    for path, value in expected.items():
        found: Any = got
        for step in path.split("."):
            found = found[int(step)] if step.isdigit() else getattr(found, step)
        assert found == value, path


@pytest.mark.parametrize("kind", ["ping", "conversation.item.speaker", "localai.stats", "response.phase", ""])
def test_unknown_types_are_told_apart(kind: str) -> None:
    raw = json.dumps({"type": kind, "timestamp": 1}).encode()
    assert decode_server(raw) == Unknown(kind, raw)
    assert decode_client(raw) == Unknown(kind, raw)


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        (b'{"type":"response.output_audio.delta","delta":"A"}', "delta"),
        (b'{"type":"response.output_audio.delta"}', "delta"),
        (b'{"type":"conversation.item.added","item":7}', "item"),
        (b'{"type":"response.done","response":{"output":[{"type":5}]}}', "response.output[0].type"),
        (b'{"type":"session.created","session":[]}', "session"),
        (b'{"delta":"A"}', "type"),
        (b'{"type":7}', "type"),
        (b"[1]", ""),
        (b'{"type":', ""),
        (b"\xff", ""),
        (b"[" * 100_000, ""),
    ],
)
def test_malformed_server_message_says_where(raw: bytes, param: str) -> None:
    got = decode_server(raw)
    assert isinstance(got, Malformed)
    assert got.param == param
    assert got.reason
    assert got.raw == raw


# --- strictness: what OpenAI refuses --------------------------------------------------------------------------

S = "session.update"
R = "response.create"
REFUSED: list[tuple[dict[str, Any], str, str, str]] = [
    (
        {"type": S, "session": {"type": "realtime", "foo": 1}},
        "unknown_parameter",
        "session.foo",
        "Unknown parameter: 'session.foo'.",
    ),
    (
        {"type": S, "session": {"type": "realtime", "temperature": 0.8}},
        "unknown_parameter",
        "session.temperature",
        "Unknown parameter: 'session.temperature'.",
    ),
    (
        {"type": S, "session": {"type": "realtime", "voice": "alloy"}},
        "unknown_parameter",
        "session.voice",
        "Unknown parameter: 'session.voice'.",
    ),
    (
        {
            "type": S,
            "session": {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad", "x": 1}}}},
        },
        "unknown_parameter",
        "session.audio.input.turn_detection.x",
        "Unknown parameter: 'session.audio.input.turn_detection.x'.",
    ),
    (
        {"type": S, "session": {"type": "realtime", "tools": [{"type": "function", "function": {}}]}},
        "unknown_parameter",
        "session.tools[0].function",
        "Unknown parameter: 'session.tools[0].function'.",
    ),
    (
        {"type": R, "response": {"modalities": ["text"]}},
        "unknown_parameter",
        "response.modalities",
        "Unknown parameter: 'response.modalities'.",
    ),
    (
        {"type": S, "session": {"instructions": "x"}},
        "missing_required_parameter",
        "session.type",
        "Missing required parameter: 'session.type'.",
    ),
    ({"type": S}, "missing_required_parameter", "session", "Missing required parameter: 'session'."),
    (
        {"type": "input_audio_buffer.append"},
        "missing_required_parameter",
        "audio",
        "Missing required parameter: 'audio'.",
    ),
    (
        {"type": "conversation.item.create", "item": {"content": [{"text": "x"}], "role": 5}},
        "invalid_value",
        "item.role",
        "Expected `str | null`, got `int` - at `$.item.role`",
    ),
    (
        {"type": S, "session": {"type": "realtime", "output_modalities": ["video"]}},
        "invalid_value",
        "session.output_modalities[0]",
        "Invalid value: 'video'. Supported values are: 'audio', 'text'.",
    ),
    (
        {"type": S, "session": {"type": "realtime", "audio": {"output": {"speed": 9}}}},
        "invalid_value",
        "session.audio.output.speed",
        "Invalid value: 9. It must be from 0.25 to 1.5.",
    ),
    (
        {"type": R, "response": {"max_output_tokens": 5000}},
        "invalid_value",
        "response.max_output_tokens",
        "Invalid value: 5000. It must be from 1 to 4096.",
    ),
    (
        {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 1.5},
        "invalid_value",
        "audio_end_ms",
        "Expected `int`, got `float` - at `$.audio_end_ms`",
    ),
    (
        {"type": "input_audio_buffer.append", "audio": "A"},
        "invalid_value",
        "audio",
        "Invalid base64 encoded string - at `$.audio`",
    ),
]


@pytest.mark.parametrize(("sent", "code", "param", "reason"), REFUSED, ids=lambda v: v if isinstance(v, str) else "")
def test_refuses_as_openai_does(sent: dict[str, Any], code: str, param: str, reason: str) -> None:
    raw = json.dumps(sent | {"event_id": "e1"}).encode()
    assert decode_client(raw) == Malformed(
        type=sent["type"],
        reason=reason,
        raw=raw,
        event_id="e1",
        param=param,
        code=code,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    "session",
    [
        {"tracing": None, "model": "m", "audio": {"input": {"noise_reduction": None}, "output": {"speed": 1}}},
        {"audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}},
        {"tools": [{"type": "function", "name": "f", "parameters": {"anything": {"goes": 1}}}]},
        {"max_output_tokens": "inf", "instructions": "", "tool_choice": "auto", "prompt": {"id": "p"}},
    ],
)
def test_takes_what_openai_takes(session: dict[str, Any]) -> None:
    got = decode_client(json.dumps({"type": S, "session": {"type": "realtime", **session}}))
    assert isinstance(got, SessionUpdate)


def test_item_reference_is_an_item() -> None:
    """The SDK's own event model refuses this one, so it stands apart."""
    got = decode_client('{"type":"response.create","response":{"input":[{"type":"item_reference","id":"i"}]}}')
    assert got == wire.ResponseCreate(wire.ResponseParams(input=[Item(type="item_reference", id="i")]))


# --- noise ----------------------------------------------------------------------------------------------------

junk = st.recursive(
    st.none() | flags | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
keys = sorted({f for cls in ALL.values() for f in cls.__struct_fields__} | set(wire_dialect.FLAT) | {"text"})
inner_keys = st.sampled_from(
    [*keys, *Session.__struct_fields__, *Item.__struct_fields__, *wire.Response.__struct_fields__, "function"]
)
shaped = st.dictionaries(inner_keys, junk | st.dictionaries(inner_keys, junk, max_size=3), max_size=5)
almost = st.builds(
    lambda kind, fields: {**fields, "type": kind},
    st.sampled_from([*ALL, *wire_dialect.SERVER_NAMES, "transcription_session.update"]),
    st.dictionaries(st.sampled_from(keys), junk | shaped | st.lists(shaped, max_size=2), max_size=5),
)


def all_decoders(data: bytes | str) -> None:
    for got in (decode_server(data), decode_client(data), decode_client(data, "beta")):
        assert isinstance(got, (*ALL.values(), Unknown, Malformed))


@given(st.binary(max_size=60) | st.text(st.characters(), max_size=40))
def test_noise_never_raises(data: bytes | str) -> None:
    all_decoders(data)


@settings(max_examples=300, deadline=None)
@given(almost | junk)
def test_json_of_the_wrong_shape_never_raises(tree: Any) -> None:
    all_decoders(json.dumps(tree))


def test_text_that_is_not_unicode_never_raises() -> None:
    all_decoders('{"type":"\ud800"}')


def test_audio_is_what_base64_says() -> None:
    pcm = bytes(range(256)) * 4
    text = json.dumps({"type": "input_audio_buffer.append", "audio": base64.b64encode(pcm).decode()})
    assert decode_client(text) == wire.InputAudioBufferAppend(pcm)
    assert json.loads(encode(wire.InputAudioBufferAppend(pcm))) == json.loads(text)
