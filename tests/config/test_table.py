import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmagent.config import SETTINGS, Settings
from mmagent.core.settings import SessionSettings, TurnDetection


def test_the_table_holds_everything_that_the_core_reads() -> None:
    turn = {"turn_detection" if name == "type" else name for name in TurnDetection.__struct_fields__}
    code = {"tools"}  # the functions of --tools
    assert {*SessionSettings.__struct_fields__, *turn} - code <= set(SETTINGS)


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda s: s.key)
def test_a_default_survives_being_shown_and_given_back(setting) -> None:  # type: ignore[no-untyped-def]
    assert setting.parse(setting.show(setting.default), lax=True) == setting.default
    assert setting.help.endswith(".")
    assert setting.flag == "--" + setting.key.replace("_", "-")
    assert setting.env == "MMAGENT_" + setting.key.upper()


@given(st.floats(0, 1))
def test_a_number_in_range_survives_being_shown_and_given_back(value: float) -> None:
    threshold = SETTINGS["threshold"]
    assert threshold.parse(threshold.show(value), lax=True) == value


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda s: s.key)
def test_each_choice_is_allowed_and_expected(setting) -> None:  # type: ignore[no-untyped-def]
    for word in setting.choices:
        setting.parse(word, lax=True)
        assert word in setting.expects


@pytest.mark.parametrize(
    ("key", "raw", "value"),
    [
        ("threshold", "0", 0.0),
        ("threshold", "1", 1.0),
        ("threshold", 1, 1.0),
        ("temperature", "2", 2.0),
        ("temperature", "auto", None),
        ("max_output_tokens", "1", 1),
        ("max_output_tokens", "4096", 4096),
        ("max_output_tokens", "inf", None),
        ("max_output_tokens", math.inf, None),
        ("prefix_padding_ms", "0", 0),
        ("prefix_padding_ms", "5000", 5000),
        ("silence_duration_ms", "50", 50),
        ("silence_duration_ms", "10000", 10_000),
        ("idle_timeout_ms", "none", None),
        ("idle_timeout_ms", "30000", 30_000),
        ("modalities", "audio, text", ("audio", "text")),
        ("modalities", ["text"], ("text",)),
        ("interruptions", "off", False),
        ("interruptions", "Yes", True),
        ("engine", "wss://example.org/v1?model=x", "wss://example.org/v1?model=x"),
        ("engine", "http://127.0.0.1:8765", "http://127.0.0.1:8765"),
        ("max_cost", "0.25", 0.25),
    ],
)
def test_what_a_setting_takes(key: str, raw: object, value: object) -> None:
    assert SETTINGS[key].parse(raw, lax=True) == value


@pytest.mark.parametrize(
    ("key", "raw"),
    [
        ("threshold", "1.01"),
        ("threshold", "-0.1"),
        ("threshold", "nan"),
        ("threshold", "loud"),
        ("temperature", "2.1"),
        ("max_output_tokens", "0"),
        ("max_output_tokens", "4097"),
        ("max_output_tokens", "1.5"),
        ("prefix_padding_ms", "5001"),
        ("silence_duration_ms", "49"),
        ("silence_duration_ms", "10001"),
        ("silence_duration_ms", "none"),
        ("idle_timeout_ms", "4999"),
        ("idle_timeout_ms", "30001"),
        ("modalities", "video"),
        ("modalities", ""),
        ("modalities", []),
        ("turn_detection", "vad"),
        ("interruptions", "maybe"),
        ("engine", "ftp://example.org"),
        ("engine", "wss://"),
        ("engine", "Local"),
        ("max_cost", "0"),
        ("max_minutes", "-1"),
    ],
)
def test_what_a_setting_refuses(key: str, raw: object) -> None:
    with pytest.raises(ValueError, match=r"Expected|Invalid"):
        SETTINGS[key].parse(raw, lax=True)


@pytest.mark.parametrize(("key", "raw"), [("threshold", "0.5"), ("interruptions", "true"), ("voice", 3)])
def test_a_file_has_types_and_they_must_be_right(key: str, raw: object) -> None:
    with pytest.raises(ValueError, match="Expected"):
        SETTINGS[key].parse(raw, lax=False)


def test_a_password_in_an_address_is_not_shown() -> None:
    brain = SETTINGS["brain"]
    assert brain.show("http://me:hush@host/v1?api_key=hush&model=m") == "http://...@host/v1?api_key=...&model=m"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        Settings().voice = "other"  # type: ignore[misc]
