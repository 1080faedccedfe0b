"""The Realtime protocol on the wire: bytes <-> messages. The front of `wire_types`, `wire_messages`, `wire_dialect`.

Receiving from servers is tolerant, because peers differ; receiving from clients is strict, because OpenAI is; what we
send is strictly clean. Inside there are GA names only; beta is a renaming. Source of the rules: the official event
reference and its SDK types, to which the tests hold every message; of the tolerance, what peers were seen to send.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal, get_args

import msgspec
from msgspec import Struct, inspect

from mmagent.core import wire_dialect
from mmagent.core.settings import Dialect
from mmagent.core.wire_messages import *  # noqa: F403 (this module is their front)
from mmagent.core.wire_messages import (
    ClientMessage,
    InputAudioBufferAppend,
    PlainClientMessage,
    PlainMessage,
    ResponseCreate,
    ResponseCreated,
    ResponseDone,
    ServerMessage,
    SessionCreated,
    SessionUpdate,
    SessionUpdated,
)
from mmagent.core.wire_types import *  # noqa: F403 (this module is their front)
from mmagent.core.wire_types import Item, ResponseParams, Session

Code = Literal["unknown_parameter", "missing_required_parameter", "invalid_value", "invalid_event"]
"""OpenAI's words for what is wrong with a client's message."""


class Unknown(Struct, frozen=True):
    """A message of a type that we do not know: to be counted and left alone (by a server: to be refused)."""

    type: str
    raw: bytes


class Malformed(Struct, frozen=True, kw_only=True):
    """A message that cannot be understood. `type` is "" where even that is unknown.

    `reason` is one sentence, `param` the path of the field at fault ("session.foo"), `code` OpenAI's word for what is
    wrong, `event_id` the client's.
    """

    type: str
    reason: str
    raw: bytes
    event_id: str = ""
    param: str = ""
    code: Code = "invalid_event"


# --- from bytes -----------------------------------------------------------------------------------------------

_PLAIN: msgspec.json.Decoder[PlainMessage] = msgspec.json.Decoder(PlainMessage)
_PLAIN_CLIENT: msgspec.json.Decoder[PlainClientMessage] = msgspec.json.Decoder(PlainClientMessage)
_ENCODER = msgspec.json.Encoder()
_SERVER_TYPES = frozenset(str(t.__struct_config__.tag) for t in get_args(ServerMessage))
_CLIENT_TYPES = {str(t.__struct_config__.tag): t for t in get_args(ClientMessage)}


def decode_server(data: bytes | str) -> ServerMessage | Unknown | Malformed:
    """A server's message, of either dialect and with the oddities of known peers mended. Never raises.

    What has no session, item or response in it (audio, above all) is decoded straight; all else, and what fails, is
    mended as a tree first.
    """
    try:
        return _PLAIN.decode(data)
    except (ValueError, RecursionError):
        pass
    raw = _raw(data)
    tree = _tree(raw)
    if isinstance(tree, Malformed):
        return tree
    kind = tree["type"]
    try:
        wire_dialect.from_server(tree)
        if tree["type"] not in _SERVER_TYPES:
            return Unknown(kind, raw)
        message: ServerMessage = msgspec.convert(tree, ServerMessage, strict=False)
    except (ValueError, RecursionError) as error:
        return _malformed(error, tree, kind, raw)
    return message


def decode_client(data: bytes | str, dialect: Dialect = "ga") -> ClientMessage | Unknown | Malformed:
    """A client's message, held to what OpenAI takes: nothing undeclared anywhere. Never raises.

    With the dialect "beta" the client may use beta's names as well; paths in `Malformed.param` are GA's.
    """
    try:
        return _PLAIN_CLIENT.decode(data)
    except (ValueError, RecursionError):
        pass
    raw = _raw(data)
    tree = _tree(raw)
    if isinstance(tree, Malformed):
        return tree
    kind = tree["type"]
    try:
        wire_dialect.from_client(tree, beta=dialect == "beta")
        if tree["type"] not in _CLIENT_TYPES:
            return Unknown(kind, raw)
        for code, param, reason in _faults(tree, dialect):
            return Malformed(type=kind, reason=reason, raw=raw, event_id=_event_id(tree), param=param, code=code)
        message: ClientMessage = msgspec.convert(tree, ClientMessage)
    except (ValueError, RecursionError) as error:
        return _malformed(error, tree, kind, raw)
    return message


def _raw(data: bytes | str) -> bytes:
    return data if isinstance(data, bytes) else data.encode(errors="replace")


def _tree(raw: bytes) -> dict[str, Any] | Malformed:
    """The message as a tree that has a `type`."""
    try:
        tree = msgspec.json.decode(raw)
    except (ValueError, RecursionError) as error:
        return Malformed(type="", reason=f"Not JSON: {error}.", raw=raw)
    if not isinstance(tree, dict):
        return Malformed(type="", reason="Not a JSON object.", raw=raw)
    if isinstance(tree.get("type"), str):
        return tree
    return Malformed(
        type="",
        reason="Missing required parameter: 'type'.",
        raw=raw,
        event_id=_event_id(tree),
        param="type",
        code="missing_required_parameter",
    )


def _event_id(tree: dict[str, Any]) -> str:
    value = tree.get("event_id")
    return value if isinstance(value, str) else ""


def _malformed(error: Exception, tree: dict[str, Any], kind: str, raw: bytes) -> Malformed:
    """msgspec says "Object missing required field `x` - at `$.session`"."""
    reason = str(error)
    at = re.search(r"`\$\.?([^`]*)`$", reason)
    param = at[1] if at else ""
    code: Code = "invalid_value"
    if missing := re.match(r"Object missing required field `(\w+)`", reason):
        param = f"{param}.{missing[1]}".lstrip(".")
        reason = f"Missing required parameter: '{param}'."
        code = "missing_required_parameter"
    elif unknown := re.match(r"Object contains unknown field `([^`]*)`", reason):
        param = f"{param}.{unknown[1]}".lstrip(".")
        reason = f"Unknown parameter: '{param}'."
        code = "unknown_parameter"
    return Malformed(type=kind, reason=reason, raw=raw, event_id=_event_id(tree), param=param, code=code)


# --- what OpenAI refuses --------------------------------------------------------------------------------------

Fault = tuple[Code, str, str]
"""Code, param, reason."""

# Declared here, but not for clients to say. Temperature left with beta.
_NOT_FOR_CLIENTS = {Session: {"id", "object", "expires_at", "temperature"}, ResponseParams: {"temperature"}}
_SHAPES: dict[str, inspect.Type] = {
    "session": inspect.type_info(Session),
    "response": inspect.type_info(ResponseParams),
    "item": inspect.type_info(Item),
}


def _faults(tree: dict[str, Any], dialect: Dialect) -> Iterator[Fault]:
    session = tree.get("session") if tree["type"] == "session.update" else None
    if isinstance(session, dict) and "type" not in session:
        yield "missing_required_parameter", "session.type", "Missing required parameter: 'session.type'."
    for name, shape in _SHAPES.items():
        if name in tree:
            yield from _check(tree[name], shape, name, dialect)


def _check(value: Any, shape: inspect.Type, path: str, dialect: Dialect) -> Iterator[Fault]:
    """Undeclared fields, and values outside `one_of` and `between`. Wrong types are left to msgspec."""
    match shape:
        case inspect.UnionType():
            fits = [each for each in shape.types if _fits(value, each)]
            if fits:
                yield from _check(value, fits[0], path, dialect)
        case inspect.Metadata():
            yield from _outside(value, shape.extra or {}, path)
        case inspect.ListType() if isinstance(value, list):
            for i, each in enumerate(value):
                yield from _check(each, shape.item_type, f"{path}[{i}]", dialect)
        case inspect.StructType() if isinstance(value, dict):
            hidden = _NOT_FOR_CLIENTS.get(shape.cls, set()) - ({"temperature"} if dialect == "beta" else set())
            known = {field.encode_name: field.type for field in shape.fields if field.encode_name not in hidden}
            for key, each in value.items():
                if key not in known:
                    yield "unknown_parameter", f"{path}.{key}", f"Unknown parameter: '{path}.{key}'."
                else:
                    yield from _check(each, known[key], f"{path}.{key}", dialect)


def _fits(value: Any, shape: inspect.Type) -> bool:
    match shape:
        case inspect.Metadata():
            return _fits(value, shape.type)
        case inspect.StructType():
            return isinstance(value, dict)
        case inspect.ListType():
            return isinstance(value, list)
        case inspect.StrType():
            return isinstance(value, str)
        case inspect.IntType() | inspect.FloatType():
            return isinstance(value, int | float)
        case _:
            return False


def _outside(value: Any, rule: dict[str, Any], path: str) -> Iterator[Fault]:
    names = rule.get("one_of", ())
    if names and isinstance(value, str) and value not in names:
        known = ", ".join(f"'{name}'" for name in names)
        yield "invalid_value", path, f"Invalid value: '{value}'. Supported values are: {known}."
    low, high = rule.get("between", (None, None))
    if low is not None and isinstance(value, int | float) and not low <= value <= high:
        yield "invalid_value", path, f"Invalid value: {value}. It must be from {low} to {high}."


# --- to bytes -------------------------------------------------------------------------------------------------


def encode(message: ClientMessage | ServerMessage, dialect: Dialect = "ga") -> bytes:
    """The message in JSON. Empty if the dialect has no such message: then there is nothing to send.

    What is unset is left out. What the dialect lacks is left out too: ask `lacks` before.
    """
    if isinstance(message, _AS_IT_IS) or (dialect == "ga" and not isinstance(message, _WITH_TEMPERATURE)):
        return _ENCODER.encode(message)
    tree = msgspec.to_builtins(message)
    if dialect == "ga":
        wire_dialect.to_ga(tree)
    elif not wire_dialect.to_beta(tree):
        return b""
    return _ENCODER.encode(tree)


_AS_IT_IS = (InputAudioBufferAppend,)
_WITH_TEMPERATURE = (SessionUpdate, ResponseCreate, SessionCreated, SessionUpdated, ResponseCreated, ResponseDone)


def lacks(session: Session, dialect: Dialect) -> list[str]:
    """What is set in `session` and cannot be said in `dialect`, by GA's paths: ["temperature"]."""
    tree = msgspec.to_builtins(session)
    if dialect == "ga":
        return ["temperature"] if tree.get("temperature") is not None else []
    return wire_dialect.beta_session(tree)
