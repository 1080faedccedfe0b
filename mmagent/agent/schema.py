"""What a function takes, as the model is to see it: annotations and docstring -> JSON schema, and JSON -> arguments.

    async def weather(city: str, unit: Literal["C", "F"] = "C") -> str:
        '''Tell the weather.

        Args:
            city: A city's name.
        '''

Known types: str, int, float, bool, list, dict, tuple, set, Any, Optional and `| None`, Literal, Enum, dates,
dataclasses, TypedDict, msgspec.Struct, and lists and dicts of them. A description is the text of `Annotated[str,
"text"]` (or whatever in there has a `.description`), else the parameter's line in the docstring's `Args:` (Google's).
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, NoReturn, get_args, get_origin, get_type_hints

import msgspec

from mmagent.errors import ConfigError

_SECTIONS = ("args", "arguments", "parameters", "returns", "return", "raises", "yields", "example", "examples", "note")
_PARAMETERS = ("args", "arguments", "parameters")
_SECTION = re.compile(rf"^(?:{'|'.join(_SECTIONS)}|notes|warning|warnings|see also|todo):\s*$", re.IGNORECASE)
_PARAMETER = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")


@dataclass(frozen=True)
class Signature:
    """`description` is the docstring without its sections, `parameters` the JSON schema of an object."""

    description: str
    parameters: dict[str, Any]
    _decoder: msgspec.json.Decoder[Any]
    _by_position: tuple[str, ...]

    def bind(self, arguments: str) -> tuple[list[Any], dict[str, Any]]:
        """Positional and keyword arguments of a call; what was left out is left to the function's own defaults.

        Raises:
            ValueError: `arguments` is no JSON, or does not fit; the message says how, for the model to read.
        """
        told = self._decoder.decode(arguments.strip() or "{}")
        given = {name: getattr(told, name) for name in told.__struct_fields__}
        given = {name: value for name, value in given.items() if value is not msgspec.UNSET}
        # A parameter that can be given by position only ends them: what comes after one left out is left out, too.
        placed: list[Any] = []
        for name in self._by_position:
            if name not in given:
                break
            placed.append(given[name])
        return placed, {name: value for name, value in given.items() if name not in self._by_position}


def signature_of(function: Callable[..., Any]) -> Signature:
    """What `function` takes.

    Raises:
        ConfigError: A parameter has no type, or one that JSON cannot carry.
    """
    name = getattr(function, "__name__", repr(function))
    try:
        hints = get_type_hints(function, include_extras=True)
        parameters = list(inspect.signature(function).parameters.values())
    except (NameError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"The tool {name} cannot be described: {error}.", "Check its annotations.") from error
    description, lines = _docstring(inspect.getdoc(function) or "")
    fields = [_field(name, parameter, hints, lines.get(parameter.name, "")) for parameter in parameters]
    arguments = msgspec.defstruct("arguments", fields, kw_only=True, forbid_unknown_fields=True)
    try:
        schema = _schema(arguments)
        decoder = msgspec.json.Decoder(arguments)
    except (TypeError, NameError, RecursionError) as error:
        _refuse(name, arguments, error)
    for parameter in parameters:
        _add_default(schema["properties"][parameter.name], parameter.default)
    by_position = tuple(p.name for p in parameters if p.kind is p.POSITIONAL_ONLY)
    return Signature(description, schema, decoder, by_position)


def _field(tool: str, parameter: inspect.Parameter, hints: dict[str, Any], line: str) -> tuple[str, Any, Any]:
    """A parameter as the field of a struct. UNSET stands for what the model left out: no default is touched."""
    name = parameter.name
    if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
        raise ConfigError(
            f"The tool {tool} takes any number of arguments ({parameter}), which JSON schema cannot describe.",
            "Give each argument a name and a type, or take one list or dict.",
        )
    if name not in hints:
        raise ConfigError(
            f"The tool {tool} does not say what type its parameter {name} has.", f"Write {name}: str, for example."
        )
    annotation = _described(hints[name], line)
    if parameter.default is parameter.empty:
        return name, annotation, msgspec.field()
    return name, annotation, msgspec.field(default_factory=_left_out)


def _left_out() -> Any:
    return msgspec.UNSET


def _described(annotation: Any, line: str) -> Any:
    """The annotation with its description as msgspec wants it; a text in `Annotated` beats the docstring."""
    description, rest = line, []
    if get_origin(annotation) is Annotated:
        annotation, *notes = get_args(annotation)
        for note in notes:
            told = note if isinstance(note, str) else getattr(note, "description", None)
            if isinstance(told, str):
                description = told
            if isinstance(note, msgspec.Meta):
                rest.append(note)
    for note in (*rest, *([msgspec.Meta(description=description)] if description else [])):
        annotation = Annotated[annotation, note]
    return annotation


def _add_default(schema: dict[str, Any], default: object) -> None:
    """What the function does by itself, where JSON can say it."""
    if default is inspect.Parameter.empty or default is None:
        return
    try:
        schema["default"] = msgspec.json.decode(msgspec.json.encode(default))
    except (TypeError, ValueError):
        return


def _refuse(tool: str, arguments: type[msgspec.Struct], error: Exception) -> NoReturn:
    """Find the parameter at fault, for the sentence."""
    for name, annotation in get_type_hints(arguments, include_extras=True).items():
        try:
            _schema(msgspec.defstruct("one", [(name, annotation)]))
        except (TypeError, NameError, RecursionError) as why:
            at_fault, error = f"its parameter {name}", why
            break
    else:
        at_fault = "its parameters"
    said = " ".join(str(error).split())
    found = re.search(r"type [`<].*", said)
    reason = found[0] if found else said
    raise ConfigError(
        f"The tool {tool} cannot be described: {at_fault} is of a type that JSON cannot carry ({reason[:200]}).",
        "Use str, int, float, bool, list, dict, Literal, Enum, a dataclass or a TypedDict.",
    ) from None


# --- the schema, with everything in its place -----------------------------------------------------------------


def _schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """msgspec's schema without references (small servers follow none) and without titles."""
    (root,), definitions = msgspec.json.schema_components([struct])
    schema: dict[str, Any] = _inlined(root, definitions, ())
    schema.setdefault("required", [])
    return schema


