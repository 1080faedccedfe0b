"""One shape inside, several on the wire: GA out of whatever a peer sent, beta out of GA.

Works on plain JSON trees, in place, before they become structs (`from_server`, `from_client`) or after (`to_ga`,
`to_beta`). Nothing here judges: what cannot be understood stays as it is, and `wire` finds it malformed.
Sources: /v1/realtime's reference for GA; for beta, its last published types; for the rest, what was seen on wires.
"""

from __future__ import annotations

from math import floor
from typing import Any

import msgspec

Tree = dict[str, Any]

SERVER_NAMES = {
    "response.audio.delta": "response.output_audio.delta",
    "response.audio.done": "response.output_audio.done",
    "response.audio_transcript.delta": "response.output_audio_transcript.delta",
    "response.audio_transcript.done": "response.output_audio_transcript.done",
    "response.text.delta": "response.output_text.delta",
    "response.text.done": "response.output_text.done",
    "conversation.item.created": "conversation.item.added",
    "transcription_session.created": "session.created",
    "transcription_session.updated": "session.updated",
}
"""Beta name -> GA name of what servers send. Beta has one event for an item's coming; GA has `added`, then `done`."""

BETA_NAMES = {ga: beta for beta, ga in SERVER_NAMES.items() if not beta.startswith("transcription_session")}
"""GA name -> beta name of what servers send; equal where not listed."""

GA_ONLY = ("conversation.item.done", "input_audio_buffer.timeout_triggered", "input_audio_buffer.dtmf_event_received")
"""What beta has no event for, and with these `mcp_*` and transcription segments."""

# Where beta's flat session (and response) keeps what GA nests.
FLAT = {
    "modalities": ("output_modalities",),
    "max_response_output_tokens": ("max_output_tokens",),
    "input_audio_format": ("audio", "input", "format"),
    "input_audio_noise_reduction": ("audio", "input", "noise_reduction"),
    "input_audio_transcription": ("audio", "input", "transcription"),
    "turn_detection": ("audio", "input", "turn_detection"),
    "output_audio_format": ("audio", "output", "format"),
    "voice": ("audio", "output", "voice"),
    "speed": ("audio", "output", "speed"),
}
FORMATS: dict[str, Tree] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "pcm24": {"type": "audio/pcm", "rate": 24000},
    "pcm": {"type": "audio/pcm"},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
_BETA_FORMATS = {"audio/pcm": "pcm16", "audio/pcmu": "g711_ulaw", "audio/pcma": "g711_alaw"}
_GA_SESSION_ONLY = ("parallel_tool_calls", "reasoning", "truncation", "prompt", "include")
_GA_ONLY_FIELDS = {
    "input_audio_noise_reduction": ("strength",),
    "input_audio_transcription": ("languages", "keywords", "delay"),
    "turn_detection": ("idle_timeout_ms",),
}

# Content types by who speaks: what beta and careless peers write -> what GA says.
_IN = {"text": "input_text", "audio": "input_audio", "output_text": "input_text", "output_audio": "input_audio"}
_OUT = {"text": "output_text", "audio": "output_audio"}
_PART = {"output_text": "text", "output_audio": "audio"}

# The text of each of these has one name in GA; peers mix the three names up.
_TEXT = {
    "conversation.item.input_audio_transcription.delta": "delta",
    "conversation.item.input_audio_transcription.updated": "transcript",
    "conversation.item.input_audio_transcription.completed": "transcript",
    "response.output_text.delta": "delta",
    "response.output_text.done": "text",
    "response.output_audio_transcript.delta": "delta",
    "response.output_audio_transcript.done": "transcript",
}
_FREE = frozenset({"tools", "metadata", "prompt", "tracing", "parameters"})  # the user's own JSON: not ours to mend


# --- received -------------------------------------------------------------------------------------------------


