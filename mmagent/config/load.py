"""Layers of settings become one, and each value remembers its layer."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from mmagent.config import places
from mmagent.config.table import ALIASES, SETTINGS, Setting, Settings
from mmagent.core.settings import SessionSettings, TurnDetection
from mmagent.errors import ConfigError, MmagentError, UsageError

NOT_SETTINGS = frozenset({"MMAGENT_CONFIG", "MMAGENT_CACHE", "MMAGENT_DEBUG", "MMAGENT_API_KEY", "MMAGENT_SERVE_TOKEN"})
"""Variables that begin as settings do and are none."""

SECRETS = (
    "OPENAI_API_KEY",
    "AZURE_OPENAI_API_KEY",
    "MMAGENT_API_KEY",
    "MMAGENT_SERVE_TOKEN",
    "LIVEKIT_API_KEY",
    "LIVEKIT_API_SECRET",
)
"""What a settings file must not hold: read from the environment or `.env` only."""

_KEY_OF_ENGINE = {"openai": "OPENAI_API_KEY", "azure": "AZURE_OPENAI_API_KEY"}


class Layer(NamedTuple):
    """One place's values by key. `lax`: they are text, and numbers are read out of it. `base`: where `@FILE` begins."""

    origin: Callable[[Setting, object], str]
    values: Mapping[str, object]
    base: Path
    error: type[MmagentError] = ConfigError
    lax: bool = False


@dataclass(frozen=True)
class Loaded:
    """The settings in force, and where each came from."""

    settings: Settings
    config_file: Path
    _origins: Mapping[str, str] = field(repr=False)
    _environ: Mapping[str, str] = field(repr=False)
    _dotenv: Mapping[str, str] = field(repr=False)

    def origin(self, key: str) -> str:
        """Where a value came from: `flag --threshold`, `preset noisy-room (FILE)`, `default`..."""
        return self._origins.get(key, "default")

    def given(self, key: str) -> bool:
        """Whether anybody set it."""
        return key in self._origins

    def variable(self, name: str) -> str | None:
        """A variable that is no setting, such as `LIVEKIT_URL`, from the environment or else `.env`."""
        return self._environ.get(name) or self._dotenv.get(name) or None

    def secret(self, name: str) -> str | None:
        """A key or token. For the engine or the room alone: never show, log or record it."""
        return self.variable(name)

    def secret_origin(self, name: str) -> str:
        """What may be said of a secret: `set (environment)`, `set (.env)` or `not set`."""
        if self.secret(name) is None:
            return "not set"
        return "set (environment)" if self._environ.get(name) else "set (.env)"

    def but(self, **changes: object) -> Loaded:
        """The same with some values changed by the command itself."""
        return dataclasses.replace(self, settings=msgspec.structs.replace(self.settings, **changes))

    def session(self) -> SessionSettings:
        """What the core reads."""
        turn = {name: getattr(self.settings, name) for name in TurnDetection.__struct_fields__ if name != "type"}
        rest = {
            name: getattr(self.settings, name)
            for name in SessionSettings.__struct_fields__
            if name not in ("turn_detection", "tools")  # tools are code, not a setting: the agent fills them in
        }
        return SessionSettings(**rest, turn_detection=TurnDetection(type=self.settings.turn_detection, **turn))


def load(flags: Mapping[str, object], presets: Sequence[str], environ: Mapping[str, str], cwd: Path) -> Loaded:
    """Settings from every place, the later over the earlier.

    Args:
        flags: What the user gave on the command line, by key; a value may be text.
        presets: Names or paths; the later wins.
        environ: The process's variables.
        cwd: The folder where `.env` and relative paths begin.

    Raises:
        UsageError: A flag's value is wrong.
        ConfigError: Any other value, key or file is.
    """
    dotenv = places.read_dotenv(cwd / ".env")
    both = {**dotenv, **environ}
    file = places.config_file(both, cwd)
    chosen: dict[str, Any] = {}
    origins: dict[str, str] = {}
    for layer in _layers(flags, presets, environ, dotenv, file, cwd):
        for name, raw in layer.values.items():
            setting = _known(name, layer)
            chosen[setting.key] = _parse(setting, raw, layer)
            origins[setting.key] = layer.origin(setting, raw)
    return Loaded(Settings(**chosen), file, origins, environ, dotenv)