def _inlined(node: Any, definitions: dict[str, Any], inside: tuple[str, ...]) -> Any:
    if isinstance(node, list):
        return [_inlined(each, definitions, inside) for each in node]
    if not isinstance(node, dict):
        return node
    own = {key: value for key, value in node.items() if key != "$ref"}
    if "$ref" in node:
        name = node["$ref"].rpartition("/")[2]
        if name in inside:
            raise TypeError(f"type `{name}` holds itself")
        return {**_inlined(definitions[name], definitions, (*inside, name)), **own}
    plain = {key: _inlined(value, definitions, inside) for key, value in own.items() if not _is_title(key, value)}
    if "enum" in plain and "type" not in plain:
        plain["type"] = _type_of(plain["enum"])
    return {key: value for key, value in plain.items() if value != ""}


def _is_title(key: str, value: object) -> bool:
    """A title is text; a property may be called so too, and is a schema."""
    return key == "title" and isinstance(value, str)


def _type_of(values: list[object]) -> str:
    if all(isinstance(value, str) for value in values):
        return "string"
    return "integer" if all(isinstance(value, int) for value in values) else ""


# --- the docstring --------------------------------------------------------------------------------------------


def _docstring(text: str) -> tuple[str, dict[str, str]]:
    """(what it is for, a description of each parameter)."""
    intro: list[str] = []
    section = ""
    body: list[str] = []
    for line in text.splitlines():
        if _SECTION.match(line):
            section = line.strip(" :").lower()
        elif section in _PARAMETERS:
            body.append(line)
        elif not section:
            intro.append(line)
    return "\n".join(intro).strip(), dict(_parameters(body))


def _parameters(body: list[str]) -> Iterator[tuple[str, str]]:
    """`name (type): text`, and lines that go further in are more of the text."""
    depth = min((len(line) - len(line.lstrip()) for line in body if line.strip()), default=0)
    name, words = "", list[str]()
    for line in body:
        found = _PARAMETER.match(line.strip()) if len(line) - len(line.lstrip()) == depth else None
        if found:
            if name:
                yield name, " ".join(words)
            name, words = found[1], [found[2]]
        elif line.strip():
            words.append(line.strip())
    if name:
        yield name, " ".join(words)
