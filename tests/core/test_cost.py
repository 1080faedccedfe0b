from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmagent.core import pcm
from mmagent.core.cost import PRICES, Meter, Tokens, is_local, price, price_of, price_seconds

# The usage of OpenAI's own example (`response.done` in the API reference), without the image fields.
OFFICIAL: dict[str, Any] = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119,
        "audio_tokens": 13,
        "image_tokens": 0,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}
WRITTEN = {"type": "tokens", "input_tokens": 58, "output_tokens": 12, "total_tokens": 70}

counts = st.integers(0, 100_000)
maybe = st.one_of(st.none(), counts, st.floats(allow_nan=True), st.just("many"), st.just({}), st.booleans())


def known(usage: object) -> Tokens:
    tokens = Tokens.from_usage(usage)
    assert tokens is not None
    return tokens


# --- prices -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "usd"),
    [
        ("gpt-realtime-2.1", "0.0072056"),
        ("gpt-realtime-2.1-2026-05-01", "0.0072056"),
        ("gpt-realtime-2.1-mini", "0.00205884"),
        ("gpt-realtime-2.1-mini-2026-05-01", "0.00205884"),
        ("gpt-realtime-2025-08-28", "0.0069656"),  # text out at 16, not 24
    ],
)
def test_the_official_example_has_its_known_price(model: str, usd: str) -> None:
    assert price(model, known(OFFICIAL)) == Decimal(usd)


@pytest.mark.parametrize(
    "model",
    ["", "gpt-realtime-3", "gpt-realtime-2.1-nano", "gpt-realtime-2.1-2026", "my-azure-deployment", "GPT-REALTIME"],
)
def test_an_unknown_model_has_no_price(model: str) -> None:
    assert price_of(model) is None
    assert price(model, known(OFFICIAL)) is None
    assert price_seconds(model, 1) is None


@pytest.mark.parametrize("model", ["local", "local/smollm2", "local-whatever"])
def test_what_runs_here_is_free(model: str) -> None:
    assert is_local(model)
    assert price(model, known(OFFICIAL)) == 0
    assert price_seconds(model, 60) == 0


def test_a_minute_of_audio_costs_what_the_reference_says() -> None:
    user, agent = Tokens.from_audio(60 * pcm.RATE, 0), Tokens.from_audio(0, 60 * pcm.RATE)
    assert price("gpt-realtime-2.1", user) == Decimal("0.0192")
    assert price("gpt-realtime-2.1", agent) == Decimal("0.0768")
    assert price("gpt-realtime-2.1-mini", user) == Decimal("0.006")
    assert price("gpt-realtime-2.1-mini", agent) == Decimal("0.024")


def test_a_model_sold_by_the_minute_has_no_price_in_tokens_and_the_reverse() -> None:
    assert price_seconds("gpt-realtime-whisper", 30) == Decimal("0.0085")
    assert price("gpt-realtime-whisper", known(WRITTEN)) is None
    assert price_seconds("gpt-realtime-2.1", 30) is None


@given(st.sampled_from(sorted(PRICES)), counts, counts, counts)
def test_cached_tokens_never_cost_more_than_others(model: str, text: int, audio: int, made: int) -> None:
    full = price(model, Tokens(text_in=text, audio_in=audio, text_out=made))
    less = price(model, Tokens(text_in=text, audio_in=audio, text_out=made, text_cached=text, audio_cached=audio))
    assert (full is None) == (less is None)
    assert full is None or (less is not None and 0 <= less <= full)


# --- usage ----------------------------------------------------------------------------------------------------------


def test_usage_with_all_details() -> None:
    tokens = known(OFFICIAL)
    assert tokens == Tokens(text_in=119, audio_in=13, text_cached=64, text_out=30, audio_out=91)
    assert (tokens.input, tokens.cached, tokens.output) == (132, 64, 121)


def test_usage_as_a_struct() -> None:
    class Details(msgspec.Struct):
        text_tokens: int
        audio_tokens: int

    class FromWire(msgspec.Struct):
        input_tokens: int
        output_tokens: int
        input_token_details: Details
        output_token_details: Details | msgspec.UnsetType | None = msgspec.UNSET

    assert known(FromWire(5, 0, Details(2, 3))) == Tokens(text_in=2, audio_in=3)


def test_cached_tokens_without_details_are_text_first_and_say_that_it_is_a_guess() -> None:
    details = {"text_tokens": 50, "audio_tokens": 13, "cached_tokens": 60}
    absent: list[dict[str, object]] = [{}, {"cached_tokens_details": None}, {"cached_tokens_details": {}}]
    for missing in absent:
        usage = {"input_tokens": 63, "output_tokens": 0, "input_token_details": {**details, **missing}}
        assert known(usage) == Tokens(text_in=50, audio_in=13, text_cached=50, audio_cached=10, estimated=True)


def test_tokens_of_no_stated_kind_are_text() -> None:
    tokens = known({"input_tokens": 20, "output_tokens": 8, "input_token_details": None})
    assert tokens == Tokens(text_in=20, text_out=8, estimated=True)


def test_a_transcription_can_only_write_so_its_output_is_no_guess() -> None:
    usage = {**WRITTEN, "input_token_details": {"text_tokens": 0, "audio_tokens": 58}}
    assert known(usage) == Tokens(audio_in=58, text_out=12)


@pytest.mark.parametrize("usage", [None, {}, [], "usage", {"input_tokens": None}, {"total_tokens": 7}])
def test_usage_that_says_nothing_is_none(usage: object) -> None:
    assert Tokens.from_usage(usage) is None


