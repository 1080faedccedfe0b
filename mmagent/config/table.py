"""The one table of settings.

A field's annotation is its type, its range, its choices and its line of help; the field's name is the key in a TOML
file, with dashes the flag, and as `MMAGENT_<KEY>` the variable. Flags, `mmagent config` and every check come from here.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta, inspect

from mmagent.core.settings import Dialect, Eagerness, Modality, SessionSettings, TurnDetection

_S = SessionSettings()
_T = TurnDetection()

Padding = Annotated[int, Meta(ge=0, le=5000)]
Silence = Annotated[int, Meta(ge=50, le=10_000)]
IdleTimeout = Annotated[int, Meta(ge=5000, le=30_000)]
Probability = Annotated[float, Meta(ge=0, le=1)]
Limit = Annotated[float, Meta(gt=0)]
EngineName = Annotated[str, Meta(pattern=r"^(auto|local|openai|azure|(?:wss?|https?)://[^\s/?#]+\S*)$")]


def _is(help: str, **extra: str) -> Meta:
    """A field's line of help, and words of its own where its type says too little: `metavar`, `expects`, `none`."""
    return Meta(description=help, extra=extra)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting that a session command honours, flat."""

    engine: Annotated[
        EngineName,
        _is(
            "Who answers: openai where OPENAI_API_KEY is set and local elsewhere (auto), or any Realtime server's URL.",
            metavar="auto|local|openai|azure|URL",
            expects="auto, local, openai, azure or a URL that begins with ws://, wss://, http:// or https://",
        ),
    ] = "auto"
    model: Annotated[str, _is("The engine's model; empty for the engine's own choice.", metavar="NAME")] = _S.model
    dialect: Annotated[Dialect, _is("The Realtime protocol's dialect; beta for servers that still speak it.")] = (
        _S.dialect
    )
    instructions: Annotated[
        str, _is("What the assistant is told to be and do; @FILE reads it from a file.", metavar="TEXT|@FILE")
    ] = _S.instructions
    voice: Annotated[str, _is("The assistant's voice.", metavar="NAME")] = _S.voice
    temperature: Annotated[
        Annotated[float, Meta(ge=0, le=2)] | None,
        _is("How freely the model chooses its words; 0 for the likeliest, auto for the model's own.", none="auto"),
    ] = _S.temperature
    max_output_tokens: Annotated[
        Annotated[int, Meta(ge=1, le=4096)] | None,
        _is("Longest answer, in tokens; inf for no limit.", none="inf"),
    ] = _S.max_output_tokens
    modalities: Annotated[
        Annotated[tuple[Modality, ...], Meta(min_length=1)],
        _is("What answers are made of.", metavar="audio,text|audio|text", expects="audio, text, or audio,text"),
    ] = _S.modalities
    greet: Annotated[str, _is("The assistant speaks first, and this tells it how.", metavar="TEXT")] = _S.greet
    interruptions: Annotated[bool, _is("Whether speaking over the assistant stops it.")] = _S.interruptions
    transcription_model: Annotated[
        str, _is("The remote engine's model that writes down the user's words.", metavar="NAME")
    ] = _S.transcription_model

    turn_detection: Annotated[
        Literal["server_vad", "semantic_vad", "none"],
        _is("What ends the user's turn: silence, the sense of the words, or nothing but push-to-talk."),
    ] = _T.type
    threshold: Annotated[
        Probability, _is("Probability from which a sound is speech; higher in noise, lower for a soft voice.")
    ] = _T.threshold
    prefix_padding_ms: Annotated[
        Padding,
        _is("Audio kept from before the detected start, so that the first sound is whole; no least length of speech."),
    ] = _T.prefix_padding_ms
    silence_duration_ms: Annotated[
        Silence,
        _is("Silence that ends a turn. Below 50 the gaps inside a word end it; above 10000 the assistant seems gone."),
    ] = _T.silence_duration_ms
    eagerness: Annotated[Eagerness, _is("semantic_vad: how soon it takes the turn.")] = _T.eagerness
    create_response: Annotated[bool, _is("Whether the end of a turn makes the assistant answer.")] = _T.create_response
    interrupt_response: Annotated[
        bool, _is("Whether the engine itself drops its answer when the user begins to speak.")
    ] = _T.interrupt_response
    idle_timeout_ms: Annotated[
        IdleTimeout | None, _is("server_vad: silence after which the assistant asks whether you are there.")
    ] = _T.idle_timeout_ms

    brain: Annotated[
        str,
        _is("Local engine: the model that thinks, as a chat endpoint or a file.", metavar="URL|FILE.gguf"),
    ] = ""
    stt: Annotated[str, _is("Local engine: the model that turns speech into text.", metavar="NAME")] = ""
    tts: Annotated[str, _is("Local engine: the model that turns text into speech.", metavar="NAME")] = ""

    max_tool_rounds: Annotated[
        Annotated[int, Meta(ge=1, le=100)],
        _is("How many times in a row the model may call functions (--tools) before it has to answer."),
    ] = _S.max_tool_rounds
    tool_filler: Annotated[
        str, _is("What the assistant says when a function takes more than 2 seconds.", metavar="TEXT")
    ] = _S.tool_filler

    max_minutes: Annotated[Limit | None, _is("End the session politely after so many minutes.")] = _S.max_minutes
    max_cost: Annotated[Limit | None, _is("End the session politely once it has cost so many US dollars.")] = (
        _S.max_cost
    )


ALIASES = {"max_response_output_tokens": "max_output_tokens"}
"""Other names of a key: the reference's own, and the wire's in the beta dialect."""

_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True)
class Setting:
    """One row of the table.

    `metavar` is what help shows in the value's place (`0..1`, `ga|beta`); `expects` completes "it takes ..."; `none` is
    the word for no value, empty where there must be one.
    """

    key: str
    help: str
    default: object
    annotation: Any
    metavar: str
    expects: str
    none: str

    @property
    def flag(self) -> str:
        """The option, as `--prefix-padding-ms`."""
        return "--" + self.key.replace("_", "-")

    @property
    def env(self) -> str:
        """The variable, as `MMAGENT_PREFIX_PADDING_MS`."""
        return "MMAGENT_" + self.key.upper()

    @property
    def boolean(self) -> bool:
        """Whether the option has a `--no-` twin instead of a value."""
        return isinstance(self.default, bool)

    @property
    def choices(self) -> tuple[str, ...]:
        """The words that may be given, for completion."""
        return tuple(word for word in self.metavar.split("|") if word.islower() and "." not in word)

    def parse(self, raw: object, *, lax: bool) -> object:
        """`raw` as this setting's type; `lax` reads numbers and truth out of text. Raises `ValueError`."""
        value = self._plain(raw, lax)
        try:
            return msgspec.convert(value, self.annotation, strict=not lax)
        except msgspec.ValidationError as exc:
            raise ValueError(str(exc)) from None

    def _plain(self, raw: object, lax: bool) -> object:
        if self.none and (raw == "none" or raw == self.none or (isinstance(raw, float) and math.isinf(raw))):
            return None
        if not isinstance(raw, str):
            return raw
        if isinstance(self.default, tuple):
            return [word.strip() for word in raw.split(",")]
        if self.boolean and lax:
            return {**dict.fromkeys(_TRUE, True), **dict.fromkeys(_FALSE, False)}.get(raw.lower(), raw)
        return raw

    def show(self, value: object) -> str:
        """`value` as one may give it back, but for what is between `//` and `@` in a URL: that is a password."""
        match value:
            case None:
                return self.none
            case bool():
                return "true" if value else "false"
            case tuple() | list():
                return ",".join(map(str, value))
            case float():
                return str(int(value)) if value.is_integer() else repr(value)
            case _:
                return _without_credentials(str(value))