def from_server(tree: Tree) -> None:
    """Make GA of a message of any server."""
    sent: str = tree["type"]
    kind = tree["type"] = SERVER_NAMES.get(sent, sent)
    _drop_nulls(tree)
    _whole(tree)
    if kind == "error" or kind.endswith("transcription.failed"):
        tree["error"] = _error(tree)
    if (name := _TEXT.get(kind)) and name not in tree:
        tree[name] = next((tree[other] for other in ("transcript", "text", "delta") if other in tree), "")
    if kind.startswith("session."):
        ga_session(tree.setdefault("session", {}))
    elif kind in ("response.created", "response.done"):
        _response(tree, "completed" if kind == "response.done" else "in_progress")
    if isinstance(part := tree.get("part"), dict):
        part["type"] = _renamed(part.get("type", "text"), _PART)
    if "item" in tree:
        ga_item(tree["item"])
    _arguments(tree)


def from_client(tree: Tree, beta: bool) -> None:
    """Make GA of a client's message. Only names are mended: whether it may be said is for `wire` to tell."""
    if beta and tree["type"] == "transcription_session.update":
        tree["type"] = "session.update"
        if isinstance(tree.get("session"), dict):
            tree["session"]["type"] = "transcription"
    if "item" in tree:
        ga_item(tree["item"])
    if isinstance(response := tree.get("response"), dict) and isinstance(items := response.get("input"), list):
        for item in items:
            ga_item(item)
    if beta:
        for key in ("session", "response"):
            ga_session(tree.get(key), typed=key == "session")


def ga_session(session: Any, typed: bool = True) -> None:
    """Nest what is flat. Some peers do both (xAI: GA, but `voice` and `turn_detection` flat); what is nested wins."""
    if not isinstance(session, dict):
        return
    if isinstance(names := session.get("modalities"), list):
        session["modalities"] = ["audio"] if "audio" in names else names
    for name, path in FLAT.items():
        if name in session:
            value = session.pop(name)
            parent: Any = session
            for step in path[:-1]:
                parent = parent.setdefault(step, {}) if isinstance(parent, dict) else None
            if isinstance(parent, dict):
                parent.setdefault(path[-1], value)
    audio = session.get("audio")
    for way in audio.values() if isinstance(audio, dict) else ():
        if isinstance(way, dict) and isinstance(named := way.get("format"), str):
            way["format"] = dict(FORMATS.get(named, {"type": named}))
    choice = session.get("tool_choice")
    if isinstance(choice, dict) and isinstance(function := choice.get("function"), dict):
        session["tool_choice"] = {"type": "function", "name": function.get("name", "")}
    if typed and session.get("type") is None:
        session["type"] = "realtime"


def ga_item(item: Any) -> None:
    """Name an item's parts as GA does, by who speaks."""
    if not isinstance(item, dict):
        return
    item.setdefault("type", "message")
    names = _OUT if item.get("role", "assistant") == "assistant" else _IN
    if isinstance(text := item.get("content"), str):
        item["content"] = [{"type": "text", "text": text}]
    parts = item.get("content")
    for part in parts if isinstance(parts, list) else ():
        if isinstance(part, dict):
            part["type"] = _renamed(part.get("type", "text"), names)
    _arguments(item)


def _renamed(name: Any, names: dict[str, str]) -> Any:
    return names.get(name, name) if isinstance(name, str) else name


def _response(tree: Tree, status: str) -> None:
    response = tree.setdefault("response", {})
    if not isinstance(response, dict):
        return
    for key in ("id", "object", "status", "output"):
        if key in response and response[key] is None:
            del response[key]
    response.setdefault("status", status)
    if isinstance(usage := tree.get("usage"), dict):  # xAI counts beside the response
        response["usage"] = response.get("usage") or usage
    if not isinstance(response.get("usage"), dict):
        response["usage"] = None
    ga_session(response, typed=False)
    output = response.get("output")
    for item in output if isinstance(output, list) else ():
        ga_item(item)


def _error(tree: Tree) -> Any:
    error = tree.get("error", {})
    if isinstance(error, str):
        error = {"message": error}
    if isinstance(error, dict):
        _drop_nulls(error)
        for key in ("message", "code", "param"):  # some put it beside, not inside
            if key in tree:
                error.setdefault(key, tree[key])
        if isinstance(code := error.get("code"), int):
            error["code"] = str(code)
        error.setdefault("type", "error")
        error.setdefault("message", error.get("code", "unknown error"))
    return error