def test_usage_of_zero_is_not_nothing() -> None:
    assert Tokens.from_usage({"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}) == Tokens()


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "input_tokens": maybe,
            "output_tokens": maybe,
            "total_tokens": maybe,
            "output_token_details": st.one_of(maybe, st.dictionaries(st.just("audio_tokens"), maybe)),
            "input_token_details": st.one_of(
                maybe,
                st.fixed_dictionaries(
                    {},
                    optional={
                        "text_tokens": maybe,
                        "audio_tokens": maybe,
                        "cached_tokens": maybe,
                        "cached_tokens_details": st.one_of(maybe, st.dictionaries(st.just("audio_tokens"), maybe)),
                    },
                ),
            ),
        },
    )
)
def test_no_usage_however_odd_fails_or_goes_below_zero(usage: dict[str, Any]) -> None:
    tokens = Tokens.from_usage(usage)
    if tokens is not None:
        assert 0 <= tokens.text_cached <= tokens.text_in
        assert 0 <= tokens.audio_cached <= tokens.audio_in
        usd = price("gpt-realtime-2.1", tokens)
        assert usd is not None
        assert usd >= 0


def test_audio_tokens_as_measured_in_the_field() -> None:
    assert Tokens.from_audio(int(5.85 * pcm.RATE), int(7.30 * pcm.RATE)) == Tokens(
        audio_in=58, audio_out=146, estimated=True
    )


@given(st.builds(Tokens, text_in=counts, audio_out=counts), st.builds(Tokens, text_in=counts, estimated=st.booleans()))
def test_tokens_add_up(a: Tokens, b: Tokens) -> None:
    both = a + b
    assert (both.input, both.output) == (a.input + b.input, a.output + b.output)
    assert both.estimated == b.estimated


# --- the meter ------------------------------------------------------------------------------------------------------


def test_a_session_adds_responses_and_transcriptions_each_by_its_own_model() -> None:
    meter = Meter("gpt-realtime-2.1", "gpt-4o-mini-transcribe")
    first = meter.response(OFFICIAL)
    second = meter.transcription({**WRITTEN, "input_token_details": {"text_tokens": 0, "audio_tokens": 58}})
    assert first.usd == Decimal("0.0072056")
    assert second.usd == Decimal("0.0001325")  # 58 at 1.25 and 12 at 5
    assert meter.cost == meter.known_cost == Decimal("0.0073381")
    assert (meter.tokens.input, meter.transcription_tokens.input) == (132, 58)
    assert not meter.estimated


def test_a_transcription_by_duration() -> None:
    meter = Meter("gpt-realtime-2.1", "gpt-realtime-whisper")
    charge = meter.transcription({"type": "duration", "seconds": 1.5})
    assert (charge.usd, charge.estimated) == (Decimal("0.000425"), False)
    assert meter.transcription_tokens == Tokens()


def test_a_duration_of_a_model_sold_by_the_token_is_an_estimate() -> None:
    charge = Meter("local", "gpt-4o-transcribe").transcription({"type": "duration", "seconds": 60})
    assert (charge.usd, charge.estimated) == (Decimal("0.006"), True)


@pytest.mark.parametrize("usage", [None, {}, {"input_tokens": None, "output_tokens": None}])
def test_no_usage_is_estimated_from_the_audio(usage: object) -> None:
    meter = Meter("gpt-realtime-2.1", "gpt-realtime-whisper")
    charge = meter.response(usage, user_samples=3 * pcm.RATE, agent_samples=2 * pcm.RATE)
    assert (charge.tokens.audio_in, charge.tokens.audio_out, charge.estimated) == (30, 40, True)
    assert charge.usd == Decimal("0.00352")
    assert meter.transcription(usage, user_samples=6 * pcm.RATE).usd == Decimal("0.0017")
    assert meter.estimated


def test_usage_wins_over_the_audio() -> None:
    meter = Meter("gpt-realtime-2.1")
    assert meter.response(OFFICIAL, user_samples=10**9, agent_samples=10**9).tokens == known(OFFICIAL)


def test_neither_usage_nor_audio_is_unknown() -> None:
    meter = Meter("gpt-realtime-2.1", "gpt-realtime-whisper")
    assert meter.response(None).usd is None
    assert meter.transcription(None).usd is None
    assert meter.unknown_models == ("gpt-realtime-2.1", "gpt-realtime-whisper")


def test_one_unknown_price_makes_the_sum_unknown_and_keeps_what_is_known() -> None:
    meter = Meter("gpt-realtime-2.1", "deployment-7")
    meter.response(OFFICIAL)
    for _ in range(2):
        assert meter.transcription(WRITTEN).usd is None
    assert meter.cost is None
    assert meter.known_cost == Decimal("0.0072056")
    assert meter.unknown_models == ("deployment-7",)


def test_the_local_engine_costs_nothing_whatever_it_says() -> None:
    meter = Meter("local", "local-moonshine")
    meter.response(OFFICIAL)
    meter.response(None)
    meter.transcription({"type": "duration", "seconds": 60})
    meter.transcription(WRITTEN)
    meter.transcription(None)
    assert meter.cost == 0
    assert meter.tokens.input == 132


def test_the_model_may_change() -> None:
    meter = Meter("")
    meter.model = "gpt-realtime-2.1-mini"
    assert meter.response(OFFICIAL).usd == meter.cost == Decimal("0.00205884")
