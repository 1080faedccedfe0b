"""Annotations and docstrings as JSON schema, and JSON as arguments: mmagent/agent/schema.py."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Optional, TypedDict

import msgspec
import pytest

from mmagent.agent.schema import signature_of
from mmagent.errors import ConfigError


class Unit(enum.Enum):
    C = "celsius"
    F = "fahrenheit"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclass
class Place:
    """Where."""

    lat: float
    lon: float


class Options(TypedDict, total=False):
    title: str


class Order(msgspec.Struct):
    items: list[Place]


class Tree(msgspec.Struct):
    children: list[Tree]


class Info:
    """A description as LiveKit and pydantic carry it."""

    description = "From elsewhere."


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (str, {"type": "string"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (list, {"type": "array"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (dict, {"type": "object"}),
        (dict[str, bool], {"type": "object", "additionalProperties": {"type": "boolean"}}),
        (Any, {}),
        (str | None, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        (Optional[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}),  # noqa: UP045 - as users write it
        (Literal["b", "a"], {"enum": ["a", "b"], "type": "string"}),
        (Literal[1, 2], {"enum": [1, 2], "type": "integer"}),
        (Unit, {"enum": ["celsius", "fahrenheit"], "type": "string"}),
        (Level, {"enum": [1, 2], "type": "integer"}),
        (datetime.date, {"type": "string", "format": "date"}),
        (Annotated[int, msgspec.Meta(ge=0)], {"type": "integer", "minimum": 0}),
        (Annotated[str, "A name."], {"type": "string", "description": "A name."}),
        (Annotated[str, Info()], {"type": "string", "description": "From elsewhere."}),
        (
            Place,
            {
                "type": "object",
                "description": "Where.",
                "properties": {"lat": {"type": "number"}, "lon": {"type": "number"}},
                "required": ["lat", "lon"],
            },
        ),
        (Options, {"type": "object", "properties": {"title": {"type": "string"}}, "required": []}),
    ],
)
def test_types(annotation: Any, schema: dict[str, Any]) -> None:
    def tool(x) -> None:  # type: ignore[no-untyped-def]
        return

    tool.__annotations__ = {"x": annotation}
    assert signature_of(tool).parameters == {
        "type": "object",
        "properties": {"x": schema},
        "required": ["x"],
        "additionalProperties": False,
    }


def test_a_struct_of_lists_of_dataclasses_stands_in_its_place() -> None:
    def tool(order: Order) -> None:
        return

    schema = signature_of(tool).parameters
    assert "$" not in str(schema)
    assert schema["properties"]["order"]["properties"]["items"]["items"]["description"] == "Where."


def test_a_property_may_be_called_title() -> None:
    def tool(title: str) -> None:
        return

    assert signature_of(tool).parameters["properties"] == {"title": {"type": "string"}}


def test_no_parameters() -> None:
    def tool() -> None:
        return

    schema = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
    assert signature_of(tool).parameters == schema


def documented(city: str, days: int = 3, unit: Unit = Unit.C, *, note: Annotated[str, "The note."] = "") -> None:
    """Tell the weather.

    It is not always right.

    Args:
        city (str): The city's name,
            as people write it there.
        days: How many: 1 to 7.
        note: Never seen.
        missing: No parameter.

    Returns:
        Nothing.
    """


def test_a_google_docstring_and_defaults() -> None:
    signature = signature_of(documented)
    assert signature.description == "Tell the weather.\n\nIt is not always right."
    assert signature.parameters["required"] == ["city"]
    assert signature.parameters["properties"] == {
        "city": {"type": "string", "description": "The city's name, as people write it there."},
        "days": {"type": "integer", "description": "How many: 1 to 7.", "default": 3},
        "unit": {"enum": ["celsius", "fahrenheit"], "type": "string", "default": "celsius"},
        "note": {"type": "string", "description": "The note.", "default": ""},
    }


def test_a_method_and_a_default_that_json_cannot_say() -> None:
    class Home:
        def light(self, on: bool, where: Any = object()) -> None:  # noqa: B008
            """Switch the light."""

    signature = signature_of(Home().light)
    assert signature.parameters["properties"] == {"on": {"type": "boolean"}, "where": {}}


def test_arguments_are_converted_and_what_is_left_out_stays_out() -> None:
    signature = signature_of(documented)
    assert signature.bind('{"city":"Oslo"}') == ([], {"city": "Oslo"})
    assert signature.bind('{"unit":"fahrenheit","city":"Oslo"}') == ([], {"city": "Oslo", "unit": Unit.F})

    def place(at: Place, /, zoom: int = 1) -> None:
        return

    assert signature_of(place).bind('{"at":{"lat":1,"lon":2.5},"zoom":2}') == ([Place(1.0, 2.5)], {"zoom": 2})


@pytest.mark.parametrize("text", ["", "  ", "{}"])
def test_no_arguments(text: str) -> None:
    def tool(x: int = 1) -> None:
        return

    assert signature_of(tool).bind(text) == ([], {})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"city"', "truncated"),
        ("[]", "Expected `object`"),
        ("{}", "missing required field `city`"),
        ('{"city":"Oslo","country":"NO"}', "unknown field `country`"),
        ('{"city":7}', r"Expected `str`, got `int` - at `\$.city`"),
        ('{"city":"Oslo","days":"three"}', r"at `\$.days`"),
        ('{"city":"Oslo","unit":"kelvin"}', "Invalid enum value 'kelvin'"),
    ],
)
def test_what_does_not_fit(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        signature_of(documented).bind(text)


def no_type(x, y: int) -> None:  # type: ignore[no-untyped-def]
    return


def no_such_type(x: Nowhere) -> None:  # type: ignore[name-defined]  # noqa: F821
    return


def any_number(*args: int) -> None:
    return


def any_names(**options: int) -> None:
    return


def of_a_class(good: int, x: Info) -> None:
    return


def of_a_function(x: Callable[[], int]) -> None:
    return


def of_both(x: Place | Options) -> None:
    return


def of_itself(x: Tree) -> None:
    return


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (no_type, "no_type does not say what type its parameter x has"),
        (no_such_type, "no_such_type cannot be described: name 'Nowhere' is not defined"),
        (any_number, r"any_number takes any number of arguments \(\*args: 'int'\)"),
        (any_names, "any_names takes any number of arguments"),
        (of_a_class, "of_a_class cannot be described: its parameter x is of a type that JSON cannot carry .*Info"),
        (of_a_function, "its parameter x .*Callable"),
        (of_both, "its parameter x .*Place"),
        (of_itself, "its parameter x .*`Tree` holds itself"),
        (42, "cannot be described"),
    ],
)
def test_what_cannot_be_described(function: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        signature_of(function)
    assert caught.value.hint
    assert "\n" not in caught.value.message