def _arguments(tree: Tree) -> None:
    """Arguments are JSON text; some servers send the JSON itself."""
    if isinstance(arguments := tree.get("arguments"), dict):
        tree["arguments"] = msgspec.json.encode(arguments).decode()


def _drop_nulls(tree: Tree) -> None:
    for key in [key for key, value in tree.items() if value is None]:
        del tree[key]


def _whole(tree: Any) -> None:
    """Round down numbers that are whole in the protocol: milliseconds, indices, tokens, seconds of the epoch."""
    if isinstance(tree, list):
        for value in tree:
            _whole(value)
    elif isinstance(tree, dict):
        for key, value in tree.items():
            if isinstance(value, float):
                if key.endswith(("_ms", "_index", "_tokens", "_at", "rate")):
                    tree[key] = floor(value)
            elif key not in _FREE:
                _whole(value)


# --- to be sent -----------------------------------------------------------------------------------------------


def to_ga(tree: Tree) -> None:
    """Leave out what only beta knows."""
    for key in ("session", "response"):
        if isinstance(part := tree.get(key), dict):
            part.pop("temperature", None)


def to_beta(tree: Tree) -> bool:
    """Make beta of a message in GA shape. False: beta has no such message, so there is nothing to send."""
    kind = tree["type"]
    if kind in GA_ONLY or "mcp" in kind or kind.endswith(".segment"):
        return False
    tree["type"] = BETA_NAMES.get(kind, kind)
    if kind == "response.function_call_arguments.done":
        tree.pop("name", None)
    tree.pop("languages", None)
    if isinstance(session := tree.get("session"), dict):
        beta_session(session)
    if isinstance(response := tree.get("response"), dict):
        limit = response.get("max_output_tokens")
        beta_session(response)
        if kind != "response.create" and "max_response_output_tokens" in response:
            response["max_output_tokens"] = response.pop("max_response_output_tokens", limit)
        for item in (*response.get("output", ()), *response.get("input", ())):
            _beta_item(item)
    if isinstance(item := tree.get("item"), dict):
        _beta_item(item)
    return True


def beta_session(session: Tree) -> list[str]:
    """Flatten a session or response. Returns GA paths of what was set and beta cannot say."""
    lost: list[str] = []
    if session.get("type") in ("realtime", "transcription"):
        del session["type"]
    for flat, path in FLAT.items():
        parent: Any = session
        for step in path[:-1]:
            parent = parent.get(step) or {}
        if path[-1] in parent:
            value = _beta_value(flat, parent.pop(path[-1]), ".".join(path), lost)
            if value is not msgspec.UNSET:
                session[flat] = value
    session.pop("audio", None)
    lost += [name for name in _GA_SESSION_ONLY if session.pop(name, None) is not None]
    if isinstance(tools := session.get("tools"), list):
        lost += [f"tools[{i}]" for i, tool in enumerate(tools) if tool.get("type") == "mcp"]
        session["tools"] = [tool for tool in tools if tool.get("type") != "mcp"]
    choice = session.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") == "function":
        session["tool_choice"] = {"type": "function", "function": {"name": choice.get("name", "")}}
    return lost


def _beta_value(name: str, value: Any, path: str, lost: list[str]) -> Any:
    """What beta writes for a GA value; UNSET if it has no word for it."""
    if name == "modalities" and value == ["audio"]:
        return ["text", "audio"]  # beta refuses audio alone
    if name == "voice" and isinstance(value, dict):
        lost.append(path)
        return msgspec.UNSET
    if name.endswith("_format") and isinstance(value, dict):
        return _BETA_FORMATS.get(value.get("type", "audio/pcm"), value.get("type"))
    if isinstance(value, dict):
        lost += [f"{path}.{key}" for key in _GA_ONLY_FIELDS.get(name, ()) if value.pop(key, None) is not None]
    return value


def _beta_item(item: Tree) -> None:
    """Beta has no pictures and no phases."""
    item.pop("phase", None)
    if "content" in item:
        item["content"] = [part for part in item["content"] if part["type"] != "input_image"]
        for part in item["content"]:
            part["type"] = _PART.get(part["type"], part["type"])