def _without_credentials(text: str) -> str:
    text = re.sub(r"(?<=://)[^/@\s]+@", "...@", text)
    return re.sub(r"([?&][\w-]*(?:key|token|secret|password|sig)[\w-]*=)[^&#\s]+", r"\1...", text, flags=re.IGNORECASE)


def _words(bare: inspect.Type, annotation: Any) -> tuple[str, str]:
    """A type's `metavar` and `expects`, as far as the type says."""
    match bare:
        case inspect.UnionType(types=members):
            return _words(_strip(members[0]), annotation)
        case inspect.LiteralType():
            words = get_args(get_args(annotation)[0])  # msgspec's own list is sorted; ours has an order
            return "|".join(words), f"{', '.join(words[:-1])} or {words[-1]}"
        case inspect.BoolType():
            return "true|false", "true or false"
        case inspect.FloatType(ge=low, le=high, gt=above) | inspect.IntType(ge=low, le=high, gt=above):
            number = "a whole number" if isinstance(bare, inspect.IntType) else "a number"
            if low is None:
                return "N", f"{number} above {above}"
            return f"{low}..{high}", f"{number} from {low} to {high}"
        case _:
            return "TEXT", "text"


def _strip(node: inspect.Type) -> inspect.Type:
    return _strip(node.type) if isinstance(node, inspect.Metadata) else node


def _setting(field: inspect.Field, annotation: object) -> Setting:
    assert isinstance(field.type, inspect.Metadata)
    extra = field.type.extra or {}
    bare = _strip(field.type)
    metavar, expects = _words(bare, annotation)
    none = ""
    if isinstance(bare, inspect.UnionType) and bare.includes_none:
        none = extra.get("none", "none")
        metavar, expects = f"{metavar}|{none}", f"{expects}, or {none}"
    return Setting(
        key=field.name,
        help=(field.type.extra_json_schema or {})["description"],
        default=field.default,
        annotation=annotation,
        metavar=extra.get("metavar", metavar),
        expects=extra.get("expects", expects),
        none=none,
    )


def _table() -> Iterator[Setting]:
    annotations = get_type_hints(Settings, include_extras=True)
    info = inspect.type_info(Settings)
    assert isinstance(info, inspect.StructType)
    return (_setting(field, annotations[field.name]) for field in info.fields)


SETTINGS = {setting.key: setting for setting in _table()}
"""The table by key, in the order of help."""