def _layers(
    flags: Mapping[str, object],
    presets: Sequence[str],
    environ: Mapping[str, str],
    dotenv: Mapping[str, str],
    file: Path,
    cwd: Path,
) -> Iterator[Layer]:
    both = {**dotenv, **environ}
    for name in presets:
        path = places.find_preset(name, both, cwd)
        yield Layer(_always(f"preset {path.stem} ({path})"), places.read_toml(path, "The preset"), path.parent)
    if both.get("MMAGENT_CONFIG") or file.is_file():
        yield Layer(_always(f"config file {file}"), places.read_toml(file, "The config file"), file.parent)
    yield Layer(_always(".env"), _variables(dotenv), cwd, lax=True)
    yield Layer(lambda setting, raw: f"environment {setting.env}", _variables(environ), cwd, lax=True)
    yield Layer(_flag, flags, cwd, error=UsageError, lax=True)


def _flag(setting: Setting, raw: object) -> str:
    return f"flag --no-{setting.flag.removeprefix('--')}" if raw is False else f"flag {setting.flag}"


def _always(origin: str) -> Callable[[Setting, object], str]:
    return lambda setting, raw: origin


def _variables(environ: Mapping[str, str]) -> dict[str, object]:
    return {
        name.removeprefix("MMAGENT_").lower(): value
        for name, value in environ.items()
        if name.startswith("MMAGENT_") and name not in NOT_SETTINGS and value
    }


def _known(name: str, layer: Layer) -> Setting:
    key = ALIASES.get(name, name)
    if key in SETTINGS:
        return SETTINGS[key]
    # The origin names the place; an unknown key is spelled as that place spells it.
    unknown = Setting(name, "", None, None, "", "", "")
    where = layer.origin(unknown, None)
    if name.upper() in SECRETS:
        hint = f"Set {name.upper()} in the environment or in .env: settings files are shown and shared."
    else:
        hint = places.nearest(name, SETTINGS) or "`mmagent config` lists the keys."
    raise layer.error(f'There is no setting "{name}" ({where}).', hint)


def _parse(setting: Setting, raw: object, layer: Layer) -> object:
    try:
        value = setting.parse(raw, lax=layer.lax)
    except ValueError:
        hint = places.nearest(str(raw), setting.choices) or f"{setting.key}: {setting.help}"
        raise layer.error(
            f"{setting.key} cannot be {setting.show(raw) or 'empty'} ({layer.origin(setting, raw)}): "
            f"it takes {setting.expects}.",
            hint,
        ) from None
    if setting.key == "instructions" and isinstance(value, str) and value.startswith("@"):
        path = layer.base / Path(value[1:]).expanduser()
        return places.read_text(path, f"The instructions file ({layer.origin(setting, raw)})").strip()
    return value


def engine_choice(loaded: Loaded) -> str:
    """`local`, `openai`, `azure` or a URL: what `--engine` comes to here.

    Raises:
        ConfigError: The engine needs a key and there is none.
    """
    engine = loaded.settings.engine
    if engine == "auto":
        return "openai" if loaded.secret("OPENAI_API_KEY") else "local"
    name = _KEY_OF_ENGINE.get(engine)
    if name and not loaded.secret(name):
        raise ConfigError(
            f"The engine {engine} ({loaded.origin('engine')}) needs a key, and {name} is not set.",
            f"Set {name} in the environment or in .env, or use --engine local, which needs no key and no network.",
        )
    return engine
