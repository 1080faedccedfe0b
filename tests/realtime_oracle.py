"""The Realtime protocol as the official SDK types it: what mmagent says is held to that, strictly.

The SDK's own receiving validates nothing ("`{"type":"foo.bar"}` becomes a ConversationCreatedEvent"), and its models
take fields that they do not declare. So: a registry by type, strict validation, and a walk for what is not declared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

from openai.types import realtime
from pydantic import BaseModel

Message = dict[str, Any]

ALLOWED = {"session": {"id", "object", "expires_at"}, "item": {"phase"}}
"""What OpenAI sends and its models lack: fields by the field they stand in."""


@cache
def registry(side: str) -> dict[str, type[BaseModel]]:
    """The models of `Server` or `Client` events, by their `type`."""
    union = get_args(getattr(realtime, f"Realtime{side}Event"))[0]
    return {get_args(model.model_fields["type"].annotation)[0]: model for model in get_args(union)}


def from_server(data: str | bytes) -> Message:
    """What a server sent, if it is without fault."""
    return _held("Server", data)


def from_client(data: str | bytes) -> Message:
    """What a client sent, if it is without fault."""
    return _held("Client", data)


def _held(side: str, data: str | bytes) -> Message:
    message: Message = json.loads(data)
    kind = message.get("type", "")
    model = registry(side).get(kind)
    assert model is not None, f"{kind!r} is no event of a {side.lower()}"
    parsed = model.model_validate_json(json.dumps(_known_to_the_sdk(message)), strict=True)
    undeclared = list(extras(parsed))
    assert not undeclared, f"{kind} has undeclared fields: {undeclared}"
    assert "event_id" in message or side == "Client", f"{kind} has no event_id"
    return message


def _known_to_the_sdk(message: Message) -> Message:
    """Our one extension is PCM of 16 kHz, and the client's models forget `item_reference`: both are put aside."""
    told = json.loads(json.dumps(message).replace('"rate": 16000', '"rate": 24000'))
    asked = told.get("response") if told.get("type") == "response.create" else None
    if isinstance(asked, dict) and "input" in asked:
        references = [item for item in asked["input"] if item.get("type") == "item_reference"]
        assert all(set(item) <= {"type", "id"} for item in references)
        asked["input"] = [item for item in asked["input"] if item.get("type") != "item_reference"]
    return dict(told)


def extras(value: object, path: str = "") -> Iterator[str]:
    """The paths of fields that no model declares."""
    if isinstance(value, BaseModel):
        for name in value.model_extra or {}:
            if name not in ALLOWED.get(path.rpartition(".")[2].partition("[")[0], ()) and name != "obfuscation":
                yield f"{path}.{name}".lstrip(".")
        for name in type(value).model_fields:
            yield from extras(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, list | tuple):
        for place, each in enumerate(value):
            yield from extras(each, f"{path}[{place}]")
