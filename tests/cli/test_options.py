import inspect
from pathlib import Path
from typing import Annotated

import pytest
import typer

from mmagent.cli.options import Command, command_app, with_settings
from mmagent.config import SETTINGS, Loaded


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the command below was called with, in a folder with nothing in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    for setting in SETTINGS.values():
        monkeypatch.delenv(setting.env, raising=False)
    return {}


def call(seen: dict[str, object], *args: str) -> None:
    app = command_app()

    @app.command(cls=Command)
    @with_settings
    def talk(loaded: Loaded, count: Annotated[int, typer.Option(help="How many.")] = 1) -> None:
        """Talk."""
        seen.update(loaded=loaded, count=count)

    app(list(args), standalone_mode=False)


def loaded_from(seen: dict[str, object], *args: str) -> Loaded:
    call(seen, *args)
    loaded = seen["loaded"]
    assert isinstance(loaded, Loaded)
    return loaded


def test_what_is_not_given_is_nobodys(seen: dict[str, object]) -> None:
    loaded = loaded_from(seen)
    assert all(loaded.origin(key) == "default" for key in SETTINGS)
    assert seen["count"] == 1


def test_the_commands_own_options_stay_its_own(seen: dict[str, object]) -> None:
    call(seen, "--count", "3", "--voice", "echo")
    assert seen["count"] == 3


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda s: s.key)
def test_every_setting_has_its_flag(setting, seen: dict[str, object]) -> None:  # type: ignore[no-untyped-def]
    args = [setting.flag] if setting.boolean else [setting.flag, setting.choices[0] if setting.choices else "1"]
    if setting.metavar == "50..10000":
        args = [setting.flag, "60"]
    loaded = loaded_from(seen, *args)
    assert [key for key in SETTINGS if loaded.given(key)] == [setting.key]
    assert loaded.origin(setting.key) == f"flag {setting.flag}"


def test_a_flag_can_say_no(seen: dict[str, object]) -> None:
    loaded = loaded_from(seen, "--no-interruptions")
    assert loaded.settings.interruptions is False


def test_presets_repeat_and_the_later_wins(seen: dict[str, object]) -> None:
    loaded = loaded_from(seen, "--preset", "telephone", "--preset", "noisy-room")
    assert loaded.settings.threshold == 0.7


def test_the_help_shows_range_choices_and_default(seen: dict[str, object], capsys: pytest.CaptureFixture[str]) -> None:
    call(seen, "--help")
    text = capsys.readouterr().out
    words = " ".join(text.split())
    assert (
        text.index("Options:") < text.index("Settings:") < text.index("Turn detection:") < text.index("Local engine:")
    )
    assert "--threshold 0..1" in words
    assert "--turn-detection server_vad|semantic_vad|none" in words
    assert "[default: 500]" in words
    assert "Below 50 the gaps inside a word end it" in words
    assert "no least length of speech" in words


def test_the_wrapper_hides_the_settings_from_no_type_checker() -> None:
    @with_settings
    def talk(loaded: Loaded, count: int = 1) -> None: ...

    names = list(inspect.signature(talk).parameters)
    assert names == ["count", "preset", *SETTINGS]
