"""Usage -> money, from a dated price table.

The rules:

1. Every response is billed, whatever became of it (cancelled, incomplete and failed too), and so is every transcription
   of the user, by its own model.
2. Cached tokens are part of the input tokens and cost less: what is charged in full is the text tokens less the cached
   text tokens, and so for audio and image.
3. A model that is not in the table has no price: `None`, never a wrong number. A dated snapshot has the price of its
   model. What runs on this machine (its name begins with `local`) costs nothing.
4. A server that sends no usage is estimated from the audio's length: one token for 100 ms of the user, one for 50 ms of
   the assistant. An estimate counts the turn alone, not the history that was sent again with it, and says that it is
   one.

Money is `Decimal`, in USD: exact, so that a known answer is met to the last digit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from mmagent.core import pcm

PRICES_AS_OF = "2026-11"
"""When the table below was right."""

USER_TOKEN = pcm.RATE // 10
"""Samples of the user in a token: 100 ms."""

AGENT_TOKEN = pcm.RATE // 20
"""Samples of the assistant in a token: 50 ms."""

_KINDS = ("text", "audio", "image")
_SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}\Z")


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens by kind; `*_in` include `*_cached`. `estimated`: the numbers, or their split into kinds, were guessed."""

    text_in: int = 0
    audio_in: int = 0
    image_in: int = 0
    text_cached: int = 0
    audio_cached: int = 0
    image_cached: int = 0
    text_out: int = 0
    audio_out: int = 0
    estimated: bool = False

    @property
    def input(self) -> int:
        """All that was sent."""
        return self.text_in + self.audio_in + self.image_in

    @property
    def output(self) -> int:
        """All that was made."""
        return self.text_out + self.audio_out

    @property
    def cached(self) -> int:
        """The part of `input` that was charged less."""
        return self.text_cached + self.audio_cached + self.image_cached

    def __add__(self, other: Tokens) -> Tokens:
        sums = {name: getattr(self, name) + getattr(other, name) for name in _COUNTS}
        return Tokens(**sums, estimated=self.estimated or other.estimated)

    @classmethod
    def from_usage(cls, usage: object) -> Tokens | None:
        """The `usage` of a `response.done`, or a transcription's of type `tokens`; None where it says nothing.

        `usage` is a mapping or a msgspec struct. Details may be missing, null or {}: input and output tokens of no
        stated kind count as text, and `cached_tokens` of no stated kind as text first, then audio, then image.
        """
        data = _mapping(usage)
        if not any(_has_count(data.get(name)) for name in ("input_tokens", "output_tokens")):
            return None
        details = _mapping(data.get("input_token_details"))
        given, guessed_in = _split(_count(data.get("input_tokens")), details)
        cached, guessed_cached = _split_cached(details, given)
        made, guessed_out = _split(_count(data.get("output_tokens")), _mapping(data.get("output_token_details")))
        if data.get("type") == "tokens":  # of a transcription, which can only write
            guessed_out = False
        return cls(
            **{f"{kind}_in": n for kind, n in given.items()},
            **{f"{kind}_cached": n for kind, n in cached.items()},
            text_out=made["text"] + made["image"],
            audio_out=made["audio"],
            estimated=guessed_in or guessed_cached or guessed_out,
        )

    @classmethod
    def from_audio(cls, user_samples: int, agent_samples: int, *, estimated: bool = True) -> Tokens:
        """By the rule of audio tokens, rounded down. 24 kHz samples. The local engine counts its own usage by it."""
        return cls(audio_in=user_samples // USER_TOKEN, audio_out=agent_samples // AGENT_TOKEN, estimated=estimated)


_COUNTS = tuple(f.name for f in msgspec.structs.fields(Tokens) if f.name != "estimated")


class Price(msgspec.Struct, frozen=True):
    """USD for a million tokens, in, cached and out; `minute`: for a minute of the user's audio. None: not sold so."""

    text: tuple[str, str, str] | None = None
    audio: tuple[str, str, str] | None = None
    image: tuple[str, str, str] | None = None
    minute: str | None = None

    @property
    def by_token(self) -> bool:
        """Whether tokens are what is paid for."""
        return self.text is not None or self.audio is not None

    def of(self, tokens: Tokens) -> Decimal | None:
        """What these tokens cost; None if some are of a kind that has no price here."""
        total = Decimal(0)
        for kind, rates in zip(_KINDS, (self.text, self.audio, self.image), strict=True):
            given, cached, made = (getattr(tokens, f"{kind}_{what}", 0) for what in ("in", "cached", "out"))
            if rates is not None:
                full, less, out = map(Decimal, rates)
                total += (given - cached) * full + cached * less + made * out
            elif given or made:
                return None
        return total / 1_000_000


_FREE = Price(("0", "0", "0"), ("0", "0", "0"), ("0", "0", "0"), minute="0")


def _realtime(text_out: str) -> Price:
    return Price(("4", "0.40", text_out), ("32", "0.40", "64"), ("5", "0.50", "0"))


_MINI = Price(("0.60", "0.06", "2.40"), ("10", "0.30", "20"), ("0.80", "0.08", "0"))

PRICES: Mapping[str, Price] = {
    "gpt-realtime-2.1": _realtime("24"),
    "gpt-realtime-2.1-mini": _MINI,
    "gpt-realtime-2": _realtime("24"),
    "gpt-realtime-1.5": _realtime("16"),
    "gpt-realtime": _realtime("16"),
    "gpt-realtime-mini": _MINI,
    # Transcription. The token-priced ones are "about" so much a minute, which serves when they report no tokens.
    "gpt-4o-transcribe": Price(("2.50", "2.50", "10"), ("2.50", "2.50", "0"), minute="0.006"),
    "gpt-4o-mini-transcribe": Price(("1.25", "1.25", "5"), ("1.25", "1.25", "0"), minute="0.003"),
    "gpt-realtime-whisper": Price(minute="0.017"),
    "gpt-live-transcribe": Price(minute="0.017"),
    "whisper-1": Price(minute="0.006"),
}
"""OpenAI's prices as of `PRICES_AS_OF` (developers.openai.com, "Pricing")."""


def is_local(model: str) -> bool:
    """Whether the model runs on this machine."""
    return model.startswith("local")


def price_of(model: str) -> Price | None:
    """The model's row of the table; None where there is none. A snapshot's date in the name is left out."""
    return _FREE if is_local(model) else PRICES.get(_SNAPSHOT.sub("", model))


def price(model: str, tokens: Tokens) -> Decimal | None:
    """What `tokens` of `model` cost, in USD; None where the price is unknown."""
    row = price_of(model)
    return None if row is None else row.of(tokens)


def price_seconds(model: str, seconds: float) -> Decimal | None:
    """What so many seconds of the user's audio cost with `model`, in USD; None where the price is unknown."""
    row = price_of(model)
    if row is None or row.minute is None:
        return None
    return Decimal(row.minute) * Decimal(str(seconds)) / 60


class Charge(msgspec.Struct, frozen=True):
    """What one response or transcription took. `usd` None: unknown."""

    tokens: Tokens
    usd: Decimal | None
    estimated: bool


class Meter:
    """Adds up a session. `model` and `transcription_model` may be set again when the server names others."""

    def __init__(self, model: str, transcription_model: str = "") -> None:
        self.model = model
        self.transcription_model = transcription_model
        self.tokens = Tokens()
        """Of all responses."""
        self.transcription_tokens = Tokens()
        """Of all transcriptions that are counted in tokens."""
        self.known_cost = Decimal(0)
        """USD of all that has a known price: the least that the session has cost."""
        self.unknown_models: tuple[str, ...] = ()
        """Models that did something and have no known price."""
        self.estimated = False
        """Whether any part is an estimate."""

    @property
    def cost(self) -> Decimal | None:
        """USD of the session so far; None as soon as a part of it is unknown."""
        return None if self.unknown_models else self.known_cost

    def response(self, usage: object, user_samples: int = 0, agent_samples: int = 0) -> Charge:
        """Add the usage of a `response.done`, whatever its status.

        The samples (24 kHz) are the audio of this turn that the user sent and the assistant made; they are read only
        where `usage` says nothing.
        """
        tokens = Tokens.from_usage(usage)
        if tokens is None:
            tokens = Tokens.from_audio(user_samples, agent_samples)
            # No usage and no audio: something was billed, and nobody knows what.
            usd = price(self.model, tokens) if is_local(self.model) or tokens.input or tokens.output else None
        else:
            usd = price(self.model, tokens)
        self.tokens += tokens
        return self._add(self.model, Charge(tokens, usd, tokens.estimated))

    def transcription(self, usage: object, user_samples: int = 0) -> Charge:
        """Add the usage of a `...transcription.completed`: of type `tokens` or `duration`, or none at all."""
        data, model = _mapping(usage), self.transcription_model
        seconds = data.get("seconds")
        if isinstance(seconds, int | float) and math.isfinite(seconds):
            # A model that is sold by the token is only "about" so much a minute.
            row = price_of(model)
            about = row is not None and row.by_token and not is_local(model)
            charge = Charge(Tokens(), price_seconds(model, max(0, seconds)), about)
        elif (tokens := Tokens.from_usage(data)) is not None:
            charge = Charge(tokens, price(model, tokens), tokens.estimated)
        else:
            known = is_local(model) or user_samples > 0
            usd = price_seconds(model, user_samples / pcm.RATE) if known else None
            charge = Charge(Tokens.from_audio(user_samples, 0), usd, True)
        self.transcription_tokens += charge.tokens
        return self._add(model, charge)

    def _add(self, model: str, charge: Charge) -> Charge:
        if charge.usd is not None:
            self.known_cost += charge.usd
        elif model not in self.unknown_models:
            self.unknown_models += (model,)
        self.estimated = self.estimated or charge.estimated
        return charge


# --- reading what servers send --------------------------------------------------------------------------------------


def _mapping(value: object) -> Mapping[str, Any]:
    """A mapping or struct as a mapping; anything else (null, missing) as an empty one."""
    if isinstance(value, msgspec.Struct):
        value = msgspec.to_builtins(value)
    return value if isinstance(value, Mapping) else {}


def _has_count(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _count(value: object) -> int:
    """A count as servers send it: null, missing and nonsense are 0."""
    return max(0, int(value)) if isinstance(value, int | float) and math.isfinite(value) else 0


def _split(total: int, details: Mapping[str, Any]) -> tuple[dict[str, int], bool]:
    """(tokens by kind, whether some had no stated kind): what the details leave open is text."""
    kinds = {kind: _count(details.get(f"{kind}_tokens")) for kind in _KINDS}
    open_ = total - sum(kinds.values())
    if open_ > 0:
        kinds["text"] += open_
    return kinds, open_ > 0


def _split_cached(details: Mapping[str, Any], given: Mapping[str, int]) -> tuple[dict[str, int], bool]:
    """(cached tokens by kind, whether some had no stated kind), each at most what was given of that kind."""
    stated = _mapping(details.get("cached_tokens_details"))
    cached = {kind: min(n, _count(stated.get(f"{kind}_tokens"))) for kind, n in given.items()}
    left = max(0, _count(details.get("cached_tokens")) - sum(cached.values()))
    guessed = left > 0
    for kind, n in given.items():
        more = min(left, n - cached[kind])
        cached[kind] += more
        left -= more
    return cached, guessed
